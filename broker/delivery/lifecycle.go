package delivery

import (
	"errors"
	"time"

	"edge/broker/journal"
)

// ErrTooManySessions is returned by Begin at the limit of sessions.
var ErrTooManySessions = errors.New("too many sessions")

// An Opening is what a connection asks for in CONNECT.
type Opening struct {
	ID     string
	Owner  string // name of the principal
	Clean  bool   // forget the session that may exist
	Expiry uint32 // seconds that the session outlives its connection; Forever
	Window int    // receive maximum of the client; 0 is none
	Will   *Will
	Link   Link
}

// A Will is the message that is sent when a client leaves without a word (MQTT
// 5.0, section 3.1.2.5).
type Will struct {
	Message *Message
	Delay   uint32 // seconds
	Expiry  uint32 // seconds that the message lives once it is sent; 0 is for ever
}

// Begin gives the session of a client id to a connection, taking it from an
// older connection and waiting until that one has let go. present is true if
// the session existed. The caller calls release when the connection is ready
// for the next one to take it over.
func (e *Engine) Begin(o Opening) (s *Session, present bool, release func(), err error) {
	release = e.ids.lock(o.ID)
	old := e.session(o.ID)
	if old != nil && !old.belongs(o.Owner) {
		release()
		return nil, false, nil, ErrForeign
	}
	if err := e.admitWill(o.Will); err != nil {
		release()
		return nil, false, nil, err
	}
	if old != nil {
		old.takeOver()
		old = e.session(o.ID) // It may have ended with its connection.
	}
	var ended journal.Ticket
	if old != nil && o.Clean {
		e.end(old)
		ended, old = old.flows, nil
	}
	if old != nil {
		old.adopt(o.Owner)
		e.resume(old, o)
		return old, true, release, nil
	}
	s = &Session{engine: e, id: o.ID, owner: o.Owner, next: e.floor.Load(), flows: ended, subs: make(map[string]journal.Subscription)}
	s.places.first = s.next
	e.mu.Lock()
	err = e.enter(s, o.Expiry > 0)
	e.mu.Unlock()
	if err != nil {
		release()
		return nil, false, nil, err
	}
	s.authorize() // Now, since Reauthorize knows s from here on.
	e.resume(s, o)
	return s, false, release, nil
}

// Local returns a session within the process, of owner, who is Hub or under the
// rules as others are. It has no client id that another could take over, and ends
// with Leave.
func (e *Engine) Local(id, owner string, link Link) *Session {
	s := &Session{engine: e, id: id, owner: owner, local: true, subs: make(map[string]journal.Subscription)}
	if owner != Hub {
		e.mu.Lock()
		e.locals[s] = struct{}{}
		e.mu.Unlock()
		s.authorize() // Now, since Reauthorize knows s from here on.
	}
	s.attach(link, e.opts.Window)
	return s
}

func (e *Engine) session(id string) *Session {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.sessions[id]
}

// takeOver ends the connection of s, if it has one, and waits until that has
// let go, even if it is leaving by itself: s may end with it.
func (s *Session) takeOver() {
	s.mu.Lock()
	link, leaving := s.link, s.leaving
	s.taken = link != nil
	s.mu.Unlock()
	switch {
	case link != nil:
		link.Kick()
		<-link.Done()
	case leaving != nil:
		<-leaving.Done()
	}
}

// resume gives s to the connection of o.
func (e *Engine) resume(s *Session, o Opening) {
	s.mu.Lock()
	s.stopTimers()
	s.will = o.Will
	s.setExpiry(o.Expiry)
	s.recordBegun(0)
	s.recordWill()
	s.mu.Unlock()
	window := e.opts.Window
	if o.Window > 0 {
		window = min(window, o.Window)
	}
	s.attach(o.Link, window)
	for _, g := range s.involved() {
		g.arrive(s)
	}
}

func (s *Session) setExpiry(seconds uint32) {
	s.expiry = min(seconds, s.engine.opts.MaxExpiry)
	s.lasts.Store(s.expiry > 0)
}

func (s *Session) attach(link Link, window int) {
	s.mu.Lock()
	s.link, s.window, s.taken = link, window, false
	s.open, s.resent, s.idle = 0, s.sent.head, false
	s.mu.Unlock()
}

func (s *Session) stopTimers() {
	for _, t := range []*time.Timer{s.timer, s.willAt} {
		if t != nil {
			t.Stop()
		}
	}
	s.timer, s.willAt = nil, nil
}

// A Leaving says how a connection ended.
type Leaving struct {
	Normal bool    // by DISCONNECT without will: the will is revoked
	Expiry *uint32 // from DISCONNECT; nil: as before
}

