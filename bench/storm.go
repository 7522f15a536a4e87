package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
	"edge/bench/wire"
	"edge/bridge/gpio"
	"edge/broker"
	"edge/internal/sim"
)

const (
	// stormLines is how many inputs bounce: as many as a header has.
	stormLines = 28

	// stormPeriod is from one change of a line to the next, at 10 000 of them a second.
	stormPeriod = 100 * time.Microsecond

	// echoPause is the longest pause between two echoes, and echoes how many of them come
	// to one change of the other rows about pins.
	echoPause = 10 * time.Millisecond
	echoes    = 5

	echoTopic = "bench/echo"
)

// pinsStorm has all inputs of a header bounce while a client on the network publishes to
// another topic and waits for what it has published. The bridge, the broker and who bounces
// share the CPUs that the process has.
func pinsStorm(ctx context.Context, _ peer.Peer, t Timing) (r Result, err error) {
	hub, addr, err := openHub()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, hub.Close(context.WithoutCancel(ctx))) }()
	w, err := watch(ctx, addr, pinsPrefix+"/"+stormInput(stormLines-1))
	if err != nil {
		return r, err
	}
	defer w.close()
	board := sim.NewBoard()
	stop, err := stormBridge(ctx, board, hub)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := w.first(ctx); err != nil {
		return r, err
	}
	conn, err := load.Dial(ctx, addr, "echo")
	if err != nil {
		return r, err
	}
	defer conn.Close()
	if err := conn.Subscribe(echoTopic, 0); err != nil {
		return r, err
	}
	n := echoes * t.Changes
	quiet, err := echo(ctx, conn, n)
	if err != nil {
		return r, err
	}
	delays, rate, err := echoInStorm(ctx, board, conn, n)
	if err != nil {
		return r, err
	}
	r.Expected, r.Delivered = int64(n), int64(len(delays))
	if err := r.delays(delays); err != nil {
		return r, err
	}
	slices.Sort(quiet)
	r.More = append(r.More, Figure{"p99 without", float64(percentile(quiet, 0.99).Nanoseconds()) / 1e3, "µs"}, Figure{"changes of a line", rate, "/s"})
	return r, nil
}

func stormInput(i int) string { return fmt.Sprintf("i%d", i) }

// stormBridge runs the gpio bridge with all inputs: by turns without debounce and with a
// counter, immediate, and stable.
func stormBridge(ctx context.Context, board *sim.Board, hub *broker.Broker) (stop func() error, err error) {
	cfg := gpio.DefaultConfig()
	for i := range stormLines {
		p := gpio.Pin{ID: stormInput(i), Pin: fmt.Sprintf("GPIO%d", i), Direction: gpio.Input}
		switch i % 3 {
		case 0:
			p.Debounce = new(time.Duration(0))
			p.Counter = &gpio.Counter{PerUnit: 1, Save: time.Second}
		case 1:
			p.DebounceMode = gpio.Immediate
		}
		cfg.Pins = append(cfg.Pins, p)
		board.Header.Drive(uint32(i), false)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- gpio.New(pinsPrefix, cfg, slog.New(slog.DiscardHandler)).WithChips(board.Open).Run(ctx, hub.Client("porch"))
	}()
	return func() error { cancel(); return <-done }, nil
}

// storm bounces all lines until ctx ends, and returns how often each has changed a second.
func storm(ctx context.Context, board *sim.Board) (rate float64) {
	begin := time.Now()
	for n := 0; ; n++ {
		if leave(ctx, time.Until(begin.Add(time.Duration(n)*stormPeriod))) != nil {
			return float64(n) / time.Since(begin).Seconds()
		}
		for i := range stormLines {
			board.Header.Drive(uint32(i), n%2 == 0)
		}
	}
}

// echoInStorm measures n echoes in a storm.
func echoInStorm(ctx context.Context, board *sim.Board, conn *load.Conn, n int) (delays []time.Duration, rate float64, err error) {
	weather, calm := context.WithCancel(ctx)
	var storms sync.WaitGroup
	storms.Go(func() { rate = storm(weather, board) })
	delays, err = echo(ctx, conn, n)
	calm()
	storms.Wait()
	return delays, rate, err
}

// echo publishes a message and waits until it comes back, n times with pauses.
func echo(ctx context.Context, conn *load.Conn, n int) (delays []time.Duration, err error) {
	packet := wire.AppendPublish(nil, wire.Message{Topic: []byte(echoTopic), Payload: []byte("echo")})
	for range n {
		if err := leave(ctx, rand.N(echoPause)); err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := conn.Write(packet); err != nil {
			return nil, err
		}
		for back := false; !back; {
			err := conn.Batch(func(p wire.Packet) error {
				_, err := p.Message()
				back = back || err == nil
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		delays = append(delays, time.Since(begin))
	}
	return delays, nil
}
