package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"edge/internal/gpiochip"
)

// HeaderLabel is the label of the Board's chip; those of a real board are
// called pinctrl-bcm2835, pinctrl-bcm2711 or pinctrl-rp1.
const HeaderLabel = "sim-header"

// What is wired to which GPIO of the Board, as on a Raspberry Pi's header.
const (
	Door   = 17 // reed contact to ground, closed while the door is; wants a pull-up
	Motion = 27 // the sensor drives it high while it sees motion
)

var (
	relays  = [...]uint32{5, 6, 13, 19} // active low, with pull-ups on the relay board
	buttons = [...]uint32{23, 24}       // to ground; want pull-ups
)

// RelayLine returns the GPIO of relay i, which is active low.
func RelayLine(i int) uint32 { return relays[i] }

// ButtonLine returns the GPIO of push button i, which is active low.
func ButtonLine(i int) uint32 { return buttons[i] }

// A Board is a small computer with four relays, two push buttons, a door contact
// and a motion sensor on its 40-pin header.
type Board struct {
	Header *Chip // the lines GPIO0 to GPIO27
}

// NewBoard makes a board whose relays are off, whose buttons are up and whose
// door is shut, and before which nothing moves.
func NewBoard() *Board {
	var names []string
	for i := range 28 {
		names = append(names, fmt.Sprintf("GPIO%d", i))
	}
	b := &Board{Header: NewChip(HeaderLabel, names...)}
	for _, o := range relays {
		b.Header.Resistor(o, gpiochip.PullUp)
	}
	b.SetDoor(false)
	b.SetMotion(false)
	return b
}

// Open opens the chip with that label; the empty label means the header's.
func (b *Board) Open(label string) (gpiochip.Chip, error) {
	if label != "" && label != HeaderLabel {
		return nil, fmt.Errorf("the simulated board has no chip %q, only %s", label, HeaderLabel)
	}
	return b.Header.Open()
}

// Relay reports whether relay i is energised: an output drives it low.
func (b *Board) Relay(i int) bool {
	return b.Header.Driven(relays[i]) && !b.Header.Level(relays[i])
}

// Press holds push button i down.
func (b *Board) Press(i int) { b.Header.Drive(buttons[i], false) }

// Release lets push button i up.
func (b *Board) Release(i int) { b.Header.Float(buttons[i]) }

// SetDoor opens or shuts the door.
func (b *Board) SetDoor(open bool) {
	if open {
		b.Header.Float(Door)
	} else {
		b.Header.Drive(Door, false)
	}
}

// SetMotion lets the motion sensor see somebody or nobody.
func (b *Board) SetMotion(seen bool) { b.Header.Drive(Motion, seen) }

// Live lets somebody live around the board until ctx ends: motion, a door, a
// press of a button, with pauses of seconds and with the bounce of contacts. The
// same seed is the same life.
func (b *Board) Live(ctx context.Context, seed uint64) {
	life := &life{ctx: ctx, rand: rand.New(rand.NewPCG(seed, seed))}
	for life.pause(2*time.Second, 9*time.Second) {
		switch life.rand.IntN(4) {
		case 0, 1:
			b.SetMotion(true)
			life.pause(3*time.Second, 10*time.Second)
			b.SetMotion(false)
		case 2:
			life.contact(b.SetDoor, true)
			life.pause(2*time.Second, 12*time.Second)
			life.contact(b.SetDoor, false)
		case 3:
			button := life.rand.IntN(len(buttons))
			set := func(down bool) {
				if down {
					b.Press(button)
				} else {
					b.Release(button)
				}
			}
			life.contact(set, true)
			life.pause(80*time.Millisecond, 700*time.Millisecond)
			life.contact(set, false)
		}
	}
}

// A life is one run of Live.
type life struct {
	ctx  context.Context
	rand *rand.Rand
}

// contact moves a mechanical contact, which bounces for a few milliseconds.
func (l *life) contact(set func(bool), closed bool) {
	for range l.rand.IntN(5) {
		set(closed)
		l.pause(100*time.Microsecond, time.Millisecond)
		set(!closed)
		l.pause(100*time.Microsecond, time.Millisecond)
	}
	set(closed)
}

// pause waits from low to high, and reports false at once when ctx has ended.
func (l *life) pause(low, high time.Duration) bool {
	timer := time.NewTimer(low + time.Duration(l.rand.Int64N(int64(high-low))))
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
