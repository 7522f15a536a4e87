package delivery

import (
	"cmp"
	"slices"

	"edge/broker/journal"
)

// Keep is the keep of journal.Disk.Start: if r, by its place, is still current,
// Keep appends what is left of it. It does so under the locks under which the
// records of that session or topic are appended, so that none comes between.
func (e *Engine) Keep(r *journal.Record) {
	switch r.Kind {
	case journal.Published:
		e.keepMessage(r)
	case journal.ClockRead:
		e.clock.keep(e, r)
	case journal.SessionBegun, journal.Subscribed, journal.WillSet, journal.Owned:
		if s := e.session(r.Client); s != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.keep(r)
		}
	}
}

// keep is Keep for what a session is; its lock is held.
func (s *Session) keep(r *journal.Record) {
	old := r.Place
	switch r.Kind {
	case journal.SessionBegun:
		if s.places.begun == old {
			s.places.begun = s.move(r)
		}
	case journal.Subscribed:
		if p, ok := s.places.subs[r.Subscription.Filter]; ok && p == old {
			s.places.subs[r.Subscription.Filter] = s.move(r)
		}
	case journal.WillSet:
		if s.places.will == old {
			s.places.will = s.move(r)
		}
	case journal.Owned:
		if o, ok := s.received[r.PacketID]; ok && o.place == old {
			o.place = s.move(r)
			s.received[r.PacketID] = o
		}
	}
}

// move appends r once more, and returns its place: the old one, if that cannot be
// done. Then the journal does not free it.
func (s *Session) move(r *journal.Record) journal.Place {
	old := r.Place
	if _, err := s.engine.journal.Append(r); err != nil {
		return old
	}
	return r.Place
}

// keepMessage appends what is left of a Published record: the targets that have
// it still, the retained message, and the packet id that its publisher owns.
func (e *Engine) keepMessage(r *journal.Record) {
	for wait := e.tryKeep(r); wait != nil; wait = e.tryKeep(r) {
		<-wait
	}
}

// tryKeep is keepMessage, unless a message of r is being handed over: then it
// returns what to wait for.
func (e *Engine) tryKeep(r *journal.Record) (wait <-chan struct{}) {
	var slot *keepsake
	if r.Message.Retain {
		e.retainedMu.Lock()
		defer e.retainedMu.Unlock()
		if k := e.retained.Get(r.Message.Topic); k != nil && k.place == r.Place {
			slot = k
		}
	}
	sessions := e.named(r)
	for _, s := range sessions { // Only here are several locked at once, in the order of their ids.
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if wait := e.moving.at(r.Place); wait != nil {
		return wait
	}
	left, items := remaining(sessions, r)
	left.Message.Retain = slot != nil
	if len(items) == 0 && slot == nil {
		if left.PacketID == 0 {
			return nil
		}
		left = journal.Record{Kind: journal.Owned, Client: r.Client, PacketID: r.PacketID, Place: r.Place}
	}
	if _, err := e.journal.Append(&left); err != nil {
		return nil // The journal does not free it.
	}
	for _, it := range items {
		it.place = left.Place
	}
	if slot != nil {
		slot.place = left.Place
	}
	if left.PacketID != 0 {
		s := sessions[slices.IndexFunc(sessions, func(s *Session) bool { return s.id == r.Client })]
		o := s.received[r.PacketID]
		o.place = left.Place
		s.received[r.PacketID] = o
	}
	return nil
}

// named returns the sessions that r is about, by id.
func (e *Engine) named(r *journal.Record) []*Session {
	var all []*Session
	e.mu.RLock()
	defer e.mu.RUnlock()
	add := func(id string) {
		if s := e.sessions[id]; s != nil && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for i := range r.Targets {
		add(r.Targets[i].Client)
	}
	if r.PacketID != 0 {
		add(r.Client)
	}
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return all
}

// remaining returns r without what is not current any more, and the items of its
// targets. An item that does not know its place yet is one whose record was just
// appended. The sessions are locked.
func remaining(sessions []*Session, r *journal.Record) (left journal.Record, items []*item) {
	left = *r
	m := *r.Message
	left.Message, left.Targets = &m, nil
	owned := false
	for _, s := range sessions {
		for _, t := range r.Targets {
			if t.Client != s.id {
				continue
			}
			if it := s.find(t.Sequence); it != nil && (it.where() == r.Place || it.where() == 0) {
				t.Released = it.flags&released != 0
				left.Targets, items = append(left.Targets, t), append(items, it)
			}
		}
		if o, ok := s.received[r.PacketID]; ok && r.PacketID != 0 && s.id == r.Client && (o.place == r.Place || o.place == 0) {
			owned = true
		}
	}
	if !owned {
		left.Client, left.PacketID = "", 0
	}
	return left, items
}
