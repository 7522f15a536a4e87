package gpio_test

import (
	"sync"
	"testing"
	"time"

	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// A blind hangs on the first two relays of a board, the one that opens it and the one
// that closes it, and presses the two buttons at its ends. It judges how its motor
// is driven.
type blind struct {
	t     testing.TB
	board *sim.Board
	dead  time.Duration

	mu       sync.Mutex
	whole    [2]time.Duration // from end to end, opening and closing
	stuck    bool
	switches bool // it has end switches
	pos      float64
	at       time.Time
	on       [2]bool
	since    [2]time.Time
	moves    int
	timer    *time.Timer
}

// edge is how near to an end its switch is on.
const edge = 0.005

// hang returns a blind at pos on a board, as coverConfig says that it is.
func hang(t testing.TB, board *sim.Board, cfg gpio.Cover, pos float64) *blind {
	now := time.Now()
	b := &blind{
		t: t, board: board, dead: cfg.DeadTime, whole: [2]time.Duration{cfg.OpenTime, cfg.CloseTime},
		switches: cfg.OpenSwitch != "", pos: pos, at: now, since: [2]time.Time{now, now},
	}
	b.press()
	return b
}

// Open opens the board's chip with the blind on it.
func (b *blind) Open(label string) (gpiochip.Chip, error) {
	chip, err := b.board.Open(label)
	return blindChip{chip, b}, err
}

type blindChip struct {
	gpiochip.Chip
	b *blind
}

func (c blindChip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	lines, err := c.Chip.Request(r)
	for i := range 2 {
		if err == nil && r.Lines[0].Offset == sim.RelayLine(i) {
			c.b.drive(i, r.Lines[0].Value)
			return relayLines{lines, c.b, i}, nil
		}
	}
	return lines, err
}

type relayLines struct {
	gpiochip.Lines
	b *blind
	i int
}

func (l relayLines) SetValues(mask, values uint64) error {
	err := l.Lines.SetValues(mask, values)
	if err == nil {
		l.b.drive(l.i, values == 1)
	}
	return err
}

func (l relayLines) Close() error {
	l.b.drive(l.i, false)
	return l.Lines.Close()
}

// drive switches a relay of the motor.
func (b *blind) drive(i int, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.on[i] == on {
		return
	}
	now := time.Now()
	b.move(now)
	if other := 1 - i; on && (b.on[other] || now.Sub(b.since[other]) < b.dead) {
		b.t.Errorf("relay %d goes on while the other is on: %t, for %v", i, b.on[other], now.Sub(b.since[other]))
	}
	if on {
		b.moves++
	}
	b.on[i], b.since[i] = on, now
	b.wait()
}

// hold keeps the blind from moving whatever its motor does, or lets it go.
func (b *blind) hold(stuck bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(time.Now())
	b.stuck = stuck
	b.wait()
}

// step is how fast the blind goes, in whole ways a second.
func (b *blind) step() float64 {
	switch {
	case b.stuck || b.on[0] == b.on[1]:
		return 0
	case b.on[0]:
		return 1 / b.whole[0].Seconds()
	}
	return -1 / b.whole[1].Seconds()
}

func (b *blind) move(now time.Time) {
	b.pos = min(1, max(0, b.pos+b.step()*now.Sub(b.at).Seconds()))
	b.at = now
}

// wait waits until the blind comes to where a switch goes on or off.
func (b *blind) wait() {
	b.press()
	if b.timer != nil {
		b.timer.Stop()
	}
	next, step := time.Duration(0), b.step()
	if !b.switches || step == 0 {
		return
	}
	for _, at := range []float64{edge, 1 - edge} {
		left := time.Duration((at - b.pos) / step * float64(time.Second))
		if left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	if next == 0 {
		return
	}
	b.timer = time.AfterFunc(next+time.Millisecond, func() { // A little further, so that it is over.
		b.mu.Lock()
		defer b.mu.Unlock()
		b.move(time.Now())
		b.wait()
	})
}

// press makes the switches what they are here.
func (b *blind) press() {
	if !b.switches {
		return
	}
	for i, on := range []bool{b.pos > 1-edge, b.pos < edge} {
		if on {
			b.board.Press(i)
		} else {
			b.board.Release(i)
		}
	}
}

// is returns where the blind is and whether its motor runs.
func (b *blind) is() (pos float64, runs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move(time.Now())
	return b.pos, b.on[0] || b.on[1]
}
