package uart

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A controlled conn has a line that can be changed while it is open: a terminal,
// or one on a serial server that takes such requests.
type controlled interface {
	setLine(baud, dataBits int, parity Parity) error
	setWire(name string, on bool) error // DTR or RTS
	lines() (Lines, error)
	setBreak(on bool) error
}

// control calls do for what is controlled. Elsewhere the error wraps
// errors.ErrUnsupported.
func (p *Port) control(doing string, do func(c controlled) error) error {
	c, ok := p.conn.(controlled)
	if !ok {
		return fmt.Errorf("%s %s: %w: the line is set at the far side", doing, p.Name(), errors.ErrUnsupported)
	}
	return p.explain(doing, do(c))
}

// SetRate changes the line of an open port, for devices that change theirs in
// the middle of a conversation (IEC 62056-21 mode C begins with 300 7E1). Call
// Drain before it: what has not been sent goes out by the new settings. What was
// received stays. The stop bits and flow control remain as they are.
func (p *Port) SetRate(baud, dataBits int, parity Parity) error {
	cfg := Config{Port: p.Name(), Baud: baud, DataBits: dataBits, Parity: parity}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("set the line of %s: %w", p.Name(), err)
	}
	cfg = cfg.withDefaults()
	err := p.control("set the line of", func(c controlled) error {
		return c.setLine(cfg.Baud, cfg.DataBits, cfg.Parity)
	})
	if err == nil {
		p.rate.Store(int64(cfg.Baud))
	}
	return err
}

// speed is the rate that holds now.
func (p *Port) speed() int {
	if rate := p.rate.Load(); rate != 0 {
		return int(rate)
	}
	return p.baud
}

// SetDTR turns the wire DTR on or off.
func (p *Port) SetDTR(on bool) error {
	return p.control("set DTR of", func(c controlled) error { return c.setWire("DTR", on) })
}

// SetRTS turns the wire RTS on or off. With flow control by RTS it is the
// driver's.
func (p *Port) SetRTS(on bool) error {
	return p.control("set RTS of", func(c controlled) error { return c.setWire("RTS", on) })
}

// Lines returns how the modem lines are.
func (p *Port) Lines() (l Lines, err error) {
	err = p.control("read the modem lines of", func(c controlled) (err error) {
		l, err = c.lines()
		return err
	})
	return l, err
}

// Break holds the line at 0 for d, or until ctx ends. A byte takes at most 12
// bits, so that 250 ms are a break at 50 baud and above.
func (p *Port) Break(ctx context.Context, d time.Duration) error {
	if err := p.control("begin a break of", func(c controlled) error { return c.setBreak(true) }); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	err := p.control("end a break of", func(c controlled) error { return c.setBreak(false) })
	return errors.Join(ctx.Err(), err)
}

// Counters returns what went wrong on the line since Open. The error wraps
// errors.ErrUnsupported where the driver does not count.
func (p *Port) Counters() (Counters, error) {
	if c, ok := p.conn.(interface{ counters() (Counters, error) }); ok {
		counters, err := c.counters()
		return counters, p.explain("read the counters of", err)
	}
	return Counters{}, fmt.Errorf("read the counters of %s: %w", p.Name(), errors.ErrUnsupported)
}
