package delivery

import (
	"time"

	"edge/broker/journal"
)

// retain keeps m as the retained message of its topic, or, if its payload is
// empty, forgets the one that is there (MQTT 5.0, section 3.3.1.3). It returns
// false if there is no room.
func (e *Engine) retain(m *Message) bool {
	e.retainedMu.Lock()
	defer e.retainedMu.Unlock()
	old := e.retained.Get(m.Topic)
	if len(m.Payload) == 0 {
		if old != nil {
			e.dropRetained(*old)
		}
		return true
	}
	grow := m.budget()
	if old != nil {
		grow -= (*old).budget()
	}
	if e.retainedBytes+grow > e.opts.RetainedBytes {
		return false
	}
	if old == nil {
		e.retainedCount++
		old = e.retained.At(m.Topic)
	} else {
		e.retainedPlain -= len((*old).Payload)
	}
	*old = m.kept()
	e.retainedBytes += grow
	e.retainedPlain += len(m.Payload)
	return true
}

// budget returns what m takes of Options.RetainedBytes: nothing, if it is the
// broker's own. Those are few, and must be able to say that the store is full.
func (m *Message) budget() int {
	if m.Topic[0] == '$' {
		return 0
	}
	return m.size()
}

func (e *Engine) dropRetained(m *Message) {
	e.retained.Remove(m.Topic)
	e.retainedBytes -= m.budget()
	e.retainedPlain -= len(m.Payload)
	e.retainedCount--
}

// SendRetained queues the retained messages that a new subscription of s asks
// for (MQTT 5.0, section 3.3.1.3); existed is what Subscribe returned. A shared
// subscription gets none (section 4.8.2).
func (e *Engine) SendRetained(s *Session, sub journal.Subscription, existed bool) {
	if shared(sub.Filter) || sub.RetainHandling == 2 || sub.RetainHandling == 1 && existed {
		return
	}
	tag := newTag(&sub, nil)
	now := time.Now().Unix()
	var over []*Message
	var wake Link
	// While the messages are queued no newer ones may be, or the older would
	// come last.
	e.retainedMu.RLock()
	e.retained.Select(sub.Filter, func(_ string, m **Message) bool {
		if (*m).expired(now) {
			over = append(over, *m)
		} else {
			link := s.push(&item{m: *m, tag: tag, qos: min((*m).QoS, sub.QoS), flags: retained | pinned})
			if link != nil {
				wake = link
			}
		}
		return true
	})
	e.retainedMu.RUnlock()
	if wake != nil {
		wake.Wake()
	}
	e.dropExpired(over)
}

func (e *Engine) dropExpired(over []*Message) {
	if len(over) == 0 {
		return
	}
	e.retainedMu.Lock()
	defer e.retainedMu.Unlock()
	for _, m := range over {
		if now := e.retained.Get(m.Topic); now != nil && *now == m {
			e.dropRetained(m)
		}
	}
}
