// Package periphpin makes lines of a GPIO chip pins of periph (gpio.PinIO), for
// periph's drivers of devices. It speaks to the kernel through internal/gpiochip, since
// periph's own driver of the character device (host/gpioioctl) makes an output an
// input when it is asked what it is, drives it low before its first level, and returns
// from a wait at once where it should wait for ever. Bridges of ours do not need it:
// they use internal/gpiochip.
package periphpin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"

	"edge/internal/gpiochip"
)

// eventBuffer is how many edges the kernel keeps for a driver that does not wait.
const eventBuffer = 256

// poll is how long WaitForEdge(0) looks for an edge that has come before.
const poll = time.Millisecond

// A Pin is a line of a chip. It requests the line at the first In or Out, and holds it
// until Close. Its methods may be called from several goroutines at once.
type Pin struct {
	open    func() (gpiochip.Chip, error)
	name    string
	offset  uint32
	powerUp gpio.Pull

	waits sync.Mutex // held by the one who waits for an edge

	mu      sync.Mutex // of what follows; it is not held while somebody waits
	lines   gpiochip.Lines
	config  gpiochip.LineConfig
	halted  bool
	wake    context.CancelFunc // ends the wait
	lineSeq uint32
	lost    uint64
	err     error
}

var (
	_ gpio.PinIO  = (*Pin)(nil)
	_ pin.PinFunc = (*Pin)(nil)
)

// New returns the pin called name that is the line at offset of the chip that open
// opens. It opens nothing. powerUp is the pull that the line has after a reset.
func New(open func() (gpiochip.Chip, error), name string, offset uint32, powerUp gpio.Pull) *Pin {
	return &Pin{open: open, name: name, offset: offset, powerUp: powerUp, wake: func() {}}
}

// String implements conn.Resource.
func (p *Pin) String() string { return fmt.Sprintf("%s(%d)", p.name, p.offset) }

// Name implements pin.Pin.
func (p *Pin) Name() string { return p.name }

// Number implements pin.Pin: it is the offset of the line on its chip.
func (p *Pin) Number() int { return int(p.offset) }

var biases = map[gpio.Pull]gpiochip.Bias{
	gpio.PullNoChange: gpiochip.BiasAsIs, gpio.Float: gpiochip.BiasDisabled,
	gpio.PullDown: gpiochip.PullDown, gpio.PullUp: gpiochip.PullUp,
}

var edges = map[gpio.Edge]gpiochip.Edge{
	gpio.NoEdge: 0, gpio.RisingEdge: gpiochip.Rising, gpio.FallingEdge: gpiochip.Falling, gpio.BothEdges: gpiochip.BothEdges,
}

// In implements gpio.PinIn. Edges from before are forgotten, and a wait ends.
func (p *Pin) In(pull gpio.Pull, edge gpio.Edge) error {
	bias, known := biases[pull]
	events, also := edges[edge]
	if !known || !also {
		return fmt.Errorf("%s: %s with %s is nothing that a line can be", p, pull, edge)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.request(gpiochip.LineConfig{Offset: p.offset, Direction: gpiochip.Input, Bias: bias, Edges: events})
}

// Out implements gpio.PinOut. A line that was none becomes an output with the level l
// from the first moment on.
func (p *Pin) Out(l gpio.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == nil || p.config.Direction != gpiochip.Output {
		return p.request(gpiochip.LineConfig{Offset: p.offset, Direction: gpiochip.Output, Value: bool(l)})
	}
	var bit uint64
	if l {
		bit = 1
	}
	p.err = p.lines.SetValues(1, bit)
	return p.err
}

// request requests the line anew. p.mu is held.
func (p *Pin) request(config gpiochip.LineConfig) error {
	p.release()
	p.halted, p.config, p.lineSeq = false, config, 0
	chip, err := p.open()
	if err != nil {
		p.err = err
		return fmt.Errorf("%s: %w", p, err)
	}
	defer chip.Close()
	p.lines, p.err = chip.Request(gpiochip.Request{
		Consumer: "edge " + p.name, EventBuffer: eventBuffer, Lines: []gpiochip.LineConfig{config},
	})
	if p.err != nil {
		p.lines = nil
		return fmt.Errorf("%s: %w", p, p.err)
	}
	return nil
}

// release gives the line back. p.mu is held.
func (p *Pin) release() {
	p.wake()
	if p.lines != nil {
		p.lines.Close()
	}
	p.lines = nil
}

// Close gives the line back, and ends a wait. In and Out take it again.
func (p *Pin) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	return nil
}

// Halt implements conn.Resource: waits end, this one and all until the next In. The
// line stays what it is: an output goes on being driven.
func (p *Pin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halted = true
	p.wake()
	return nil
}

// Read implements gpio.PinIn. It never changes what the line is: of a line that was
// not requested by In or Out it returns Low, as of one that cannot be read; Err says
// why.
func (p *Pin) Read() gpio.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == nil {
		return gpio.Low
	}
	v, err := p.lines.Values(1)
	p.err = err
	return gpio.Level(err == nil && v == 1)
}

// Err returns why the last call did not do what it should, which Read and WaitForEdge
// cannot tell; nil if it did.
func (p *Pin) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Lost returns how many edges the kernel had to drop since there were too many.
func (p *Pin) Lost() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Pull implements gpio.PinIn.
func (p *Pin) Pull() gpio.Pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pull, bias := range biases {
		if p.lines != nil && p.config.Direction == gpiochip.Input && bias == p.config.Bias {
			return pull
		}
	}
	return gpio.PullNoChange
}

// DefaultPull implements gpio.PinIn.
func (p *Pin) DefaultPull() gpio.Pull { return p.powerUp }

// PWM implements gpio.PinOut. The character device has none.
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("%s: PWM: %w by the interface of GPIO lines", p, errors.ErrUnsupported)
}
