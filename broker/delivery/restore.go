package delivery

import (
	"bytes"
	"fmt"
	"slices"

	"edge/broker/journal"
	"edge/internal/topic"
)

// This file makes sessions and retained messages of the records of a journal:
// Restore for each record, Restored when that was all, and Continue when the
// journal takes records again.

// A draft is a session while records about it are read. A cleaned journal has
// them in any order, but for those about the same thing.
type draft struct {
	begun    bool
	owner    string
	expiry   uint32
	since    int64
	places   places
	next     uint64
	used     uint64 // numbers below it were sent, whether their messages are kept or not
	subs     map[string]journal.Subscription
	runs     []*ring[item] // each by number: messages as they came, and those that cleaning has moved behind newer ones
	early    map[uint64]bool
	tags     map[string]*tag // by what they say
	shares   []claim         // of tags
	received map[uint16]owned
	will     *Will
}

func (e *Engine) draft(id string) *draft {
	d := e.drafts[id]
	if d == nil {
		d = &draft{subs: make(map[string]journal.Subscription)}
		if e.drafts == nil {
			e.drafts = make(map[string]*draft)
		}
		e.drafts[id] = d
	}
	return d
}

// Restore takes over one record of the journal, in the order of the log.
func (e *Engine) Restore(r *journal.Record) {
	switch r.Kind {
	case journal.Published:
		e.restoreMessage(r)
		return
	case journal.SessionEnded:
		if d := e.drafts[r.Client]; d != nil {
			e.raise(max(d.next, d.used))
			delete(e.drafts, r.Client)
		}
		return
	}
	if e.clock.learn(r); r.Kind == journal.ClockRead {
		return
	}
	e.draft(r.Client).apply(r)
}

// apply changes d as r says.
func (d *draft) apply(r *journal.Record) {
	switch r.Kind {
	case journal.SessionBegun:
		d.begun, d.owner, d.expiry, d.since = true, r.Owner, r.Expiry, r.Since
		d.places.begun, d.places.first = r.Place, r.Sequence
		d.next = max(d.next, r.Sequence)
	case journal.Subscribed:
		if d.places.subs == nil {
			d.places.subs = make(map[string]journal.Place)
		}
		d.subs[r.Subscription.Filter], d.places.subs[r.Subscription.Filter] = r.Subscription, r.Place
	case journal.Unsubscribed:
		delete(d.subs, r.Subscription.Filter)
		delete(d.places.subs, r.Subscription.Filter)
	case journal.Owned:
		d.own(r.PacketID, r.Place)
	case journal.Released:
		delete(d.received, r.PacketID)
	case journal.Acknowledged:
		d.acknowledge(r.Sequence)
	case journal.Received:
		if it := d.find(r.Sequence); it != nil {
			it.flags |= released
		}
	case journal.WillSet:
		d.owner = r.Owner
		d.will = &Will{Message: &Message{Message: copied(r.Message)}, Delay: r.Delay, Expiry: r.Expiry}
		d.places.will = r.Place
	case journal.WillCleared:
		d.will, d.places.will = nil, 0
	}
}

// copied returns m with memory of its own.
func copied(m *journal.Message) journal.Message {
	c := *m
	c.Payload = bytes.Clone(m.Payload)
	if m.Props != nil {
		p := *m.Props
		p.CorrelationData, p.User = bytes.Clone(p.CorrelationData), slices.Clone(p.User)
		c.Props = &p
	}
	return c
}

func (d *draft) own(id uint16, p journal.Place) {
	if d.received == nil {
		d.received = make(map[uint16]owned)
	}
	d.received[id] = owned{place: p}
}

func (e *Engine) restoreMessage(r *journal.Record) {
	if r.Message.Retain {
		e.restoreRetained(r)
	}
	if r.PacketID != 0 {
		e.draft(r.Client).own(r.PacketID, r.Place)
	}
	size := uint32((&Message{Message: *r.Message}).size())
	for i := range r.Targets {
		t := &r.Targets[i]
		d := e.draft(t.Client)
		it := item{seq: t.Sequence, place: r.Place, size: size, qos: t.QoS, tag: d.tag(t)}
		if t.Retain {
			it.flags |= retained
		}
		if t.Released {
			it.flags |= released
		}
		d.queue(it)
	}
}

// tag returns the tag of a message for t. Many share one; its group is known when
// all sessions are.
func (d *draft) tag(t *journal.Target) *tag {
	if len(t.IDs) == 0 && t.Share == "" {
		return nil
	}
	key := fmt.Sprint(t.IDs, t.Share)
	v := d.tags[key]
	if v == nil {
		v = &tag{ids: slices.Clone(t.IDs)}
		if d.tags == nil {
			d.tags = make(map[string]*tag)
		}
		d.tags[key] = v
		if t.Share != "" {
			d.shares = append(d.shares, claim{v, t.Share})
		}
	}
	return v
}

// A claim is a tag that gets its group later.
type claim struct {
	tag    *tag
	filter string
}

func (e *Engine) restoreRetained(r *journal.Record) {
	var k keepsake
	if len(r.Message.Payload) > 0 {
		k = keepsake{m: &Message{Message: copied(r.Message)}, place: r.Place, owner: r.Owner}
	}
	e.reinstate(r.Message.Topic, k)
}

