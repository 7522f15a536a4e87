package delivery

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"edge/broker/journal"
)

// TestShareModel drives a group through random publishing, acknowledging,
// joining, leaving, lost connections and takeovers, and checks the promises: a
// message is with one client at a time and acknowledged once; what one member
// gets is in order, but for what was handed over; nothing is lost while a member
// is left, and what then is, is counted.
func TestShareModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &shareModel{rt: rt, t: t, e: newEngine(t, journal.Memory{}, options()), owner: map[int]*crew{}}
		m.pub = connect(t, m.e, "p", Opening{})
		for _, id := range []string{"a", "b", "c"} {
			m.crew = append(m.crew, &crew{id: id})
		}
		act := func(f func(*crew)) func(*rapid.T) {
			return func(rt *rapid.T) { f(rapid.SampledFrom(m.crew).Draw(rt, "member")) }
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish":     func(*rapid.T) { m.publish() },
			"send":        act(m.send),
			"answer":      act(m.answer),
			"connect":     act(m.connect),
			"lose":        act(m.lose),
			"subscribe":   act(m.subscribe),
			"unsubscribe": act(m.unsubscribe),
		})
		m.finish()
	})
}

// A crew is a client that may be a member of the group.
type crew struct {
	id     string
	p      *peer // nil while it is offline
	keep   bool  // its session outlives the connection
	last   int   // newest message on this connection
	flight map[uint16]*task
}

// task is a message in flight as its client sees it.
type task struct {
	n, qos   int
	received bool // QoS 2: PUBREC was sent
	seen     bool // on this connection
}

type shareModel struct {
	rt    *rapid.T
	t     *testing.T
	e     *Engine
	pub   *peer
	crew  []*crew
	epoch int // counts what may have handed messages over

	published []int         // the epoch of each message that was accepted
	acked     []int         // how often each was acknowledged
	owner     map[int]*crew // who has a message now
	ended     int           // QoS 2 messages in flight whose session ended
}

func (m *shareModel) publish() {
	for range rapid.IntRange(1, 6).Draw(m.rt, "n") {
		qos := rapid.IntRange(1, 2).Draw(m.rt, "qos")
		if m.pub.publish("work", fmt.Sprintf("%d:%d", qos, len(m.published))) == Accepted {
			m.published, m.acked = append(m.published, m.epoch), append(m.acked, 0)
		}
	}
}

func (m *shareModel) connect(c *crew) {
	clean := rapid.Bool().Draw(m.rt, "clean")
	expiry := rapid.SampledFrom([]uint32{0, 100}).Draw(m.rt, "expiry")
	m.open(c, Opening{Clean: clean, Expiry: expiry, Window: rapid.IntRange(1, 4).Draw(m.rt, "window")})
}

// open connects c, taking over the connection that it may have.
func (m *shareModel) open(c *crew, o Opening) {
	m.epoch++
	m.cut(c, c.keep && !o.Clean)
	c.p, c.keep = connect(m.t, m.e, c.id, o), o.Expiry > 0
}

func (m *shareModel) lose(c *crew) {
	if c.p == nil {
		m.rt.Skip()
	}
	m.epoch++
	c.p.left(Leaving{})
	m.cut(c, c.keep)
}

// cut is what the end of its connection means to a client.
func (m *shareModel) cut(c *crew, keep bool) {
	for id, x := range c.flight {
		x.seen = false
		if x.qos == 1 || !keep {
			delete(m.owner, x.n)
			delete(c.flight, id)
			m.ended += x.qos - 1
		}
	}
	c.p, c.last = nil, -1
}

func (m *shareModel) subscribe(c *crew) {
	if c.p == nil {
		m.rt.Skip()
	}
	m.epoch++
	c.p.subscribe(work, 2)
}

func (m *shareModel) unsubscribe(c *crew) {
	if c.p == nil {
		m.rt.Skip()
	}
	m.epoch++
	m.e.Unsubscribe(c.p.s, work)
}

func (m *shareModel) send(c *crew) {
	if c.p == nil {
		m.rt.Skip()
	}
	outs, ok := c.p.s.Next(c.p, nil, 1000)
	if !ok {
		m.rt.Fatalf("%s has lost its session", c.id)
	}
	for _, o := range outs {
		m.take(c, o)
	}
}

func (m *shareModel) take(c *crew, o Out) {
	n := number(o)
	x := c.flight[o.ID]
	switch {
	case x != nil && (x.n != n || x.qos != 2 || !o.Dup || o.Release != x.received):
		m.rt.Fatalf("%s gets %+v while packet id %d is in use for message %d", c.id, o, o.ID, x.n)
	case x != nil:
		x.seen = true
		return
	case m.owner[n] != nil:
		m.rt.Fatalf("message %d is with %s and with %s", n, m.owner[n].id, c.id)
	case m.acked[n] > 0:
		m.rt.Fatalf("%s gets message %d, which is acknowledged", c.id, n)
	case n < c.last && m.published[n] == m.epoch:
		m.rt.Fatalf("%s gets message %d after %d", c.id, n, c.last)
	}
	if c.flight == nil {
		c.flight = make(map[uint16]*task)
	}
	c.last = n
	c.flight[o.ID] = &task{n: n, qos: int(o.QoS), seen: true}
	m.owner[n] = c
}

func (m *shareModel) answer(c *crew) {
	ids := c.unanswered()
	if c.p == nil || len(ids) == 0 {
		m.rt.Skip()
	}
	m.answerTo(c, rapid.SampledFrom(ids).Draw(m.rt, "packet id"))
}

// unanswered returns the packet ids that c may acknowledge on this connection.
func (c *crew) unanswered() []uint16 {
	ids := slices.Sorted(maps.Keys(c.flight))
	return slices.DeleteFunc(ids, func(id uint16) bool { return !c.flight[id].seen })
}

func (m *shareModel) answerTo(c *crew, id uint16) {
	x := c.flight[id]
	if x.qos == 2 && !x.received {
		_, x.received, _ = c.p.s.Receive(id)
		return
	}
	c.p.s.Acknowledge(id, byte(x.qos))
	delete(c.flight, id)
	delete(m.owner, x.n)
	m.acked[x.n]++
}

// finish lets every client that has a session come and acknowledge everything.
func (m *shareModel) finish() {
	for _, c := range m.crew {
		m.open(c, Opening{Expiry: 100})
	}
	for more := true; more; {
		more = false
		for _, c := range m.crew {
			m.send(c)
			for _, id := range c.unanswered() {
				more = true
				m.answerTo(c, id)
			}
		}
	}
	open := 0
	for _, n := range m.acked {
		open += 1 - n
	}
	if lost := int(m.e.Dropped().Orphaned); open != m.ended+lost {
		m.rt.Fatalf("%d messages of %d are not acknowledged; %d ended with their session, %d are counted as lost",
			open, len(m.acked), m.ended, lost)
	}
	for _, c := range m.crew {
		if s := c.p.s; s.queue.len() != s.dropped || s.sent.len() != 0 || s.open != 0 || s.count != 0 || s.bytes != 0 {
			m.rt.Fatalf("left in the books of %s: queue %d, sent %d, open %d, count %d, bytes %d",
				c.id, s.queue.len(), s.sent.len(), s.open, s.count, s.bytes)
		}
	}
}
