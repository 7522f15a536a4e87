package gpio_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/guard"
	"edge/internal/sim"
)

// A guardedBoard does with outputs what a guard does: it keeps lines when they are
// closed, and can take them over.
type guardedBoard struct {
	*sim.Board
	mu    sync.Mutex
	kept  map[uint32]*keptLines
	over  chan struct{} // closed when they are taken over
	signs atomic.Int64  // of life
}

func (b *guardedBoard) Open(label string) (gpiochip.Chip, error) {
	chip, err := b.Board.Open(label)
	return guardedChip{chip, b}, err
}

// takeOver makes all outputs safe.
func (b *guardedBoard) takeOver(t *testing.T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.kept {
		if err := l.inner.SetValues(1, l.safe); err != nil {
			t.Fatal(err)
		}
	}
	close(b.over)
	b.over = make(chan struct{})
}

type guardedChip struct {
	gpiochip.Chip
	board *guardedBoard
}

func (c guardedChip) LineInfo(offset uint32) (gpiochip.LineInfo, error) {
	info, err := c.Chip.LineInfo(offset)
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	if l := c.board.kept[offset]; l != nil && !l.used {
		info.Used = false
	}
	return info, err
}

func (c guardedChip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	cfg := r.Lines[0]
	if cfg.Direction != gpiochip.Output {
		return c.Chip.Request(r)
	}
	c.board.mu.Lock()
	defer c.board.mu.Unlock()
	l := c.board.kept[cfg.Offset]
	var value, safe uint64
	if cfg.Value {
		value = 1
	}
	if cfg.Safe {
		safe = 1
	}
	if l == nil {
		inner, err := c.Chip.Request(r)
		if err != nil {
			return nil, err
		}
		l = &keptLines{inner: inner, safe: safe}
		c.board.kept[cfg.Offset] = l
	} else if err := l.inner.SetValues(1, value); err != nil {
		return nil, err
	}
	l.used = true
	return guardedLines{l.inner, l, c.board, c.board.over}, nil
}

type keptLines struct {
	inner gpiochip.Lines
	safe  uint64
	used  bool
}

type guardedLines struct {
	gpiochip.Lines
	kept  *keptLines
	board *guardedBoard
	over  <-chan struct{}
}

var _ guard.Guarded = guardedLines{}

func (l guardedLines) Alive() time.Duration {
	l.board.signs.Add(1)
	return 50 * time.Millisecond
}

func (l guardedLines) check() error {
	select {
	case <-l.over:
		return fmt.Errorf("fake: %w", guard.ErrTakenOver)
	default:
		return nil
	}
}

func (l guardedLines) SetValues(mask, values uint64) error {
	if err := l.check(); err != nil {
		return err
	}
	return l.Lines.SetValues(mask, values)
}

func (l guardedLines) ReadEvent(ctx context.Context) (gpiochip.Event, error) {
	select {
	case <-ctx.Done():
		return gpiochip.Event{}, ctx.Err()
	case <-l.over:
		return gpiochip.Event{}, l.check()
	}
}

func (l guardedLines) Close() error {
	l.board.mu.Lock()
	defer l.board.mu.Unlock()
	l.kept.used = false
	return nil
}

// TestTakenOver has the guard take over: what it has made safe stays so, and is told;
// commands are obeyed again.
func TestTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := &guardedBoard{Board: sim.NewBoard(), kept: make(map[uint32]*keptLines), over: make(chan struct{})}
		cfg := boardConfig()
		cfg.Pins[0].Initial = gpio.On // which is for a start, and this is none
		cfg.Pins[1].Safe = gpio.On
		r := rig{t, board.Board, new(bridgetest.Client)}
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(board.Open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		r.expect("relay1", "ON")
		before := board.signs.Load()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := board.signs.Load() - before; n < 4*150 {
			t.Errorf("the owner of four lines has shown %d times in 10s that it lives, want 800", n)
		}
		for _, line := range []int{0, 1} {
			board.Header.Trace(sim.RelayLine(line))
		}
		begun := time.Now()
		board.takeOver(t)
		for relay, want := range map[string]string{"relay1": "OFF", "relay2": "ON", "relay3": "OFF"} {
			r.expect(relay, want)
			a := r.attr(relay, func(a bridge.Attr) bool { return a.Quality == bridge.Good && a.Cause == "guard" })
			if a.Counters["guard"] != 1 {
				t.Errorf("%s counts %v, want guard once", relay, a.Counters)
			}
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the lines were back after %v", took)
		}
		// Low is on.
		if got, want := board.Header.Trace(sim.RelayLine(0)), []bool{false, true}; !slices.Equal(got, want) {
			t.Errorf("relay1 was %t, want %t", got, want)
		}
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		r.wantRelay(0, true)
		r.wantRelay(1, true)
	})
}

// TestSecure takes outputs at their safe levels, and those alone.
func TestSecure(t *testing.T) {
	board := sim.NewBoard()
	board.Header.Hold(sim.RelayLine(3), "another program")
	cfg := boardConfig()
	cfg.Pins[1].Safe = gpio.On
	cfg.Pins = append(cfg.Pins, gpio.Pin{ID: "far", Chip: "none", Offset: new(1), Direction: gpio.Output})
	var got []gpiochip.LineConfig
	err := cfg.Secure(board.Open, func(_ gpiochip.ChipInfo, r gpiochip.Request, _ gpiochip.Lines) error {
		got = append(got, r.Lines...)
		if r.Lines[0].Offset == sim.RelayLine(2) {
			return errors.New("there is no room")
		}
		return nil
	})
	for _, part := range []string{`pin "relay3": there is no room`, `no chip "none"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Secure = %v, want %s", err, part)
		}
	}
	want := []gpiochip.LineConfig{
		{Offset: sim.RelayLine(0), Direction: gpiochip.Output, ActiveLow: true},
		{Offset: sim.RelayLine(1), Direction: gpiochip.Output, ActiveLow: true, Safe: true, Value: true},
		{Offset: sim.RelayLine(2), Direction: gpiochip.Output, ActiveLow: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("Secure took %+v, want %+v", got, want)
	}
	if board.Relay(0) || !board.Relay(1) || board.Header.Driven(sim.RelayLine(2)) {
		t.Error("relay1 must be off, relay2 on, and relay3 given back")
	}
}
