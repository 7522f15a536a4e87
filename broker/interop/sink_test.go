package interop

import (
	"fmt"
	"math/rand/v2"
)

// A sink is a subscriber that notes what reaches it and what is wrong with that.
// It acknowledges everything.
type sink struct {
	login
	rand *rand.Rand

	line *line
	held map[uint16]bool // packet ids of QoS 2 that it owns
	logs map[string]*receipt
	end  string // the payload that it saw last on the topic "kill/end"

	again  int // QoS 1 messages that came more than once, which is allowed
	faults []string
	forgot bool
}

// A receipt is what came on one topic.
type receipt struct {
	checked int // numbers below were checked
	highest int // of all
	seen    map[int]bool
}

func newSink(l login, source rand.Source) *sink {
	return &sink{login: l, rand: rand.New(source), held: make(map[uint16]bool), logs: make(map[string]*receipt)}
}

// connect opens a connection, perhaps beside the one before.
func (k *sink) connect(s *server) error {
	c, present, err := s.call(k.login)
	if k.line != nil {
		_ = k.line.Close()
	}
	k.line = c
	if err == nil && !present {
		k.forgot = true
	}
	return err
}

// take acknowledges what comes until the connection breaks; now and then it takes
// over from itself.
func (k *sink) take(s *server) error {
	err := k.connect(s)
	for err == nil {
		if err = k.step(); err == nil && k.rand.IntN(40) == 0 {
			err = k.connect(s)
		}
	}
	return err
}

// drain acknowledges what comes until the message with the payload end.
func (k *sink) drain(s *server, end string) error {
	err := k.connect(s)
	for err == nil && (k.end != end || len(k.held) > 0) {
		err = k.step()
	}
	if err == nil {
		_ = k.line.send(packet{kind: cPINGREQ}) // Its answer says that the broker has read the last acknowledgement.
		for p := (packet{}); err == nil && p.kind != cPINGRESP; {
			p, err = k.line.packet()
		}
	}
	if k.line != nil {
		_ = k.line.Close()
	}
	return err
}

// step reads one packet and answers it.
func (k *sink) step() error {
	p, err := k.line.packet()
	if err != nil {
		return err
	}
	if p.kind == cPUBREL {
		a, err := parseAnswer(k.line.v, p)
		if err != nil {
			return err
		}
		delete(k.held, a.id)
		return k.line.ack(cPUBCOMP, a.id)
	}
	m, err := parseMessage(k.line.v, p)
	switch {
	case p.kind != cPUBLISH || err != nil:
		return fmt.Errorf("%s was sent %v: %w", k.id, p.kind, err)
	case m.topic == "kill/end":
		k.end = m.payload
	case m.qos == 1 || !k.held[m.id]:
		k.note(m)
	}
	if m.qos == 1 {
		return k.line.ack(cPUBACK, m.id)
	}
	k.held[m.id] = true
	return k.line.ack(cPUBREC, m.id)
}

// note writes down m, which came for the first time as the protocol has it.
func (k *sink) note(m message) {
	var topic string
	var n int
	_, _ = fmt.Sscan(m.payload, &topic, &n)
	if m.payload != numbered(m.topic, n) {
		k.fault("invented: %q on %s", m.payload, m.topic)
		return
	}
	r := k.logs[m.topic]
	if r == nil {
		r = &receipt{highest: -1, seen: make(map[int]bool)}
		k.logs[m.topic] = r
	}
	switch {
	case n < r.checked || r.seen[n]:
		if m.qos == 2 {
			k.fault("twice at QoS 2: %s %d", m.topic, n)
		}
		k.again++
	case n < r.highest:
		k.fault("out of order: %s %d after %d", m.topic, n, r.highest)
	}
	r.highest = max(r.highest, n)
	r.seen[n] = true
}

func (k *sink) fault(format string, args ...any) {
	k.faults = append(k.faults, k.id+": "+fmt.Sprintf(format, args...))
}

// check compares what came on topic with the messages below sent. It returns how
// many are lost.
func (k *sink) check(topic string, sent int) (lost int) {
	r := k.logs[topic]
	if r == nil {
		r = &receipt{highest: -1}
		k.logs[topic] = r
	}
	for n := r.checked; n < sent; n++ {
		if !r.seen[n] {
			lost++
			k.fault("lost: %s %d", topic, n)
		}
	}
	if r.highest >= sent {
		k.fault("invented: %s %d, of %d", topic, r.highest, sent)
	}
	r.checked, r.seen = sent, make(map[int]bool)
	return lost
}
