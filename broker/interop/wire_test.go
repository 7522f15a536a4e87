package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// version is the protocol level in CONNECT.
type version byte

const (
	v31  version = 3 // MQTT 3.1, IBM and Eurotech 2010
	v311 version = 4 // MQTT 3.1.1, OASIS 2014
	v5   version = 5 // MQTT 5.0, OASIS 2019
)

func (v version) String() string {
	return map[version]string{v31: "3.1", v311: "3.1.1", v5: "5"}[v]
}

// versions are those that a test of something they share runs with.
var versions = []version{v31, v311, v5}

// kind is the type of a control packet (MQTT 5.0, section 2.1.2).
type kind byte

const (
	cCONNECT kind = iota + 1
	cCONNACK
	cPUBLISH
	cPUBACK
	cPUBREC
	cPUBREL
	cPUBCOMP
	cSUBSCRIBE
	cSUBACK
	cUNSUBSCRIBE
	cUNSUBACK
	cPINGREQ
	cPINGRESP
	cDISCONNECT
)

func (k kind) String() string {
	names := []string{
		"0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
		"SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}
	return names[k&15]
}

// A packet is a control packet with its body not yet understood.
type packet struct {
	kind  kind
	flags byte
	body  []byte
}

// bytes returns p as it is on the wire: type and flags, length, body.
func (p packet) bytes() []byte {
	b := []byte{byte(p.kind)<<4 | p.flags}
	return append(appendVarint(b, len(p.body)), p.body...)
}

// readPacket reads one control packet.
func readPacket(r interface {
	io.Reader
	io.ByteReader
},
) (packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return packet{}, err
	}
	length, err := binary.ReadUvarint(r) // the same encoding (section 1.5.5)
	if err != nil {
		return packet{}, err
	}
	p := packet{kind: kind(first >> 4), flags: first & 15, body: make([]byte, length)}
	_, err = io.ReadFull(r, p.body)
	return p, err
}

func appendVarint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// A message is a PUBLISH (section 3.3).
type message struct {
	dup, retain bool
	qos         byte
	id          uint16 // 0: publish takes the next free one
	topic       string
	props       properties
	payload     string
}

func (m message) packet(v version) packet {
	flags := m.qos << 1
	if m.dup {
		flags |= 8
	}
	if m.retain {
		flags |= 1
	}
	b := appendString(nil, m.topic)
	if m.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, m.id)
	}
	if v == v5 {
		b = m.props.append(b)
	}
	return packet{cPUBLISH, flags, append(b, m.payload...)}
}

// A body is what is left to decode of a packet; the first mistake stays in err.
type body struct {
	b   []byte
	err error
}

func (d *body) take(n int) []byte {
	if n > len(d.b) {
		d.b, d.err = nil, errors.New("packet is too short")
		return make([]byte, n)
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *body) byte() byte     { return d.take(1)[0] }
func (d *body) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *body) string() string { return string(d.take(int(d.uint16()))) }

func (d *body) varint() int {
	n, size := binary.Uvarint(d.b)
	if size < 1 || size > 4 {
		d.b, d.err = nil, errors.New("bad variable byte integer")
		return 0
	}
	d.take(size)
	return int(n)
}

func parseMessage(v version, p packet) (message, error) {
	m := message{dup: p.flags&8 != 0, qos: p.flags >> 1 & 3, retain: p.flags&1 != 0}
	d := &body{b: p.body}
	m.topic = d.string()
	if m.qos > 0 {
		m.id = d.uint16()
	}
	if v == v5 {
		m.props = d.properties()
	}
	m.payload = string(d.b)
	if d.err != nil {
		return m, fmt.Errorf("PUBLISH % x: %w", p.body, d.err)
	}
	return m, nil
}

// An answer is what the packets that acknowledge have in common.
type answer struct {
	id      uint16
	present bool   // CONNACK: session present
	code    byte   // of CONNACK, PUBACK and its like, DISCONNECT
	codes   []byte // of SUBACK and UNSUBACK
	props   properties
}

func parseAnswer(v version, p packet) (answer, error) {
	var a answer
	d := &body{b: p.body}
	switch p.kind {
	case cCONNACK:
		a.present, a.code = d.byte() == 1, d.byte()
	case cDISCONNECT:
	default:
		a.id = d.uint16()
	}
	acknowledges := p.kind == cPUBACK || p.kind == cPUBREC || p.kind == cPUBREL || p.kind == cPUBCOMP || p.kind == cDISCONNECT
	if v == v5 && acknowledges && len(d.b) > 0 { // may be left out (section 3.4.2.1)
		a.code = d.byte()
	}
	if v == v5 && (len(d.b) > 0 || !acknowledges) {
		a.props = d.properties()
	}
	a.codes = d.b
	return a, d.err
}
