package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"edge/bench/load"
	"edge/bench/peer"
)

// The rows in this file have a session that is away, for which every message must
// be kept.

// unattended is a load that nobody takes: a session that is away has subscribed.
func unattended(payload, publishers int) load.Spec {
	s := pairs(publishers)
	s.Payload, s.Filters, s.Fanout, s.Outstanding = payload, nil, 0, 0
	return s
}

// durable measures the CPU time and the time of an acknowledged message, and
// whether the session gets them all when it comes back.
func durable(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		spec := unattended(100, 1)
		if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
			return Result{}, err
		}
		r, tally, err := publish(ctx, proc, spec, t)
		if err != nil {
			return r, err
		}
		flush, err := flushTime(os.TempDir())
		if err != nil {
			return r, err
		}
		r.More = append(r.More, r.time(), Figure{"fdatasync", float64(flush.Microseconds()), "µs"})
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
func (r *Result) time() Figure { return Figure{"time", 1e6 / r.Rate, "µs/message"} }

// flushTime returns the median time that the disk under dir takes to have 4 KiB
// safe.
func flushTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "flush")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var took []float64
	for i := range 65 {
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("flush a file in %s: %w", dir, err)
		}
		if i > 0 { // The first one has the size of the file to write, too.
			took = append(took, float64(time.Since(began)))
		}
	}
	return time.Duration(median(took)), nil
}

// queued measures the memory for a million messages that wait, and how fast they
// go when the subscriber is back.
func queued(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	const count = 1_000_000
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
			return Result{}, err
		}
		spec := unattended(100, 1)
		spec.Count = count
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
		got, err := load.Return(ctx, proc.Addr, count, 1, t.Quiet)
		r.Rate = count / time.Since(began).Seconds()
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
	retained, err := load.Collect(ctx, proc.Addr, "retained/#", 20_000, t.Quiet)
	if err != nil {
		return r, err
	}
	got, err := load.Return(ctx, proc.Addr, 200, 1, t.Quiet)
	r.account(got)
	r.Expected, r.Delivered, r.Lost = 20_200, got.Delivered+int64(retained), got.Lost+20_000-int64(retained)
	return r, err
}

// populate has 500 sessions with 200 messages each, and 20 000 retained messages.
func populate(ctx context.Context, proc *peer.Process, t Timing) error {
	if err := answers(ctx, proc); err != nil {
		return err
	}
	spec := unattended(100, 1)
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

func within(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return perDay(ctx, p.Within(), t)
}

// perDay measures what goes to the disk in a day at 10 messages a second.
func perDay(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	return onDisk(ctx, p, func(proc *peer.Process, d *device) (Result, error) {
		if err := load.Away(ctx, proc.Addr, "bench/#"); err != nil {
			return Result{}, err
		}
		spec := unattended(148, 1)
		spec.Every = time.Second / 10
		f, err := load.Start(ctx, proc.Addr, spec)
		if err != nil {
			return Result{}, err
		}
		defer f.Stop(ctx, t.Quiet) //nolint:errcheck // What counts is read below.
		if err := leave(ctx, t.Slow/2); err != nil {
			return Result{}, err
		}
		n, err := d.during(func() error { return leave(ctx, 2*t.Slow) })
		var r Result
		r.spread([]float64{float64(n) / (2 * t.Slow).Seconds() * 86400 / 1e9})
		r.More = append(r.More, Figure{Name: d.what})
		select {
		case <-f.Failed():
			_, err2 := f.Stop(ctx, t.Quiet)
			err = errors.Join(err, err2)
		default:
		}
		return r, err
	})
}

// perByte measures what goes to the disk for each byte of payload, at the full speed
// of a lasting session that takes it all. It begins to count after 128 MB, or some
// time: by then what a broker makes once, like files, is made.
func perByte(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	const size = 512
	spec := oneToOne(1)
	spec.Payload, spec.Lasting = size, true
	return onDisk(ctx, p, func(proc *peer.Process, d *device) (Result, error) {
		var r Result
		run := func() (err error) {
			r, err = fullSpeed(ctx, proc, spec, t)
			return err
		}
		for began, sent := time.Now(), int64(0); sent*size < 128<<20 && time.Since(began) < 4*t.Run; sent += r.Expected {
			if err := run(); err != nil {
				return r, err
			}
		}
		n, err := d.during(run)
		if err != nil {
			return r, err
		}
		r.spread([]float64{float64(n) / float64(r.Expected*size)})
		r.More = []Figure{{Name: d.what}}
		return r, nil
	})
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
			spec := unattended(100, publishers)
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

// onDisk is running for a broker whose directory is on a device of its own, if
// this user may make one.
func onDisk(ctx context.Context, p peer.Peer, measure func(*peer.Process, *device) (Result, error)) (r Result, err error) {
	d, err := newDevice(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	p.Under = d.mount
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		if d.image == "" {
			d.what, d.bytes = "as the kernel counts for the process", proc.Written
		}
		return measure(proc, d)
	})
}

// sectors of /sys/block/*/stat have 512 bytes, whatever the device's have.
const sector = 512

// written returns the bytes that were written to a block device.
func written(dev string) (int64, error) {
	file := filepath.Join("/sys/block", filepath.Base(dev), "stat")
	stat, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads the seventh number, sectors written, of a block device's stat.
func parseStat(stat string) (int64, error) {
	var field [7]int64
	into := make([]any, len(field))
	for i := range field {
		into[i] = &field[i]
	}
	if _, err := fmt.Sscan(stat, into...); err != nil {
		return 0, fmt.Errorf("statistics of a block device are %q: %w", stat, err)
	}
	return field[6] * sector, nil
}
