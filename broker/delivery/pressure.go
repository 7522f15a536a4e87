package delivery

import (
	"errors"
	"sync/atomic"
)

// ErrNoMemory is returned for what would be kept while memory is short.
var ErrNoMemory = errors.New("the hub is near its memory budget")

const (
	// tightQoS0 is how many bytes of QoS 0 messages wait for one session while
	// memory is short.
	tightQoS0 = 64 << 10

	// maxRouteBytes bounds the routes that a publisher remembers, and
	// tightRouteBytes does while memory is short.
	maxRouteBytes   = 1 << 20
	tightRouteBytes = 16 << 10
)

// Pressed counts what was refused because memory was short.
type Pressed struct {
	Sessions      uint64
	Subscriptions uint64
	Messages      uint64 // QoS 1 and 2, and retained ones
}

// pressure is what an engine knows about memory. What each message looks at is
// read only, but for the moments in which it changes.
type pressure struct {
	tight    atomic.Bool
	qos0     atomic.Int64 // bytes of QoS 0 messages that may wait for one session
	sessions atomic.Uint64
	subs     atomic.Uint64
	messages atomic.Uint64
}

// Tighten says whether memory is short. While it is, nothing new is kept: sessions
// and subscriptions are refused, and so are messages that would have to wait for
// their receivers, or that would make the retained ones grow. Messages of QoS 0
// that wait are dropped. What was acknowledged stays, and is sent to who comes for
// it. Sessions within the process are exempt: what they keep, the configuration
// bounds.
func (e *Engine) Tighten(tight bool) {
	e.pressure.tight.Store(tight)
	if !tight {
		e.pressure.qos0.Store(int64(e.opts.QoS0Bytes))
		return
	}
	e.pressure.qos0.Store(int64(min(tightQoS0, e.opts.QoS0Bytes)))
	for _, s := range e.Sessions() {
		s.mu.Lock()
		if s.bytes0 > tightQoS0 {
			s.dropSlow()
		}
		s.mu.Unlock()
	}
}

// Pressed returns what was refused so far because memory was short.
func (e *Engine) Pressed() Pressed {
	p := &e.pressure
	return Pressed{p.sessions.Load(), p.subs.Load(), p.messages.Load()}
}

// presses reports whether memory is short and m would be kept, and counts it then.
// m must not be retained.
func (p *Publisher) presses(r *Route, m *Message) bool {
	if !p.engine.pressure.tight.Load() || p.session.local || m.QoS == 0 || r.keepUp() {
		return false
	}
	p.engine.pressure.messages.Add(1)
	return true
}

// keepUp reports whether a message of QoS 1 or 2 has not to wait for anybody.
func (r *Route) keepUp() bool {
	for i := range r.targets {
		if t := &r.targets[i]; t.qos > 0 && !t.s.keepsUp() {
			return false
		}
	}
	for _, g := range r.groups {
		if !g.keepsUp() {
			return false
		}
	}
	return true
}

// keepsUp reports whether s has a connection, and no more messages wait for that
// than may be on their way.
func (s *Session) keepsUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil && s.count < s.window
}

// keepsUp reports whether one of the members does.
func (g *group) keepsUp() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.members {
		if g.members[i].s.keepsUp() {
			return true
		}
	}
	return len(g.members) == 0
}

// pressesRetained reports whether memory is short and m would make the retained
// messages grow, by more than a state that has changed does. retainedMu is held.
func (p *Publisher) pressesRetained(m *Message) bool {
	if !p.engine.pressure.tight.Load() || p.session.local || len(m.Payload) == 0 {
		return false
	}
	if k := p.engine.retained.Get(m.Topic); k != nil && m.size() <= k.m.size()+overhead {
		return false
	}
	p.engine.pressure.messages.Add(1)
	return true
}

// routeBytes returns how much memory the routes of a publisher may take.
func (p *pressure) routeBytes() int {
	if p.tight.Load() {
		return tightRouteBytes
	}
	return maxRouteBytes
}
