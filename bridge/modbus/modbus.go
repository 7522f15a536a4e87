package modbus

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"edge/bridge"
)

// A Bridge is one bus.
type Bridge struct {
	base bridge.Base
	cfg  Config
	log  *slog.Logger

	// What tests change.
	open  func(context.Context, *Config, *slog.Logger) (port, error)
	naive bool
}

var _ bridge.Bridge = (*Bridge)(nil)

// New returns a bridge that speaks under base. It opens nothing; cfg must be
// valid.
func New(base bridge.Base, cfg Config, log *slog.Logger) *Bridge {
	return &Bridge{base: base, cfg: cfg, log: log, open: openPort}
}

// Run implements bridge.Bridge. It waits for the port to be plugged in and
// announces the device when it is open, not before.
func (b *Bridge) Run(ctx context.Context, c bridge.Client) error {
	err := b.run(ctx, c)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (b *Bridge) run(ctx context.Context, c bridge.Client) error {
	p, err := newPlan(&b.cfg)
	if err != nil {
		return err
	}
	port, err := b.open(ctx, &b.cfg, b.log)
	if err != nil {
		return err
	}
	s := newSession(b, p, port, c)
	defer s.close()
	defer s.end(ctx)
	g, serving := errgroup.WithContext(ctx)
	defer context.AfterFunc(serving, s.close)() // ends Read and Write
	if err := s.listen(serving); err != nil {
		return err
	}
	if err := bridge.Announce(serving, c, p.device(b.base)); err != nil {
		return err
	}
	g.Go(func() error { return s.poll(serving) })
	g.Go(func() error { return s.tell(serving) })
	g.Go(func() error { return s.offer(serving) })
	return lost(port, g.Wait())
}

// tell publishes what the book has to tell, until ctx ends.
func (s *session) tell(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.book.news:
		}
		p, next := s.book.turn(time.Now())
		if len(p.answers) > 0 {
			s.gate.Lock()
			s.nudge() // There is room for results again.
			s.gate.Unlock()
		}
		if err := s.publish(ctx, p); err != nil {
			return err
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// publish tells states before the results of the commands that led to them.
func (s *session) publish(ctx context.Context, p page) error {
	for _, a := range p.states {
		if err := bridge.PublishState(ctx, s.client, s.base, a.id, a.result.Value); err != nil {
			return err
		}
	}
	for _, a := range p.answers {
		if err := bridge.PublishResult(ctx, s.client, s.base, a.id, a.result); err != nil {
			return err
		}
	}
	for _, a := range p.attrs {
		if err := bridge.PublishAttr(ctx, s.client, s.base, a.id, a.attr); err != nil {
			return err
		}
	}
	return nil
}
