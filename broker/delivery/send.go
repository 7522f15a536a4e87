package delivery

import "sync/atomic"

// Next appends to out what link may send now, up to about limit bytes, and
// takes it out of the queue. If it appends nothing, link is woken when there is
// more. ok is false when the session does not belong to link any more, or when the
// disk does not give what comes next: then the connection must end, and the next
// one is sent all of it.
func (s *Session) Next(link Link, out []Out, limit int) (_ []Out, ok bool) {
	for n := len(out); ; {
		var late []*Message
		out, late, ok = s.take(link, out, limit)
		taken := len(out)
		if ok {
			out, late, ok = s.fetch(link, out, n, late)
		}
		for _, m := range late {
			s.engine.refuse(m, Expired)
		}
		if len(out) > n || taken == n || !ok {
			return out, ok
		}
	}
}

// take is Next with the lock held; late are commands that expired.
func (s *Session) take(link Link, out []Out, limit int) (_ []Out, late []*Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != link {
		return out, nil, false
	}
	n := len(out)
	out, limit = s.resend(out, limit)
	if s.resent == s.sent.tail {
		out, late = s.send(out, limit)
	}
	s.idle = len(out) == n
	return out, late, true
}

// resend appends what was sent on an earlier connection and not acknowledged,
// in the old order (MQTT 5.0, section 4.4).
func (s *Session) resend(out []Out, limit int) ([]Out, int) {
	defer s.trim()
	for ; s.resent < s.sent.tail && s.open < s.window && limit > 0; s.resent++ {
		it := s.sent.at(s.resent)
		if it.flags&done != 0 {
			continue
		}
		if it.flags&released != 0 && !s.settled() {
			break
		}
		if it.m != nil && !s.mayReceive(it.m.Topic) {
			s.withhold(it)
			continue
		}
		s.open++
		limit -= it.bytes()
		out = append(out, s.out(it, true))
	}
	return out, limit
}

// send appends what was not sent before. late are the commands among it that
// expired.
func (s *Session) send(out []Out, limit int) (_ []Out, late []*Message) {
	committed := uint64(s.engine.journal.Committed())
	var now int64
	for s.queue.len() > 0 && limit > 0 {
		it := *s.queue.at(s.queue.head)
		if it.gone() {
			s.queue.pop()
			s.dropped--
			continue
		}
		if it.m != nil && it.m.Expires != 0 {
			if now == 0 {
				now = s.engine.Now()
			}
			if it.m.expired(now) {
				late = s.expire(it, late)
				continue
			}
		}
		if s.queue.head < s.doubtful && it.m != nil && !s.mayReceive(it.m.Topic) {
			s.discard(it, &s.stats.Forbidden, &s.engine.dropped.Forbidden, "forbidden")
			continue
		}
		if it.qos == 0 {
			s.bytes0 -= it.bytes()
		} else if s.open >= s.window || s.sent.len() > 0 && it.seq-s.sent.at(s.sent.head).seq >= maxSpan {
			break
		} else if it.withdrawn() {
			s.forget(&it)
			s.queue.pop()
			continue
		} else if !s.safe(&it, &committed) {
			break
		} else {
			s.unbook(&it)
			s.sent.push(it)
			s.resent++
			s.open++
		}
		s.queue.pop()
		limit -= it.bytes()
		out = append(out, s.out(&it, false))
	}
	return out, late
}

// withdrawn reports whether its message could not be kept, and so is not
// delivered.
func (it *item) withdrawn() bool { return it.m != nil && it.m.after.Load() == withdrawn }

// safe reports whether it may be delivered as far as the disk is concerned. If
// not, the link is woken when it may. committed is what was seen last.
func (s *Session) safe(it *item, committed *uint64) bool {
	if it.m == nil {
		return true // What is read from the disk was committed.
	}
	after := it.m.after.Load()
	if after <= *committed {
		return true
	}
	s.engine.Await(s.link)
	*committed = uint64(s.engine.journal.Committed())
	return after <= *committed
}

// settled reports whether it is safe what the client was about to be told of QoS 2
// flows when its last connection was lost. If not, the link is woken when it is.
func (s *Session) settled() bool {
	if s.flows <= s.engine.journal.Committed() {
		return true
	}
	s.engine.Await(s.link)
	return s.flows <= s.engine.journal.Committed()
}

// withhold ends the flow of a message that was to be sent again.
func (s *Session) withhold(it *item) {
	s.acknowledged(it.seq)
	it.flags |= done
	it.m, it.place = finished, 0
	s.stats.Forbidden++
	s.engine.count(&s.engine.dropped.Forbidden, s, "forbidden")
}

// discard drops the first message of the queue.
func (s *Session) discard(it item, mine *uint64, all *atomic.Uint64, reason string) {
	if it.qos == 0 {
		s.bytes0 -= it.bytes()
	} else {
		s.forget(&it)
	}
	s.queue.pop()
	*mine++
	s.engine.count(all, s, reason)
}

// expire drops the first message of the queue.
func (s *Session) expire(it item, late []*Message) []*Message {
	s.discard(it, &s.stats.Expired, &s.engine.dropped.Expired, "expired")
	if it.m.Command {
		late = append(late, it.m)
	}
	return late
}

func (s *Session) out(it *item, again bool) Out {
	o := Out{Message: it.m, QoS: it.qos, Retain: it.flags&retained != 0, IDs: it.tag.identifiers()}
	if it.qos > 0 {
		o.ID = s.packetID(it.seq)
		o.Release = it.flags&released != 0
		o.Dup = again
	}
	return o
}
