package gpio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"edge/internal/gpiochip"
)

// take requests all the lines, each output with its first value in the request
// itself, so that nothing clicks. What may be refused is found out before that:
// a line that is held must not move the relays beside it at every try.
func (g *group) take(ctx context.Context) (err error) {
	chip, err := g.open(g.chip)
	if err != nil {
		return err
	}
	defer chip.Close()
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	offsets, err := g.survey(chip)
	if err != nil {
		return err
	}
	for i, p := range g.pins {
		if p.Direction == Output && p.SoftPWM == nil {
			continue // takeOutputs knows the order.
		}
		if err := g.takePin(chip, p, offsets[i]); err != nil {
			return fmt.Errorf("pin %q: %w", p.ID, err)
		}
	}
	err = g.takeOutputs(ctx, chip, offsets)
	g.taken = err == nil
	return err
}

func (g *group) takePin(chip gpiochip.Chip, p Pin, offset uint32) error {
	cfg := p.lineConfig(g.debounce)
	cfg.Offset, cfg.Value = offset, g.begins(p).on
	cfg.Found = g.begins(p).cause == causeFound
	lines, cfg, err := request(chip, p.consumer(), cfg)
	if err != nil {
		return err
	}
	if g.begins(p).cause == causeFound {
		if !cfg.Found {
			g.log.Warn("nobody can tell what an output was; it begins off", "pin", p.ID)
		}
		v, err := lines.Values(1)
		if err != nil {
			lines.Close()
			return err
		}
		g.begin[p.ID] = pulse{on: v == 1}
	}
	held := pin{Pin: p, lines: lines, post: g.post, counters: g.guard.counters()}
	if p.SoftPWM != nil {
		g.softs = append(g.softs, newSoft(p, lines, g.post))
		return nil
	}
	if p.Direction == Output {
		g.outputs = append(g.outputs, &output{pin: held, load: g.bank.find(p.ID), boot: g.boot, kept: g.bank.find(p.ID).lockout})
		return nil
	}
	in := newInput(held, g.meters[p.totalID()])
	in.damper.Flapping, in.log, in.boot = g.flapping, g.log, g.boot
	if cfg.Debounce == 0 {
		in.filter = stable{period: p.debounce(g.debounce), immediate: p.DebounceMode == Immediate}
	}
	g.inputs = append(g.inputs, in)
	return nil
}

// begins returns what an output is from the first moment on. What the guard has made
// safe stays so.
func (g *group) begins(p Pin) pulse {
	if g.guard.last {
		return pulse{on: p.Safe == On}
	}
	if g.begin == nil {
		return p.rest()
	}
	return g.begin[p.ID]
}

// request asks for one line. A chip that cannot debounce, or cannot tell what a line
// is, gets asked again without.
func request(chip gpiochip.Chip, consumer string, cfg gpiochip.LineConfig) (gpiochip.Lines, gpiochip.LineConfig, error) {
	ask := func() (gpiochip.Lines, error) {
		return chip.Request(gpiochip.Request{Consumer: consumer, EventBuffer: eventBuffer, Lines: []gpiochip.LineConfig{cfg}})
	}
	lines, err := ask()
	var busy *gpiochip.BusyError
	if err != nil && (cfg.Debounce > 0 || cfg.Found) && !errors.As(err, &busy) && !errors.Is(err, gpiochip.ErrGone) {
		cfg.Debounce, cfg.Found = 0, false
		if again, e := ask(); e == nil {
			return again, cfg, nil
		}
	}
	return lines, cfg, err
}

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
	for _, l := range last {
		if g.begins(l.Pin).past(time.Now()) {
			g.begin[l.ID] = pulse{} // While it waited, its time was over.
		}
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
