package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edge/bench/peer"
)

// start measures the time from exec to the first CONNACK, the median of some.
func start(ctx context.Context, p peer.Peer, t Timing) (Result, error) {
	var took []float64
	var r Result
	for range t.Start {
		ms, err := startOnce(ctx, p, &r)
		if err != nil {
			return Result{}, err
		}
		took = append(took, ms)
	}
	r.spread(took)
	return r, nil
}

func startOnce(ctx context.Context, p peer.Peer, r *Result) (ms float64, err error) {
	began := time.Now()
	proc, err := p.Launch(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, proc.Stop()) }()
	if err := answers(ctx, proc); err != nil {
		return 0, err
	}
	ms = float64(time.Since(began).Microseconds()) / 1e3
	r.RSS, r.PeakRSS, err = proc.Memory()
	return ms, err
}

// demo measures the resident size of `edge demo`, with all its bridges, when
// nobody does anything.
func demo(ctx context.Context, p peer.Peer, _ Timing) (r Result, err error) {
	const settle = 5 * time.Second
	addr, err := peer.FreeAddr()
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "bench-demo")
	if err != nil {
		return r, err
	}
	proc, err := peer.Command(ctx, p.Place, []string{p.Path, "demo", "--listen", "tcp://" + addr}, dir, "")
	if err != nil {
		return r, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, proc.Stop()) }()
	proc.Addr = addr
	if err := answers(ctx, proc); err != nil {
		return r, err
	}
	if err := leave(ctx, settle); err != nil {
		return r, err
	}
	r.RSS, r.PeakRSS, err = proc.Memory()
	r.spread([]float64{float64(r.RSS) / 1e6})
	return r, err
}

// size measures the binary for a Raspberry Pi, or the given one.
func size(ctx context.Context, p peer.Peer, _ Timing) (Result, error) {
	path, arch := p.Path, "as given"
	if p.Built {
		arch = "linux/arm64"
		path = filepath.Join(filepath.Dir(p.Path), "edge-arm64")
		if err := peer.Build(ctx, "edge/cmd/edge", path, "GOOS=linux", "GOARCH=arm64"); err != nil {
			return Result{}, err
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return Result{}, fmt.Errorf("measure the binary: %w", err)
	}
	var r Result
	r.spread([]float64{float64(info.Size()) / 1e6})
	r.More = append(r.More, Figure{Name: arch})
	return r, nil
}
