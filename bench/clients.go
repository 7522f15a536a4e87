package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
)

// latency measures how long messages take through a broker that has little to
// do.
func latency(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		spec := oneToOne(1)
		spec.Every = time.Millisecond
		t.CPU = 0 // It is the time that counts: p99.9 needs some thousand messages, at 1 000 a second.
		f, err := load.Start(ctx, proc.Addr, spec)
		if err != nil {
			return Result{}, err
		}
		cost, err := observe(ctx, proc, gauge{f.Delivered, f.Failed()}, t)
		tally, err2 := f.Stop(ctx, t.Quiet)
		if err := errors.Join(err, err2); err != nil {
			return Result{}, err
		}
		r := Result{Rate: cost.Rate}
		r.account(tally)
		err = r.delays(tally.Delays)
		r.More = append(r.More, Figure{"CPU", cost.Value, "µs/message"})
		return r, err
	})
}

func (r *Result) delays(d []time.Duration) error {
	if len(d) == 0 {
		return errors.New("not one message was delivered")
	}
	slices.Sort(d)
	at := func(p float64) float64 { return float64(percentile(d, p).Nanoseconds()) / 1e3 }
	r.spread([]float64{at(0.99)})
	r.More = append(r.More, Figure{"p50", at(0.5), "µs"}, Figure{"p99.9", at(0.999), "µs"})
	return nil
}

// idle measures the memory of one of so many clients that are connected and silent.
func idle(clients int) measureFunc {
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		if err := openFiles(uint64(clients) + 100); err != nil {
			return Result{}, err
		}
		return running(ctx, p, func(proc *peer.Process) (Result, error) {
			before, _, err := proc.Memory()
			if err != nil {
				return Result{}, err
			}
			for i := range clients {
				c, err := login(proc, fmt.Sprint("idle", i)).Dial(ctx, proc.Addr)
				if err != nil {
					return Result{}, fmt.Errorf("after %d clients: %w", i, err)
				}
				defer c.Close()
			}
			busy, err := idleCPU(ctx, proc, t)
			if err != nil {
				return Result{}, err
			}
			after, _, err := proc.Memory()
			var r Result
			r.spread([]float64{float64(after-before) / 1024 / float64(clients)})
			r.More = append(r.More, Figure{"idle CPU", busy, "%"})
			return r, err
		})
	}
}

// openFiles lets this process, and the brokers that it starts, have n files
// open. The runtime raises the limit for this process alone; a limit that was
// set explicitly is inherited.
func openFiles(n uint64) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("ask for the limit of open files: %w", err)
	}
	if l.Max < n {
		return fmt.Errorf("%d files may be open, %d are needed: raise the limit with `ulimit -Hn %d`", l.Max, n, n)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", l.Cur, err)
	}
	return nil
}

// burst measures the memory for a burst to one subscriber that takes 1 000
// messages a second, for a while; then it takes the rest at its full speed.
func burst(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		spec := oneToOne(1)
		spec.Count, spec.Rate = 100_000, 1000
		spec.Outstanding = spec.Count
		f, err := load.Start(ctx, proc.Addr, spec)
		if err != nil {
			return Result{}, err
		}
		began := time.Now()
		f.Published(ctx)
		took := time.Since(began)
		err = leave(ctx, t.Slow)
		f.HurryUp()
		tally, err2 := f.Stop(ctx, t.Quiet)
		_, peak, err3 := proc.Memory()
		var r Result
		r.spread([]float64{float64(peak) / 1e6})
		r.More = append(r.More, Figure{"taken from publisher", float64(spec.Count) / took.Seconds(), "/s"})
		r.account(tally)
		return r, errors.Join(err, err2, err3)
	})
}
