package gpio

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"edge/bridge"
	"edge/internal/gpiochip"
)

// audit is how often every line is read all the same: a kernel before 6.6 does
// not wake those who wait for an edge of a chip that was unplugged.
const audit = 5 * time.Second

// eventBuffer is how many edges the kernel keeps for each input, should this
// process not come to read them.
const eventBuffer = 256

// A group is the lines of one chip. One goroutine owns them: it alone sets and
// reads them and knows what they are.
type group struct {
	chip     string // label; empty for that of the header
	pins     []Pin
	debounce time.Duration
	flapping Flapping
	open     Opener
	post     *post
	log      *slog.Logger
	commands chan command
	leases   chan *load // that were heard of
	present  *presence
	departed chan struct{} // somebody
	bank     *bank
	meters   map[string]*meter // by the ids of their totals, of all groups
	begin    map[string]pulse  // by id, how outputs begin; used once: when a chip comes back they are at rest
	boot     string

	nudge  chan struct{} // something that a cover waits for has come
	covers []*cover
	softs  []*soft

	taken   bool
	lost    bool // it was taken, and is gone
	guard   takeover
	outputs []*output
	inputs  []*input
}

// release makes the outputs what they are to be without us, and gives all lines
// back.
func (g *group) release() {
	for _, i := range g.bank.locks {
		if cmd := i.drop(); cmd != nil {
			g.post.refuse(cmd.entity, cmd.ID, "its output is given back")
		}
	}
	g.leaveOutputs()
	g.releaseSofts()
	for _, in := range g.inputs {
		in.leave(time.Now())
		in.lines.Close()
	}
	for _, c := range g.covers {
		c.leave(time.Now())
	}
	g.outputs, g.inputs, g.taken = nil, nil, false
}

// An edge is an event of an input.
type edge struct {
	input *input
	gpiochip.Event
}

// serve owns the lines until ctx ends or the chip is gone.
func (g *group) serve(ctx context.Context) error {
	w, ctx := errgroup.WithContext(ctx)
	edges := make(chan edge)
	for _, in := range g.inputs {
		w.Go(func() error { return watch(ctx, in, in.lines, edges) })
	}
	for _, o := range g.outputs {
		w.Go(func() error { return watch(ctx, nil, o.lines, edges) })
	}
	for _, s := range g.softs {
		w.Go(func() error { return watch(ctx, nil, s.lines, edges) })
	}
	w.Go(func() error { return g.own(ctx, edges) })
	return w.Wait()
}

// watch hands edges to the owner until ctx ends or the chip is gone. Of an
// output there are none, but waiting for them tells when the chip goes.
func watch(ctx context.Context, in *input, lines gpiochip.Lines, edges chan<- edge) error {
	for {
		if in != nil {
			in.pace.step(ctx)
		}
		e, err := lines.ReadEvent(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case edges <- edge{in, e}:
		}
	}
}

// own is the only goroutine that touches lines while they are served.
func (g *group) own(ctx context.Context, edges <-chan edge) error {
	if err := g.start(time.Now()); err != nil {
		return err
	}
	audits := time.NewTicker(audit)
	defer audits.Stop()
	timer := time.NewTimer(audit)
	defer timer.Stop()
	for {
		timer.Reset(min(g.idle(time.Now()), g.alive()))
		var err error
		select {
		case <-ctx.Done():
			return nil
		case e := <-edges:
			err = e.input.event(time.Now(), e.Event)
		case cmd := <-g.commands:
			err = g.execute(cmd)
		case l := <-g.leases:
			l.hear(time.Now())
		case <-g.departed:
			g.depart(time.Now())
		case <-g.nudge:
		case <-timer.C:
			err = g.expire(time.Now())
		case <-audits.C:
			err = g.audit(time.Now())
		}
		if err == nil {
			err = g.roll(time.Now())
		}
		if err != nil {
			return err
		}
	}
}

func (g *group) start(now time.Time) error {
	for _, o := range g.outputs {
		if err := o.start(now, g.begins(o.Pin), g.guard.cause()); err != nil {
			return err
		}
	}
	cause := causeStart
	if g.begin == nil {
		cause = causeBack
	}
	g.begin = nil
	for _, in := range g.inputs {
		if err := in.start(now, cause); err != nil {
			return err
		}
	}
	for _, c := range g.covers {
		c.begin(now, g)
	}
	return g.startSofts(now)
}

