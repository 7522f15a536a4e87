package interop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A client speaks MQTT by hand: it sends only what a test says, and sees each
// packet that comes.
type client struct {
	t      testing.TB
	v      version
	conn   net.Conn
	r      *bufio.Reader
	lastID uint16
	inbox  []message // came while something else was waited for

	admitted bool // by a CONNACK
}

// A login is a CONNECT (section 3.1).
type login struct {
	version   version // 3.1.1 if zero
	name      string  // of the protocol, if it is to be wrong
	id        string
	user      string // its name, if it has one
	password  string // his, if he has one
	keep      bool   // the session outlives its connection
	keepAlive uint16
	will      *message // its properties are will properties
	props     properties
}

func (l login) packet() packet {
	name := "MQTT"
	if l.version == v31 {
		name = "MQIsdp"
	}
	if l.name != "" {
		name = l.name
	}
	b := append(appendString(nil, name), byte(l.version), l.flags())
	b = binary.BigEndian.AppendUint16(b, l.keepAlive)
	if l.version == v5 {
		props := l.props
		if l.keep && len(props.all(sessionExpiry)) == 0 {
			props = append(props, number[uint32](sessionExpiry, 3600))
		}
		b = props.append(b)
	}
	b = appendString(b, l.id)
	if l.will != nil {
		if l.version == v5 {
			b = l.will.props.append(b)
		}
		b = appendString(appendString(b, l.will.topic), l.will.payload)
	}
	if l.user != "" {
		b = appendString(b, l.user)
	}
	if l.password != "" {
		b = appendString(b, l.password)
	}
	return packet{kind: cCONNECT, body: b}
}

func (l login) flags() byte {
	var flags byte
	if !l.keep {
		flags |= 0x02
	}
	if l.user != "" {
		flags |= 0x80
	}
	if l.password != "" {
		flags |= 0x40
	}
	if l.will != nil {
		flags |= 0x04 | l.will.qos<<3
		if l.will.retain {
			flags |= 0x20
		}
	}
	return flags
}

// dial opens a connection and says nothing on it.
func (s *server) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.tcp, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, v: v311, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// connect logs in, and fails the test if it may not.
func (s *server) connect(t testing.TB, l login) *client {
	t.Helper()
	c, _ := s.resume(t, l)
	return c
}

// resume is connect, and tells what CONNACK said.
func (s *server) resume(t testing.TB, l login) (*client, answer) {
	t.Helper()
	c := s.dial(t)
	a := c.login(l)
	if a.code != 0 {
		t.Fatalf("CONNECT %+v was refused with %#x", l, a.code)
	}
	return c, a
}

func (c *client) login(l login) answer {
	c.t.Helper()
	if l.version == 0 {
		l.version = v311
	}
	c.v = l.version
	c.send(l.packet())
	a := c.answer(cCONNACK)
	c.admitted = a.code == 0
	return a
}

func (c *client) send(p packet) {
	c.t.Helper()
	c.write(p.bytes())
}

func (c *client) write(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("write to the broker: %v", err)
	}
}

// packet returns the next packet, whatever it is.
func (c *client) packet() packet {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	p, err := readPacket(c.r)
	if err != nil {
		c.t.Fatalf("wait for a packet: %v", err)
	}
	return p
}

// next returns the next packet, which must be of kind k.
func (c *client) next(k kind) packet {
	c.t.Helper()
	p := c.packet()
	if p.kind != k {
		c.t.Fatalf("the broker sent %v % x, want %v", p.kind, p.body, k)
	}
	return p
}

// answer waits for an answer of kind k and puts messages before it aside.
func (c *client) answer(k kind) answer {
	c.t.Helper()
	p := c.control()
	if p.kind != k {
		c.t.Fatalf("the broker sent %v % x, want %v", p.kind, p.body, k)
	}
	a, err := parseAnswer(c.v, p)
	if err != nil {
		c.t.Fatalf("%v % x: %v", p.kind, p.body, err)
	}
	return a
}

func (c *client) parse(p packet) message {
	c.t.Helper()
	m, err := parseMessage(c.v, p)
	if err != nil {
		c.t.Fatal(err)
	}
	if m.qos > 0 && m.id == 0 {
		c.t.Fatalf("%+v has packet id 0 (MQTT-2.2.1-3)", m)
	}
	return m
}

// take returns the next message and leaves it unacknowledged.
func (c *client) take() message {
	c.t.Helper()
	if len(c.inbox) > 0 {
		m := c.inbox[0]
		c.inbox = c.inbox[1:]
		return m
	}
	return c.parse(c.next(cPUBLISH))
}

