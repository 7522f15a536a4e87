package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
)

// side is the number of groups, and of names in each, of the topics w/G/N/v.
const side = 100

// wildcards measures 10 000 topics with 1 000 subscribers by wildcard, ten of
// which get each message, while one more client changes its subscription 100
// times a second.
func wildcards(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		f, err := load.Start(ctx, proc.Addr, wildcardSpec())
		if err != nil {
			return Result{}, err
		}
		r, changes, err := beside(ctx, proc, f, t)
		tally, err2 := f.Stop(ctx, t.Quiet)
		r.account(tally)
		if changes == 0 && err == nil {
			err = errors.New("no change of a subscription was granted")
		}
		return r, errors.Join(err, err2)
	})
}

// beside observes f while another client changes its subscriptions, and returns
// how many changes that were. What the other client receives costs as well, and
// so counts.
func beside(ctx context.Context, proc *peer.Process, f *load.Fleet, t Timing) (Result, int64, error) {
	var filters []string
	for g := range side {
		filters = append(filters, fmt.Sprintf("w/%d/+/v", g))
	}
	churn, err := load.StartChurn(ctx, proc.Addr, filters, 10*time.Millisecond)
	if err != nil {
		return Result{}, 0, err
	}
	both := func() int64 { return f.Delivered() + churn.Received() }
	r, err := observe(ctx, proc, gauge{both, f.Failed()}, t)
	changes, err2 := churn.Stop()
	return r, changes, errors.Join(err, err2)
}

func wildcardSpec() load.Spec {
	s := load.Spec{Payload: payload, Fanout: 10, Sparse: true, Batch: batch, Outstanding: 2000}
	var topics []string
	for i := range side * side {
		// Neighbours in time are far apart in the tree: 37 has no divisor in common with 100.
		topics = append(topics, fmt.Sprintf("w/%d/%d/v", i*37%side, (i/side+i*11)%side))
	}
	s.Topics = [][]string{topics}
	for i := range 500 {
		s.Filters = append(s.Filters, fmt.Sprintf("w/%d/+/v", i%side), fmt.Sprintf("w/+/%d/#", i%side))
	}
	return s
}

// retained measures what many retained messages cost while nobody asks for
// them, and whether a late subscriber gets all.
func retained(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		before, _, err := proc.Memory()
		if err != nil {
			return Result{}, err
		}
		tally, err := retain(ctx, proc.Addr, t)
		if err != nil {
			return Result{}, err
		}
		busy, err := idleCPU(ctx, proc, t)
		if err != nil {
			return Result{}, err
		}
		after, _, err := proc.Memory()
		if err != nil {
			return Result{}, err
		}
		var r Result
		r.spread([]float64{float64(after-before) / 1e6})
		r.More = append(r.More, Figure{"idle CPU", busy, "%"})
		got, err := load.Collect(ctx, proc.Addr, "retained/#", int(tally.Sent), t.Quiet)
		r.Expected, r.Delivered = tally.Sent, int64(got)
		r.Lost = r.Expected - r.Delivered
		return r, err
	})
}

func retain(ctx context.Context, addr string, t Timing) (load.Tally, error) {
	const count = 100_000
	s := load.Spec{QoS: 1, Retain: true, Payload: 16, Batch: 100, Window: 100, Count: count}
	var topics []string
	for i := range count {
		topics = append(topics, fmt.Sprintf("retained/%d/%d", i/1000, i%1000))
	}
	s.Topics = [][]string{topics}
	f, err := load.Start(ctx, addr, s)
	if err != nil {
		return load.Tally{}, err
	}
	f.Published(ctx)
	return f.Stop(ctx, t.Quiet)
}

// idleCPU returns the percentage of a CPU that a broker takes when it is left
// alone, and has been for a while: tidying up after a load is not being idle.
func idleCPU(ctx context.Context, proc *peer.Process, t Timing) (float64, error) {
	if err := leave(ctx, t.Idle); err != nil {
		return 0, err
	}
	before, err := proc.CPU()
	if err != nil {
		return 0, err
	}
	if err := leave(ctx, t.Idle); err != nil {
		return 0, err
	}
	after, err := proc.CPU()
	return 100 * (after - before).Seconds() / t.Idle.Seconds(), err
}

// leave waits for the time d.
func leave(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
