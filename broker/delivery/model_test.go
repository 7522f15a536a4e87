package delivery

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"edge/broker/journal"
)

// TestSessionModel drives one subscriber through random connections, windows
// and acknowledgements, and checks the promises: every accepted message of QoS 1
// and 2 arrives, in order, QoS 2 exactly once; ids are never in use twice; the
// window holds; nothing is left in the books at the end.
func TestSessionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{rt: rt, t: t, e: newEngine(t, journal.Memory{}, options()), flight: map[uint16]*msg{}}
		m.pub = connect(t, m.e, "p", Opening{})
		m.connect()
		m.sub.subscribe("a", 2)
		rt.Repeat(map[string]func(*rapid.T){
			"publish":   func(*rapid.T) { m.publish() },
			"send":      func(*rapid.T) { m.send() },
			"answer":    func(*rapid.T) { m.answer() },
			"reconnect": func(*rapid.T) { m.disconnect(); m.connect() },
		})
		m.drain()
	})
}

// msg is one message as the subscriber of the model sees it.
type msg struct {
	n        int
	qos      byte
	received bool // QoS 2: PUBREC was sent, the application has it
}

type model struct {
	rt       *rapid.T
	t        *testing.T
	e        *Engine
	pub, sub *peer
	window   int

	published int
	expect    []int           // of QoS 1 and 2, in order, not seen by the application yet
	flight    map[uint16]*msg // sent on this connection, not finished
	order     []uint16        // ids in flight, in the order sent
	unsent    []*msg          // in flight when the connection was lost, in order
	last      int             // newest message seen on this connection
}

func (m *model) connect() {
	m.window = rapid.IntRange(1, 5).Draw(m.rt, "window")
	m.sub = connect(m.t, m.e, "s", Opening{Expiry: 100, Window: m.window})
	m.last = -1
}

func (m *model) disconnect() {
	m.sub.left(Leaving{})
	for _, id := range m.order {
		m.unsent = append(m.unsent, m.flight[id])
	}
	slices.SortFunc(m.unsent, func(a, b *msg) int { return a.n - b.n })
	m.unsent = slices.Compact(m.unsent)
	m.order = nil
	clear(m.flight)
}

func (m *model) publish() {
	for range rapid.IntRange(1, 8).Draw(m.rt, "n") {
		qos := rapid.IntRange(0, 2).Draw(m.rt, "qos")
		if v := m.pub.publish("a", fmt.Sprintf("%d:%d", qos, m.published)); v != Accepted {
			m.rt.Fatalf("publish: verdict %d", v)
		}
		if qos > 0 {
			m.expect = append(m.expect, m.published)
		}
		m.published++
	}
}

// send takes what the session sends now.
func (m *model) send() {
	outs, ok := m.sub.s.Next(m.sub, nil, rapid.IntRange(1, 1000).Draw(m.rt, "limit"))
	if !ok {
		m.rt.Fatal("the session is not ours")
	}
	for _, o := range outs {
		m.take(o)
	}
	if len(m.flight) > m.window {
		m.rt.Fatalf("%d messages in a window of %d", len(m.flight), m.window)
	}
}

func (m *model) take(o Out) {
	if o.QoS == 0 {
		m.newest(o)
		return
	}
	if m.flight[o.ID] != nil {
		m.rt.Fatalf("packet id %d is in use twice", o.ID)
	}
	var x *msg
	if len(m.unsent) > 0 { // First what was on its way when the connection was lost.
		x, m.unsent = m.unsent[0], m.unsent[1:]
		if !o.Dup || o.Release != x.received {
			m.rt.Fatalf("message %d sent again: DUP %t, PUBREL %t, want true, %t", x.n, o.Dup, o.Release, x.received)
		}
	} else {
		x = &msg{n: number(o), qos: o.QoS}
		if o.Dup || o.Release {
			m.rt.Fatalf("message %d for the first time: %+v", x.n, o)
		}
	}
	if !o.Release && number(o) != x.n {
		m.rt.Fatalf("got message %d, want %d", number(o), x.n)
	}
	if !o.Release {
		m.newest(o)
	}
	m.flight[o.ID] = x
	m.order = append(m.order, o.ID)
	if o.QoS == 1 || !x.received {
		m.application(x)
	}
}

// newest checks the order on one connection.
func (m *model) newest(o Out) {
	if n := number(o); n <= m.last {
		m.rt.Fatalf("message %d after %d", n, m.last)
	} else {
		m.last = n
	}
}

// application is what a subscriber does with a message: at QoS 2 it waits for
// the first PUBLISH only.
func (m *model) application(x *msg) {
	i := slices.Index(m.expect, x.n)
	switch {
	case i < 0 && x.qos == 2 && !x.received:
		return // Sent again before PUBREC: the subscriber knows the id.
	case i < 0:
		return // QoS 1 again.
	case i > 0:
		m.rt.Fatalf("message %d before %d", x.n, m.expect[0])
	}
	m.expect = m.expect[1:]
}

func number(o Out) (n int) {
	_, _ = fmt.Sscanf(string(o.Message.Payload[2:]), "%d", &n)
	return n
}

// answer acknowledges one message in flight, not always the oldest.
func (m *model) answer() {
	if len(m.order) == 0 {
		m.rt.Skip()
	}
	id := rapid.SampledFrom(m.order).Draw(m.rt, "id")
	m.answerTo(id)
}

func (m *model) answerTo(id uint16) {
	x := m.flight[id]
	if x.qos == 2 && !x.received {
		if _, found, _ := m.sub.s.Receive(id); !found {
			m.rt.Fatalf("PUBREC for %d is not accepted", x.n)
		}
		x.received = true
		return
	}
	m.sub.s.Acknowledge(id, x.qos)
	delete(m.flight, id)
	m.order = slices.DeleteFunc(m.order, func(o uint16) bool { return o == id })
}

func (m *model) drain() {
	for s := m.sub.s; s.queue.len() > 0 || s.sent.len() > 0; m.send() {
		for _, id := range slices.Clone(m.order) {
			m.answerTo(id)
		}
	}
	s := m.sub.s
	if len(m.expect) > 0 {
		m.rt.Fatalf("lost: %v", m.expect)
	}
	if s.open != 0 || s.sent.len() != 0 || s.count != 0 || s.bytes != 0 || s.bytes0 != 0 || s.dropped != 0 {
		m.rt.Fatalf("left in the books: open %d, sent %d, count %d, bytes %d and %d, dropped %d",
			s.open, s.sent.len(), s.count, s.bytes, s.bytes0, s.dropped)
	}
}
