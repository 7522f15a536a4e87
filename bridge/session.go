package bridge

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errOver is what a bridge gets that goes on publishing when its Run is over.
var errOver = errors.New("this run of the bridge is over")

// A session is the Client of one run of a bridge. It remembers what the run
// announced, and ends with it: then nothing is published and no handler called
// any more, so that nothing is said after `offline`.
type session struct {
	Client
	ctx  context.Context // of the run: subscriptions end with it
	last context.Context // ends when Run has returned: until then a bridge may say what became of its outputs
	seen func(Message)   // told what was published

	mu    sync.Mutex
	busy  int           // calls of Publish and of handlers
	ended chan struct{} // not nil: the run is over; closed when busy is 0
}

func newSession(ctx, last context.Context, c Client, seen func(Message)) *session {
	return &session{Client: c, ctx: ctx, last: last, seen: seen}
}

// Publish implements Client.
func (s *session) Publish(ctx context.Context, m Message) error {
	if !s.begin() {
		return errOver
	}
	defer s.end()
	ctx, stop := join(ctx, s.last)
	defer stop()
	if err := s.Client.Publish(ctx, m); err != nil {
		return err
	}
	if m.Retain {
		s.seen(m)
	}
	return nil
}

// Subscribe implements Client. The subscription ends with the run, too.
func (s *session) Subscribe(ctx context.Context, filter string, handle func(Message)) error {
	if !s.begin() {
		return errOver
	}
	defer s.end()
	ctx, stop := join(ctx, s.ctx)
	context.AfterFunc(ctx, stop)
	err := s.Client.Subscribe(ctx, filter, func(m Message) {
		if s.begin() {
			defer s.end()
			handle(m)
		}
	})
	if err != nil {
		stop()
	}
	return err
}

// join returns a context that ends with ctx and with other, and how to let go
// of it.
func join(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(other, cancel)
	return ctx, func() {
		forget()
		cancel()
	}
}

func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false
	}
	s.busy++
	return true
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy--; s.busy == 0 && s.ended != nil {
		close(s.ended)
	}
}

// close ends the session and reports whether all calls returned within limit.
func (s *session) close(limit time.Duration) bool {
	s.mu.Lock()
	s.ended = make(chan struct{})
	if s.busy == 0 {
		close(s.ended)
	}
	s.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
		return true
	case <-timer.C:
		return false
	}
}
