package uart

import (
	"errors"
	"fmt"
	"time"
)

// controlTime is how long the far side may take to confirm a change.
const controlTime = 5 * time.Second

var _ controlled = (*comPort)(nil)

func (c *comPort) setLine(baud, dataBits int, parity Parity) error {
	cfg := Config{Baud: baud, DataBits: dataBits, Parity: parity}
	return c.set(lineCommands(cfg)[:3], time.Now().Add(controlTime))
}

// setWire does not wait: some servers confirm it, some do not.
func (c *comPort) setWire(name string, on bool) error {
	value := map[string]byte{"DTR": ctlDTROff, "RTS": ctlRTSOff}[name]
	if value == 0 {
		return fmt.Errorf("%w: there is no wire %s", errors.ErrUnsupported, name)
	}
	if on {
		value--
	}
	c.mu.Lock()
	c.off[name] = !on
	c.mu.Unlock()
	return c.say(cpSetControl, value)
}

func (c *comPort) setBreak(on bool) error {
	if on {
		return c.say(cpSetControl, ctlBreakOn)
	}
	return c.say(cpSetControl, ctlBreakOff)
}

// lines asks for the modem lines: a server notifies of them all when the mask
// of those that matter is set.
func (c *comPort) lines() (l Lines, err error) {
	c.mu.Lock()
	delete(c.answers, cpModemState)
	c.mu.Unlock()
	if err := c.say(cpModemMask, 0xff); err != nil {
		return l, err
	}
	err = c.await(time.Now().Add(controlTime), func() (bool, error) {
		state, ok := c.answers[cpModemState]
		if ok {
			l.DCD, l.RNG = state[0]&0x80 != 0, state[0]&0x40 != 0
			l.DSR, l.CTS = state[0]&0x20 != 0, state[0]&0x10 != 0
		}
		return ok, nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	l.DTR, l.RTS = !c.off["DTR"], !c.off["RTS"] // a server turns them on when it opens its line
	return l, err
}

// counters are the errors of the line that the far side has told. It has one
// bit for bytes that were lost. One that does not confirm to tell, does not.
func (c *comPort) counters() (Counters, error) {
	c.mu.Lock()
	_, tells := c.answers[cpLineMask]
	c.mu.Unlock()
	if !tells {
		return Counters{}, errors.ErrUnsupported
	}
	return Counters{
		Overrun: c.lineErrors[1].Load(), Parity: c.lineErrors[2].Load(),
		Frame: c.lineErrors[3].Load(), Break: c.lineErrors[4].Load(),
	}, nil
}

// wires sets DTR and RTS as cfg has them.
func (c *comPort) wires(cfg Config) (err error) {
	for _, w := range []struct {
		name string
		to   Wire
	}{{"DTR", cfg.DTR}, {"RTS", cfg.RTS}} {
		if w.to == OnWire || w.to == OffWire {
			err = errors.Join(err, c.setWire(w.name, w.to == OnWire))
		}
	}
	return err
}
