package gpio

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edge/internal/gpiochip"
)

// A cycle switches something on for a part of each period. None and all of it are
// steady levels. Within a period it goes on once and off once at most, also when the
// duty is changed: what has gone off stays so until the next one.
type cycle struct {
	period time.Duration
	duty   float64   // of 1
	start  time.Time // of this period; zero: a steady level
	fell   bool      // in this period
}

// set changes the duty at now.
func (c *cycle) set(now time.Time, duty float64) {
	c.duty = duty
	switch {
	case duty <= 0 || duty >= 1:
		c.start, c.fell = time.Time{}, false
	case c.start.IsZero():
		c.start, c.fell = now, false
	}
}

// step returns what it is at now. Periods follow each other without a gap however
// late step is called.
func (c *cycle) step(now time.Time) (on bool) {
	if c.start.IsZero() {
		return c.duty >= 1
	}
	if n := now.Sub(c.start) / c.period; n > 0 {
		c.start, c.fell = c.start.Add(n*c.period), false
	}
	c.fell = c.fell || !now.Before(c.falls())
	return !c.fell
}

func (c *cycle) falls() time.Time {
	return c.start.Add(time.Duration(c.duty * float64(c.period)))
}

// due returns when step will return something else; zero is never.
func (c *cycle) due() time.Time {
	switch {
	case c.start.IsZero():
		return time.Time{}
	case c.fell:
		return c.start.Add(c.period)
	}
	return c.falls()
}

// A soft is an output with software PWM. Only the goroutine that owns its group uses
// it.
type soft struct {
	dial
	cycle
	told
	span  span
	lines gpiochip.Lines
	level bool      // to which the line was set
	again time.Time // when a line that could not be set is tried again; zero: it could
}

// newSoft returns the output of p, which is off.
func newSoft(p Pin, lines gpiochip.Lines, post *post) *soft {
	s := p.SoftPWM
	return &soft{
		dial: begin(s.Initial, s.Safe, s.Lease), cycle: cycle{period: s.Period}, span: spanOf(s.Min, s.Max), lines: lines,
		told: told{id: p.ID, post: post, counters: make(map[string]uint64)},
	}
}

// put makes the dial what it is to be, and the line what that means now.
func (s *soft) put(now time.Time, to dial, cause string, by *command) error {
	s.dial = to
	s.set(now, s.span.duty(to.value))
	err := s.switchTo(now, s.step(now))
	s.tell(now, to, cause, by)
	return err
}

// switchTo sets the line, if it is not so already.
func (s *soft) switchTo(now time.Time, on bool) error {
	if on == s.level && s.again.IsZero() {
		return nil
	}
	err := s.judge(s.lines.SetValues(1, bit(on)))
	if err != nil {
		s.again = now.Add(retry)
		return err
	}
	s.level, s.again = on, time.Time{}
	return nil
}

func bit(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

// run does what is due at now. The error is one of a chip that is gone.
func (s *soft) run(now time.Time) error {
	if next, cause, over := s.expired(now); over {
		return gone(s.put(now, next, cause, nil))
	}
	return gone(s.switchTo(now, s.step(now)))
}

// audit reads the line back.
func (s *soft) audit() error {
	v, err := s.lines.Values(1)
	if err == nil && v != bit(s.level) {
		err = fmt.Errorf("it is %s after it was set %s: is something else driving it?", state(v == 1), state(s.level))
	}
	return gone(s.judge(err))
}

// nextDue returns when run has something to do; zero is never.
func (s *soft) nextDue() (due time.Time) {
	for _, t := range []time.Time{s.due(), s.until, s.again} {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	return due
}

// leave switches the line off and gives it back.
func (s *soft) leave() error {
	return errors.Join(s.lines.SetValues(1, 0), s.lines.Close())
}

// soft returns the output with software PWM that has an id, nil if there is none.
func (g *group) soft(id string) *soft {
	i := slices.IndexFunc(g.softs, func(s *soft) bool { return s.id == id })
	if i < 0 {
		return nil
	}
	return g.softs[i]
}

// dim carries out a command to an output with software PWM.
func (g *group) dim(now time.Time, s *soft, cmd command) error {
	next, err := s.next(now, cmd)
	if err != nil {
		g.post.refuse(s.id, cmd.ID, err.Error())
		return nil
	}
	err = s.put(now, next, causeCommand, &cmd)
	s.answer(cmd, s.value, err)
	return gone(err)
}

// startSofts begins with outputs that were requested off.
func (g *group) startSofts(now time.Time) error {
	for _, s := range g.softs {
		if err := gone(s.put(now, s.dial, g.guard.cause(), nil)); err != nil {
			return err
		}
	}
	return nil
}

// auditSofts reads the lines of outputs with software PWM back.
func (g *group) auditSofts() error {
	for _, s := range g.softs {
		if err := s.audit(); err != nil {
			return err
		}
	}
	return nil
}

// runSofts does what is due of the outputs with software PWM.
func (g *group) runSofts(now time.Time) error {
	for _, s := range g.softs {
		if err := s.run(now); err != nil {
			return err
		}
	}
	return nil
}

// releaseSofts gives the lines of outputs with software PWM back.
func (g *group) releaseSofts() {
	for _, s := range g.softs {
		if err := s.leave(); err != nil && gone(err) == nil {
			g.log.Error("cannot switch an output off", "pin", s.id, "err", err)
		}
	}
	g.softs = nil
}
