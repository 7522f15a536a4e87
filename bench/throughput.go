package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
	"edge/bench/wire"
)

// throughput measures the CPU time of the broker's process for each delivered
// message at full speed.
func throughput(spec load.Spec) func(context.Context, peer.Peer, Timing) (Result, error) {
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		return running(ctx, p, func(proc *peer.Process) (Result, error) {
			return fullSpeed(ctx, proc, spec, t)
		})
	}
}

// running starts p, measures, and notes its memory before it ends.
func running(ctx context.Context, p peer.Peer, measure func(*peer.Process) (Result, error)) (r Result, err error) {
	proc, err := p.Start(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, proc.Stop()) }()
	if err := answers(ctx, proc); err != nil {
		return r, err
	}
	if r, err = measure(proc); err != nil {
		return r, err
	}
	r.RSS, r.PeakRSS, err = proc.Memory()
	return r, err
}

// answers waits until the broker accepts a session.
func answers(ctx context.Context, proc *peer.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		c, err := login(proc, "first").Dial(ctx, proc.Addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(time.Millisecond):
		case <-proc.Exited():
			return fmt.Errorf("%w: %w", proc.Ready(ctx), err)
		case <-ctx.Done():
			return fmt.Errorf("broker did not answer: %w", err)
		}
	}
}

// login is how a client without a name comes to proc.
func login(proc *peer.Process, clientID string) load.Login {
	return load.Login{Session: wire.Session{ClientID: clientID}, TLS: proc.TLS}
}

func fullSpeed(ctx context.Context, proc *peer.Process, spec load.Spec, t Timing) (Result, error) {
	spec.TLS = proc.TLS
	f, err := load.Start(ctx, proc.Addr, spec)
	if err != nil {
		return Result{}, err
	}
	r, err := observe(ctx, proc, gauge{f.Delivered, f.Failed()}, t)
	tally, err2 := f.Stop(ctx, t.Quiet)
	r.account(tally)
	return r, errors.Join(err, err2)
}

// A gauge tells how far a load has come.
type gauge struct {
	delivered func() int64
	failed    <-chan struct{}
}

// A reading is taken at the bounds of each part of a run.
type reading struct {
	at        time.Time
	cpu       time.Duration
	delivered int64
}

// observe reads CPU time and deliveries part by part, after the warm-up.
func observe(ctx context.Context, proc *peer.Process, g gauge, t Timing) (Result, error) {
	tick := time.NewTimer(t.Warm)
	defer tick.Stop()
	var all []reading
	for {
		select {
		case <-tick.C:
		case <-g.failed:
			return Result{}, nil // stopping the load tells why
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
		cpu, err := proc.CPU()
		if err != nil {
			return Result{}, err
		}
		all = append(all, reading{time.Now(), cpu, g.delivered()})
		if enough(all, t) {
			return digest(all)
		}
		tick.Reset(t.Part)
	}
}

func enough(all []reading, t Timing) bool {
	first, last := all[0], all[len(all)-1]
	ran := last.at.Sub(first.at)
	return ran >= t.Run && (last.cpu-first.cpu >= t.CPU || ran >= 4*t.Run)
}

// digest turns readings into µs of CPU for each message.
func digest(all []reading) (Result, error) {
	var parts []float64
	for i, b := range all[1:] {
		a := all[i]
		if n := b.delivered - a.delivered; n > 0 {
			parts = append(parts, float64((b.cpu-a.cpu).Nanoseconds())/1e3/float64(n))
		}
	}
	if len(parts) == 0 {
		return Result{}, errors.New("not one message was delivered")
	}
	var r Result
	r.spread(parts)
	first, last := all[0], all[len(all)-1]
	seconds := last.at.Sub(first.at).Seconds()
	r.Rate = float64(last.delivered-first.delivered) / seconds
	busy := 100 * (last.cpu - first.cpu).Seconds() / seconds
	r.More = append(r.More, Figure{"CPU of broker", busy, "%"})
	return r, nil
}
