package delivery

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"edge/internal/topic"
)

// Stats are counts of what the engine holds now.
type Stats struct {
	Sessions      int
	Online        int // sessions with a connection
	Subscriptions int
	Shared        int // subscriptions of groups, within Subscriptions

	Retained        int // messages
	RetainedBytes   int // what they take of Options.RetainedBytes
	RetainedPayload int // bytes

	Queued        int // messages that wait, in all sessions
	QueuedBytes   int // what they take of Options.QueueBytes and QoS0Bytes
	QueuedPayload int // bytes; estimated in long queues whose messages differ in size

	Inflight        int // QoS 1 and 2 messages to clients, sent and not acknowledged
	InflightPayload int // bytes

	Owned   int    // QoS 2 messages of clients that PUBREL has not released
	Expired uint64 // sessions that ended because nobody came back, so far
}

// Stats walks through all sessions. Each is locked for a moment only.
func (e *Engine) Stats() Stats {
	st := Stats{Expired: e.expired.Load()}
	e.mu.RLock()
	sessions := slices.Collect(maps.Values(e.sessions))
	e.mu.RUnlock()
	for _, s := range sessions {
		s.addTo(&st)
	}
	e.retainedMu.RLock()
	st.Retained, st.RetainedBytes, st.RetainedPayload = e.retainedCount, e.retainedBytes, e.retainedPlain
	e.retainedMu.RUnlock()
	return st
}

// addTo counts s in st.
func (s *Session) addTo(st *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	st.Sessions++
	if s.link != nil {
		st.Online++
	}
	st.Subscriptions += len(s.subs)
	for filter := range s.subs {
		if strings.HasPrefix(filter, topic.SharePrefix) {
			st.Shared++
		}
	}
	queued := s.queue.len() - s.dropped
	st.Queued += queued
	st.QueuedBytes += s.bytes + s.bytes0
	st.QueuedPayload += s.queuedPayload(queued)
	for n := s.sent.head; n < s.sent.tail; n++ {
		if it := s.sent.at(n); it.flags&done == 0 {
			st.Inflight++
			st.InflightPayload += it.payload()
		}
	}
	st.Owned += len(s.received)
}

// sampled is how many messages of a queue are looked at to learn what their
// payloads take: a walk through a million of them would hold up the session.
const sampled = 256

// payload returns the bytes of its payload; of a message on disk, about.
func (it *item) payload() int {
	if it.m != nil {
		return len(it.m.Payload)
	}
	return int(it.size) - overhead
}

// queuedPayload returns the payload bytes of the messages in the queue, of which
// there are so many.
func (s *Session) queuedPayload(messages int) int {
	bytes, seen := 0, 0
	step := uint64(max(1, s.queue.len()/sampled))
	for n := s.queue.head; n < s.queue.tail; n += step {
		if it := s.queue.at(n); !it.gone() {
			bytes += it.payload()
			seen++
		}
	}
	if seen == 0 {
		return 0
	}
	return int(int64(bytes) * int64(messages) / int64(seen))
}

// Withheld returns how many messages were not queued for a client whose subscription
// they match, since it may not receive them.
func (e *Engine) Withheld() uint64 { return e.withheld.Load() }

// Dropped returns what all sessions lost so far.
func (e *Engine) Dropped() Dropped {
	d := &e.dropped
	return Dropped{d.Slow.Load(), d.Expired.Load(), d.Full.Load(), d.Large.Load(), d.Orphaned.Load(), d.Damaged.Load(), d.Forbidden.Load()}
}

// Total returns the losses of all reasons.
func (d Dropped) Total() uint64 {
	return d.Slow + d.Expired + d.Full + d.Large + d.Orphaned + d.Damaged + d.Forbidden
}

// Since returns what was lost after older was counted.
func (d Dropped) Since(older Dropped) Dropped {
	return Dropped{
		d.Slow - older.Slow, d.Expired - older.Expired, d.Full - older.Full, d.Large - older.Large, d.Orphaned - older.Orphaned,
		d.Damaged - older.Damaged, d.Forbidden - older.Forbidden,
	}
}

// A Loss is what one client lost since it was told of last.
type Loss struct {
	Client string
	Dropped
}

// maxLosses bounds the sessions that are remembered until Losses is called.
// What others lose is in the totals, and told the next time.
const maxLosses = 1000

// losses remembers the sessions that lost something since it was last asked.
type losses struct {
	mu       sync.Mutex
	sessions []*Session
}

// note remembers s, whose lock the caller holds.
func (l *losses) note(s *Session) {
	if s.losing {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) < maxLosses {
		s.losing = true
		l.sessions = append(l.sessions, s)
	}
}

// Losses returns what clients lost since it was called last, by client id.
func (e *Engine) Losses() []Loss {
	e.losses.mu.Lock()
	sessions := e.losses.sessions
	e.losses.sessions = nil
	e.losses.mu.Unlock()
	var out []Loss
	for _, s := range sessions {
		s.mu.Lock()
		out = append(out, Loss{s.id, s.stats.Since(s.told)})
		s.told, s.losing = s.stats, false
		s.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Loss) int { return cmp.Compare(a.Client, b.Client) })
	return out
}
