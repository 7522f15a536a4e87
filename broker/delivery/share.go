package delivery

import (
	"slices"
	"sync"

	"edge/broker/journal"
	"edge/internal/topic"
)

// A group is the sessions that have subscribed to one $share/GROUP/FILTER. Each
// message goes to one of them (MQTT 5.0, section 4.8.2):
//
//   - Members take turns. Who is offline, has a full window or something waiting
//     in its queue is passed over.
//   - If all are busy, it goes to the online member with the shortest queue, of
//     those with room in the window first.
//   - A member who is offline gets what no online member has room for; of several
//     it is the one who left last, so that what waits for nobody stays in order.
//   - If there is no room at all, the publisher is refused, or, where the engine
//     drops the oldest, the member drops its oldest.
//
// What a member leaves behind goes to the others, see handover.go. So order is
// kept within one member, but for what another one had before.
type group struct {
	engine *Engine
	filter string // with $share

	mu      sync.Mutex // taken after Engine.mu and before Session.mu, one group at a time
	members []member   // in the order of joining
	turn    int        // where the search for the next member begins
	keeper  *Session   // the member who left last
	moves   uint64     // how often messages were handed over
}

// A member is a session in a group, with what its subscription asks for.
type member struct {
	target

	// here is set once a member who is online has got what waited for somebody
	// to come.
	here bool
}

// A load says how good a member is for the next message: the smaller, the
// better. It is a rank and the number of messages that wait.
type load uint64

// The ranks.
const (
	ready   load = iota << 32 // online, and the client takes more
	busy                      // online
	away                      // offline
	crowded                   // online, with a full queue
	lost                      // offline, with a full queue
)

// load returns how good x is for a message of the given QoS; ok is false if it
// cannot have it at all.
func (g *group) load(x *member, qos byte) (l load, ok bool) {
	s := x.s
	qos = min(qos, x.qos)
	s.mu.Lock()
	defer s.mu.Unlock()
	online := x.here && s.link != nil
	full := qos > 0 && s.full.Load()
	if s.lost || !online && qos == 0 || full && s.overfull() {
		return 0, false
	}
	l = load(s.queue.len() - s.dropped)
	switch {
	case online && full:
		return crowded + l, true
	case full:
		return lost + l, true
	case !online && s == g.keeper:
		return away, true
	case !online:
		return away + 1 + l, true
	case s.open+int(s.sent.tail-s.resent)+s.count >= s.window:
		return busy + l, true
	}
	return ready + l, true
}

// overfull reports whether s must not even take what another member leaves
// behind: members who come and go must not pile up messages without end.
func (s *Session) overfull() bool {
	o := &s.engine.opts
	return !o.DropOldest && (s.count/2 > o.QueueMessages || s.bytes/2 > o.QueueBytes)
}

// pick returns who gets m, nil if nobody can; not is out of the question.
func (g *group) pick(m *Message, not *Session) *member {
	var best *member
	var least load
	next := g.turn
	for k := range g.members {
		i := (g.turn + k) % len(g.members)
		x := &g.members[i]
		if x.s == not || !x.s.mayReceive(m.Topic) {
			continue
		}
		if l, ok := g.load(x, m.QoS); ok && (best == nil || l < least) {
			best, least, next = x, l, i+1
		}
		if best != nil && least == ready {
			break
		}
	}
	g.turn = next
	return best
}

// full reports whether a message of QoS 1 or 2 would be one too many for every
// member.
func (g *group) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := false
	for i := range g.members {
		x := &g.members[i]
		switch {
		case x.qos > 0 && !x.s.full.Load(), x.qos == 0 && x.online():
			return false
		case x.qos > 0:
			full = true
		}
	}
	return full
}

// online reports whether x can be sent messages now.
func (x *member) online() bool { return x.here && x.s.online() }

func (s *Session) online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

func (g *group) index(s *Session) int {
	return slices.IndexFunc(g.members, func(x member) bool { return x.s == s })
}

// group returns the group of filter and makes it if there is none; e.mu is
// held.
func (e *Engine) group(filter string) *group {
	_, rest := topic.Share(filter)
	list := e.shares.At(rest)
	if g := find(*list, filter); g != nil {
		return g
	}
	g := &group{engine: e, filter: filter}
	*list = append(*list, g)
	e.version.Add(1)
	return g
}

func find(list []*group, filter string) *group {
	for _, g := range list {
		if g.filter == filter {
			return g
		}
	}
	return nil
}

// join makes s a member of the group of sub, or changes what it asks for; e.mu
// is held.
func (e *Engine) join(s *Session, sub *journal.Subscription) *group {
	g := e.group(sub.Filter)
	t := target{s: s, qos: sub.QoS, asPublished: sub.RetainAsPublished, tag: newTag(sub, g)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.index(s); i >= 0 {
		g.members[i].target = t
		return g
	}
	g.members = append(g.members, member{target: t})
	s.mu.Lock()
	s.groups = append(s.groups, g)
	s.mu.Unlock()
	return g
}

// quit ends the membership of s in the group of filter; e.mu is held.
func (e *Engine) quit(s *Session, filter string) *group {
	_, rest := topic.Share(filter)
	list := e.shares.Get(rest)
	g := find(*list, filter)
	if g.remove(s) {
		*list = slices.DeleteFunc(*list, func(x *group) bool { return x == g })
		e.version.Add(1)
	}
	if len(*list) == 0 {
		e.shares.Remove(rest)
	}
	return g
}

// remove takes s out of g and reports whether nobody is left.
func (g *group) remove(s *Session) (empty bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.index(s)
	g.members = slices.Delete(g.members, i, i+1)
	if i < g.turn {
		g.turn--
	}
	if g.keeper == s {
		g.keeper = nil
	}
	s.mu.Lock()
	s.groups = slices.DeleteFunc(s.groups, func(x *group) bool { return x == g })
	s.mu.Unlock()
	return len(g.members) == 0
}

// A share notes which member got a message, for the time until it is committed.
type share struct {
	g     *group
	s     *Session
	moves uint64
}

// share queues m for one member of g.
func (p *Publisher) share(g *group, m *Message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := g.pick(m, nil)
	if x == nil {
		return
	}
	p.deliver(&x.target, m)
	if m.QoS == 2 {
		p.shares = append(p.shares, share{g, x.s, g.moves})
	}
}

// rouseMember wakes who may have looked at a message before it had a ticket: the
// member who got it, or any of them if it may have been handed over.
func (p *Publisher) rouseMember(h share) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	p.rouse(h.s)
	if h.moves == h.g.moves {
		return
	}
	for i := range h.g.members {
		p.rouse(h.g.members[i].s)
	}
}
