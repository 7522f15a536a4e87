// Package wire writes and reads the MQTT 3.1.1 packets that a load generator
// needs. It is not a client: it trusts the broker, checks only what it must to
// find the next packet, and does no I/O.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Type is a control packet type (MQTT 3.1.1, section 2.2.1).
type Type byte

// The control packets that a load generator sends and receives.
const (
	Connect     Type = 1
	Connack     Type = 2
	Publish     Type = 3
	Puback      Type = 4
	Pubrec      Type = 5
	Pubrel      Type = 6
	Pubcomp     Type = 7
	Subscribe   Type = 8
	Suback      Type = 9
	Unsubscribe Type = 10
	Unsuback    Type = 11
)

// ErrShort is returned by Next when the bytes end within a packet: more must be
// read.
var ErrShort = errors.New("packet is not complete")

// keepAlive is longer than any row of the benchmark, in seconds: the load
// generator sends no PINGREQ.
const keepAlive = 3600

// A Packet is a control packet whose type and length are known. Body shares the
// bytes that were read.
type Packet struct {
	Type  Type
	Flags byte
	Body  []byte
}

// A Message is what a PUBLISH carries. Its slices share the packet's bytes when
// it was read.
type Message struct {
	Topic   []byte
	Payload []byte
	ID      uint16 // of QoS 1 and 2
	QoS     byte
	Retain  bool
}

// Next returns the first packet of b and the bytes behind it.
func Next(b []byte) (p Packet, rest []byte, err error) {
	length, size := 0, 1
	for shift := 0; ; shift += 7 {
		if size >= len(b) {
			return Packet{}, b, ErrShort
		}
		if shift > 21 {
			return Packet{}, b, errors.New("remaining length has more than four bytes")
		}
		digit := b[size]
		size++
		length |= int(digit&0x7F) << shift
		if digit < 0x80 {
			break
		}
	}
	if len(b)-size < length {
		return Packet{}, b, ErrShort
	}
	end := size + length
	return Packet{Type(b[0] >> 4), b[0] & 0x0F, b[size:end]}, b[end:], nil
}

// Message decodes the body of a PUBLISH (section 3.3).
func (p Packet) Message() (Message, error) {
	m := Message{QoS: p.Flags >> 1 & 3, Retain: p.Flags&1 == 1}
	if len(p.Body) < 2 {
		return m, errors.New("PUBLISH without topic")
	}
	end := 2 + int(binary.BigEndian.Uint16(p.Body))
	if len(p.Body) < end {
		return m, fmt.Errorf("topic of %d bytes in a PUBLISH of %d", end-2, len(p.Body))
	}
	m.Topic, m.Payload = p.Body[2:end], p.Body[end:]
	if m.QoS == 0 {
		return m, nil
	}
	if len(m.Payload) < 2 {
		return m, errors.New("PUBLISH without packet id")
	}
	m.ID, m.Payload = binary.BigEndian.Uint16(m.Payload), m.Payload[2:]
	return m, nil
}

// ID returns the packet id with which an acknowledgement begins.
func (p Packet) ID() (uint16, error) {
	if len(p.Body) < 2 {
		return 0, fmt.Errorf("packet of type %d without packet id", p.Type)
	}
	return binary.BigEndian.Uint16(p.Body), nil
}

// A Session is what a CONNECT asks for.
type Session struct {
	ClientID       string
	User, Password string // none if User is empty
	Lasting        bool   // it outlives its connection
}

// AppendConnect appends a CONNECT (section 3.1).
func AppendConnect(b []byte, s Session) []byte {
	flags, length := byte(0x02), 10+2+len(s.ClientID)
	if s.Lasting {
		flags = 0
	}
	if s.User != "" {
		flags |= 0xC0
		length += 2 + len(s.User) + 2 + len(s.Password)
	}
	b = appendLength(append(b, byte(Connect)<<4), length)
	b = append(b, 0, 4, 'M', 'Q', 'T', 'T', 4, flags)
	b = binary.BigEndian.AppendUint16(b, keepAlive)
	b = appendString(b, s.ClientID)
	if s.User != "" {
		b = appendString(appendString(b, s.User), s.Password)
	}
	return b
}

// AppendSubscribe appends a SUBSCRIBE to one filter (section 3.8).
func AppendSubscribe(b []byte, id uint16, filter string, qos byte) []byte {
	b = append(b, byte(Subscribe)<<4|0x02)
	b = appendLength(b, 2+2+len(filter)+1)
	b = binary.BigEndian.AppendUint16(b, id)
	return append(appendString(b, filter), qos)
}

// AppendUnsubscribe appends an UNSUBSCRIBE from one filter (section 3.10).
func AppendUnsubscribe(b []byte, id uint16, filter string) []byte {
	b = append(b, byte(Unsubscribe)<<4|0x02)
	b = appendLength(b, 2+2+len(filter))
	b = binary.BigEndian.AppendUint16(b, id)
	return appendString(b, filter)
}

// AppendPublish appends a PUBLISH (section 3.3).
func AppendPublish(b []byte, m Message) []byte {
	head, length := byte(Publish)<<4|m.QoS<<1, 2+len(m.Topic)+len(m.Payload)
	if m.Retain {
		head |= 1
	}
	if m.QoS > 0 {
		length += 2
	}
	b = appendLength(append(b, head), length)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Topic)))
	b = append(b, m.Topic...)
	if m.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, m.ID)
	}
	return append(b, m.Payload...)
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
func AppendAck(b []byte, t Type, id uint16) []byte {
	head := byte(t) << 4
	if t == Pubrel {
		head |= 0x02
	}
	return append(b, head, 2, byte(id>>8), byte(id))
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// appendLength appends a remaining length (section 2.2.3).
func appendLength(b []byte, n int) []byte {
	for n > 0x7F {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
