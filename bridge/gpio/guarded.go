package gpio

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"edge/internal/gpiochip"
	"edge/internal/guard"
)

// causeGuard is why an output is what it is when the guard has made it safe.
const causeGuard = "guard"

// overtaken is how soon lines are asked for again that the guard has taken over.
const overtaken = 100 * time.Millisecond

// A takeover is what a group knows of the guard's.
type takeover struct {
	last  bool // the lines were lost to the guard, not with their chip
	count uint64
}

// lost reports whether err says that the lines are no longer this process's: their
// chip is gone, or the guard has taken over.
func lost(err error) bool {
	return errors.Is(err, gpiochip.ErrGone) || errors.Is(err, guard.ErrTakenOver)
}

// note tells for what the lines were lost.
func (t *takeover) note(err error) {
	if t.last = errors.Is(err, guard.ErrTakenOver); t.last {
		t.count++
	}
}

// cause is that of what outputs are from the first moment on.
func (t *takeover) cause() string {
	if t.last {
		return causeGuard
	}
	return causeStart
}

// counters are those of a line that is taken again.
func (t *takeover) counters() map[string]uint64 {
	if t.count == 0 {
		return make(map[string]uint64)
	}
	return map[string]uint64{causeGuard: t.count}
}

// alive shows the guard that the owner lives, and returns when it must do so again.
func (g *group) alive() time.Duration {
	next := audit
	lines := make([]gpiochip.Lines, 0, len(g.outputs)+len(g.softs))
	for _, o := range g.outputs {
		lines = append(lines, o.lines)
	}
	for _, s := range g.softs {
		lines = append(lines, s.lines)
	}
	for _, l := range lines {
		if l, ok := l.(guard.Guarded); ok {
			next = min(next, l.Alive())
		}
	}
	return next
}

// Secure requests the outputs of c at their safe levels, as a bridge would request
// them, and gives them to own. Those that somebody holds are left to him. The error
// tells of all that cannot be had.
func (c Config) Secure(open Opener, own guard.Own) error {
	outputs := make(map[string][]Pin)
	for _, p := range c.Pins {
		if p.Direction == Output {
			outputs[p.Chip] = append(outputs[p.Chip], p)
		}
	}
	var errs []error
	for label, pins := range outputs {
		chip, err := open(label)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, p := range pins {
			if err := p.secure(chip, own); err != nil {
				errs = append(errs, fmt.Errorf("pin %q: %w", p.ID, err))
			}
		}
		chip.Close()
	}
	return errors.Join(errs...)
}

// secure gives own the line of p, at its safe level.
func (p Pin) secure(chip gpiochip.Chip, own guard.Own) error {
	info, err := chip.Info()
	if err != nil {
		return err
	}
	cfg := p.lineConfig(0)
	if cfg.Offset, err = p.locate(chip, boardOf(chip)); err != nil {
		return err
	}
	cfg.Value = cfg.Safe
	r := gpiochip.Request{Consumer: p.consumer(), EventBuffer: eventBuffer, Lines: []gpiochip.LineConfig{cfg}}
	lines, err := chip.Request(r)
	if errors.Is(err, syscall.EBUSY) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := own(info, r, lines); err != nil {
		lines.Close()
		return err
	}
	return nil
}
