package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
)

// The rows in this file have a session that is away, for which every message must
// be kept.

// Figures of such rows that other code looks for.
const (
	timeFigure  = "time"
	flushFigure = "fdatasync"
)

// unattended is a load of 100 bytes a message that nobody takes: a session that is
// away has subscribed.
func unattended(publishers int) load.Spec {
	s := pairs(publishers)
	s.Payload, s.Filters, s.Fanout, s.Outstanding = 100, nil, 0, 0
	return s
}

// durable measures the CPU time and the time of an acknowledged message, and
// whether the session gets them all when it comes back.
func durable(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		spec := unattended(1)
		t.CPU = 0 // Who waits for a disk would take long for that.
		if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
			return Result{}, err
		}
		r, tally, err := publish(ctx, proc, spec, t)
		if err != nil {
			return r, err
		}
		flush, err := flushTime(p.Under)
		if err != nil {
			return r, err
		}
		r.More = append(r.More, r.time(), Figure{flushFigure, float64(flush.Microseconds()), "µs"})
		got, err := load.Return(ctx, proc.Addr, tally.Sent, len(spec.Topics), t.Quiet)
		r.account(got)
		return r, err
	})
}

// publish measures the publishers of spec.
func publish(ctx context.Context, proc *peer.Process, spec load.Spec, t Timing) (Result, load.Tally, error) {
	f, err := load.Start(ctx, proc.Addr, spec)
	if err != nil {
		return Result{}, load.Tally{}, err
	}
	r, err := observe(ctx, proc, gauge{f.Acknowledged, f.Failed()}, t)
	tally, err2 := f.Stop(ctx, t.Quiet)
	return r, tally, errors.Join(err, err2)
}

// time is how long one message takes after another.
func (r *Result) time() Figure { return Figure{timeFigure, 1e6 / r.Rate, "µs/message"} }

// queued measures the memory for a million messages that wait, and how fast they
// go when the subscriber is back. mosquitto saves them only when it ends: at each
// change it would write all of them.
func queued(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p.Saved(), func(proc *peer.Process) (Result, error) {
		if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
			return Result{}, err
		}
		spec := unattended(1)
		spec.Count = t.Count
		if err := send(ctx, proc.Addr, spec, t); err != nil {
			return Result{}, err
		}
		_, peak, err := proc.Memory()
		if err != nil {
			return Result{}, err
		}
		var r Result
		r.spread([]float64{float64(peak) / 1e6})
		began := time.Now()
		got, err := load.Return(ctx, proc.Addr, int64(t.Count), 1, t.Quiet)
		r.Rate = float64(got.Delivered) / time.Since(began).Seconds()
		r.account(got)
		return r, err
	})
}

// send publishes all messages of spec.
func send(ctx context.Context, addr string, spec load.Spec, t Timing) error {
	f, err := load.Start(ctx, addr, spec)
	if err != nil {
		return err
	}
	f.Published(ctx)
	_, err = f.Stop(ctx, t.Quiet)
	return err
}

// recovery measures the time from exec to the first CONNACK of a broker that has
// much to read back, and its memory meanwhile.
func recovery(ctx context.Context, p peer.Peer, t Timing) (r Result, err error) {
	proc, err := p.Saved().Start(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, proc.Stop()) }()
	if err := populate(ctx, proc, t); err != nil {
		return r, err
	}
	proc.End() // The time that this takes is another matter.
	began := time.Now()
	again, err := proc.Again(ctx)
	if err != nil {
		return r, err
	}
	proc = again
	if err := answers(ctx, proc); err != nil {
		return r, err
	}
	r.spread([]float64{float64(time.Since(began).Microseconds()) / 1e3})
	if err := leave(ctx, t.Idle); err != nil {
		return r, err
	}
	if r.RSS, r.PeakRSS, err = proc.Memory(); err != nil {
		return r, err
	}
	r.More = append(r.More, Figure{"peak", float64(r.PeakRSS) / float64(r.RSS), "× the final memory"})
	got, err := recovered(ctx, proc, t)
	r.account(got)
	return r, err
}

// recovered returns what is there of the retained messages, and of the queue of
// one session.
func recovered(ctx context.Context, proc *peer.Process, t Timing) (load.Tally, error) {
	const kept = 20_000
	retained, err := load.Collect(ctx, proc.Addr, "retained/#", kept, t.Quiet)
	if err != nil {
		return load.Tally{}, err
	}
	got, err := load.Return(ctx, proc.Addr, 200, 1, t.Quiet)
	got.Expected += kept
	got.Delivered += int64(retained)
	got.Lost += kept - int64(retained)
	return got, err
}

// populate has 500 sessions with 200 messages each, and 20 000 retained messages.
func populate(ctx context.Context, proc *peer.Process, t Timing) error {
	if err := answers(ctx, proc); err != nil {
		return err
	}
	spec := unattended(1)
	spec.Topics, spec.Count = [][]string{nil}, 100_000
	kept := load.Spec{QoS: 1, Retain: true, Payload: 100, Batch: batch, Window: 100, Count: 20_000, Topics: [][]string{nil}}
	var filters []string
	for i := range 500 {
		filters = append(filters, fmt.Sprint("queue/", i))
	}
	spec.Topics[0] = filters
	for i := range kept.Count {
		kept.Topics[0] = append(kept.Topics[0], fmt.Sprintf("retained/%d/%d", i/100, i%100))
	}
	if err := load.Away(ctx, proc.Addr, filters...); err != nil {
		return err
	}
	return errors.Join(send(ctx, proc.Addr, spec, t), send(ctx, proc.Addr, kept, t))
}

