package interop

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"
)

// A line is a connection that may break at any moment. The clients on it keep the
// state that section 4.1 gives them, and go on with it on the next.
type line struct {
	net.Conn
	r *bufio.Reader
	v version
}

// call opens a connection and logs in. present says whether the broker still has
// the session.
func (s *server) call(l login) (c *line, present bool, err error) {
	conn, err := net.DialTimeout("tcp", s.tcp, patience)
	if err != nil {
		return nil, false, err
	}
	c = &line{conn, bufio.NewReaderSize(conn, 64<<10), l.version}
	if err = c.send(l.packet()); err != nil {
		return c, false, err
	}
	p, err := c.packet()
	if err != nil {
		return c, false, err
	}
	a, err := parseAnswer(l.version, p)
	if err == nil && (p.kind != cCONNACK || a.code != 0) {
		err = fmt.Errorf("CONNECT of %s was answered with %v %#x", l.id, p.kind, a.code)
	}
	return c, a.present, err
}

func (l *line) send(p packet) error {
	_ = l.SetWriteDeadline(time.Now().Add(patience))
	_, err := l.Write(p.bytes())
	return err
}

func (l *line) packet() (packet, error) {
	_ = l.SetReadDeadline(time.Now().Add(patience))
	return readPacket(l.r)
}

func (l *line) ack(k kind, id uint16) error {
	p := packet{kind: k, body: binary.BigEndian.AppendUint16(nil, id)}
	if k == cPUBREL {
		p.flags = 2
	}
	return l.send(p)
}

// An exchange is a message that its publisher has not finished with.
type exchange struct {
	message
	received bool // PUBREC was read
}

// A publisher numbers its messages by topic, and has up to 20 on their way.
type publisher struct {
	login
	rand *rand.Rand

	line    *line
	lastID  uint16
	sent    map[string]int // by topic: how many
	flights []*exchange    // in the order in which they were sent

	acked  int  // PUBACKs and PUBRECs read
	known  bool // the broker has acknowledged something of this session
	forgot bool // and did not know it later
}

const window = 20

func newPublisher(l login, source rand.Source) *publisher {
	return &publisher{login: l, rand: rand.New(source), sent: make(map[string]int)}
}

// connect opens a connection, perhaps beside the one before, and sends again what
// is not finished (section 4.4).
func (p *publisher) connect(s *server) error {
	c, present, err := s.call(p.login)
	if p.line != nil {
		_ = p.line.Close()
	}
	p.line = c
	if err != nil {
		return err
	}
	p.forgot = p.forgot || p.known && !present
	p.known = true
	for _, x := range p.flights {
		if x.received {
			err = c.ack(cPUBREL, x.id)
		} else {
			x.dup = true
			err = c.send(x.packet(c.v))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// press publishes until the connection breaks; now and then it takes over from
// itself.
func (p *publisher) press(s *server) error {
	err := p.connect(s)
	for err == nil {
		for len(p.flights) < window && err == nil {
			err = p.post()
		}
		if err == nil {
			err = p.step()
		}
		if err == nil && p.rand.IntN(1000) == 0 {
			err = p.connect(s)
		}
	}
	return err
}

// finish ends all exchanges.
func (p *publisher) finish(s *server) error {
	err := p.connect(s)
	for err == nil && len(p.flights) > 0 {
		err = p.step()
	}
	if p.line != nil {
		_ = p.line.Close()
	}
	return err
}

// post sends the next message.
func (p *publisher) post() error {
	qos := byte(1 + p.rand.IntN(2))
	topic := fmt.Sprintf("kill/%s/%d", p.id, qos)
	n := p.sent[topic]
	p.sent[topic]++
	return p.push(message{topic: topic, qos: qos, id: p.free(), payload: numbered(topic, n)})
}

func (p *publisher) push(m message) error {
	x := &exchange{message: m}
	p.flights = append(p.flights, x)
	return p.line.send(x.packet(p.line.v))
}

// numbered is the payload of message n to topic: nothing in it can be mistaken.
func numbered(topic string, n int) string {
	return fmt.Sprintf("%s %d %s", topic, n, strings.Repeat("x", n%200))
}

func (p *publisher) free() uint16 {
	for {
		if p.lastID++; p.lastID != 0 && p.find(p.lastID) < 0 {
			return p.lastID
		}
	}
}

func (p *publisher) find(id uint16) int {
	return slices.IndexFunc(p.flights, func(x *exchange) bool { return x.id == id })
}

// step reads one acknowledgement and answers it.
func (p *publisher) step() error {
	q, err := p.line.packet()
	if err != nil {
		return err
	}
	a, err := parseAnswer(p.line.v, q)
	if err != nil {
		return err
	}
	n := p.find(a.id)
	// A packet id that PUBREL has released already is no error during recovery
	// (MQTT 5.0, section 3.7.2.1).
	released := q.kind == cPUBCOMP && a.code == 0x92
	if n < 0 || a.code >= 0x80 && !released {
		return fmt.Errorf("%s was sent %v for packet id %d, which is on its way: %t, with code %#x", p.id, q.kind, a.id, n >= 0, a.code)
	}
	switch x := p.flights[n]; {
	case q.kind == cPUBREC && x.qos == 2:
		if !x.received {
			p.acked++
		}
		x.received = true
		return p.line.ack(cPUBREL, x.id)
	case q.kind == cPUBACK && x.qos == 1:
		p.acked++
	case q.kind != cPUBCOMP || !x.received:
		return fmt.Errorf("%s was sent %v for %+v", p.id, q.kind, x)
	}
	p.flights = slices.Delete(p.flights, n, n+1)
	return nil
}
