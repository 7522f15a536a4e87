package delivery

import (
	"sync"

	"edge/broker/journal"
)

// This file hands over what a member of a group leaves behind. Messages that
// wait go to another member, and so do messages of QoS 1 on their way to one
// whose connection is lost, without DUP and with a packet id of the new session.
// A message of QoS 2 that was sent stays with its session (MQTT 5.0, section
// 4.8.2, MQTT-4.8.2-4 and -5). While nobody is online everything stays with the
// session that has it; if that ends, offline members inherit. Only a message for
// which no member is left is dropped, and counted.
//
// A group is locked meanwhile, so that newer messages come later.

// leave is called when the connection of s is gone, but not its session.
func (g *group) leave(s *Session) {
	g.mu.Lock()
	links := g.left(s)
	g.mu.Unlock()
	wake(links)
}

func (g *group) left(s *Session) []Link {
	if s.online() {
		return nil // It is back already.
	}
	if i := g.index(s); i >= 0 {
		g.members[i].here = false
		g.keeper = s
	}
	for i := range g.members {
		if g.members[i].online() {
			return g.handOver(s, false)
		}
	}
	return nil
}

// retire is called when s is not a member any more. What is on its way to a
// client that has unsubscribed it still acknowledges (MQTT-3.10.4-3).
func (g *group) retire(s *Session, ends bool) {
	g.mu.Lock()
	var links []Link
	if ends || len(g.members) > 0 {
		links = g.handOver(s, ends)
	}
	g.mu.Unlock()
	wake(links)
}

// arrive is called when s, a member, has come online. It gets what waits with
// those who are not.
func (g *group) arrive(s *Session) {
	g.mu.Lock()
	var links []Link
	if i := g.index(s); i >= 0 && s.online() {
		g.members[i].here = true
		for k := range g.members {
			if x := &g.members[k]; !x.online() {
				links = append(links, g.handOver(x.s, false)...)
			}
		}
	}
	g.mu.Unlock()
	wake(links)
}

func wake(links []Link) {
	for _, link := range links {
		link.Wake()
	}
}

// handOver gives what from has of g to other members. ends says that from keeps
// nothing.
func (g *group) handOver(from *Session, ends bool) (links []Link) {
	items := from.surrender(g)
	if len(items) == 0 {
		return nil
	}
	g.moves++
	for i := range items {
		p := items[i].where()
		if link := g.pass(&items[i], from, ends); link != nil {
			links = append(links, link)
		}
		g.engine.moving.end(p)
	}
	return links
}

// pass gives one message to the best member. If there is none, from keeps it.
func (g *group) pass(it *item, from *Session, ends bool) Link {
	m := it.m
	if m == nil {
		if m = from.read(it); m == nil {
			return nil
		}
	}
	to, moved := from, *it
	moved.m, moved.place = m, 0
	moved.flags &= retained
	if x := g.pick(m, from); x != nil {
		to, moved = x.s, x.item(m)
	} else if ends {
		from.orphan(it)
		return nil
	}
	link, ok := to.push(&moved)
	var err error
	if ok && moved.qos > 0 && to.durable() {
		r := journal.Record{Kind: journal.Published, Message: &m.Message, Targets: []journal.Target{moved.target(to)}}
		if _, err = g.engine.journal.Append(&r); err == nil {
			to.placed(moved.seq, r.Place)
		}
	}
	if it.qos > 0 && err == nil { // In this order, a crash repeats the message and does not lose it.
		from.acknowledged(it.seq)
	}
	return link
}

// orphan counts the loss of a message for which nobody is left.
func (s *Session) orphan(it *item) {
	if it.qos == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Orphaned++
	s.engine.count(&s.engine.dropped.Orphaned, s, "no member of its group is left to take it")
}

// surrender takes out of s what waits for g, and, while s is offline, the QoS 1
// messages on their way, in order.
func (s *Session) surrender(g *group) []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shared {
		return nil
	}
	var items []item
	if s.link == nil {
		items = s.recall(g)
	}
	for n := s.queue.head; n < s.queue.tail; n++ {
		it := s.queue.at(n)
		if it.gone() || it.tag.of() != g {
			continue
		}
		items = append(items, *it)
		s.engine.moving.begin(it.where())
		s.unbook(it)
		it.bury()
		s.dropped++
	}
	s.compact()
	return items
}

// recall takes QoS 1 messages back that are on their way.
func (s *Session) recall(g *group) (items []item) {
	for n := s.sent.head; n < s.sent.tail; n++ {
		it := s.sent.at(n)
		if it.qos != 1 || it.flags&done != 0 || it.tag.of() != g {
			continue
		}
		items = append(items, *it)
		s.engine.moving.begin(it.where())
		it.flags |= done
		it.m, it.place = finished, 0
	}
	s.trim()
	return items
}

// involved returns the groups that s is a member of, or has messages of.
func (s *Session) involved() []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*group
	seen := make(map[*group]bool)
	add := func(g *group) {
		if g != nil && !seen[g] {
			seen[g] = true
			all = append(all, g)
		}
	}
	for _, g := range s.groups {
		add(g)
	}
	for _, r := range []*ring[item]{&s.sent, &s.queue} {
		for n := r.head; s.shared && n < r.tail; n++ {
			add(r.at(n).tag.of())
		}
	}
	return all
}

// moving are the places of records whose messages are being handed over: they
// are with no session, and needed still. A message is entered under the lock of the
// session that it leaves.
type moving struct {
	mu     sync.Mutex
	places map[journal.Place]int
	done   chan struct{} // is closed at the next end; nil if nobody waits
}

func (v *moving) begin(p journal.Place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.places == nil {
		v.places = make(map[journal.Place]int)
	}
	v.places[p]++
}

func (v *moving) end(p journal.Place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.places[p]--; v.places[p] == 0 {
		delete(v.places, p)
	}
	if v.done != nil {
		close(v.done)
		v.done = nil
	}
}

// at returns nil if no message at p is being handed over, else what to wait for
// before one asks again.
func (v *moving) at(p journal.Place) <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.places[p] == 0 {
		return nil
	}
	if v.done == nil {
		v.done = make(chan struct{})
	}
	return v.done
}
