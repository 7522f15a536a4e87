package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
	"edge/bench/wire"
)

// The rows in this file have what keeps strangers out: TLS, users and rules.

// secured is measure with TLS 1.3.
func secured(measure measureFunc) measureFunc {
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		return measure(ctx, p.Secure(), t)
	}
}

// besideRules measures how many times as much CPU a message takes with 100 rules of
// access, the last of which allows it. Both take turns, in many short rounds.
func besideRules(spec load.Spec) measureFunc {
	const rules, pairs = 100, 8
	measure := throughput(spec)
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		t.CPU, t.Run = 0, t.Run/2
		var plain, ruled []Result
		for range pairs {
			a, err := measure(ctx, p, t)
			if err != nil {
				return a, err
			}
			b, err := measure(ctx, p.Ruled(rules), t)
			if err != nil {
				return b, err
			}
			plain, ruled = append(plain, a), append(ruled, b)
		}
		return times(plain, ruled), nil
	}
}

// times compares the best round of those after something with the best of those
// before: whatever else the machine does can only add to the CPU time of a message.
// The extremes are those of rounds that followed each other.
func times(before, after []Result) Result {
	var ratios []float64
	for i := range after {
		ratios = append(ratios, after[i].Value/before[i].Value)
	}
	with, without := best(after), best(before)
	r := merge(after)
	r.spread(ratios)
	r.Value = with / without
	r.More = []Figure{{"CPU", with, "µs/message"}, {"without", without, "µs/message"}}
	return r
}

// best returns the least value of rounds.
func best(rounds []Result) float64 {
	least := rounds[0].Value
	for _, r := range rounds {
		least = min(least, r.Value)
	}
	return least
}

// memoryDir is a file system that forgets all when the machine is restarted.
const memoryDir = "/dev/shm"

// reconnect measures how long it takes until all users are back after a restart of
// the broker, with TLS: from exec until the last has its CONNACK. All try at once,
// and go on trying.
func reconnect(chosen bool) measureFunc {
	return func(ctx context.Context, p peer.Peer, t Timing) (r Result, err error) {
		us := peer.Users{Count: t.Crowd, Password: rand.Text(), Chosen: chosen}
		if err := openFiles(uint64(t.Crowd) + 100); err != nil {
			return r, err
		}
		p.Under = memoryDir
		proc, err := p.With(us).Secure().Start(ctx)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, proc.Stop()) }()
		if err := answers(ctx, proc); err != nil {
			return r, err
		}
		if err := gather(ctx, proc, us, 8); err != nil {
			return r, fmt.Errorf("before the restart: %w", err)
		}
		proc.End() // The time that this takes is another matter.
		began := time.Now()
		again, err := proc.Again(ctx)
		if err != nil {
			return r, err
		}
		proc = again
		if err := gather(ctx, proc, us, us.Count); err != nil {
			return r, err
		}
		r.spread([]float64{time.Since(began).Seconds()})
		cpu, err := proc.CPU()
		r.More = append(r.More, Figure{"CPU", float64(cpu.Milliseconds()) / float64(us.Count), "ms/client"})
		return r, err
	}
}

// gather has all users come, so many at once, and leave again.
func gather(ctx context.Context, proc *peer.Process, us peer.Users, together int) error {
	const long = 5 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var logins []load.Login
	for i := range us.Count {
		name := us.Name(i)
		logins = append(logins, load.Login{Session: wire.Session{ClientID: name, User: name, Password: us.Password}, TLS: proc.TLS})
	}
	crowd, err := load.Gather(ctx, proc.Addr, logins, together)
	if err != nil {
		return err
	}
	crowd.Close()
	return nil
}
