package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"edge/bridge"
	"edge/internal/uart"
)

// A waiter waits for a frame that is an answer.
type waiter struct {
	request string // empty: of a command, or of what is sent at the start
	answers matcher
	done    chan struct{} // closed when it has come
}

// errSilent is wrapped where a stick has not answered.
var errSilent = errors.New("the stick did not answer")

// begin sends what is sent once.
func (s *session) begin(ctx context.Context) error {
	for i, x := range s.cfg.Start {
		b, err := x.bytes(s.build)
		if err != nil {
			return fmt.Errorf("start[%d]: %w", i, err)
		}
		err = s.exchange(ctx, func(*uart.Port) error {
			if x.Expect == nil {
				return s.send(ctx, b)
			}
			return s.ask(ctx, b, x.Reply, 1+x.Retries, "", &s.commands)
		})
		if err != nil && !harmless(err) {
			return err
		}
		if err := pass(ctx, x.Delay); err != nil {
			return err
		}
	}
	return nil
}

// poll makes a request.
func (s *session) poll(ctx context.Context, r *polled) error {
	b, err := r.bytes(s.build)
	if err != nil {
		return fmt.Errorf("request %s: %w", r.ID, err)
	}
	tries := r.tries()
	err = s.exchange(ctx, func(*uart.Port) error { return s.ask(ctx, b, r.Reply, tries, r.ID, &r.tally) })
	if err != nil && !harmless(err) {
		return err
	}
	s.mu.Lock()
	r.made(err == nil, time.Now())
	s.mu.Unlock()
	if err != nil {
		if err := s.unanswered(ctx, r.ID, err); err != nil {
			return err
		}
	}
	return pass(ctx, r.Delay)
}

// harmless reports whether an error of exchange leaves the port as it is.
func harmless(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, errTapped) || late(err)
}

// late reports whether an error of send says that the stick did not take it all in
// time.
func late(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// ask sends b until it is answered, so many times at most. The error wraps
// errSilent if it was not, and is late if the stick did not take it; any other one
// means that the session is over.
func (s *session) ask(ctx context.Context, b []byte, r Reply, tries int, request string, t *tally) error {
	answers, err := r.Expect.compile()
	if err != nil {
		return err
	}
	for try := range tries {
		s.mu.Lock()
		t.sent++
		if try > 0 {
			t.retried++
		}
		w := &waiter{request: request, answers: answers, done: make(chan struct{})}
		s.waiting = w
		s.mu.Unlock()
		if err = s.send(ctx, b); err != nil && !late(err) {
			return err
		}
		if err == nil && s.answered(ctx, w, r.Timeout) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.mu.Lock()
	t.unanswered++
	s.waiting = nil
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("the stick did not take it within %v: %w", s.cfg.WriteTimeout, err)
	}
	if tries == 1 {
		return fmt.Errorf("%w within %v", errSilent, r.Timeout)
	}
	return fmt.Errorf("%w within %v, %d times", errSilent, r.Timeout, tries)
}

// answered waits for the answer, and forgets w.
func (s *session) answered(ctx context.Context, w *waiter, timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != w { // it has come while the lock was awaited
		return true
	}
	s.waiting = nil
	return false
}

// frame takes a frame that is good: the answer that is awaited, or another.
func (s *session) frame(ctx context.Context, frame []byte, now time.Time) (err error) {
	request := ""
	if w := s.waiting; w != nil && w.answers(frame) {
		request, s.waiting = w.request, nil
		defer close(w.done)
	} else if len(s.poller.requests) > 0 {
		s.unmatched++
	}
	for _, i := range s.book.read(frame, request, now) {
		if err == nil {
			err = s.publishState(ctx, i)
		}
	}
	return err
}

// unanswered marks the entities that a request is for.
func (s *session) unanswered(ctx context.Context, request string, err error) error {
	s.mu.Lock()
	for i, e := range s.cfg.Entities {
		if e.Request == request {
			s.book.entries[i].mark(bridge.Bad, err.Error())
			s.book.entries[i].dirty = true // its counters are news
		}
	}
	s.mu.Unlock()
	return s.flush(ctx)
}

// pass lets time pass in which nothing is sent.
func pass(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attr returns what there is to say about an entity, with what its request came
// to; of entities that read any frame, with what all requests did.
func (s *session) attr(i int) bridge.Attr {
	a := s.book.attr(i)
	count(a.Counters, s.port)
	s.countTap(a.Counters)
	countFrames(a.Counters, s.book.frames)
	if len(s.poller.requests) == 0 && s.commands == (tally{}) {
		return a
	}
	sum := s.commands
	for _, r := range s.poller.requests {
		sum.sent, sum.retried, sum.unanswered = sum.sent+r.sent, sum.retried+r.retried, sum.unanswered+r.unanswered
	}
	if r := s.poller.find(s.cfg.Entities[i].Request); r != nil {
		sum = r.tally
	}
	a.Counters["requests"], a.Counters["retries"], a.Counters["timeouts"] = sum.sent, sum.retried, sum.unanswered
	a.Counters["unmatched"] = s.unmatched
	return a
}
