package modbus

import (
	"context"
	"time"

	"edge/internal/config"
	"edge/internal/uart"
)

// checkTap reports what is wrong with the tap.
func (c *Config) checkTap() []error {
	switch {
	case c.Tap == nil:
		return nil
	case c.network():
		return []error{config.Errorf("tap", "is for a line; a gateway can have several clients")}
	}
	return placed("tap.", c.Tap.Validate())
}

// offer serves the tap, if there is one. A tap that cannot listen does not take the
// bus off the air.
func (s *session) offer(ctx context.Context) error {
	if s.tap == nil {
		return nil
	}
	if err := s.tap.Serve(ctx); err != nil {
		s.log.Error("the port has no tap until it is opened again", "port", s.cfg.Port, "error", err)
	}
	return nil
}

// claim waits until no client of the tap has the line, and reads meanwhile what is
// for that: the tap sees all that is read. release must be called then.
func (s *session) claim(ctx context.Context) (release func(), err error) {
	if s.line == nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	turn := make(chan error, 1)
	go func() {
		turn <- s.line.Acquire(ctx, uart.Owner)
		s.gate.Lock()
		defer s.gate.Unlock()
		s.nudge()
	}()
	for err == nil {
		select {
		case err := <-turn:
			return s.line.Release, err
		default:
			err = s.idle(time.Now().Add(time.Second))
		}
	}
	cancel()
	if <-turn == nil {
		s.line.Release()
	}
	return nil, err
}
