package serial

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"edge/internal/config"
	"edge/internal/uart"
)

// checkTap gives the mistakes in what package uart needs for a tap their places.
func (c *Config) checkTap() error {
	if c.Tap == nil {
		return nil
	}
	all, _ := c.Tap.Validate().(interface{ Unwrap() []error })
	if all == nil {
		return nil
	}
	var errs []error
	for _, err := range all.Unwrap() {
		if field, ok := errors.AsType[*uart.FieldError](err); ok {
			errs = append(errs, config.Errorf("tap."+field.Field, "%w", field.Err))
		}
	}
	return errors.Join(errs...)
}

// offer serves the tap, if there is one. A tap that cannot listen does not take
// the stick off the air.
func (b *Bridge) offer(ctx context.Context, s *session) error {
	if s.tap == nil {
		return nil
	}
	if err := s.tap.Serve(ctx); err != nil {
		b.log.Error("the port has no tap until it is opened again", "port", b.cfg.Port, "error", err)
	}
	return nil
}

// tapOf returns the tap of a session: it reads all the time.
func (b *Bridge) tapOf(bus *uart.Bus) *uart.Tap {
	if b.cfg.Tap == nil {
		return nil
	}
	return uart.NewTap(*b.cfg.Tap, b.cfg.line(), bus, true, b.log)
}

// errTapped is the error of a command that could not be sent because of a tap.
var errTapped = fmt.Errorf("a client of the tap has had the line for %v", ripe)

// exchange calls do when nobody at the tap has the line.
func (s *session) exchange(ctx context.Context, do func(*uart.Port) error) error {
	wait, cancel := context.WithTimeoutCause(ctx, ripe, errTapped)
	defer cancel()
	if err := s.bus.Acquire(wait, uart.Owner); err != nil {
		return context.Cause(wait)
	}
	defer s.bus.Release()
	return do(s.port)
}

// countTap adds what the tap has counted.
func (s *session) countTap(counters map[string]uint64) {
	if s.tap != nil {
		maps.Copy(counters, s.tap.Counters())
	}
}
