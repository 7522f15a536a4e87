package delivery

// What waits for a session that lasts is on disk. What waits for one that ends with
// its connection is in memory, so there is less room for it: a client that does not
// read would have all publishers refused once the memory is full. Its session ends
// with what waits for it, as it would have anyway when the client leaves.

// bookUnkept counts a QoS 1 or 2 message, if nothing but s keeps it. Retained messages
// are in memory anyway, and who reads within the process is no stranger.
func (s *Session) bookUnkept(it *item) {
	if !s.durable() && !s.local && it.flags&pinned == 0 {
		it.flags |= inMemoryOnly
		s.unkept += it.bytes()
	}
}

// overUnkept reports whether more waits in memory for s than may.
func (s *Session) overUnkept() bool { return s.unkept > s.engine.opts.UnkeptBytes && !s.durable() }

// overruns reports whether s must end now, for what waits for it.
func (s *Session) overruns() bool {
	return !s.lost && s.link != nil && !s.engine.opts.DropOldest && s.overUnkept()
}

// An overrun is the link of a session that must end. Those who are to wake it hold
// no locks when they do.
type overrun struct {
	Link
	end func(Link)
}

// Wake implements Link.
func (o overrun) Wake() { o.end(o.Link) }

// countLost counts what waited for a session that had to end.
func (s *Session) countLost() {
	for n := s.queue.head; s.lost && n < s.queue.tail; n++ {
		if it := s.queue.at(n); !it.gone() && it.qos > 0 {
			s.stats.Full++
			s.engine.count(&s.engine.dropped.Full, s, "full queue")
		}
	}
}
