package delivery

import "fmt"

// What one principal can have is bounded over all its sessions: client ids cost
// nothing. Nobody in particular, the owner without a name, is bounded by what there
// may be in all.

// errTooManyOfOwner is ErrTooManySessions for one principal.
var errTooManyOfOwner = fmt.Errorf("%w of one user", ErrTooManySessions)

// enter adds s to the sessions, unless there are too many; e.mu is held. The number
// of connections bounds those that do not last.
func (e *Engine) enter(s *Session, lasts bool) error {
	most := e.opts.OwnerSessions
	switch {
	case lasts && len(e.sessions) >= e.opts.Sessions:
		return ErrTooManySessions
	case most > 0 && s.owner != "" && e.owners[s.owner] >= most:
		return errTooManyOfOwner
	case e.pressure.tight.Load():
		e.pressure.sessions.Add(1)
		return ErrNoMemory
	}
	e.sessions[s.id] = s
	e.owns(s.owner, 1)
	return nil
}

// owns counts n more sessions of owner; e.mu is held.
func (e *Engine) owns(owner string, n int) {
	if e.owners[owner] += n; e.owners[owner] == 0 {
		delete(e.owners, owner)
	}
}

// Weigh adds up what waits for the sessions of each principal. Where that is beyond
// Options.OwnerQueueBytes, they take no more until Weigh finds it is less. It looks
// at every session: it is for each second, so that no message has to count, and for
// one goroutine.
func (e *Engine) Weigh() {
	sessions := e.Sessions()
	e.weighWills(sessions)
	if e.opts.OwnerQueueBytes == 0 || e.opts.DropOldest {
		return // Who drops the oldest keeps each session within its own limit.
	}
	waiting := waitingByOwner(sessions)
	was := e.over
	e.over = false
	for _, n := range waiting {
		e.over = e.over || n > e.opts.OwnerQueueBytes
	}
	if !was && !e.over {
		return
	}
	for _, s := range sessions {
		s.mu.Lock()
		if over := waiting[s.owner] > e.opts.OwnerQueueBytes; over != s.over {
			s.over = over
			s.checkFull()
		}
		s.mu.Unlock()
	}
}

// waitingByOwner returns the bytes of QoS 1 and 2 messages that wait for each
// principal with a name.
func waitingByOwner(sessions []*Session) map[string]int {
	waiting := make(map[string]int)
	for _, s := range sessions {
		s.mu.Lock()
		if s.owner != "" && s.bytes > 0 {
			waiting[s.owner] += s.bytes
		}
		s.mu.Unlock()
	}
	return waiting
}
