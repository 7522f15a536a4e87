package delivery

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

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
	denied  bool          // the publisher that it was looked up for may not publish to it
	within  time.Duration // see Options.Durability
	keep    bool
	targets []target
	groups  []*group

	withheld uint64 // subscriptions that match, of clients that may not receive it
}

// weight returns about how many bytes r takes: topics and receivers are as many as
// strangers like.
func (r *Route) weight() int {
	return 2*overhead + len(r.Topic) + len(r.targets)*int(unsafe.Sizeof(target{}))
}

// full reports whether a message of QoS 1 or 2 has no room at one of the targets.
func (r *Route) full() bool {
	for i := range r.targets {
		if t := &r.targets[i]; t.s.full.Load() && t.qos > 0 {
			return true
		}
	}
	return false
}

// Deferred reports whether the acknowledgement of a message waits for others to be
// written with it.
func (r *Route) Deferred() bool { return r.within > 0 }

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
	existed, g, t, err := e.subscribe(s, sub)
	if g != nil {
		g.arrive(s)
	}
	return existed, t, err
}

// subscribe is Subscribe. g is the group, if sub is shared.
func (e *Engine) subscribe(s *Session, sub journal.Subscription) (existed bool, g *group, t journal.Ticket, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	existed, t, err = e.admit(s, sub)
	switch {
	case err != nil:
	case shared(sub.Filter):
		g = e.join(s, &sub)
	default:
		e.addFilter(s, sub)
	}
	return existed, g, t, err
}

func shared(filter string) bool {
	group, _ := topic.Share(filter)
	return group != ""
}

// admit enters sub in the books of s; e.mu is held.
func (e *Engine) admit(s *Session, sub journal.Subscription) (existed bool, t journal.Ticket, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, existed = s.subs[sub.Filter]
	switch {
	case existed:
	case len(s.subs) >= e.opts.Subscriptions:
		return false, 0, ErrTooManySubscriptions
	case !s.local && e.pressure.tight.Load():
		e.pressure.subs.Add(1)
		return false, 0, ErrNoMemory
	}
	if t, err = s.recordSubscribed(sub); err != nil {
		return existed, 0, err
	}
	s.subs[sub.Filter] = sub
	return existed, t, nil
}

func (e *Engine) addFilter(s *Session, sub journal.Subscription) {
	list := e.filters.At(sub.Filter)
	if i := index(*list, s); i >= 0 {
		(*list)[i].sub = sub
	} else {
		*list = append(*list, subscriber{s, sub})
	}
	e.version.Add(1)
}

// Unsubscribe removes the subscription of s to filter and reports whether it
// existed. UNSUBACK may be sent when the ticket is committed.
func (e *Engine) Unsubscribe(s *Session, filter string) (existed bool, t journal.Ticket) {
	existed, g, t := e.unsubscribe(s, filter)
	if g != nil {
		g.retire(s, false)
	}
	return existed, t
}

// unsubscribe is Unsubscribe. g is the group, if filter is shared.
func (e *Engine) unsubscribe(s *Session, filter string) (existed bool, g *group, t journal.Ticket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	_, existed = s.subs[filter]
	delete(s.subs, filter)
	if existed {
		t = s.recordUnsubscribed(filter)
	}
	s.mu.Unlock()
	if existed {
		g = e.dropFilter(s, filter)
	}
	return existed, g, t
}

func (e *Engine) unsubscribeAll(s *Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	subs := s.subs
	s.subs = make(map[string]journal.Subscription)
	s.mu.Unlock()
	for filter := range subs {
		e.dropFilter(s, filter)
	}
}

// dropFilter takes s from behind filter, and returns its group if it is shared;
// e.mu is held.
func (e *Engine) dropFilter(s *Session, filter string) *group {
	if shared(filter) {
		return e.quit(s, filter)
	}
	list := e.filters.Get(filter)
	*list = slices.DeleteFunc(*list, func(x subscriber) bool { return x.s == s })
	if len(*list) == 0 {
		e.filters.Remove(filter)
	}
	e.version.Add(1)
	return nil
}

func index(list []subscriber, s *Session) int {
	return slices.IndexFunc(list, func(x subscriber) bool { return x.s == s })
}

// route looks up who gets the messages of name.
func (e *Engine) route(name string) *Route {
	r := &Route{Topic: name, command: e.opts.Command(name)}
	r.within, r.keep = e.opts.Durability(name)
	f := findings.Get().(*found)
	e.mu.RLock()
	e.filters.Match(name, func(_ string, list *[]subscriber) {
		for i := range *list {
			if x := &(*list)[i]; x.s.mayReceive(name) {
				f.add(x, e.opts.Each)
			} else {
				r.withheld++
			}
		}
	})
	e.shares.Match(name, func(_ string, list *[]*group) { r.groups = append(r.groups, *list...) })
	e.mu.RUnlock()
	r.targets = slices.Clone(f.targets)
	f.reset()
	findings.Put(f)
	return r
}

// A found gathers the targets of a route. While subscriptions change, routes are
// looked up all the time; memory for it is used again.
type found struct {
	targets []target
	places  map[*Session]int // of sessions in targets; nil while these are few
}

var findings = sync.Pool{New: func() any { return new(found) }}

// few is up to how many targets a walk is faster than a map.
const few = 16

// add adds x, to the target of its session if there is one and each subscription
// is not to have its own.
func (f *found) add(x *subscriber, each bool) {
	if !each {
		if i := f.place(x.s); i >= 0 {
			f.targets[i].add(&x.sub, false)
			return
		}
	}
	t := target{s: x.s}
	t.add(&x.sub, true)
	if f.targets = append(f.targets, t); f.places != nil {
		f.places[x.s] = len(f.targets) - 1
	}
}

// place returns where s is among the targets, negative if it is not.
func (f *found) place(s *Session) int {
	if len(f.targets) <= few {
		for i := range f.targets {
			if f.targets[i].s == s {
				return i
			}
		}
		return -1
	}
	if f.places == nil {
		f.places = make(map[*Session]int)
		for i := range f.targets {
			f.places[f.targets[i].s] = i
		}
	}
	if i, ok := f.places[s]; ok {
		return i
	}
	return -1
}

func (f *found) reset() {
	clear(f.targets)
	f.targets, f.places = f.targets[:0], nil
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

// A tag says by way of which subscriptions a message came. Many messages share
// one; it is not changed. A nil tag says nothing.
type tag struct {
	ids   []uint32 // subscription identifiers
	group *group   // nil for messages of subscriptions that are not shared
}

// newTag returns the tag of messages that come by way of sub alone, which is in
// g if it is shared.
func newTag(sub *journal.Subscription, g *group) *tag {
	if sub.ID == 0 && g == nil {
		return nil
	}
	t := &tag{group: g}
	if sub.ID != 0 {
		t.ids = []uint32{sub.ID}
	}
	return t
}

func (t *tag) identifiers() []uint32 {
	if t == nil {
		return nil
	}
	return t.ids
}

// of returns the group that a message belongs to, nil for most.
func (t *tag) of() *group {
	if t == nil {
		return nil
	}
	return t.group
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
