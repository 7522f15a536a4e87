package gpio

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edge/internal/gpiochip"
)

// order says which outputs are taken first, and which of them last, when the others
// were off for dead: those that begin on and exclude others. Who had the lines before,
// and what they were then, nobody knows.
func (b *bank) order(begins func(Pin) pulse) (first, last []*load, dead time.Duration) {
	for _, l := range b.loads {
		if l.lock != nil && begins(l.Pin).on {
			last = append(last, l)
			dead = max(dead, l.lock.dead)
			continue
		}
		first = append(first, l)
	}
	return first, last, dead
}

// takeOutputs takes the outputs of the group.
func (g *group) takeOutputs(ctx context.Context, chip gpiochip.Chip, offsets []uint32) error {
	first, last, dead := g.bank.order(g.begins)
	if err := g.takeLoads(chip, first, offsets); err != nil {
		return err
	}
	wait := time.NewTimer(dead)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-wait.C:
	}
	return g.takeLoads(chip, last, offsets)
}

func (g *group) takeLoads(chip gpiochip.Chip, loads []*load, offsets []uint32) error {
	for _, l := range loads {
		i := slices.IndexFunc(g.pins, func(p Pin) bool { return p.ID == l.ID })
		if err := g.takePin(chip, l.Pin, offsets[i]); err != nil {
			return fmt.Errorf("pin %q: %w", l.ID, err)
		}
		l.reset(time.Now(), g.begins(l.Pin))
	}
	return nil
}

// leaveOutputs makes the outputs what they are to be without us, and gives their lines
// back; first those that go off.
func (g *group) leaveOutputs() {
	for _, on := range []bool{false, true} {
		for _, o := range g.outputs {
			if (o.OnExit == On) != on {
				continue
			}
			if err := o.leave(g.taken); err != nil && gone(err) == nil {
				g.log.Error("cannot leave an output as configured", "pin", o.ID, "err", err)
			}
			o.lines.Close()
		}
	}
}

// exit returns what the output is made at the end. It goes on only if those that it
// excludes have been off for long enough; there is no time to wait for that.
func (l *load) exit(now time.Time) (next pulse, err error) {
	if l.OnExit != On || l.on && l.to.on || l.lock == nil {
		return pulse{on: l.OnExit == On}, nil
	}
	if err := l.lock.fallen(now, l); err != nil {
		return pulse{}, fmt.Errorf("it is left off: %w", err)
	}
	return pulse{on: true}, nil
}
