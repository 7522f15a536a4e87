package delivery

import (
	"slices"
	"time"

	"edge/broker/journal"
)

// A Verdict says what became of a message that was published.
type Verdict byte

// The verdicts.
const (
	Accepted      Verdict = iota
	NoSubscribers         // accepted; nobody has subscribed
	Refused               // a command that must not be retained
	Full                  // a queue or the store of retained messages is full, or memory is short
	Unavailable           // what must survive cannot be kept now
	Denied                // the publisher may not publish to the topic
)

// A Publisher publishes for one connection. It is for one goroutine.
type Publisher struct {
	engine  *Engine
	session *Session
	sender  *Sender // on its own: messages that are kept hold on to it
	routes  map[string]*Route
	weight  int // bytes of routes, about
	version uint64
	wake    []Link
	targets []journal.Target
	shares  []share // of the message that is being published
	last    bool    // nobody sends again what is refused

	// Lasting keeps what a session within the process retains; it is said anew at
	// each start otherwise.
	Lasting bool
}

// Publisher returns a publisher that acts for s, over a new connection.
func (e *Engine) Publisher(s *Session) *Publisher { return e.publisher(s, e.connections.Add(1)) }

func (e *Engine) publisher(s *Session, connection uint64) *Publisher {
	return &Publisher{
		engine: e, session: s, sender: &Sender{s.id, s.Owner(), connection}, routes: make(map[string]*Route),
	}
}

// Sender returns who the messages are from.
func (p *Publisher) Sender() Sender { return *p.sender }

// Route returns the route of messages to the topic with the given bytes. It is
// valid until the next call.
func (p *Publisher) Route(name []byte) (*Route, error) {
	if v := p.engine.version.Load(); v != p.version {
		p.forget()
		p.version = v
	}
	if r := p.routes[string(name)]; r != nil {
		return r, nil
	}
	s := string(name)
	if err := p.engine.checkTopic(s); err != nil {
		return nil, err
	}
	var r *Route
	if p.session.mayPublish(s) {
		r = p.engine.route(s)
	} else {
		r = &Route{Topic: s, denied: true}
	}
	if p.weight += r.weight(); p.weight > p.engine.pressure.routeBytes() {
		p.forget()
		p.weight = r.weight()
	}
	p.routes[s] = r
	return r, nil
}

func (p *Publisher) forget() {
	clear(p.routes)
	p.weight = 0
}

// Publish delivers m, whose topic must be that of r. id is the packet id of a
// QoS 2 message. The acknowledgement may be sent when the ticket is committed.
// Receivers are woken by Flush.
func (p *Publisher) Publish(r *Route, m *Message, id uint16) (journal.Ticket, Verdict) {
	e := p.engine
	if r.denied {
		e.opts.Denied(p.session.Owner(), p.session.id, r.Topic)
		return 0, Denied
	}
	m.Sender = p.sender
	if m.Command = r.command; m.Command {
		m.arrived = max(time.Since(e.began), 1)
		if m.Retain {
			e.refuse(m, Retained)
			return 0, Refused
		}
	}
	if m.QoS > 0 && !e.opts.DropOldest && (r.full() || slices.ContainsFunc(r.groups, (*group).full)) {
		return 0, Full
	}
	if m.Retain {
		return p.retain(r, m, id)
	}
	if p.presses(r, m) {
		return 0, Full
	}
	t, ok := p.spread(r, m, id, r.keep && m.QoS == 2 && p.session.durable())
	return t, verdict(r, ok)
}

// retain is Publish for a message that is retained. Its record is appended before
// another message can take its place: the newest must be the last in the journal
// too.
func (p *Publisher) retain(r *Route, m *Message, id uint16) (journal.Ticket, Verdict) {
	e := p.engine
	e.retainedMu.Lock()
	defer e.retainedMu.Unlock()
	if p.pressesRetained(m) || p.presses(r, m) {
		return 0, Full
	}
	slot, older, ok := e.retain(m, p.session.Owner())
	if !ok {
		return 0, Full
	}
	// Who subscribed before this got the older message as the retained one, and
	// must get m now.
	r = p.latest(r)
	// What the process itself retains, and what begins with $, the next process
	// retains anew.
	t, ok := p.spread(r, m, id, r.keep && (!p.session.local || p.Lasting) && m.Topic[0] != '$')
	switch {
	case !ok && m.QoS > 0: // Its publisher is told so.
		e.reinstate(m.Topic, older)
	case !ok && slot != nil:
		slot.place = older.place // What is on the disk stays there until something newer is.
	case slot != nil:
		slot.place = journal.Place(m.place.Load())
	}
	return t, verdict(r, ok)
}

