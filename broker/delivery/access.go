package delivery

import (
	"errors"
	"maps"
	"slices"
)

// ErrForeign is returned by Begin for the session of another principal.
var ErrForeign = errors.New("the client id belongs to somebody else")

// An Access says what one principal may do. Its methods are called by several
// goroutines at once, and for each topic anew: they must be quick.
type Access interface {
	MayPublish(topic string) bool
	MayReceive(topic string) bool
}

// authorize asks what the owner of s may do.
func (s *Session) authorize() {
	e, owner := s.engine, s.Owner()
	if e.opts.Access == nil || owner == Hub {
		return
	}
	// Of two who ask at once, the one with the newer answer must be the last.
	e.asking.Lock()
	if a := e.opts.Access(owner, s.id); a != nil {
		s.access.Store(&a)
	} else {
		s.access.Store(nil)
	}
	e.asking.Unlock()
	s.mu.Lock()
	s.doubtful = s.queue.tail
	s.mu.Unlock()
}

// belongs reports whether owner may have s. What nobody in particular has begun is
// whose it becomes: somebody who turns passwords on wants to keep the sessions.
func (s *Session) belongs(owner string) bool {
	had := s.Owner()
	return had == "" || had == owner
}

// adopt makes s the session of owner.
func (s *Session) adopt(owner string) {
	had := s.Owner()
	if had == owner {
		return
	}
	s.engine.mu.Lock()
	s.engine.owns(had, -1)
	s.engine.owns(owner, 1)
	s.mu.Lock()
	s.owner = owner
	s.mu.Unlock()
	s.engine.mu.Unlock()
	s.authorize()
}

// Reauthorize asks anew what everybody may do. It counts at once: for who
// publishes, for messages that wait or are sent again, and for retained ones.
func (e *Engine) Reauthorize() {
	for _, s := range e.Sessions() {
		s.authorize()
	}
	for _, s := range e.bound() {
		s.authorize()
	}
	e.version.Add(1)
}

// bound returns the sessions within the process that are under rules.
func (e *Engine) bound() []*Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.Collect(maps.Keys(e.locals))
}

func (s *Session) mayPublish(topic string) bool {
	a := s.access.Load()
	return a == nil || (*a).MayPublish(topic)
}

func (s *Session) mayReceive(topic string) bool {
	a := s.access.Load()
	return a == nil || (*a).MayReceive(topic)
}

// mayStand reports whether the retained message of k would still be taken from
// who has published it.
func (e *Engine) mayStand(k *keepsake) bool {
	if e.opts.Access == nil || k.owner == Hub {
		return true
	}
	a := e.opts.Access(k.owner, k.m.Origin)
	return a == nil || a.MayPublish(k.m.Topic)
}

// Hub is the owner of sessions of the process itself, which may do everything.
// Nobody else has a name that begins with $.
const Hub = "$hub"

// Owner returns the name of the principal that s belongs to.
func (s *Session) Owner() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}
