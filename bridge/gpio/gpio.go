// Package gpio bridges GPIO lines: relays, buttons, contacts, sensors with a
// switching output. It uses the kernel's character device (internal/gpiochip)
// for the lines, and periph only to find chips, because periph drives an output
// low before it gets its first value, and hides lost edges.
//
// What is promised of an output: its first level is the configured one, with no
// other in between; a state is published after it was read back; a timed command
// ends on time, whatever the broker does; outputs that exclude each other are
// never on together, nor within their dead time; max_on and leases end by
// themselves; and when the bridge ends, the output
// is driven to its on_exit level before the line is given back. What the level
// is from then on is the kernel's affair: upstream's driver makes the line an
// input, Raspberry Pi's keeps it driven. After a start an output is what initial
// says, and what safe says after the chip was gone.
//
// What is promised of an input: its state is published at the start and when it
// was stable; the last level of any storm is published; edges that the kernel
// had to drop are counted as lost, and the line is read instead. Of a meter, the
// total that is published was saved before: it does not go back, and what a power
// cut takes from it is what was counted since the last save.
//
// The lines of one chip are taken together or not at all. When a chip goes, its
// entities are offline until it is back; those on other chips go on. When all
// chips are gone, Run ends.
package gpio

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"edge/bridge"
	"edge/internal/pwm"
)

// A Bridge carries GPIO lines to the broker.
type Bridge struct {
	base bridge.Base
	cfg  Config
	log  *slog.Logger
	open Opener
	tree pwm.Tree
	boot string          // see bootID
	lost map[string]bool // chips that a Run has lost: their outputs begin at rest; used by Run alone
}

var _ bridge.Bridge = (*Bridge)(nil)

// New returns a bridge that speaks under base, to the lines of this machine. It
// opens nothing. The configuration must be valid.
func New(base bridge.Base, cfg Config, log *slog.Logger) *Bridge {
	return &Bridge{base, cfg, log, Open, pwm.Sysfs(pwm.Root), bootID(), make(map[string]bool)}
}

// WithChips returns a bridge that gets its chips from open, such as those of a
// simulated board.
func (b *Bridge) WithChips(open Opener) *Bridge {
	with := *b
	with.open = open
	return &with
}

// WithPWM returns a bridge that finds PWM chips in tree.
func (b *Bridge) WithPWM(tree pwm.Tree) *Bridge {
	with := *b
	with.tree = tree
	return &with
}

// WithBoot returns a bridge that takes the kernel's run for the one with this id.
func (b *Bridge) WithBoot(id string) *Bridge {
	with := *b
	with.boot = id
	return &with
}

// Run implements bridge.Bridge.
func (b *Bridge) Run(ctx context.Context, c bridge.Client) error {
	post := &post{b.base, c, newOutbox()}
	defer post.farewell(ctx, b.log)
	begin, locked, err := b.recall(ctx, c)
	if err != nil {
		return err
	}
	meters, err := b.meters(ctx, c, post)
	if err != nil {
		return err
	}
	covers, err := b.recallCovers(ctx, c)
	if err != nil {
		return err
	}
	present := newPresence()
	groups, dimmers := b.groups(post, begin, present), b.dimmers(post)
	for _, g := range groups {
		g.addCovers(b.cfg.Covers, covers)
		g.bank.restore(locked)
		g.meters = meters
	}
	defer b.mourn(groups)
	up, err := b.takeAny(ctx, groups)
	defer releaseAll(groups)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if b.cfg.leasesOfCommanders() {
		if err := present.listen(ctx, c); err != nil {
			return err
		}
	}
	// Who sees `online` may command at once. A command waits for its group.
	if err := c.Subscribe(ctx, b.base.Set("+"), handler(ctx, takers(groups, dimmers), post)); err != nil {
		return err
	}
	for _, g := range groups {
		if err := g.listen(ctx, c); err != nil {
			return err
		}
	}
	if err := bridge.Announce(ctx, c, b.device()); err != nil {
		return err
	}
	w, ctx := errgroup.WithContext(ctx)
	w.Go(func() error { return post.box.run(ctx) })
	for _, g := range groups {
		w.Go(func() error { return g.tend(ctx, up) })
	}
	for _, d := range dimmers {
		w.Go(func() error { return d.tend(ctx) })
	}
	return w.Wait()
}

// groups sorts the pins by chip. begin is how outputs begin.
func (b *Bridge) groups(post *post, begin map[string]pulse, present *presence) []*group {
	byChip := make(map[string]*group)
	var groups []*group
	for _, p := range b.cfg.Pins {
		g := byChip[p.Chip]
		if g == nil {
			g = &group{
				chip: p.Chip, debounce: b.cfg.Debounce, open: b.open, post: post,
				log: b.log, commands: make(chan command), leases: make(chan *load), begin: begin, boot: b.boot,
				present: present, departed: make(chan struct{}, 1),
				flapping: b.cfg.Flapping, nudge: make(chan struct{}, 1),
			}
			present.wake = append(present.wake, g.departed)
			byChip[p.Chip] = g
			groups = append(groups, g)
		}
		g.pins = append(g.pins, p)
	}
	for _, g := range groups {
		g.bank = newBank(g.pins, b.cfg.locks())
		if g.lost = b.lost[g.chip]; g.lost {
			g.begin = nil
		}
	}
	return groups
}

