package delivery

import (
	"errors"
	"sync/atomic"

	"edge/broker/journal"
)

// ahead is how many messages of a queue stay in memory, those that are sent next.
// What comes behind them is read from the disk when its time comes, once the
// queue has more than inMemory messages or bytes.
const (
	ahead         = 64
	inMemory      = 256
	inMemoryBytes = 1 << 20
)

// spill lets go of messages that are safe on disk and will not be sent soon, a
// few at each push.
func (s *Session) spill() {
	if s.queue.len() <= inMemory && s.bytes <= inMemoryBytes {
		return
	}
	s.spilled = max(s.spilled, s.queue.head+ahead)
	committed := uint64(s.engine.journal.Committed())
	for range 8 {
		if s.spilled+1 >= s.queue.tail {
			return
		}
		it := s.queue.at(s.spilled)
		if it.m != nil && it.qos > 0 {
			if after := it.m.after.Load(); after > committed && after != withdrawn {
				return // It is on its way to the disk.
			}
			if p := it.where(); p != 0 {
				it.size, it.place, it.m = uint32(it.m.size()), p, nil
			}
		}
		s.spilled++
	}
}

// fetch completes the messages of out from number n on: it reads those that are on
// disk, and says how long they live. Those that cannot be had, or whose time is
// over, are dropped; late are the commands among these.
//
// The session may change hands meanwhile: the next connection sends them all
// again, so what this one has of them does not count. That is also what happens
// when the disk gives nothing: then ok is false.
func (s *Session) fetch(link Link, out []Out, n int, late []*Message) (_ []Out, _ []*Message, ok bool) {
	k := n
	for i := n; i < len(out); i++ {
		o := out[i]
		err := s.complete(link, &o)
		switch {
		case errors.Is(err, errMoved), errors.Is(err, errLater):
			clear(out[n:])
			return out[:n], late, false
		case errors.Is(err, errExpired) && o.Message.Command:
			late = append(late, o.Message)
			continue
		case err != nil:
			continue
		}
		out[k] = o
		k++
	}
	clear(out[k:])
	return out[:k], late, true
}

// complete is fetch for one message.
func (s *Session) complete(link Link, o *Out) (err error) {
	if o.Message == nil && !o.Release {
		o.Message, err = s.load(link, o.ID)
		switch {
		case errors.Is(err, errMoved):
			return err
		case s.later(err):
			return errLater
		case err != nil:
			s.lose(link, o.ID, &s.stats.Damaged, &s.engine.dropped.Damaged, "damaged on disk")
			return err
		case !s.mayReceive(o.Message.Topic):
			s.lose(link, o.ID, &s.stats.Forbidden, &s.engine.dropped.Forbidden, "forbidden")
			return errForbidden
		case o.Message.expired(s.engine.Now()):
			s.lose(link, o.ID, &s.stats.Expired, &s.engine.dropped.Expired, "expired")
			return errExpired
		}
	}
	if m := o.Message; m != nil && m.Expires != 0 {
		o.Left = uint32(max(0, m.Expires-s.engine.Now()))
	}
	return nil
}

// Why a message that was read is not sent.
var (
	errExpired   = errors.New("expired")
	errForbidden = errors.New("forbidden")
)

// errMoved says that the session does not belong to the link any more.
var errMoved = errors.New("another connection has the session")

// errLater says that the disk does not give a message now.
var errLater = errors.New("the disk does not give the message")

// later reports whether a message that could not be read because of err may be had
// later. To drop it since the disk refuses everything for a moment would lose it.
// But if a record that was appended after that is on the disk, and the next
// connection does not get the message either, nobody ever will.
func (s *Session) later(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.refused = 0
		return false
	case errors.Is(err, journal.ErrGone) || !s.durable():
		return false
	case s.refused == 0 || s.refused == uncommitted:
		s.refused = s.probe()
		return true
	}
	return s.refused > s.engine.journal.Committed()
}

// probe returns the ticket of a record that is committed if the disk takes
// anything. It says nothing new.
func (s *Session) probe() journal.Ticket {
	r := s.begun(0)
	t, err := s.engine.journal.Append(&r)
	if err != nil {
		return uncommitted
	}
	s.places.begun = r.Place
	return t
}

// load reads the message with packet id, which is on its way to the client.
func (s *Session) load(link Link, id uint16) (*Message, error) {
	return s.readAt(func() (journal.Place, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.link != link {
			return 0, errMoved
		}
		if _, it := s.flight(id); it != nil {
			return it.where(), nil
		}
		return 0, nil
	})
}

// readAt reads a message from the place that where returns. The cleaner may move
// it meanwhile; then where returns another.
func (s *Session) readAt(where func() (journal.Place, error)) (*Message, error) {
	err := journal.ErrGone
	var last journal.Place
	for {
		p, moved := where()
		if moved != nil {
			return nil, moved
		}
		if p == 0 || p == last {
			s.engine.log.Error("a message cannot be read from the disk", "client", s.id, "place", uint64(p), "error", err)
			return nil, err
		}
		m, failed := s.engine.journal.Load(p)
		if failed == nil {
			return &Message{Message: *m, Command: s.engine.opts.Command(m.Topic)}, nil
		}
		last, err = p, failed
	}
}

// read reads the message of it, which was taken out of the queue. If it cannot be
// had, that is counted.
func (s *Session) read(it *item) *Message {
	m, err := s.readAt(func() (journal.Place, error) { return it.place, nil })
	if err != nil {
		s.mu.Lock()
		s.stats.Damaged++
		s.engine.count(&s.engine.dropped.Damaged, s, "damaged on disk")
		s.mu.Unlock()
	}
	return m
}

// lose drops the message with packet id, which link has taken to send it, and
// counts that.
func (s *Session) lose(link Link, id uint16, mine *uint64, all *atomic.Uint64, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != link {
		return
	}
	*mine++
	s.engine.count(all, s, reason)
	if n, it := s.flight(id); it != nil {
		s.finish(n, it)
	}
}
