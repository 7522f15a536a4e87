package gpio

import (
	"context"
	"errors"
	"slices"
	"time"

	"edge/bridge"
)

// addCovers makes the covers whose outputs are in the group.
func (g *group) addCovers(covers []Cover, memories map[string]coverMemory) {
	for _, cfg := range covers {
		if g.bank.find(cfg.Open) != nil {
			g.covers = append(g.covers, newCover(cfg, memories[cfg.ID], g))
		}
	}
}

// recallCovers returns where the covers were. Nothing is asked for if there is none.
func (b *Bridge) recallCovers(ctx context.Context, c bridge.Client) (map[string]coverMemory, error) {
	if len(b.cfg.Covers) == 0 {
		return nil, nil
	}
	saved, err := bridge.Recall(ctx, c, b.device())
	if err != nil {
		return nil, err
	}
	return b.coverMemories(saved), nil
}

// input returns the input with an id, nil if there is none.
func (g *group) input(id string) *input {
	i := slices.IndexFunc(g.inputs, func(in *input) bool { return in.ID == id })
	if i < 0 {
		return nil
	}
	return g.inputs[i]
}

// steer takes a command if it is for a cover or an output of one, or for an output
// with software PWM.
func (g *group) steer(cmd command) (taken bool, err error) {
	if s := g.soft(cmd.entity); s != nil {
		return true, g.dim(time.Now(), s, cmd)
	}
	for _, c := range g.covers {
		switch cmd.entity {
		case c.ID:
			return true, g.move(time.Now(), c, cmd)
		case c.Open, c.Close:
			g.post.refuse(cmd.entity, cmd.ID, "it belongs to the cover "+c.ID+": command that one")
			return true, nil
		}
	}
	return false, nil
}

// move carries out a command to a cover.
func (g *group) move(now time.Time, c *cover, cmd command) error {
	c.look(now)
	to, err := c.order(cmd.Value)
	if err == nil {
		cmd.note, err = c.takes(now, cmd, to)
	}
	if err != nil {
		g.post.refuse(c.ID, cmd.ID, err.Error())
		return nil
	}
	c.give("a later command has replaced it")
	c.goal, c.cause, c.fault, c.by = to, causeCommand, "", &cmd
	switch {
	case to == nil:
		err := g.halt(now, c)
		c.answer(cmd, err)
		return gone(err)
	case to.way == c.seen.way:
		g.hear(now, c, cmd)
		c.answer(cmd, nil)
	case !c.running() && !c.noted():
		c.note(now, cmd)
	default:
		return g.drive(now, c, cmd)
	}
	return nil
}

// motor returns the load that drives c in a way.
func (c *cover) motor(w way) *load {
	if w == opening {
		return c.outputs[0].load
	}
	return c.outputs[1].load
}

// takes says what is wrong with a command but for its value. To stop, everybody may,
// however old the command is.
func (c *cover) takes(now time.Time, cmd command, to *goal) (note string, err error) {
	switch {
	case cmd.For > 0:
		return "", errors.New("a cover takes no time; send a position")
	case cmd.Lock > 0 || cmd.Unlock:
		return "", errors.New("a cover cannot be locked")
	case to == nil:
		return "", nil
	}
	l := c.motor(to.way)
	if err := l.admits(now, cmd.from); err != nil {
		return "", err
	}
	return l.fresh(now, cmd)
}

// hear keeps the lease of the output that is on, if that is kept by commands or by
// who sends them.
func (g *group) hear(now time.Time, c *cover, cmd command) {
	l := c.motor(c.goal.way)
	if l.Lease.Commander && g.present.absent(cmd) != nil {
		return // Whose command moves it still holds it.
	}
	l.obey(now, cmd)
	if l.Lease.Commander {
		g.present.hold(l, cmd)
		g.depart(now)
	}
}

// drive switches the output of the goal on, when its interlock allows it. The
// output ends by itself even if nobody looks after the cover.
func (g *group) drive(now time.Time, c *cover, cmd command) error {
	l := c.motor(c.goal.way)
	cmd.says = c.goal.way.String()
	cmd.Value, cmd.For = "ON", c.longest()+time.Second
	turns, _, err := g.order(now, l, cmd)
	if err != nil {
		g.post.refuse(c.ID, cmd.ID, err.Error())
		return g.giveUp(now, c, causeCommand)
	}
	for _, t := range turns {
		if err := g.output(t.load).turn(t); err != nil {
			g.fail(l, t, err)
			return errors.Join(gone(err), g.giveUp(now, c, causeFault))
		}
	}
	return nil
}

// giveUp stops a cover that cannot be driven as commanded.
func (g *group) giveUp(now time.Time, c *cover, cause string) error {
	c.stop(cause, "")
	return gone(g.halt(now, c))
}

// halt switches both outputs off. What cannot be switched is tried again.
func (g *group) halt(now time.Time, c *cover) error {
	var errs []error
	for _, o := range c.outputs {
		if o.on || o.load.to.on {
			errs = append(errs, o.turn(turn{load: o.load, cause: c.cause, why: c.fault, of: c.doing()}))
		}
	}
	c.look(now)
	return errors.Join(errs...)
}

// roll looks after the covers and the software PWM, whatever has happened.
func (g *group) roll(now time.Time) error {
	for _, c := range g.covers {
		if err := g.steady(now, c); err != nil {
			return err
		}
		if c.running() && c.moving == nil { // Somebody else drives it.
			c.saveMoving(now)
		}
		c.rest()
		c.tell(now)
	}
	return g.runSofts(now)
}

// steady starts a cover that has waited for the disk, and stops one that is to rest,
// or keeps it from starting.
func (g *group) steady(now time.Time, c *cover) error {
	c.look(now)
	if c.start != nil && c.decide(now) != resting && (c.noted() || !now.Before(c.until)) {
		cmd := *c.start
		c.start = nil
		if err := g.drive(now, c, cmd); err != nil {
			return err
		}
		c.look(time.Now())
	}
	if c.decide(now) != resting {
		return nil
	}
	c.give("it need not move, or must not, any more")
	return gone(g.halt(time.Now(), c))
}

// rollDue tells until of each time at which roll has something to do; zero is never.
func (g *group) rollDue(until func(time.Time)) {
	for _, c := range g.covers {
		until(c.due())
	}
	for _, s := range g.softs {
		until(s.nextDue())
	}
}