// mourn keeps in mind which chips are gone.
func (b *Bridge) mourn(groups []*group) {
	for _, g := range groups {
		b.lost[g.chip] = g.lost
	}
}

// listen hears what keeps leases.
func (g *group) listen(ctx context.Context, c bridge.Client) error {
	for _, l := range g.bank.loads {
		if l.Lease.Topic == "" {
			continue
		}
		err := c.Subscribe(ctx, l.Lease.Topic, func(m bridge.Message) {
			if m.Retain {
				return // It tells of what was.
			}
			select {
			case g.leases <- l:
			case <-ctx.Done():
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// device describes what the bridge announces.
func (b *Bridge) device() bridge.Device {
	d := bridge.Device{Base: b.base, Model: "GPIO lines"}
	for _, p := range b.cfg.Pins {
		e := bridge.Entity{ID: p.ID, Name: p.Name, Kind: bridge.BinarySensor, Class: p.Class}
		if _, is := b.cfg.cover(p.ID); p.Direction == Output && !is {
			e.Kind, e.Command = bridge.Switch, true
		}
		if p.SoftPWM != nil {
			e = percent(p.ID, p.Name)
		}
		if p.Clicks != nil {
			e.Events = p.Clicks.events()
		}
		d.Entities = append(append(d.Entities, e), p.sensors()...)
	}
	for _, c := range b.cfg.Covers {
		d.Entities = append(d.Entities, bridge.Entity{ID: c.ID, Name: c.Name, Kind: bridge.Cover, Class: string(c.Class), Command: true})
	}
	for _, p := range b.cfg.PWM {
		d.Entities = append(d.Entities, percent(p.ID, p.Name))
	}
	return d
}

// takeAny takes the lines of all groups that can be had, and returns how many
// there are. It is an error if there is none.
func (b *Bridge) takeAny(ctx context.Context, groups []*group) (*atomic.Int32, error) {
	up := new(atomic.Int32)
	var errs []error
	for _, g := range groups {
		if err := g.take(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		g.lost = false
		up.Add(1)
	}
	err := errors.Join(errs...)
	if up.Load() == 0 && len(groups) > 0 {
		return nil, err
	}
	if err != nil {
		b.log.Warn("GPIO chip cannot be taken; its pins are offline", "err", err)
	}
	return up, nil
}

func releaseAll(groups []*group) {
	for _, g := range groups {
		g.release()
	}
}

// tend serves the group, and waits for its chip when that is gone. up counts the
// groups whose chip is there; the one that makes it zero ends the bridge.
func (g *group) tend(ctx context.Context, up *atomic.Int32) error {
	for {
		if g.taken {
			err := g.serve(ctx)
			if ctx.Err() != nil {
				return nil
			}
			g.release()
			g.lost = true
			// What the guard has taken over will be given back soon.
			if g.guard.note(err); !g.guard.last && up.Add(-1) == 0 {
				return err
			}
			g.log.Warn("GPIO chip lost; its pins are offline", "chip", g.chip, "err", err)
			g.offline(err)
		}
		if !g.retake(ctx) {
			return nil
		}
		g.lost = false
		if !g.guard.last {
			up.Add(1)
		}
		g.log.Info("GPIO chip taken", "chip", g.chip)
	}
}

// takers returns who takes the commands to an entity.
func takers(groups []*group, dimmers []*dimmer) map[string]chan<- command {
	takers := make(map[string]chan<- command)
	for _, g := range groups {
		for _, p := range g.pins {
			if p.Direction == Output {
				takers[p.ID] = g.commands
			}
			if p.Counter != nil {
				takers[p.totalID()] = g.commands
			}
		}
		for _, c := range g.covers {
			takers[c.ID] = g.commands
		}
	}
	for _, d := range dimmers {
		takers[d.ID] = d.commands
	}
	return takers
}

// handler gives commands to who takes them.
func handler(ctx context.Context, takers map[string]chan<- command, post *post) func(bridge.Message) {
	return func(m bridge.Message) {
		at := m.Received
		if at.IsZero() {
			at = time.Now()
		}
		_, entity, ok := bridge.SplitSet(m.Topic)
		if !ok {
			return
		}
		post.box.wait(ctx)
		cmd, err := bridge.ParseCommand(m.Payload, bridge.LockKeys...)
		if err == nil && cmd.At.IsZero() {
			cmd.At, err = sentAt(m)
		}
		taker := takers[entity]
		switch {
		case taker == nil:
			post.refuse(entity, cmd.ID, "there is no output of this name")
		case m.Retain:
			post.refuse(entity, cmd.ID, "the command was retained, so it may be stale; send it without retain")
		case err != nil:
			post.refuse(entity, cmd.ID, err.Error())
		default:
			select {
			case <-ctx.Done():
			case taker <- command{Command: cmd, entity: entity, from: m.From, at: at}:
			}
		}
	}
}
