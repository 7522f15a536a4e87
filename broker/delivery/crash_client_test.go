package delivery

import (
	"slices"

	"edge/broker/journal"
)

// A client has the memory that section 4.1 asks of one: exchanges that are not
// finished, and the packet ids of QoS 2 that it has received.
type client struct {
	id       int
	line     *line // nil: offline
	clean    bool  // it has no session, or wants another one
	lastID   uint16
	flights  []exchange // in the order in which they were sent
	held     []uint16
	will     int                         // number of the message that the broker has as its will, or nothing
	willSafe journal.Ticket              // when it is
	newest   [clients][len(subjects)]int // number of the newest message by publisher and topic
}

// An exchange is a message that its publisher has not finished with.
type exchange struct {
	post     int
	id       uint16
	received bool // PUBREC was read
}

const (
	flightWindow = 5  // exchanges that a client has at once
	packetIDs    = 12 // that it uses
)

func (w *world) post(n int) *post { return &w.posts[n-w.first] }

// forgetAll has c forget its session.
func (w *world) forgetAll(c *client) {
	c.clean, c.flights, c.held = true, nil, nil
	c.newest = [clients][len(subjects)]int{}
	for i := range w.posts {
		x := &w.posts[i]
		for _, m := range []*mask{&x.first, &x.targets, &x.reached, &x.due, &x.seen} {
			*m &^= 1 << c.id
		}
	}
}

func (c *client) ready() bool { return c.line != nil && c.line.greeted }

// publish has c publish something, if it may.
func (w *world) publish(c *client) {
	if c.ready() && len(c.flights) < flightWindow {
		w.publishAbout(c, w.rand.IntN(wills))
	}
}

func (w *world) publishAbout(c *client, about int) {
	n := w.first + len(w.posts)
	s := &subjects[about]
	w.posts = append(w.posts, post{by: c.id, about: about, empty: s.retain && w.rand.IntN(4) == 0})
	p := packet{kind: publish, post: n}
	if s.qos > 0 {
		p.id = c.free()
		c.flights = append(c.flights, exchange{post: n, id: p.id})
	}
	c.line.up = append(c.line.up, p)
}

// free returns the next packet id that is not in use.
func (c *client) free() uint16 {
	for {
		c.lastID = c.lastID%packetIDs + 1
		if c.find(c.lastID) < 0 {
			return c.lastID
		}
	}
}

func (c *client) find(id uint16) int {
	return slices.IndexFunc(c.flights, func(x exchange) bool { return x.id == id })
}

// subscribe has c subscribe or unsubscribe.
func (w *world) subscribe(c *client) {
	if !c.ready() {
		return
	}
	p := packet{kind: subscribe, filter: w.rand.IntN(len(filters)), qos: 2 - byte(w.rand.IntN(4)/3)}
	if w.rand.IntN(4) == 0 {
		p.kind = unsubscribe
	}
	c.line.up = append(c.line.up, p)
}

// read has c read up to n packets, and answer. It reports whether there were any.
func (w *world) read(c *client, n int) (moved bool) {
	l := c.line
	for ; l != nil && n > 0 && len(l.down) > 0; n-- {
		p := l.down[0]
		l.down = l.down[1:]
		w.take(c, &p)
		moved = true
	}
	return moved
}

// take is what c does with a packet.
func (w *world) take(c *client, p *packet) {
	answer := packet{id: p.id}
	switch p.kind {
	case connack:
		w.resend(c)
		return
	case publish:
		w.receive(c, &p.out)
		if p.out.QoS == 0 {
			return
		}
		if answer.kind = puback; p.out.QoS == 2 {
			answer.kind = pubrec
		}
	case pubrel:
		w.tracef("%d reads PUBREL %d", c.id, p.id)
		c.held = slices.DeleteFunc(c.held, func(id uint16) bool { return id == p.id })
		answer.kind = pubcomp
	default:
		if !w.acknowledged(c, p) {
			return
		}
		answer.kind = pubrel
	}
	c.line.up = append(c.line.up, answer)
}

// resend has c send again what is not finished (section 4.4).
func (w *world) resend(c *client) {
	c.clean, c.line.greeted = false, true
	for _, x := range c.flights {
		p := packet{kind: publish, id: x.id, post: x.post}
		if x.received {
			p.kind = pubrel
		}
		c.line.up = append(c.line.up, p)
	}
}

// acknowledged takes PUBACK, PUBREC or PUBCOMP, and reports whether PUBREL follows.
func (w *world) acknowledged(c *client, p *packet) (release bool) {
	w.tracef("%d reads %s %d, error: %t", c.id, p.kind, p.id, p.no)
	n := c.find(p.id)
	if n < 0 {
		w.failf("%d was sent %s for id %d, which it does not use", c.id, p.kind, p.id)
	}
	x := &c.flights[n]
	if !p.no && p.kind != pubcomp {
		w.believe(x.post)
	}
	if p.kind == pubrec && !p.no {
		x.received = true
		return true
	}
	if p.kind == pubcomp && !x.received {
		w.failf("%d was sent PUBCOMP for id %d before PUBREC", c.id, p.id)
	}
	c.flights = slices.Delete(c.flights, n, n+1)
	return false
}

// believe notes that a publisher was told that its message arrived.
func (w *world) believe(n int) {
	x := w.post(n)
	if !x.published {
		w.failf("message %d was acknowledged, and taken for another one", n)
	}
	if !subjects[x.about].never {
		x.due |= x.targets
	}
}

// receive notes a message that came to c.
func (w *world) receive(c *client, o *Out) {
	n, about := w.number(o.Message)
	w.tracef("%d reads message %d on %s, id %d, QoS %d, DUP %t, retained %t", c.id, n, o.Message.Topic, o.ID, o.QoS, o.Dup, o.Retain)
	again := o.QoS == 2 && slices.Contains(c.held, o.ID)
	if o.QoS == 2 && !again {
		c.held = append(c.held, o.ID)
	}
	if again && !o.Dup {
		w.failf("%d gets new message %d with id %d, which it has not released", c.id, n, o.ID)
	}
	if o.Retain || again {
		return
	}
	if about == wills { // It may come at any time, and again.
		if n >= w.first {
			w.post(n).seen |= 1 << c.id
		}
		return
	}
	if n < w.first && o.QoS == 1 {
		return // There was no room for the record that it was acknowledged.
	}
	if n < w.first || !w.post(n).reached.has(c.id) || w.post(n).about != about {
		w.failf("%d gets message %d, which was not for it", c.id, n)
	}
	x, newest := w.post(n), &c.newest[w.post(n).by][about]
	switch {
	case !x.seen.has(c.id) && x.first.has(c.id) && n < *newest: // Who subscribed later may get a repetition.
		w.failf("%d gets message %d after %d", c.id, n, *newest)
	case x.seen.has(c.id) && o.QoS == 2 && !subjects[about].never:
		w.failf("%d gets message %d of QoS 2 again", c.id, n)
	}
	x.seen |= 1 << c.id
	*newest = max(*newest, n)
}
