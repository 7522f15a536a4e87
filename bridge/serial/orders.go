package serial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bridge"
	"edge/internal/frame"
	"edge/internal/uart"
)

// An incoming command waits for its turn.
type incoming struct {
	entity int
	cmd    bridge.Command
	at     time.Time
}

const (
	// backlog is how many commands may wait for the port.
	backlog = 16

	// ripe is how long they may: then they are too old to be obeyed.
	ripe = 10 * time.Second
)

// listen subscribes to the commands of each entity that takes some.
func (s *session) listen(ctx context.Context) error {
	for i := range s.writers {
		topic := s.base.Set(s.cfg.Entities[i].ID)
		err := s.client.Subscribe(ctx, topic, func(m bridge.Message) { s.handle(ctx, i, m) })
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", topic, err)
		}
	}
	return nil
}

// handle queues a command. It never waits for the port.
func (s *session) handle(ctx context.Context, i int, m bridge.Message) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.over {
		return
	}
	in := incoming{entity: i, at: time.Now()}
	var err error
	if in.cmd, err = bridge.ParseCommand(m.Payload); err != nil {
		s.answer(ctx, in, refused(err))
		return
	}
	select {
	case s.orders <- in:
	default:
		s.answer(ctx, in, refused(fmt.Errorf("%d commands already wait for the stick", backlog)))
	}
}

// end answers the commands that were not sent; after it, no handler runs.
func (s *session) end(ctx context.Context) {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.over = true
	for {
		select {
		case in := <-s.orders:
			s.answer(ctx, in, failed(uart.ErrGone))
		default:
			return
		}
	}
}

// write sends what is sent at the start, then commands and requests, one at a
// time, until ctx ends or the port is gone.
func (s *session) write(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.ready:
	}
	err := s.begin(ctx)
	for err == nil {
		err = s.next(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// next waits for a command or for the time of a request. Commands come first.
func (s *session) next(ctx context.Context) error {
	select {
	case in := <-s.orders:
		return s.serveOrder(ctx, in)
	default:
	}
	r, at := s.poller.due()
	var clock <-chan time.Time
	if r != nil {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		clock = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case in := <-s.orders:
		return s.serveOrder(ctx, in)
	case <-clock:
		return s.poll(ctx, r)
	}
}

// serveOrder obeys a command and says how that went.
func (s *session) serveOrder(ctx context.Context, in incoming) error {
	r, err := s.obey(ctx, in)
	s.answer(ctx, in, r)
	return err
}

// obey sends one command. The error means that the session is over.
func (s *session) obey(ctx context.Context, in incoming) (bridge.Result, error) {
	if waited := time.Since(in.at); waited > ripe {
		return refused(fmt.Errorf("the command is too old: it waited %v for the stick", waited.Round(time.Second))), nil
	}
	s.mu.Lock()
	now := s.book.state(in.entity)
	s.mu.Unlock()
	value, b, err := s.writers[in.entity].encode(in.cmd, now)
	if err != nil {
		return refused(err), nil
	}
	reply := s.cfg.Entities[in.entity].Reply
	err = s.exchange(ctx, func(*uart.Port) error {
		if reply == nil {
			return s.send(ctx, b)
		}
		return s.ask(ctx, b, *reply, 1+reply.Retries, "", &s.commands)
	})
	switch {
	case errors.Is(err, errSilent):
		return failed(err), nil
	case late(err):
		return failed(fmt.Errorf("the stick did not take the command within %v", s.cfg.WriteTimeout)), nil
	case errors.Is(err, errTapped):
		return failed(err), nil
	case err != nil:
		return failed(err), err
	case s.cfg.Entities[in.entity].assumed():
		return bridge.Result{Status: bridge.StatusOK, Value: value}, s.assume(ctx, in.entity, value)
	}
	return bridge.Result{Status: bridge.StatusOK}, nil
}

// send writes b and waits until it has left. What cannot leave in time is thrown
// away, so that a stick that wakes up later does not obey old commands.
func (s *session) send(ctx context.Context, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if s.torn && s.cfg.spec().Kind == frame.Delimiter {
		b = append([]byte(s.cfg.Delimiter), b...)
	}
	if err := s.optical.begin(b); err != nil {
		return err
	}
	if err := s.port.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err := s.port.Write(b)
	if err == nil {
		err = s.port.Drain(ctx)
	}
	s.torn = err != nil
	if s.torn {
		_ = s.port.Discard()
	}
	return err
}

// assume publishes a command that was sent as the state.
func (s *session) assume(ctx context.Context, i int, state string) error {
	s.mu.Lock()
	s.book.assume(i, state, time.Now())
	err := s.publishState(ctx, i)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.flush(ctx)
}

// answer publishes the result of a command. Where that fails there is nobody
// to tell, and the reader of the port will notice, too.
func (s *session) answer(ctx context.Context, in incoming, r bridge.Result) {
	r.ID, r.Latency = in.cmd.ID, time.Since(in.at)
	_ = bridge.PublishResult(ctx, s.client, s.base, s.cfg.Entities[in.entity].ID, r)
}

func refused(err error) bridge.Result {
	return bridge.Result{Status: bridge.StatusRefused, Reason: err.Error()}
}

func failed(err error) bridge.Result {
	return bridge.Result{Status: bridge.StatusError, Reason: err.Error()}
}
