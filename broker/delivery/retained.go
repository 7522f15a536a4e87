package delivery

import (
	"cmp"

	"edge/broker/journal"
)

// A keepsake is the retained message of a topic.
type keepsake struct {
	m     *Message
	place journal.Place // of its record
	owner string        // name of the principal that published it
}

// retain keeps m as the retained message of its topic, or, if its payload is
// empty, forgets the one that is there (MQTT 5.0, section 3.3.1.3), which is older.
// ok is false if there is no room. The caller holds retainedMu, and puts the place of
// the record into the slot, if there is one.
func (e *Engine) retain(m *Message, owner string) (slot *keepsake, older keepsake, ok bool) {
	if slot = e.retained.Get(m.Topic); slot != nil {
		older = *slot
	}
	if len(m.Payload) == 0 {
		if slot != nil {
			e.dropRetained(slot.m)
		}
		return nil, older, true
	}
	grow := m.budget()
	if slot != nil {
		grow -= slot.m.budget()
	}
	if e.retainedBytes+grow > e.opts.RetainedBytes {
		return nil, older, false
	}
	if slot == nil {
		e.retainedCount++
		slot = e.retained.At(m.Topic)
	} else {
		e.retainedPlain -= len(slot.m.Payload)
	}
	*slot = keepsake{m: m.kept(), owner: owner}
	e.retainedBytes += grow
	e.retainedPlain += len(m.Payload)
	return slot, older, true
}

// budget returns what m takes of Options.RetainedBytes: nothing, if it is the
// broker's own. Those are few, and must be able to say that the store is full.
func (m *Message) budget() int {
	if m.Topic[0] == '$' {
		return 0
	}
	return m.size()
}

// reinstate makes k the retained message of a topic, or has it none if k is empty.
func (e *Engine) reinstate(topic string, k keepsake) {
	if now := e.retained.Get(topic); now != nil {
		e.dropRetained(now.m)
	}
	if k.m == nil {
		return
	}
	*e.retained.At(topic) = k
	e.retainedCount++
	e.retainedBytes += k.m.budget()
	e.retainedPlain += len(k.m.Payload)
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
	now := e.Now()
	var over []*Message
	var wake Link
	// While the messages are queued no newer ones may be, or the older would
	// come last.
	e.retainedMu.RLock()
	e.retained.Select(sub.Filter, func(_ string, k *keepsake) bool {
		if k.m.expired(now) {
			over = append(over, k.m)
			return true
		}
		if !e.mayStand(k) {
			return true
		}
		if !s.mayReceive(k.m.Topic) {
			e.withheld.Add(1)
			return true
		}
		it := item{m: k.m, tag: tag, qos: min(k.m.QoS, sub.QoS), flags: retained | pinned}
		if link := e.repeat(s, it); link != nil {
			wake = link
		}
		return true
	})
	e.retainedMu.RUnlock()
	if wake != nil {
		wake.Wake()
	}
	e.dropExpired(over)
}

// repeat queues it, a retained message, for s. It is kept as any other message for
// a session that lasts: after a crash its packet id would be used for another one,
// which the client, if it has not finished with this one, takes for a repetition.
func (e *Engine) repeat(s *Session, it item) (wake Link) {
	within, keep := e.opts.Durability(it.m.Topic)
	if it.qos == 0 || !s.durable() || !keep {
		wake, _ = s.push(&it)
		return wake
	}
	m := &Message{Message: it.m.Message, Command: it.m.Command}
	m.Retain = false // The record must not take the place of the retained message.
	if it.m = m; it.qos == 2 {
		m.after.Store(uncommitted)
	}
	wake, ok := s.push(&it)
	if !ok {
		return wake
	}
	r := journal.Record{Kind: journal.Published, Message: &m.Message, Targets: []journal.Target{it.target(s)}, Within: within}
	t, err := e.journal.Append(&r)
	m.placed(r.Place)
	if it.qos == 1 {
		return wake
	}
	if m.setAfter(uint64(t)); err != nil {
		m.setAfter(withdrawn)
	}
	return cmp.Or(s.rouse(), wake)
}

func (e *Engine) dropExpired(over []*Message) {
	if len(over) == 0 {
		return
	}
	e.retainedMu.Lock()
	defer e.retainedMu.Unlock()
	for _, m := range over {
		if k := e.retained.Get(m.Topic); k != nil && k.m == m {
			e.dropRetained(m)
		}
	}
}
