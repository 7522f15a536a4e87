// Package tick is the smallest complete bridge: it counts. It is the one to look
// at first when writing another.
package tick

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"edge/bridge"
	"edge/internal/config"
)

// Config is what a user writes in the section of the bridge.
type Config struct {
	Interval time.Duration `yaml:"interval" doc:"Time between two ticks; at least 10ms."`
}

// DefaultConfig returns what holds where the configuration is silent.
func DefaultConfig() Config { return Config{Interval: 10 * time.Second} }

// Validate reports everything that is wrong with c, by path.
func (c Config) Validate() error {
	if c.Interval < 10*time.Millisecond {
		return config.Errorf("interval", "is %v; want at least 10ms", c.Interval)
	}
	return nil
}

// counter is the id of the only entity.
const counter = "counter"

// A Bridge publishes a counter that goes up at every tick and can be set.
type Bridge struct {
	base  bridge.Base
	cfg   Config
	log   *slog.Logger
	count int64 // belongs to the goroutine of Run
}

var _ bridge.Bridge = (*Bridge)(nil)

// New returns a bridge that speaks under base. It opens nothing.
func New(base bridge.Base, cfg Config, log *slog.Logger) *Bridge {
	return &Bridge{base: base, cfg: cfg, log: log}
}

// Run implements bridge.Bridge: open, defer close, announce, serve.
func (b *Bridge) Run(ctx context.Context, c bridge.Client) error {
	clock := time.NewTicker(b.cfg.Interval) // the hardware
	defer clock.Stop()
	commands := make(chan bridge.Message)
	if err := c.Subscribe(ctx, b.base.Set(counter), into(ctx, commands)); err != nil {
		return err
	}
	if err := bridge.Announce(ctx, c, b.device()); err != nil {
		return err
	}
	for err := b.publish(ctx, c, "start"); ; {
		if err != nil {
			return err
		}
		select {
		case <-clock.C:
			b.count++
			err = b.publish(ctx, c, "clock")
		case m := <-commands:
			err = b.obey(ctx, c, m)
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *Bridge) device() bridge.Device {
	return bridge.Device{Base: b.base, Model: "tick", Entities: []bridge.Entity{
		{ID: counter, Name: "Counter", Kind: bridge.Number, Command: true},
	}}
}

// publish tells the count and why it is what it is.
func (b *Bridge) publish(ctx context.Context, c bridge.Client, cause string) error {
	attr := bridge.Attr{Cause: cause, Since: time.Now()}
	return errors.Join(
		bridge.PublishState(ctx, c, b.base, counter, strconv.FormatInt(b.count, 10)),
		bridge.PublishAttr(ctx, c, b.base, counter, attr))
}

// obey sets the count as m asks, or says why not.
func (b *Bridge) obey(ctx context.Context, c bridge.Client, m bridge.Message) error {
	start := time.Now()
	id, n, err := parse(m.Payload)
	if err != nil {
		b.log.Warn("command refused", "topic", m.Topic, "err", err)
		return bridge.PublishResult(ctx, c, b.base, counter,
			bridge.Result{ID: id, Status: bridge.StatusRefused, Reason: err.Error()})
	}
	b.count = n
	if err := b.publish(ctx, c, "command"); err != nil {
		return err
	}
	return bridge.PublishResult(ctx, c, b.base, counter, bridge.Result{
		ID: id, Status: bridge.StatusOK, Value: strconv.FormatInt(b.count, 10), Latency: time.Since(start),
	})
}

func parse(payload []byte) (id string, n int64, err error) {
	cmd, err := bridge.ParseCommand(payload)
	if err == nil && cmd.For != 0 {
		err = errors.New("for: a counter cannot be set for a time; leave it out")
	}
	if err != nil {
		return cmd.ID, 0, err
	}
	if n, err = strconv.ParseInt(cmd.Value, 10, 64); err != nil {
		err = fmt.Errorf("%q is not a whole number; want one such as 42", cmd.Value)
	}
	return cmd.ID, n, err
}

// into returns a handler that hands messages over to the goroutine of Run.
func into(ctx context.Context, ch chan<- bridge.Message) func(bridge.Message) {
	return func(m bridge.Message) {
		select {
		case ch <- m:
		case <-ctx.Done():
		}
	}
}
