package interop

import (
	"fmt"
	"testing"
)

// TestExactlyOnce cuts publisher and subscriber of QoS 2 again and again, after
// each kind of packet. Both keep the state that section 4.3.3 gives them, so
// each message arrives once and in order.
func TestExactlyOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		const count = 300
		topic := "once/" + v.String()
		subscriber := login{version: v, id: "sub " + topic, keep: true}
		sub := s.connect(t, subscriber)
		sub.subscribe(topic, 2)
		wait := beside(t, func(t testing.TB) { publishOnce(t, s, v, topic, count) })
		held := map[uint16]bool{} // ids that were received and not released
		next := 0
		for steps := 1; next < count; steps++ {
			for range steps%11 + 1 {
				if next = sub.stepOnce(held, next); next == count {
					break
				}
			}
			sub.drop()
			sub = s.connect(t, subscriber)
		}
		wait()
	})
}

// publishOnce publishes the numbers below count and loses the connection in the
// middle of most of them.
func publishOnce(t testing.TB, s *server, v version, topic string, count int) {
	publisher := login{version: v, id: "pub " + topic, keep: true}
	pub := s.connect(t, publisher)
	again := func() {
		pub.drop()
		pub = s.connect(t, publisher)
	}
	for i := range count {
		m := message{topic: topic, qos: 2, id: uint16(i%7 + 1), payload: fmt.Sprint(i)}
		pub.post(m)
		if i%2 == 0 {
			again()
			m.dup = true
			pub.post(m)
		}
		pub.wantAck(cPUBREC, m.id)
		for range i % 3 {
			pub.ack(cPUBREL, m.id)
			again()
		}
		pub.ack(cPUBREL, m.id)
		if a := pub.answer(cPUBCOMP); a.id != m.id {
			t.Fatalf("PUBCOMP has id %d, want %d", a.id, m.id)
		}
	}
}

// stepOnce takes one packet of a flow at QoS 2 and answers it. It returns the
// number after the last that was received.
func (c *client) stepOnce(held map[uint16]bool, next int) int {
	c.t.Helper()
	p := c.packet()
	if p.kind == cPUBREL {
		a, err := parseAnswer(c.v, p)
		if err != nil {
			c.t.Fatal(err)
		}
		delete(held, a.id)
		c.ack(cPUBCOMP, a.id)
		return next
	}
	if p.kind != cPUBLISH {
		c.t.Fatalf("the broker sent %v % x, want PUBLISH or PUBREL", p.kind, p.body)
	}
	m := c.parse(p)
	if !held[m.id] {
		if m.payload != fmt.Sprint(next) {
			c.t.Fatalf("received %+v, want %d", m, next)
		}
		held[m.id] = true
		next++
	}
	c.ack(cPUBREC, m.id)
	return next
}