// queue adds it, in place of an older record of the same message.
func (d *draft) queue(it item) {
	d.next = max(d.next, it.seq+1)
	if d.early[it.seq] {
		return
	}
	if old := d.find(it.seq); old != nil {
		it.flags |= old.flags & released
		*old = it
		return
	}
	for _, run := range d.runs {
		if run.at(run.tail-1).seq < it.seq {
			run.push(it)
			return
		}
	}
	run := new(ring[item])
	run.push(it)
	d.runs = append(d.runs, run)
}

// acknowledge forgets the message with number seq. One that is not there yet was
// acknowledged before it was appended, or its record was cleaned away.
func (d *draft) acknowledge(seq uint64) {
	d.used = max(d.used, seq+1)
	if it := d.find(seq); it != nil {
		it.flags |= done
		return
	}
	if seq >= d.next {
		if d.early == nil {
			d.early = make(map[uint64]bool)
		}
		d.early[seq] = true
	}
}

func (d *draft) find(seq uint64) *item {
	for _, run := range d.runs {
		if it := search(run, seq); it != nil {
			return it
		}
	}
	return nil
}

// Restored makes sessions of what Restore was given. Nobody is connected yet, and
// the journal takes no records.
func (e *Engine) Restored() {
	e.clock.begin()
	for id, d := range e.drafts {
		e.raise(max(d.next, d.used))
		if !d.begun && len(d.subs) > 0 {
			d.begun, d.expiry = true, e.opts.MaxExpiry // The record that says so is damaged.
		}
		if d.begun || d.will != nil { // However many: what waits for them was acknowledged.
			e.adopt(id, d)
		}
	}
	for id, d := range e.drafts {
		if s := e.sessions[id]; s != nil {
			s.regroup(d.shares)
		}
	}
	e.drafts = nil
}

// regroup gives the tags of shared messages their groups. A group without members
// is none any more: what is left of it stays with s.
func (s *Session) regroup(claims []claim) {
	for _, c := range claims {
		_, rest := topic.Share(c.filter)
		if list := s.engine.shares.Get(rest); list != nil {
			c.tag.group = find(*list, c.filter)
		}
		s.shared = s.shared || c.tag.group != nil
	}
}

// adopt makes a session of d.
func (e *Engine) adopt(id string, d *draft) {
	s := &Session{
		engine: e, id: id, owner: d.owner, next: max(d.next, d.used, d.places.first), subs: d.subs, places: d.places,
		received: d.received, expiry: min(d.expiry, e.opts.MaxExpiry), will: d.will, restored: true, since: d.since,
	}
	s.lasts.Store(s.expiry > 0)
	if s.will != nil {
		s.will.Message.Origin = id
	}
	d.fill(s, e.opts.Window)
	s.authorize()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sessions[id] = s
	e.owns(d.owner, 1)
	for _, sub := range d.subs {
		if shared(sub.Filter) {
			e.join(s, &sub)
		} else {
			e.addFilter(s, sub)
		}
	}
}

// fill gives s the messages of d. The first of them may have been sent: they
// carry DUP when they are sent again.
func (d *draft) fill(s *Session, window int) {
	s.queue = d.merge()
	s.queue.filter(func(it *item) bool {
		if it.flags&done != 0 || it.seq < d.places.first {
			return false
		}
		if s.sent.len() < window || it.flags&released != 0 {
			s.sent.push(*it)
			return false
		}
		s.count++
		s.bytes += it.bytes()
		return true
	})
	s.checkFull()
	s.resent, s.spilled = s.sent.head, s.queue.tail
}

// merge returns the messages of all runs by number, and lets go of the runs.
func (d *draft) merge() (all ring[item]) {
	if len(d.runs) == 1 {
		all = *d.runs[0]
		d.runs = nil
	}
	for len(d.runs) > 0 {
		n := 0
		for i, run := range d.runs {
			if run.at(run.head).seq < d.runs[n].at(d.runs[n].head).seq {
				n = i
			}
		}
		run := d.runs[n]
		all.push(*run.at(run.head))
		if run.pop(); run.len() == 0 {
			d.runs = slices.Delete(d.runs, n, n+1)
		}
	}
	return all
}

// Continue lets time go on for restored sessions, when the journal takes records:
// wills are sent, and sessions expire.
func (e *Engine) Continue() {
	e.readClock()
	for _, s := range e.Sessions() {
		s.mu.Lock()
		offline := int64(0)
		if s.restored && s.since > 0 {
			offline = max(0, e.Now()-s.since)
		}
		restored := s.restored
		s.restored = false
		if restored && s.since == 0 {
			s.recordBegun(e.Now()) // It lost its connection when the broker ended.
		}
		s.mu.Unlock()
		switch {
		case restored && !s.durable():
			e.end(s) // All that was left of it is its will.
		case restored:
			e.settleAfter(s, offline)
		}
	}
}

// Sessions returns the sessions that have a client id.
func (e *Engine) Sessions() []*Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*Session, 0, len(e.sessions))
	for _, s := range e.sessions {
		all = append(all, s)
	}
	return all
}