// Leave takes the session from link, if it still has it: the session goes on
// without connection, or ends.
func (e *Engine) Leave(s *Session, link Link, l Leaving) {
	s.mu.Lock()
	if s.link != link {
		s.mu.Unlock()
		return
	}
	s.link, s.leaving, s.idle = nil, link, false
	if l.Expiry != nil {
		s.setExpiry(*l.Expiry)
	}
	expiry, taken := s.expiry, s.taken
	if l.Normal && s.will != nil {
		s.will = nil
		s.recordWill()
	}
	will := s.will
	s.mu.Unlock()
	if will != nil && (will.Delay == 0 || expiry == 0) {
		e.sendWill(s, will)
	}
	if expiry == 0 {
		e.end(s)
	} else {
		e.suspend(s, taken)
	}
	s.mu.Lock()
	s.leaving = nil
	s.mu.Unlock()
}

// suspend lets s go on without connection. taken says that another one waits for
// it.
func (e *Engine) suspend(s *Session, taken bool) {
	s.mu.Lock()
	s.recordBegun(e.Now())
	s.mu.Unlock()
	if !taken {
		for _, g := range s.involved() {
			g.leave(s)
		}
	}
	e.settle(s)
}

// dropQoS0 empties the queue of what is not kept for a session without
// connection.
func (s *Session) dropQoS0() {
	s.queue.filter(func(it *item) bool { return !it.gone() && it.qos > 0 })
	s.dropped, s.bytes0, s.cut, s.spilled = 0, 0, s.queue.head, s.queue.head
}

// settle drops what is not kept for a session without connection, and arranges
// what happens to s if it stays so.
func (e *Engine) settle(s *Session) { e.settleAfter(s, 0) }

// settleAfter is settle for a session that has had no connection for so many
// seconds.
func (e *Engine) settleAfter(s *Session, offline int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil || s.ended {
		return // Taken over meanwhile.
	}
	s.dropQoS0()
	left := func(seconds uint32) time.Duration { return time.Duration(max(0, int64(seconds)-offline)) * time.Second }
	if s.will != nil {
		will := s.will
		s.willAt = time.AfterFunc(left(will.Delay), func() { e.sendWill(s, will) })
	}
	if s.expiry < Forever {
		var t *time.Timer
		t = time.AfterFunc(left(s.expiry), func() { e.expire(s, &t) })
		s.timer = t
	}
}

// expire ends s unless somebody resumed it since its timer was started.
func (e *Engine) expire(s *Session, timer **time.Timer) {
	defer e.ids.lock(s.id)()
	s.mu.Lock()
	over := s.link == nil && s.timer == *timer && !s.ended
	will := s.will
	s.mu.Unlock()
	if !over {
		return
	}
	if will != nil {
		e.sendWill(s, will)
	}
	e.log.Info("session expired", "client", s.id)
	e.expired.Add(1)
	e.end(s)
}

// sendWill publishes will unless it was sent or revoked.
func (e *Engine) sendWill(s *Session, will *Will) {
	s.mu.Lock()
	if s.will != will {
		s.mu.Unlock()
		return
	}
	s.will = nil
	s.mu.Unlock()
	m := &Message{Message: will.Message.Message}
	if will.Expiry > 0 {
		m.Expires = e.Now() + int64(will.Expiry)
	}
	p := e.publisher(s, 0)
	p.last = true
	r, err := p.Route([]byte(m.Topic))
	if err == nil {
		p.Publish(r, m, 0)
		p.Flush()
	}
	s.mu.Lock()
	s.recordWill()
	s.mu.Unlock()
}

// end forgets s. A delayed will is due now (MQTT 5.0, section 3.1.2.5).
func (e *Engine) end(s *Session) {
	s.mu.Lock()
	will := s.will
	s.mu.Unlock()
	if will != nil {
		e.sendWill(s, will)
	}
	groups := s.involved()
	e.unsubscribeAll(s)
	for _, g := range groups {
		g.retire(s, true)
	}
	e.mu.Lock()
	if e.sessions[s.id] == s {
		delete(e.sessions, s.id)
		e.owns(s.Owner(), -1)
	}
	delete(e.locals, s)
	e.mu.Unlock()
	s.mu.Lock()
	s.stopTimers()
	s.ended = true
	s.countLost()
	s.queue, s.sent, s.received = ring[item]{}, ring[item]{}, nil
	s.recordEnded()
	e.raise(s.next)
	s.mu.Unlock()
}

// Close stops all timers.
func (e *Engine) Close() {
	e.clock.stop()
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, s := range e.sessions {
		s.mu.Lock()
		s.stopTimers()
		s.mu.Unlock()
	}
}
