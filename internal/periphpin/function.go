package periphpin

import (
	"fmt"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/pin"

	"edge/internal/gpiochip"
)

// Function implements pin.Pin.
func (p *Pin) Function() string { return string(p.Func()) }

// Func implements pin.PinFunc. Of a line that this pin has not requested it says what
// the kernel knows, which is its direction.
func (p *Pin) Func() pin.Func {
	p.mu.Lock()
	requested, direction := p.lines != nil, p.config.Direction
	p.mu.Unlock()
	switch {
	case !requested:
		return p.found()
	case direction == gpiochip.Output && bool(p.Read()):
		return gpio.OUT_HIGH
	case direction == gpiochip.Output:
		return gpio.OUT_LOW
	case bool(p.Read()):
		return gpio.IN_HIGH
	}
	return gpio.IN_LOW
}

// found asks the chip what the line is.
func (p *Pin) found() pin.Func {
	chip, err := p.open()
	if err != nil {
		return pin.FuncNone
	}
	defer chip.Close()
	switch info, err := chip.LineInfo(p.offset); {
	case err != nil:
		return pin.FuncNone
	case info.Config.Direction == gpiochip.Output:
		return gpio.OUT
	}
	return gpio.IN
}

// SupportedFuncs implements pin.PinFunc.
func (p *Pin) SupportedFuncs() []pin.Func { return []pin.Func{gpio.IN, gpio.OUT_LOW, gpio.OUT_HIGH} }

// SetFunc implements pin.PinFunc. An output needs a level: OUT alone would switch
// something.
func (p *Pin) SetFunc(f pin.Func) error {
	switch f {
	case gpio.IN:
		return p.In(gpio.PullNoChange, gpio.NoEdge)
	case gpio.OUT_LOW:
		return p.Out(gpio.Low)
	case gpio.OUT_HIGH:
		return p.Out(gpio.High)
	}
	return fmt.Errorf("%s: %q is none of %v", p, f, p.SupportedFuncs())
}
