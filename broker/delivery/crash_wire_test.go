package delivery

import (
	"bytes"
	"fmt"
	"slices"

	"edge/broker/journal"
)

// A line is a connection: packets on their way in both directions, and what the
// broker knows of it, as package gate does.
type line struct {
	peer    *peer
	greeted bool     // the client has read CONNACK
	up      []packet // to the broker
	down    []packet // to the client
	held    []held   // acknowledgements that wait for the journal
	blocked journal.Ticket
	then    func() // when blocked is committed; until then nothing more is read
}

type held struct {
	ticket journal.Ticket
	packet packet
}

type kind string

const (
	connack     kind = "CONNACK"
	publish     kind = "PUBLISH"
	puback      kind = "PUBACK"
	pubrec      kind = "PUBREC"
	pubrel      kind = "PUBREL"
	pubcomp     kind = "PUBCOMP"
	subscribe   kind = "SUBSCRIBE"
	unsubscribe kind = "UNSUBSCRIBE"
)

type packet struct {
	kind   kind
	id     uint16
	no     bool // a reason code that is an error
	post   int  // of PUBLISH to the broker
	filter int
	qos    byte
	out    Out // of PUBLISH to the client
}

func name(c int) string { return fmt.Sprint("c", c) }

// connect opens a connection, perhaps beside one that the broker takes to be alive.
func (w *world) connect(c *client) {
	clean := c.clean || w.rand.IntN(16) == 0
	was := w.sessions[c.id].there
	if clean {
		w.forgetAll(c)
		w.sessions[c.id].there, w.sessions[c.id].subs = false, [len(filters)]byte{}
	} else if !was {
		w.failf("the session of %d is gone", c.id)
	}
	w.posts = append(w.posts, post{by: c.id, about: wills})
	c.will = w.first + len(w.posts) - 1
	l := &line{peer: connect(w.t, w.e, name(c.id), Opening{
		Clean: clean, Expiry: Forever, Window: 1 + w.rand.IntN(8), Will: &Will{Message: message(c.will, w.post(c.will))},
	})}
	w.tracef("%d connects, clean %t, with will %d", c.id, clean, c.will)
	c.willSafe = journal.Ticket(w.log.last.Load())
	w.lines[c.id], c.line = l, l
	if clean {
		w.note()
		w.sessions[c.id].there = true
		w.note()
		l.held = []held{{journal.Ticket(w.log.last.Load()), packet{kind: connack}}}
		return
	}
	l.down = []packet{{kind: connack}}
}

// note takes a snapshot of the sessions after a change.
func (w *world) note() {
	w.log.mu.Lock()
	for c := range w.sessions {
		w.sessions[c].unsure = w.log.unsure[name(c)] || w.log.stale[name(c)]
	}
	w.log.mu.Unlock()
	w.history = append(w.history, snapshot{journal.Ticket(w.log.last.Load()), w.sessions})
	if len(w.history) > 50 {
		safe := w.j.Committed()
		w.history = since(w.history, func(s *snapshot) bool { return s.ticket <= safe })
	}
}

// told returns what to call when a client is told of the newest change.
func (w *world) told() func() {
	t := w.history[len(w.history)-1].ticket
	return func() {
		for i := range w.history {
			if h := &w.history[i]; h.ticket <= t {
				h.ticket = 0
			}
		}
	}
}

// serve has the broker read up to n packets of c, and write what it has. It reports
// whether there was something.
func (w *world) serve(c *client, n int) (moved bool) {
	l := w.lines[c.id]
	if l == nil {
		return false
	}
	for ; n > 0 && l.open(w) && len(l.up) > 0; n-- {
		p := l.up[0]
		l.up = l.up[1:]
		w.handle(c.id, l, &p)
		moved = true
	}
	l.open(w)
	for len(l.held) > 0 && l.held[0].ticket <= w.j.Committed() {
		l.down = append(l.down, l.held[0].packet)
		l.held = l.held[1:]
	}
	return w.pump(c, l, 1+w.rand.IntN(2000)) || moved
}

// open reports whether the broker reads from l.
func (l *line) open(w *world) bool {
	if l.then != nil && l.blocked <= w.j.Committed() {
		l.then()
		l.then = nil
	}
	return l.then == nil
}

// pump takes messages of the session. Now and then another connection takes it over
// while one is read from the disk.
func (w *world) pump(c *client, l *line, limit int) bool {
	if w.rand.IntN(10) == 0 {
		w.log.then = func() {
			w.connect(c)
			w.serve(c, 0)
		}
	}
	outs, _ := l.peer.s.Next(l.peer, nil, limit)
	w.log.then = nil
	for _, o := range outs {
		p := packet{kind: publish, id: o.ID, out: o}
		if o.Release {
			p.kind = pubrel
		}
		l.down = append(l.down, p)
	}
	return len(outs) > 0
}