func verdict(r *Route, ok bool) Verdict {
	switch {
	case !ok:
		return Unavailable
	case len(r.targets)+len(r.groups) == 0:
		return NoSubscribers
	}
	return Accepted
}

// spread queues m for its receivers and hands it to the journal. durable says that
// it must survive whoever they are.
func (p *Publisher) spread(r *Route, m *Message, id uint16, durable bool) (t journal.Ticket, ok bool) {
	if m.QoS == 2 {
		m.after.Store(uncommitted)
	}
	if r.withheld > 0 {
		p.engine.withheld.Add(r.withheld)
	}
	p.targets = p.targets[:0]
	for i := range r.targets {
		p.deliver(&r.targets[i], m)
	}
	for _, g := range r.groups {
		p.share(g, m)
	}
	t, ok = p.commit(r, m, id, durable || r.keep && len(p.targets) > 0)
	if m.QoS == 2 {
		p.rouseAll(r)
	}
	return t, ok
}

// latest returns r, looked up anew if subscriptions have changed.
func (p *Publisher) latest(r *Route) *Route {
	if p.engine.version.Load() == p.version {
		return r
	}
	return p.engine.route(r.Topic)
}

// item returns m as t asks for it.
func (t *target) item(m *Message) item {
	return item{m: m, tag: t.tag, qos: min(m.QoS, t.qos), flags: t.flags(m)}
}

func (t *target) flags(m *Message) flags {
	if m.Retain && t.asPublished {
		return retained
	}
	return 0
}

// deliver queues m for the session of t.
func (p *Publisher) deliver(t *target, m *Message) {
	s := t.s
	if t.own != nil && s == p.session {
		if t = t.own; t == none {
			return
		}
	}
	it := t.item(m)
	link, ok := s.push(&it)
	if link != nil {
		p.wake = append(p.wake, link)
	}
	if ok && it.qos > 0 && s.durable() {
		p.targets = append(p.targets, it.target(s))
	}
}

// target says for the journal that it is queued for s.
func (it *item) target(s *Session) journal.Target {
	t := journal.Target{
		Client: s.id, Sequence: it.seq, QoS: it.qos, Retain: it.flags&retained != 0, IDs: it.tag.identifiers(),
	}
	if g := it.tag.of(); g != nil {
		t.Share = g.filter
	}
	return t
}

// commit hands m to the journal if it must survive, and lets QoS 2 receivers
// have it when it is safe.
func (p *Publisher) commit(route *Route, m *Message, id uint16, durable bool) (t journal.Ticket, ok bool) {
	var err error
	if durable {
		r := journal.Record{Kind: journal.Published, Message: &m.Message, Targets: p.targets, Within: route.within}
		if m.QoS == 2 && p.session.durable() {
			r.Client, r.PacketID = p.session.id, id
		}
		if m.Retain {
			r.Owner = p.session.Owner()
		}
		if t, err = p.engine.journal.Append(&r); err == nil {
			m.placed(r.Place)
			p.session.ownedAt(r.PacketID, r.Place)
		} else if !p.last {
			p.retract()
		}
	}
	if m.QoS == 2 {
		after := uint64(t)
		if err != nil {
			after = withdrawn
		}
		m.setAfter(after)
	}
	return t, err == nil
}

// retract takes what the journal refused back from the sessions that last. What is
// not acknowledged is sent again: while the disk takes nothing, their queues would
// be filled with it.
func (p *Publisher) retract() {
	for i := range p.targets {
		if s := p.engine.session(p.targets[i].Client); s != nil {
			s.retract(p.targets[i].Sequence)
		}
	}
}

// rouseAll wakes receivers that may have looked at a message before it had a
// ticket.
func (p *Publisher) rouseAll(r *Route) {
	for i := range r.targets {
		p.rouse(r.targets[i].s)
	}
	for _, h := range p.shares {
		p.rouseMember(h)
	}
	clear(p.shares)
	p.shares = p.shares[:0]
}

func (p *Publisher) rouse(s *Session) {
	if link := s.rouse(); link != nil {
		p.wake = append(p.wake, link)
	}
}

// Flush wakes the receivers of what was published since the last Flush. Waking
// them once for many messages saves most of the system calls.
func (p *Publisher) Flush() {
	p.FlushTo(func(_ int, link Link) { link.Wake() })
}

// Waiting reports whether Flush has somebody to wake.
func (p *Publisher) Waiting() bool { return len(p.wake) > 0 }

// FlushTo is Flush for a caller that has another way to wake: wake is called for
// each receiver, with the numbers from 0.
func (p *Publisher) FlushTo(wake func(n int, link Link)) {
	for i, link := range p.wake {
		wake(i, link)
		p.wake[i] = nil
	}
	p.wake = p.wake[:0]
}
