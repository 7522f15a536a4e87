package delivery

import (
	"errors"
	"fmt"
	"slices"

	"edge/broker/journal"
	"edge/internal/topic"
)

// ErrTooManySubscriptions is returned by Subscribe at the limit of a session.
var ErrTooManySubscriptions = errors.New("too many subscriptions")

// A subscriber is a session behind a filter.
type subscriber struct {
	s   *Session
	sub journal.Subscription
}

// A Route says who gets the messages of a topic.
type Route struct {
	Topic   string
	command bool
	targets []target
}

// A target is a session with what its matching subscriptions ask for together.
type target struct {
	s           *Session
	tag         *tag
	qos         byte
	asPublished bool

	// own is what counts for messages of the session itself, if one of its
	// subscriptions does not want them (No Local); else it is nil.
	own *target
}

// none marks a target that wants nothing of its own.
var none = new(target)

// Subscribe adds sub to s, or replaces the one with the same filter. existed
// tells which. SUBACK may be sent when the ticket is committed.
func (e *Engine) Subscribe(s *Session, sub journal.Subscription) (existed bool, t journal.Ticket, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, existed = s.subs[sub.Filter]
	if !existed && len(s.subs) >= e.opts.Subscriptions {
		return false, 0, ErrTooManySubscriptions
	}
	if s.durable() {
		t, err = e.journal.Append(&journal.Record{Kind: journal.Subscribed, Client: s.id, Subscription: sub})
		if err != nil {
			return existed, 0, err
		}
	}
	s.subs[sub.Filter] = sub
	list := e.filters.At(sub.Filter)
	if i := index(*list, s); i >= 0 {
		(*list)[i].sub = sub
	} else {
		*list = append(*list, subscriber{s, sub})
	}
	e.version.Add(1)
	return existed, t, nil
}

// Unsubscribe removes the subscription of s to filter and reports whether it
// existed.
func (e *Engine) Unsubscribe(s *Session, filter string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.subs[filter]; !ok {
		return false
	}
	delete(s.subs, filter)
	e.dropFilter(s, filter)
	if s.durable() {
		e.append(&journal.Record{Kind: journal.Unsubscribed, Client: s.id, Subscription: journal.Subscription{Filter: filter}})
	}
	return true
}

func (e *Engine) unsubscribeAll(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for filter := range s.subs {
		e.dropFilter(s, filter)
	}
	clear(s.subs)
}

func (e *Engine) dropFilter(s *Session, filter string) {
	list := e.filters.Get(filter)
	*list = slices.DeleteFunc(*list, func(x subscriber) bool { return x.s == s })
	if len(*list) == 0 {
		e.filters.Remove(filter)
	}
	e.version.Add(1)
}

func index(list []subscriber, s *Session) int {
	return slices.IndexFunc(list, func(x subscriber) bool { return x.s == s })
}

// route looks up who gets the messages of name.
func (e *Engine) route(name string) *Route {
	r := &Route{Topic: name, command: e.opts.Command(name)}
	e.mu.RLock()
	defer e.mu.RUnlock()
	places := make(map[*Session]int)
	e.filters.Match(name, func(_ string, list *[]subscriber) {
		for i := range *list {
			x := &(*list)[i]
			k, again := places[x.s]
			if again = again && !e.opts.Each; !again {
				k = len(r.targets)
				places[x.s] = k
				r.targets = append(r.targets, target{s: x.s})
			}
			r.targets[k].add(&x.sub, !again)
		}
	})
	return r
}

// add merges sub into t: one delivery, at the highest QoS, with all identifiers
// (MQTT 5.0, section 3.3.4).
func (t *target) add(sub *journal.Subscription, first bool) {
	switch {
	case sub.NoLocal && first:
		t.own = none
	case sub.NoLocal && t.own == nil:
		t.own = &target{tag: t.tag, qos: t.qos, asPublished: t.asPublished}
	case !sub.NoLocal && t.own == none:
		t.own = new(target)
		t.own.merge(sub)
	case !sub.NoLocal && t.own != nil:
		t.own.merge(sub)
	}
	t.merge(sub)
}

func (t *target) merge(sub *journal.Subscription) {
	t.qos = max(t.qos, sub.QoS)
	t.asPublished = t.asPublished || sub.RetainAsPublished
	if sub.ID == 0 {
		return
	}
	ids := append(slices.Clone(t.tag.identifiers()), sub.ID)
	slices.Sort(ids)
	t.tag = &tag{ids: ids}
}

// newTag returns the tag of messages that come by way of sub alone.
func newTag(sub *journal.Subscription) *tag {
	if sub.ID == 0 {
		return nil
	}
	return &tag{ids: []uint32{sub.ID}}
}

// checkTopic reports what is wrong with name as a topic to publish to. Names
// below $SYS are the broker's own.
func (e *Engine) checkTopic(name string) error {
	if len(name) > e.opts.TopicBytes || topic.Levels(name) > e.opts.TopicLevels {
		return fmt.Errorf("topic of %d bytes and %d levels: more than %d and %d are not allowed",
			len(name), topic.Levels(name), e.opts.TopicBytes, e.opts.TopicLevels)
	}
	return topic.CheckName(name)
}
