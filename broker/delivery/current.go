package delivery

import (
	"cmp"
	"maps"
	"slices"

	"edge/broker/journal"
)

// Current calls f for what must survive, as the records that say so: sessions in
// the order of their ids, each with its subscriptions, packet ids, will and
// messages, and then retained messages. A Published record for a session has one
// target, and no Message where that is on disk only. f must not call the engine,
// and what it is given is valid until it returns.
func (e *Engine) Current(f func(r *journal.Record)) {
	sessions := e.all()
	slices.SortFunc(sessions, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	for _, s := range sessions {
		s.current(f)
	}
	e.retainedMu.RLock()
	defer e.retainedMu.RUnlock()
	e.retained.Select("#", func(_ string, k *keepsake) bool {
		f(&journal.Record{Kind: journal.Published, Message: &k.m.Message, Place: k.place})
		return true
	})
}

// current is Current for one session.
func (s *Session) current(f func(r *journal.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places.begun == 0 {
		return
	}
	f(&journal.Record{
		Kind: journal.SessionBegun, Client: s.id, Owner: s.owner, Expiry: s.expiry, Since: s.since, Sequence: s.places.first, Place: s.places.begun,
	})
	for _, filter := range slices.Sorted(maps.Keys(s.places.subs)) {
		f(&journal.Record{Kind: journal.Subscribed, Client: s.id, Subscription: s.subs[filter], Place: s.places.subs[filter]})
	}
	for _, id := range slices.Sorted(maps.Keys(s.received)) {
		f(&journal.Record{Kind: journal.Owned, Client: s.id, PacketID: id, Place: s.received[id].place})
	}
	if s.will != nil {
		f(&journal.Record{
			Kind: journal.WillSet, Client: s.id, Message: &s.will.Message.Message, Delay: s.will.Delay, Expiry: s.will.Expiry,
			Place: s.places.will,
		})
	}
	for _, r := range []*ring[item]{&s.sent, &s.queue} {
		for i := r.head; i < r.tail; i++ {
			if it := r.at(i); it.numbered() && it.flags&done == 0 && !it.gone() {
				f(it.record(s.id))
			}
		}
	}
}

// record returns it as a record for the session with an id.
func (it *item) record(client string) *journal.Record {
	t := journal.Target{
		Client: client, Sequence: it.seq, QoS: it.qos,
		Retain: it.flags&retained != 0, Released: it.flags&released != 0,
	}
	if it.tag != nil {
		t.IDs = it.tag.ids
	}
	r := journal.Record{Kind: journal.Published, Targets: []journal.Target{t}, Place: it.where()}
	if it.m != nil {
		r.Message = &it.m.Message
	}
	return &r
}
