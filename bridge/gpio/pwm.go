package gpio

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"os"
	"time"

	"edge/bridge"
	"edge/internal/pwm"
)

// A dimmer is a channel of a PWM chip. One goroutine owns it.
type dimmer struct {
	PWM
	dial
	told
	tree     pwm.Tree
	log      *slog.Logger
	commands chan command
}

// told is a number that is published, and what is to be said beside it.
type told struct {
	id       string
	post     *post
	shown    string
	since    time.Time
	ends     time.Time // when it changes by itself; zero: never
	cause    string
	fault    string
	counters map[string]uint64
}

// dimmers returns those of the configuration, which are taken by tend.
func (b *Bridge) dimmers(post *post) []*dimmer {
	var all []*dimmer
	for _, p := range b.cfg.PWM {
		all = append(all, &dimmer{
			PWM: p, tree: b.tree, log: b.log, commands: make(chan command),
			told: told{id: p.ID, post: post, counters: make(map[string]uint64)},
		})
	}
	return all
}

// percent is how an entity with a value of 0 to 100 is announced.
func percent(id, name string) bridge.Entity {
	return bridge.Entity{ID: id, Name: name, Kind: bridge.Number, Unit: "%", Min: new(0.0), Max: new(100.0), Command: true}
}

// tend serves the channel, and waits for it when it is not there.
func (d *dimmer) tend(ctx context.Context) error {
	timer := time.NewTicker(audit)
	defer timer.Stop()
	for last := ""; ; {
		err := d.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if last != err.Error() {
			last = err.Error()
			d.log.Warn("PWM channel cannot be used; it is offline", "pwm", d.ID, "err", err)
		}
		d.post.attr(d.ID, bridge.Attr{Quality: bridge.Offline, Error: err.Error(), Since: time.Now()})
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return nil
			case cmd := <-d.commands:
				d.post.refuse(d.ID, cmd.ID, err.Error())
			case <-timer.C:
				waiting = false
			}
		}
	}
}

// serve owns the channel until ctx ends or it is gone.
func (d *dimmer) serve(ctx context.Context) error {
	c, err := pwm.Open(d.tree, d.Chip, d.Channel)
	if err != nil {
		return err
	}
	d.dial = begin(d.Initial, d.Safe, d.Lease)
	if err := c.Set(d.wave(d.value)); err != nil {
		return err
	}
	defer d.leave(c)
	d.tell(time.Now(), d.dial, causeStart, nil)
	audits := time.NewTicker(audit)
	defer audits.Stop()
	timer := time.NewTimer(audit)
	defer timer.Stop()
	for {
		timer.Reset(d.idle(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case cmd := <-d.commands:
			err = d.execute(time.Now(), c, cmd)
		case <-timer.C:
			err = d.expire(time.Now(), c)
		case <-audits.C:
			err = d.look(c)
		}
		if errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// wave returns what the channel makes for a value.
func (d *dimmer) wave(value float64) pwm.Wave {
	period := time.Duration(math.Round(float64(time.Second) / d.Frequency))
	duty := spanOf(d.Min, d.Max).duty(value)
	return pwm.Wave{Period: period, Duty: time.Duration(math.Round(duty * float64(period))), Inverted: d.Inverted}
}

func (d *dimmer) idle(now time.Time) time.Duration {
	if d.until.IsZero() {
		return audit
	}
	return min(audit, d.until.Sub(now))
}

// execute carries out a command.
func (d *dimmer) execute(now time.Time, c *pwm.Channel, cmd command) error {
	next, err := d.next(now, cmd)
	if err != nil {
		d.post.refuse(d.ID, cmd.ID, err.Error())
		return nil
	}
	err = d.judge(c.Set(d.wave(next.value)))
	if err == nil {
		d.dial = next
		d.tell(now, next, causeCommand, &cmd)
	}
	d.answer(cmd, d.value, err)
	return err
}

// expire makes the channel safe when its value has lasted for long enough. If that
// cannot be done, it is tried again.
func (d *dimmer) expire(now time.Time, c *pwm.Channel) error {
	next, cause, over := d.expired(now)
	if !over {
		return nil
	}
	if err := d.judge(c.Set(d.wave(next.value))); err != nil {
		d.until = now.Add(retry)
		return err
	}
	d.dial = next
	d.tell(now, next, cause, nil)
	return nil
}

// look sets the channel again if somebody else has changed it.
func (d *dimmer) look(c *pwm.Channel) error {
	w, enabled, err := c.Wave()
	if want := d.wave(d.value); err == nil && (w != want || !enabled) {
		d.counters["foreign"]++
		if err = c.Set(want); err == nil {
			d.said()
		}
	}
	return d.judge(err)
}

// leave makes the channel what it is to be when nobody tends it.
func (d *dimmer) leave(c *pwm.Channel) {
	var err error
	switch {
	case d.OnExit == Keep:
	case d.Safe == 0:
		err = c.Close()
	default:
		err = c.Set(d.wave(d.Safe))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Error("cannot leave a PWM channel as configured", "pwm", d.ID, "err", err)
	}
}

// tell publishes the value, and that it has changed.
func (t *told) tell(now time.Time, d dial, cause string, by *command) {
	if value := number(d.value); value != t.shown {
		t.shown = value
		t.post.change(t.id, change(value, cause, by))
	}
	t.since, t.ends, t.cause = now, d.until, cause
	if cause == causeLease {
		t.counters[cause]++
	}
	t.post.scalar(t.id, t.shown)
	t.said()
}

// said publishes what is known beside the value.
func (t *told) said() {
	a := bridge.Attr{Error: t.fault, Cause: t.cause, Since: t.since, Counters: maps.Clone(t.counters)}
	if t.fault != "" {
		a.Quality = bridge.Bad
	}
	if !t.ends.IsZero() {
		a.Extra = map[string]any{"until": t.ends.UTC().Format(time.RFC3339Nano)}
	}
	t.post.attr(t.id, a)
}

// judge keeps in mind whether it works, and tells when that has changed.
func (t *told) judge(err error) error {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if fault != t.fault {
		t.fault = fault
		t.said()
	}
	return err
}

// answer tells what became of a command.
func (t *told) answer(cmd command, value float64, err error) {
	r := bridge.Result{ID: cmd.ID, Status: bridge.StatusOK, Value: number(value), Latency: time.Since(cmd.at)}
	if err != nil {
		r.Status, r.Reason = bridge.StatusError, err.Error()
	}
	t.post.result(t.id, r)
}
