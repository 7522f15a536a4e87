package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"edge/bench/load"
	"edge/bench/peer"
	"edge/bench/wire"
	"edge/bridge"
	"edge/bridge/gpio"
	"edge/broker"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// The rows in this file have pins: a hub within this process, whose gpio bridge has a
// simulated chip, beside a loop in Python that polls a file and is a client of the
// same hub.

const (
	loopName   = "paho loop"
	pinsPrefix = "bench/pins/porch"

	// pollTime is how often the loop looks; pauses are as long at most, so that
	// changes come at any time within a round of it.
	pollTime = 100 * time.Millisecond

	// giveUp is after how long a change counts as lost.
	giveUp = 20 * time.Second

	// unread is how much more than one value can be told before somebody looks.
	unread = 16
)

// pins are an input and an output of a bridge.
type pins struct {
	set    func(high bool) error // the input
	levels <-chan moment         // of the output
	stop   func() error
}

// A moment is when a pin or a topic got a value.
type moment struct {
	on bool
	at time.Time
}

// pinsRow measures the time from a cause to its effect with one of the bridges.
func pinsRow(measure func(context.Context, pins, *watcher, int) ([]time.Duration, error)) measureFunc {
	return func(ctx context.Context, p peer.Peer, t Timing) (r Result, err error) {
		hub, addr, err := openHub()
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, hub.Close(context.WithoutCancel(ctx))) }()
		open := edgePins
		if p.Name == loopName {
			open = loopPins
		}
		w, err := watch(ctx, addr, pinsPrefix+"/door")
		if err != nil {
			return r, err
		}
		defer w.close()
		bridged, err := open(ctx, p, hub, addr)
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, bridged.stop()) }()
		if err := w.first(ctx); err != nil {
			return r, err
		}
		delays, err := measure(ctx, bridged, w, t.Changes)
		if err != nil {
			return r, err
		}
		r.Expected, r.Delivered = int64(t.Changes), int64(len(delays))
		r.Lost = r.Expected - r.Delivered
		return r, r.delays(delays)
	}
}

// openHub opens a broker within this process.
func openHub() (hub *broker.Broker, addr string, err error) {
	cfg := broker.DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Listeners = []broker.Listener{{URL: "tcp://127.0.0.1:0"}}
	hub, err = broker.Open(cfg, "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, "", err
	}
	u, err := url.Parse(hub.URLs()[0])
	if err != nil {
		return nil, "", errors.Join(err, hub.Close(context.Background()))
	}
	return hub, u.Host, nil
}

// edgePins runs the gpio bridge of edge on a simulated board, without debounce, which
// the loop does not have either.
func edgePins(ctx context.Context, _ peer.Peer, hub *broker.Broker, _ string) (pins, error) {
	board := sim.NewBoard()
	levels := make(chan moment, unread)
	open := func(label string) (gpiochip.Chip, error) {
		chip, err := board.Open(label)
		return observedChip{chip, levels}, err
	}
	cfg := gpio.Config{Pins: []gpio.Pin{
		{ID: "door", Pin: fmt.Sprintf("GPIO%d", sim.Door), Direction: gpio.Input, Bias: gpio.PullUp},
		{ID: "relay", Pin: fmt.Sprintf("GPIO%d", sim.RelayLine(0)), Direction: gpio.Output, ActiveLow: true},
	}}
	if err := cfg.Validate(); err != nil {
		return pins{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- gpio.New(pinsPrefix, cfg, slog.New(slog.DiscardHandler)).WithChips(open).Run(ctx, hub.Client("porch"))
	}()
	return pins{
		set:    func(high bool) error { board.SetDoor(high); return nil },
		levels: levels,
		stop:   func() error { cancel(); return <-done },
	}, nil
}

// An observedChip tells when an output gets a level.
type observedChip struct {
	gpiochip.Chip
	levels chan<- moment
}

// Request implements gpiochip.Chip.
func (c observedChip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	lines, err := c.Chip.Request(r)
	if err != nil || r.Lines[0].Direction != gpiochip.Output {
		return lines, err
	}
	return observedLines{lines, c.levels}, nil
}

type observedLines struct {
	gpiochip.Lines
	levels chan<- moment
}

// SetValues implements gpiochip.Lines.
func (l observedLines) SetValues(mask, values uint64) error {
	err := l.Lines.SetValues(mask, values)
	tell(l.levels, moment{values&1 != 0, time.Now()})
	return err
}

// tell does not wait for one who no longer listens.
func tell(to chan<- moment, m moment) {
	select {
	case to <- m:
	default:
	}
}

// loopPins runs the loop in Python.
func loopPins(ctx context.Context, p peer.Peer, _ *broker.Broker, addr string) (pins, error) {
	loop, err := peer.StartLoop(ctx, p.Place, addr, pinsPrefix)
	if err != nil {
		return pins{}, err
	}
	levels := make(chan moment, unread)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var b [1]byte
		for {
			if _, err := loop.Output.Read(b[:]); err != nil {
				return
			}
			tell(levels, moment{b[0] == '1', time.Now()})
		}
	}()
	return pins{set: loop.Set, levels: levels, stop: func() error {
		err := loop.Stop()
		<-done
		return err
	}}, nil
}

