package delivery

import (
	"cmp"
	"maps"
	"slices"

	"edge/broker/journal"
)

// Current calls f for what must survive, as the records that say so: sessions in
// the order of their ids, each with its subscriptions, packet ids, will and
// messages, then retained messages, and what the clock was. A Published record for a session has one
// target, and no Message where that is on disk only. f must not call the engine,
// and what it is given is valid until it returns.
func (e *Engine) Current(f func(r *journal.Record)) {
	sessions := e.Sessions()
	slices.SortFunc(sessions, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	for _, s := range sessions {
		s.current(f)
	}
	e.currentRetained(f)
	if p := e.clock.place; p != 0 {
		f(&journal.Record{Kind: journal.ClockRead, Since: e.clock.noted.clock, Sequence: uint64(e.clock.noted.day), Place: p})
	}
}

func (e *Engine) currentRetained(f func(r *journal.Record)) {
	e.retainedMu.RLock()
	defer e.retainedMu.RUnlock()
	e.retained.Select("#", func(_ string, k *keepsake) bool {
		f(&journal.Record{Kind: journal.Published, Owner: k.owner, Message: &k.m.Message, Place: k.place})
		return true
	})
}

// current is Current for one session. Of one that does not last there is its will.
func (s *Session) current(f func(r *journal.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lasts := s.places.begun != 0
	if lasts {
		s.currentState(f)
	}
	if s.will != nil {
		r := s.willSet()
		r.Place = s.places.will
		f(&r)
	}
	for _, r := range []*ring[item]{&s.sent, &s.queue} {
		for i := r.head; lasts && i < r.tail; i++ {
			if it := r.at(i); it.numbered() && it.flags&done == 0 && !it.gone() {
				f(it.record(s))
			}
		}
	}
}

// currentState is current for what a session is, without will and messages.
func (s *Session) currentState(f func(r *journal.Record)) {
	begun := s.begun(s.since)
	begun.Place = s.places.begun
	f(&begun)
	for _, filter := range slices.Sorted(maps.Keys(s.places.subs)) {
		f(&journal.Record{Kind: journal.Subscribed, Client: s.id, Subscription: s.subs[filter], Place: s.places.subs[filter]})
	}
	for _, id := range slices.Sorted(maps.Keys(s.received)) {
		f(&journal.Record{Kind: journal.Owned, Client: s.id, PacketID: id, Place: s.received[id].place})
	}
}

// record returns it as a record for s.
func (it *item) record(s *Session) *journal.Record {
	t := it.target(s)
	t.Released = it.flags&released != 0
	r := journal.Record{Kind: journal.Published, Targets: []journal.Target{t}, Place: it.where()}
	if it.m != nil {
		r.Message = &it.m.Message
	}
	return &r
}
