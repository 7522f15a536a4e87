package delivery

import (
	"time"

	"edge/broker/journal"
)

// places are where the newest records of what a session is lie in the journal.
// Session.mu guards them: a record is appended under it, so that the order of
// records is that of changes.
type places struct {
	begun journal.Place
	first uint64 // messages with lower numbers are of an older session with the same id
	will  journal.Place
	subs  map[string]journal.Place // by filter; nil while the session does not last
}

// lazily is how long a record waits for others to be written with it whose loss
// only repeats something: nobody waits for it, and a flush for each would be one
// more for each message.
const lazily = time.Second

// record appends r, whose loss only a later record could make matter; the ticket
// of that one covers it. It returns the place of r. If there is no room for it,
// that of the one before it, which then counts still: the journal would drop it if
// nobody claimed it.
func (s *Session) record(r *journal.Record, before journal.Place) journal.Place {
	if _, err := s.engine.journal.Append(r); err != nil {
		return before
	}
	return r.Place
}

// recordBegun notes that s lasts, or that it does not any more. since is the Unix
// time since which it has no connection, 0 while it has one.
func (s *Session) recordBegun(since int64) {
	switch {
	case s.durable():
		r := s.begun(since)
		r.Within = lazily
		s.places.begun = s.record(&r, s.places.begun)
	case s.places.begun != 0:
		s.recordEnded()
	}
}

func (s *Session) begun(since int64) journal.Record {
	return journal.Record{
		Kind: journal.SessionBegun, Client: s.id, Owner: s.owner, Expiry: s.expiry, Since: since, Sequence: s.places.first,
	}
}

// recordEnded notes that s is no more. A client that asked for a new session may be
// told that it has one when the ticket of flows is committed: a crash would bring
// the old one back.
func (s *Session) recordEnded() {
	if s.places.begun != 0 {
		s.flows, _ = s.engine.journal.Append(&journal.Record{Kind: journal.SessionEnded, Client: s.id})
	}
	s.places = places{first: s.places.first}
}

// recordWill notes which will s has. That of a session which does not last is
// kept too: a power cut is the end of a connection without a word, and what says
// "online" must not do so for ever because the client has lost its power as well.
func (s *Session) recordWill() {
	switch {
	case s.will != nil:
		r := s.willSet()
		s.places.will = s.record(&r, s.places.will)
	case s.places.will != 0:
		s.record(&journal.Record{Kind: journal.WillCleared, Client: s.id, Within: lazily}, 0)
		s.places.will = 0
	}
}

func (s *Session) willSet() journal.Record {
	return journal.Record{
		Kind: journal.WillSet, Client: s.id, Owner: s.owner, Message: &s.will.Message.Message, Delay: s.will.Delay, Expiry: s.will.Expiry,
		Within: lazily,
	}
}

// recordSubscribed notes a subscription. SUBACK may be sent when the ticket is
// committed.
func (s *Session) recordSubscribed(sub journal.Subscription) (journal.Ticket, error) {
	if !s.durable() {
		return 0, nil
	}
	if s.places.begun == 0 {
		s.recordBegun(0) // There was no room for it when the session began.
	}
	r := journal.Record{Kind: journal.Subscribed, Client: s.id, Subscription: sub}
	t, err := s.engine.journal.Append(&r)
	if err != nil {
		return 0, err
	}
	if s.places.subs == nil {
		s.places.subs = make(map[string]journal.Place)
	}
	s.places.subs[sub.Filter] = r.Place
	return t, nil
}

// recordUnsubscribed notes the end of a subscription. UNSUBACK may be sent when
// the ticket is committed.
func (s *Session) recordUnsubscribed(filter string) (t journal.Ticket) {
	if _, ok := s.places.subs[filter]; ok || s.durable() {
		r := journal.Record{Kind: journal.Unsubscribed, Client: s.id, Subscription: journal.Subscription{Filter: filter}}
		t, _ = s.engine.journal.Append(&r)
	}
	delete(s.places.subs, filter)
	return t
}

// placed notes where the record of the message with number seq lies, unless the
// cleaner has moved it already.
func (s *Session) placed(seq uint64, p journal.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it := s.find(seq); it != nil && it.place == 0 {
		it.place = p
	}
}

// find returns the message with number seq that waits or is on its way, nil if
// there is none.
func (s *Session) find(seq uint64) *item {
	for _, r := range []*ring[item]{&s.sent, &s.queue} {
		if it := search(r, seq); it != nil && it.flags&done == 0 && !it.gone() {
			return it
		}
	}
	return nil
}

// search looks for the QoS 1 or 2 message with number seq. Those of QoS 0 and
// tombstones between them have no number to go by, so it may have to walk.
func search(r *ring[item], seq uint64) *item {
	low, high := r.head, r.tail
	for low < high {
		mid := low + (high-low)/2
		k := mid
		for k < high && !r.at(k).numbered() {
			k++
		}
		switch {
		case k == high:
			high = mid
		case r.at(k).seq == seq:
			return r.at(k)
		case r.at(k).seq < seq:
			low = k + 1
		default:
			high = mid
		}
	}
	return nil
}

// numbered reports whether the number of it counts.
func (it *item) numbered() bool { return it.qos > 0 }