// attended is a load with a lasting session that takes what comes.
func attended(payload int) load.Spec {
	s := oneToOne(1)
	s.Payload, s.Lasting, s.Filters = payload, true, []string{"bench/#"}
	return s
}

// within is measure where messages may wait for others; so more of a run is
// needed.
func within(measure measureFunc) measureFunc {
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		t.Slow *= 3
		return measure(ctx, p.Within(), t)
	}
}

// A pacing is a load that keeps a pace.
type pacing struct {
	spec  load.Spec
	scale float64 // what a byte on the disk for each message is, in the unit of the row
	warm  bool    // what a broker makes once, like files, is made before
}

// telemetry is what a house full of sensors has all day: each message is the new
// value of one of ten retained topics. A byte for each of its messages is so many
// GB a day.
func telemetry() pacing {
	const rate = 10 // messages a second
	s := attended(148)
	s.Retain, s.Every, s.Topics = true, time.Second/rate, [][]string{nil}
	for i := range 10 {
		s.Topics[0] = append(s.Topics[0], fmt.Sprint("bench/", i))
	}
	return pacing{spec: s, scale: rate * 86400 / 1e9}
}

// fastSize is the size of messages that come fast, in bytes.
const fastSize = 512

// steady is a thousand messages a second, one at a time.
func steady() pacing {
	s := attended(fastSize)
	s.Every = time.Millisecond
	return pacing{spec: s, scale: 1.0 / fastSize, warm: true}
}

// measure measures what goes to the disk for a message.
func (k pacing) measure(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return onDisk(ctx, p, func(proc *peer.Process, d *device) (Result, error) {
		if k.warm {
			if err := warmUp(ctx, proc, t); err != nil {
				return Result{}, err
			}
		}
		f, err := load.Start(ctx, proc.Addr, k.spec)
		if err != nil {
			return Result{}, err
		}
		bytes, err := perMessage(ctx, f, d, t)
		tally, err2 := f.Stop(ctx, t.Quiet)
		r := Result{More: []Figure{{Name: d.what}}}
		r.spread([]float64{bytes * k.scale})
		r.account(tally)
		return r, errors.Join(err, err2)
	})
}

// perMessage returns how many bytes go to d for a message of f, after a while.
func perMessage(ctx context.Context, f *load.Fleet, d *device, t Timing) (float64, error) {
	if err := leave(ctx, t.Slow/2); err != nil {
		return 0, err
	}
	before := f.Delivered()
	bytes, err := d.during(func() error { return leave(ctx, t.Slow) })
	return float64(bytes) / float64(max(1, f.Delivered()-before)), err
}

// perByte measures what goes to the disk for each byte of payload, at the full speed
// of a lasting session that takes it all.
func perByte(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	t.CPU = 0 // It is bytes that count.
	return onDisk(ctx, p, func(proc *peer.Process, d *device) (r Result, err error) {
		if err := warmUp(ctx, proc, t); err != nil {
			return r, err
		}
		n, err := d.during(func() (err error) {
			r, err = fullSpeed(ctx, proc, attended(fastSize), t)
			return err
		})
		r.spread([]float64{float64(n) / float64(max(1, r.Expected)*fastSize)})
		r.More = []Figure{{Name: d.what}}
		return r, err
	})
}

// warmUp is work on other topics, for which nothing waits, until what a broker makes
// once is made: after 128 MB, or some time.
func warmUp(ctx context.Context, proc *peer.Process, t Timing) error {
	spec := attended(fastSize)
	spec.Topics, spec.Filters = [][]string{{"warm/0"}}, []string{"warm/#"}
	t.CPU = 0
	for began, sent := time.Now(), int64(0); sent*fastSize < 128<<20 && time.Since(began) < 2*t.Run; {
		r, err := fullSpeed(ctx, proc, spec, t)
		if err != nil {
			return err
		}
		sent += r.Expected
	}
	return nil
}

// slowDisk measures the time of an acknowledged message where each fdatasync takes
// 10 ms longer.
func slowDisk(publishers int) func(context.Context, peer.Peer, Timing) (Result, error) {
	return func(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
		p, err := p.Slowed()
		if err != nil {
			return Result{}, err
		}
		return running(ctx, p, func(proc *peer.Process) (Result, error) {
			spec := unattended(publishers)
			spec.Window = 20
			t.CPU = 0
			if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
				return Result{}, err
			}
			r, tally, err := publish(ctx, proc, spec, t)
			if err != nil {
				return r, err
			}
			r.spread([]float64{1e3 / r.Rate})
			r.More = nil
			got, err := load.Return(ctx, proc.Addr, tally.Sent, publishers, t.Quiet)
			r.account(got)
			return r, err
		})
	}
}