// handle is what the broker does with a packet.
func (w *world) handle(c int, l *line, p *packet) {
	w.tracef("broker: %d sends %s %d, message %d", c, p.kind, p.id, p.post)
	s := l.peer.s
	switch p.kind {
	case publish:
		w.publishFor(c, l, p)
	case puback:
		s.Acknowledge(p.id, 1)
	case pubcomp:
		s.Complete(p.id)
	case pubrec:
		t, _, _ := s.Receive(p.id)
		l.hold(t, packet{kind: pubrel, id: p.id})
	case pubrel:
		t, _ := s.Release(p.id)
		l.hold(t, packet{kind: pubcomp, id: p.id})
	case subscribe:
		sub := journal.Subscription{Filter: filters[p.filter], QoS: p.qos}
		existed, t, err := w.e.Subscribe(s, sub)
		if err != nil {
			return
		}
		w.sessions[c].subs[p.filter] = 1 + p.qos
		w.note()
		told := w.told()
		l.blocked, l.then = t, func() {
			told()
			w.e.SendRetained(s, sub, existed)
		}
	case unsubscribe:
		existed, t := w.e.Unsubscribe(s, filters[p.filter])
		if !existed {
			return
		}
		w.sessions[c].subs[p.filter] = 0
		w.note()
		l.blocked, l.then = t, w.told()
	}
}

func (l *line) hold(t journal.Ticket, p packet) { l.held = append(l.held, held{t, p}) }

func (w *world) publishFor(c int, l *line, p *packet) {
	x := w.post(p.post)
	about := &subjects[x.about]
	answer := packet{kind: puback, id: p.id}
	if about.qos == 2 {
		answer.kind = pubrec
		fresh, t, ok := l.peer.s.Own(p.id)
		if !ok {
			w.failf("%d may not use id %d", c, p.id)
		}
		if !fresh {
			l.hold(t, answer)
			return
		}
	}
	targets := w.subscribed(x.about)
	t, verdict := l.peer.send(message(p.post, x), p.id)
	x.reached |= targets
	if verdict == Unavailable || verdict == Full {
		w.tracef("message %d is refused", p.post)
		l.peer.s.Disown(p.id)
		answer.no, x.refused = true, true
	} else {
		w.accepted(x, targets)
		if (verdict == NoSubscribers) != (targets == 0) {
			w.failf("verdict %d on message %d for %b", verdict, p.post, targets)
		}
	}
	if about.retain && about.qos == 0 && verdict == Unavailable {
		t, answer.no = uncommitted, false // It is retained, but not for long enough to survive.
	}
	if about.retain && !answer.no {
		w.kept[x.about] = append(w.kept[x.about], value{t, p.post, x.empty})
	}
	if about.qos == 2 && !answer.no {
		l.peer.s.Owned(p.id, t)
	}
	if about.qos > 0 {
		l.hold(t, answer)
	}
}

// accepted notes that the broker has taken x from its publisher.
func (w *world) accepted(x *post, targets mask) {
	if !x.published && !x.refused {
		x.first = targets
	}
	x.published, x.targets = true, targets
}

// subscribed returns who has subscribed to a subject.
func (w *world) subscribed(about int) (m mask) {
	for c := range w.sessions {
		for i, qos := range w.sessions[c].subs {
			if qos > 0 && matches(filters[i], &subjects[about]) {
				m |= 1 << c
			}
		}
	}
	return m
}

// message returns message n; its payload cannot be mistaken for another.
func message(n int, x *post) *Message {
	s := &subjects[x.about]
	m := &Message{Borrowed: true, Message: journal.Message{
		Topic: s.topic, QoS: s.qos, Retain: s.retain, Origin: name(x.by),
		Props: &journal.Properties{ContentType: fmt.Sprint(n)},
	}}
	if !x.empty {
		m.Payload = payload(n, s.topic)
	}
	return m
}

func payload(n int, topic string) []byte {
	size := n * 7919 % 150
	if n%31 == 0 {
		size = 3000
	}
	return append(fmt.Appendf(nil, "%d on %s: ", n, topic), bytes.Repeat([]byte{byte(n)}, size)...)
}

// number returns which message m is.
func (w *world) number(m *Message) (n, about int) {
	about = slices.IndexFunc(subjects[:], func(s subject) bool { return s.topic == m.Topic })
	if about < 0 || m.Props == nil {
		w.failf("a message is on %q, with %+v", m.Topic, m.Props)
	}
	_, err := fmt.Sscan(m.Props.ContentType, &n)
	if err != nil || len(m.Payload) > 0 && !bytes.Equal(m.Payload, payload(n, m.Topic)) {
		w.failf("message %q on %s has payload %.30q", m.Props.ContentType, m.Topic, m.Payload)
	}
	return n, about
}
