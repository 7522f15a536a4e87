package delivery

import (
	"sort"

	"edge/broker/journal"
)

// flight returns the message with packet id that is on its way to the client,
// and its number in sent.
func (s *Session) flight(id uint16) (n uint64, it *item) {
	if id == 0 || s.sent.len() == 0 {
		return 0, nil
	}
	first := s.sent.at(s.sent.head).seq
	seq := first + (uint64(id-1)+65535-(first-s.places.first)%65535)%65535
	// Where no message was dropped before it was sent, seq-first is its place.
	n = s.sent.head + min(seq-first, uint64(s.sent.len()-1))
	if s.sent.at(n).seq != seq {
		i := sort.Search(s.sent.len(), func(i int) bool { return s.sent.at(s.sent.head+uint64(i)).seq >= seq })
		n = s.sent.head + uint64(i)
	}
	if n >= s.resent || s.sent.at(n).seq != seq || s.sent.at(n).flags&done != 0 {
		return 0, nil
	}
	return n, s.sent.at(n)
}

// Acknowledge ends the flow of the message with packet id and qos: the client
// sent PUBACK, or PUBREC with an error. wake reports whether the link must be
// woken. fits is false if the message has another QoS. An id that is not on its way
// fits: what it belonged to may have ended meanwhile.
func (s *Session) Acknowledge(id uint16, qos byte) (wake, fits bool) {
	return s.conclude(id, func(it *item) bool { return it.qos == qos })
}

// Complete is Acknowledge for PUBCOMP, which does not fit before PUBREC.
func (s *Session) Complete(id uint16) (wake, fits bool) {
	return s.conclude(id, func(it *item) bool { return it.qos == 2 && it.flags&released != 0 })
}

func (s *Session) conclude(id uint16, answers func(*item) bool) (wake, fits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, it := s.flight(id)
	if it == nil {
		return false, true
	}
	if !answers(it) {
		return false, false
	}
	return s.finish(n, it), true
}

// Discard ends the flow of a message that is too large for the client of link.
// Whoever took it from Next looks for more afterwards.
func (s *Session) Discard(link Link, id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != link {
		return // The next connection may take more.
	}
	s.stats.Large++
	s.engine.count(&s.engine.dropped.Large, s, "larger than the client takes")
	if n, it := s.flight(id); it != nil {
		s.finish(n, it)
	}
}

func (s *Session) finish(n uint64, it *item) (wake bool) {
	s.acknowledged(it.seq)
	it.flags |= done
	it.m, it.place = finished, 0
	s.open--
	if n == s.sent.head {
		s.trim()
	}
	if s.queue.len() == 0 && s.resent == s.sent.tail {
		return false
	}
	wake, s.idle = s.idle, false
	return wake
}

// trim forgets the oldest messages as far as their flows have ended.
func (s *Session) trim() {
	for s.sent.len() > 0 && s.sent.at(s.sent.head).flags&done != 0 {
		s.sent.pop()
	}
	s.resent = max(s.resent, s.sent.head)
}

// finished stands for messages that were acknowledged before an older one.
var finished = new(Message)

// acknowledged tells the journal that the message with number seq needs to be
// kept no more. A crash that loses this costs a repetition, no message.
func (s *Session) acknowledged(seq uint64) {
	if s.durable() {
		_, _ = s.engine.journal.Append(&journal.Record{Kind: journal.Acknowledged, Client: s.id, Sequence: seq, Within: lazily})
	}
}

// Settled returns when it is safe what the client is about to be told: that it has
// a new session, or how its QoS 2 flows stand. It returns false when done is closed.
func (s *Session) Settled(done <-chan struct{}) bool {
	s.mu.Lock()
	t := s.flows
	s.mu.Unlock()
	return s.engine.Wait(done, t)
}

// Receive notes that the client sent PUBREC for packet id: PUBREL may be sent
// when the ticket is committed, and the message is never sent again. Before that
// it may not: the client would forget the id, and take the message that a crash
// makes us send again for a new one. found is false if there is no such QoS 2
// message, and fits if there is one of QoS 1.
func (s *Session) Receive(id uint16) (t journal.Ticket, found, fits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, it := s.flight(id)
	if it == nil || it.qos != 2 {
		return 0, false, it == nil
	}
	t, ok := s.recordFlow(&journal.Record{Kind: journal.Received, Client: s.id, Sequence: it.seq})
	if ok {
		it.flags |= released
	}
	return t, true, true
}

// recordFlow appends r. If that cannot be done, the ticket is one that is never
// committed.
func (s *Session) recordFlow(r *journal.Record) (t journal.Ticket, ok bool) {
	if !s.durable() {
		return 0, true
	}
	t, err := s.engine.journal.Append(r)
	if err != nil {
		return uncommitted, false
	}
	s.flows = t
	return t, true
}

// Own takes the packet id of a QoS 2 message of the client. fresh is false if
// it was taken before: the message is a repetition, and t is the ticket of the
// original. ok is false if the client owns more ids than the engine allows.
func (s *Session) Own(id uint16) (fresh bool, t journal.Ticket, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, taken := s.received[id]; taken {
		return false, o.ticket, true
	}
	if len(s.received) >= s.engine.opts.ReceiveMaximum {
		return false, 0, false
	}
	if s.received == nil {
		s.received = make(map[uint16]owned)
	}
	s.received[id] = owned{}
	return true, 0, true
}

// Owned notes the ticket of the message whose packet id Own took.
func (s *Session) Owned(id uint16, t journal.Ticket) {
	if t == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, taken := s.received[id]; taken {
		o.ticket = t
		s.received[id] = o
	}
}

// ownedAt notes where the record of the message with packet id lies, unless the
// cleaner has moved it already; id may be 0.
func (s *Session) ownedAt(id uint16, p journal.Place) {
	if id == 0 || p == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, taken := s.received[id]; taken && o.place == 0 {
		o.place = p
		s.received[id] = o
	}
}

// An owned is what is known of a packet id that the client has not released.
type owned struct {
	ticket journal.Ticket // of the message
	place  journal.Place  // of the record that says so; nowhere: not known yet
}

// Disown gives a packet id back that Own took, since its message was refused.
func (s *Session) Disown(id uint16) {
	s.mu.Lock()
	delete(s.received, id)
	s.mu.Unlock()
}

// Release frees a packet id that the client released with PUBREL. PUBCOMP may
// be sent when the ticket is committed. Before that it may not: the client would
// use the id for another message, which we would take for a repetition of this one
// after a crash. found is false if the id was not taken; it may have been released
// on an earlier connection.
func (s *Session) Release(id uint16) (t journal.Ticket, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found = s.received[id]; !found {
		return s.flows, false
	}
	t, ok := s.recordFlow(&journal.Record{Kind: journal.Released, Client: s.id, PacketID: id})
	if ok {
		delete(s.received, id)
	}
	return t, true
}