func (g *group) execute(cmd command) error {
	if m := g.meters[cmd.entity]; m != nil {
		m.execute(cmd)
		return nil
	}
	if taken, err := g.steer(cmd); taken {
		return err
	}
	l := g.bank.find(cmd.entity)
	if l == nil {
		return fmt.Errorf("output %q is not of this chip", cmd.entity)
	}
	now := time.Now()
	note, err := l.fresh(now, cmd)
	if err != nil {
		g.post.refuse(cmd.entity, cmd.ID, err.Error())
		return nil
	}
	cmd.note = note
	turns, dropped, err := g.order(now, l, cmd)
	if dropped != nil {
		g.post.refuse(dropped.entity, dropped.ID, "a later command to "+cmd.entity+" has replaced it")
	}
	if err != nil {
		g.post.refuse(cmd.entity, cmd.ID, err.Error())
		return nil
	}
	for _, t := range turns {
		if err := g.output(t.load).turn(t); err != nil {
			g.fail(l, t, err)
			return gone(err)
		}
	}
	return nil
}

// fail answers the command for l, which cannot be carried out since the turn t
// before it has failed.
func (g *group) fail(l *load, t turn, err error) {
	cmd := l.lock.drop()
	if cmd == nil {
		return // The turn was its own.
	}
	g.output(l).answer(*cmd, fmt.Errorf("%s cannot be switched off (interlock): %w", t.load.ID, err))
}

func (g *group) output(l *load) *output {
	return g.outputs[slices.IndexFunc(g.outputs, func(o *output) bool { return o.load == l })]
}

// idle returns how long nothing is due.
func (g *group) idle(now time.Time) time.Duration {
	idle := audit
	until := func(t time.Time) {
		if !t.IsZero() {
			idle = min(idle, t.Sub(now))
		}
	}
	until(g.bank.due())
	g.rollDue(until)
	for _, in := range g.inputs {
		until(in.due())
	}
	return idle
}

func (g *group) expire(now time.Time) error {
	turns, refused := g.bank.tick(now)
	for cmd, why := range refused {
		g.post.refuse(cmd.entity, cmd.ID, why.Error())
	}
	for _, t := range turns {
		if err := gone(g.output(t.load).turn(t)); err != nil {
			return err
		}
	}
	for _, in := range g.inputs {
		if err := in.expire(now); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) audit(now time.Time) error {
	for _, o := range g.outputs {
		if err := o.audit(); err != nil {
			return err
		}
	}
	if err := g.auditSofts(); err != nil {
		return err
	}
	for _, in := range g.inputs {
		if err := in.audit(now); err != nil {
			return err
		}
	}
	return nil
}

// offline tells that the lines are out of reach.
func (g *group) offline(reason error) {
	for _, p := range g.pins {
		a := bridge.Attr{Quality: bridge.Offline, Error: reason.Error(), Since: time.Now(), Counters: g.guard.counters()}
		if g.guard.last {
			a.Cause = causeGuard
		}
		g.post.attr(p.ID, a)
		for _, e := range p.sensors() {
			g.post.attr(e.ID, bridge.Attr{Quality: bridge.Offline, Error: reason.Error(), Since: time.Now()})
		}
	}
	for _, c := range g.covers {
		g.post.attr(c.ID, bridge.Attr{Quality: bridge.Offline, Error: reason.Error(), Since: time.Now()})
	}
}

// retake takes the lines again as soon as that can be done, and refuses commands
// until then. It reports false when ctx has ended.
func (g *group) retake(ctx context.Context) bool {
	again := audit
	if g.guard.last {
		again = overtaken
	}
	timer := time.NewTicker(again)
	defer timer.Stop()
	for ctx.Err() == nil {
		err := g.take(ctx)
		if err == nil {
			return true
		}
		g.offline(err)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return false
			case cmd := <-g.commands:
				g.post.refuse(cmd.entity, cmd.ID, err.Error())
			case <-timer.C:
				waiting = false
			}
		}
	}
	return false
}