// receive returns the next message and acknowledges it completely.
func (c *client) receive() message {
	c.t.Helper()
	m := c.take()
	switch m.qos {
	case 1:
		c.ack(cPUBACK, m.id)
	case 2:
		c.ack(cPUBREC, m.id)
		if a := c.answer(cPUBREL); a.id != m.id || a.code != 0 {
			c.t.Fatalf("PUBREL has id %d and code %#x, want %d and 0", a.id, a.code, m.id)
		}
		c.ack(cPUBCOMP, m.id)
	}
	return m
}

// ack sends an acknowledgement of kind k.
func (c *client) ack(k kind, id uint16) {
	c.t.Helper()
	p := packet{kind: k, body: binary.BigEndian.AppendUint16(nil, id)}
	if k == cPUBREL {
		p.flags = 2
	}
	c.send(p)
}

// post sends m, with the next packet id if it needs one and has none.
func (c *client) post(m message) uint16 {
	c.t.Helper()
	if m.qos > 0 && m.id == 0 {
		m.id = c.newID()
	}
	c.send(m.packet(c.v))
	return m.id
}

func (c *client) newID() uint16 {
	c.lastID++
	if c.lastID == 0 {
		c.lastID = 1
	}
	return c.lastID
}

// publish sends m, waits for all its acknowledgements and returns the reason
// code.
func (c *client) publish(m message) byte {
	c.t.Helper()
	id := c.post(m)
	var a answer
	switch m.qos {
	case 0:
		return 0
	case 1:
		a = c.answer(cPUBACK)
	case 2:
		a = c.answer(cPUBREC)
		if a.id == id && a.code < 0x80 {
			c.ack(cPUBREL, id)
			a = c.answer(cPUBCOMP)
		}
	}
	if a.id != id {
		c.t.Fatalf("message %d was acknowledged as %d", id, a.id)
	}
	return a.code
}

// subscribe returns the code of SUBACK; options are those of MQTT 5.0, section
// 3.8.3.1, of which the lowest two bits are the QoS.
func (c *client) subscribe(filter string, options byte, props ...property) byte {
	c.t.Helper()
	id := c.newID()
	b := binary.BigEndian.AppendUint16(nil, id)
	if c.v == v5 {
		b = properties(props).append(b)
	}
	c.send(packet{cSUBSCRIBE, 2, append(appendString(b, filter), options)})
	a := c.answer(cSUBACK)
	if a.id != id || len(a.codes) != 1 {
		c.t.Fatalf("SUBACK is %+v, want id %d and one code", a, id)
	}
	return a.codes[0]
}

func (c *client) unsubscribe(filter string) {
	c.t.Helper()
	id := c.newID()
	b := binary.BigEndian.AppendUint16(nil, id)
	if c.v == v5 {
		b = properties{}.append(b)
	}
	c.send(packet{cUNSUBSCRIBE, 2, appendString(b, filter)})
	if a := c.answer(cUNSUBACK); a.id != id {
		c.t.Fatalf("UNSUBACK has id %d, want %d", a.id, id)
	}
}

// ping returns after the broker has read all that was sent before.
func (c *client) ping() {
	c.t.Helper()
	c.send(packet{kind: cPINGREQ})
	c.pong()
}

// pong waits for a PINGRESP and puts messages before it aside.
func (c *client) pong() {
	c.t.Helper()
	if p := c.control(); p.kind != cPINGRESP || len(p.body) != 0 {
		c.t.Fatalf("the broker sent %v % x, want PINGRESP", p.kind, p.body)
	}
}

// control returns the next packet that is not a message and puts messages
// before it aside.
func (c *client) control() packet {
	c.t.Helper()
	for {
		p := c.packet()
		if p.kind != cPUBLISH {
			return p
		}
		c.inbox = append(c.inbox, c.parse(p))
	}
}

// disconnect says goodbye and waits until the broker has closed.
func (c *client) disconnect() {
	c.t.Helper()
	c.send(packet{kind: cDISCONNECT})
	c.closed()
}

// closed waits until the broker closes the connection and returns the reason
// in its DISCONNECT, or 0.
func (c *client) closed() byte {
	c.t.Helper()
	var reason byte
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		p, err := readPacket(c.r)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.t.Fatalf("the broker kept the connection for %v", patience)
		case err != nil:
			return reason
		case p.kind == cDISCONNECT && c.v == v5:
			a, err := parseAnswer(c.v, p)
			if err != nil {
				c.t.Fatalf("DISCONNECT % x: %v", p.body, err)
			}
			reason = a.code
		case p.kind == cDISCONNECT:
			c.t.Errorf("the broker sent DISCONNECT to a client of MQTT %v", c.v)
		}
	}
}

// drop cuts the connection without a goodbye.
func (c *client) drop() { _ = c.conn.Close() }

// in returns c for use within the routine of t.
func (c *client) in(t testing.TB) *client {
	d := *c
	d.t = t
	return &d
}
