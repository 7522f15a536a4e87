// Package gpiochip drives the lines of a GPIO chip through the Linux character
// device, version 2 of its interface (linux/gpio.h, Documentation/userspace-api/
// gpio/chardev.rst). It says what a chip is, so that a simulated one can take
// the kernel's place; package gpiochiptest holds both to the same contract. It
// knows no boards, no pins of a header and no names that people give to lines.
package gpiochip

import (
	"context"
	"time"
)

// MaxLines is how many lines one request can hold (GPIO_V2_LINES_MAX).
const MaxLines = 64

// A Chip is a GPIO controller that was opened. Its methods may be called from
// several goroutines at once. When the chip was unplugged they return an error
// that is ErrGone.
type Chip interface {
	// Info returns what the chip is called and how many lines it has.
	Info() (ChipInfo, error)

	// LineInfo returns how the line at offset is used now, by whomever.
	LineInfo(offset uint32) (LineInfo, error)

	// Request takes lines for this process until they are closed: all that r
	// names, or none. If one is taken already the error is a *BusyError.
	Request(r Request) (Lines, error)

	// Close lets go of the chip. Lines that were requested stay requested.
	Close() error
}

// A Leveler is a Chip that can tell a line's physical level without requesting
// it, and so without changing anything. An error may mean that this user cannot
// see it, or that this line's level cannot be seen.
type Leveler interface {
	Level(offset uint32) (high bool, err error)
}

// A Muxer is a Chip that can tell what a pin is connected to: "input" and "output" are
// the chip's own, "alt0" to "alt5" other hardware, from which a request takes the pin.
// An error is as for Leveler.
type Muxer interface {
	Function(offset uint32) (string, error)
}

// Lines are the lines of one request, in its order: bit 0 of a mask is the
// first line of the request. Values are logical: of a line that is active low,
// true is the low level.
type Lines interface {
	// Values returns the values of the lines in mask; other bits are zero.
	Values(mask uint64) (uint64, error)

	// SetValues drives the lines in mask, which must be outputs, all at once
	// where the hardware can.
	SetValues(mask, values uint64) error

	// ReadEvent returns the next edge of any of the lines. It waits until ctx
	// ends, the lines are closed (os.ErrClosed) or the chip is gone (ErrGone),
	// also if no line has edges requested. One goroutine at a time may call it.
	// A kernel before Linux 6.6 does not end the wait when the chip goes; Values
	// tells there.
	ReadEvent(ctx context.Context) (Event, error)

	// Close gives the lines back. What an output's level is then depends on the
	// chip's driver. A ReadEvent under way returns os.ErrClosed.
	Close() error
}

// A ChipInfo says what a chip is.
type ChipInfo struct {
	Name  string // the kernel's name, "gpiochip0"; not stable
	Label string // the driver's name, "pinctrl-bcm2711"; stable
	Lines uint32 // offsets are 0 … Lines-1
}

// A LineInfo says what a line is and how it is used.
type LineInfo struct {
	Offset   uint32
	Name     string // from the device tree, often empty
	Consumer string // who requested it, as that one calls itself; may be empty
	Used     bool   // somebody holds it, or the kernel does
	Config   LineConfig
	Clock    Clock
}

// A Request says which lines are wanted and how they are to be set up.
type Request struct {
	Consumer    string // shown to others, cut after 31 bytes
	Lines       []LineConfig
	EventBuffer uint32 // events that the kernel keeps for a slow reader; 0 means 16 a line
	Clock       Clock  // of the time of events
}

// A LineConfig is the set-up of one line.
type LineConfig struct {
	Offset    uint32
	Direction Direction
	ActiveLow bool
	Bias      Bias
	Drive     Drive         // outputs only
	Edges     Edge          // inputs only: which changes become events
	Debounce  time.Duration // inputs only: the kernel ignores shorter changes; whole µs
	Value     bool          // outputs only: driven from the first moment on
	Found     bool          // outputs only: Value is left out, and is what the line has when it is requested
	Safe      bool          // outputs only: what a guard drives when the holder is gone; no chip looks at it
}

// A Direction is which way a line goes.
type Direction uint8

// The directions of a line. AsIs leaves the line as it was found: it can be
// read, and nothing about it can be set.
const (
	AsIs Direction = iota
	Input
	Output
)

// A Bias is what holds a line that nobody drives.
type Bias uint8

// The biases of a line. BiasAsIs leaves what the firmware set up.
const (
	BiasAsIs Bias = iota
	BiasDisabled
	PullUp
	PullDown
)

// A Drive is how an output drives its line.
type Drive uint8

// The drives of an output.
const (
	PushPull Drive = iota
	OpenDrain
	OpenSource
)

// An Edge is a change of a line's value, or a set of such changes.
type Edge uint8

// The edges, in logical values: Rising is from inactive to active.
const (
	Rising Edge = 1 << iota
	Falling
	BothEdges = Rising | Falling
)

// A Clock is what the time of an event is read from.
type Clock uint8

// The clocks of events: CLOCK_MONOTONIC, CLOCK_REALTIME, and the hardware
// timestamp engine that few boards have.
const (
	Monotonic Clock = iota
	Realtime
	HardwareClock
)

// An Event is one edge of one line.
type Event struct {
	Offset  uint32
	Edge    Edge          // Rising or Falling
	Time    time.Duration // since the zero of the request's clock
	Seq     uint32        // counts the events of all lines of the request, from 1
	LineSeq uint32        // counts the events of this line, from 1; a gap is a loss
}

var directions = [...]string{"as-is", "input", "output"}

// String returns "as-is", "input" or "output".
func (d Direction) String() string { return directions[d] }

var biases = [...]string{"as-is", "disabled", "pull-up", "pull-down"}

// String returns "as-is", "disabled", "pull-up" or "pull-down".
func (b Bias) String() string { return biases[b] }

var drives = [...]string{"push-pull", "open-drain", "open-source"}

// String returns "push-pull", "open-drain" or "open-source".
func (d Drive) String() string { return drives[d] }

var edges = [...]string{"none", "rising", "falling", "both"}

// String returns "none", "rising", "falling" or "both".
func (e Edge) String() string { return edges[e] }
