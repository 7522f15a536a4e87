package delivery

import (
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

// fetch reads the messages of out from number n on that are on disk. Those that
// cannot be had, or whose time is over, are dropped; late are the commands among
// these.
func (s *Session) fetch(out []Out, n int, late []*Message) ([]Out, []*Message) {
	k := n
	for i := n; i < len(out); i++ {
		if o := &out[i]; o.Message == nil && !o.Release {
			m := s.load(o.ID)
			switch {
			case m == nil:
				s.lose(o.ID, &s.stats.Damaged, &s.engine.dropped.Damaged, "damaged on disk")
				continue
			case m.expired(s.engine.now()):
				s.lose(o.ID, &s.stats.Expired, &s.engine.dropped.Expired, "expired")
				if m.Command {
					late = append(late, m)
				}
				continue
			}
			o.Message = m
		}
		if k != i {
			out[k] = out[i]
		}
		k++
	}
	clear(out[k:])
	return out[:k], late
}

// load reads the message with packet id, which is on its way to the client. It
// returns nil if it cannot be had.
func (s *Session) load(id uint16) *Message {
	return s.readAt(func() (p journal.Place) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, it := s.flight(id); it != nil {
			p = it.where()
		}
		return p
	})
}

// readAt reads a message from the place that where returns. The cleaner may move
// it meanwhile; then where returns another.
func (s *Session) readAt(where func() journal.Place) *Message {
	var last journal.Place
	for {
		p := where()
		if p == 0 || p == last {
			s.engine.log.Error("a message cannot be read from the disk", "client", s.id, "place", uint64(p))
			return nil
		}
		m, err := s.engine.journal.Load(p)
		if err == nil {
			return &Message{Message: *m, Command: s.engine.opts.Command(m.Topic)}
		}
		last = p
	}
}

// read reads the message of it, which was taken out of the queue. If it cannot be
// had, that is counted.
func (s *Session) read(it *item) *Message {
	m := s.readAt(func() journal.Place { return it.place })
	if m == nil {
		s.mu.Lock()
		s.stats.Damaged++
		s.engine.count(&s.engine.dropped.Damaged, s, "damaged on disk")
		s.mu.Unlock()
	}
	return m
}

// lose drops the message with packet id, which was taken to be sent, and counts
// that.
func (s *Session) lose(id uint16, mine *uint64, all *atomic.Uint64, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*mine++
	s.engine.count(all, s, reason)
	if n, it := s.flight(id); it != nil {
		s.finish(n, it)
	}
}