// A watcher is a client on the network that sees an input's topic and commands the
// output.
type watcher struct {
	conn   *load.Conn
	states chan moment
	done   chan struct{}
}

func watch(ctx context.Context, addr, topic string) (*watcher, error) {
	conn, err := load.Dial(ctx, addr, "watcher")
	if err != nil {
		return nil, err
	}
	if err := conn.Subscribe(topic, 0); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w := &watcher{conn, make(chan moment, unread), make(chan struct{})}
	go w.read()
	return w, nil
}

func (w *watcher) read() {
	defer close(w.done)
	handle := func(k wire.Packet) error {
		m, err := k.Message()
		if err == nil {
			tell(w.states, moment{string(m.Payload) == "ON", time.Now()})
		}
		return err
	}
	var err error
	for err == nil {
		err = w.conn.Batch(handle) // until the connection is closed
	}
}

func (w *watcher) close() {
	if err := w.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	<-w.done
}

// first waits for the state with which a bridge begins.
func (w *watcher) first(ctx context.Context) error {
	_, ok, err := await(ctx, w.states, false)
	if err == nil && !ok {
		err = errors.New("the bridge does not say how its input is")
	}
	return err
}

// await waits until on is told, and reports false if that takes too long.
func await(ctx context.Context, told <-chan moment, on bool) (at time.Time, ok bool, err error) {
	timer := time.NewTimer(giveUp)
	defer timer.Stop()
	for {
		select {
		case m := <-told:
			if m.on == on {
				return m.at, true, nil
			}
		case <-timer.C:
			return at, false, nil
		case <-ctx.Done():
			return at, false, ctx.Err()
		}
	}
}

// inputToPublish measures from a change of the input to its PUBLISH.
func inputToPublish(ctx context.Context, p pins, w *watcher, changes int) ([]time.Duration, error) {
	return sample(ctx, changes, w.states, p.set)
}

// setToLevel measures from a PUBLISH of a command to the level of the output.
func setToLevel(ctx context.Context, p pins, w *watcher, changes int) ([]time.Duration, error) {
	return sample(ctx, changes, p.levels, func(on bool) error {
		payload := map[bool]string{true: "ON", false: "OFF"}[on]
		_, err := w.conn.Write(wire.AppendPublish(nil, wire.Message{Topic: []byte(bridge.Base(pinsPrefix).Set("relay")), Payload: []byte(payload)}))
		return err
	})
}

// sample makes so many changes and returns how long each took to be told of.
func sample(ctx context.Context, changes int, told <-chan moment, change func(on bool) error) ([]time.Duration, error) {
	var delays []time.Duration
	for i := range changes {
		if err := leave(ctx, rand.N(pollTime)); err != nil {
			return nil, err
		}
		on := i%2 == 0
		begin := time.Now()
		if err := change(on); err != nil {
			return nil, err
		}
		at, ok, err := await(ctx, told, on)
		if err != nil {
			return nil, err
		}
		if ok {
			delays = append(delays, at.Sub(begin))
		}
	}
	return delays, nil
}
