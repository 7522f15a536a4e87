package gpio

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edge/internal/config"
)

// Bounds of what is configured of a cover.
const (
	minTravel  = 500 * time.Millisecond
	maxTravel  = 30 * time.Minute
	maxOverrun = 5 * time.Minute
)

// A Cover is a blind, a shutter, an awning or a gate: a motor with an output for
// each direction. Where it is, is told by how long it was driven, and by end
// switches if there are any.
type Cover struct {
	ID    string     `yaml:"id" doc:"the name in topics: a-z, 0-9, _ and -"`
	Name  string     `yaml:"name" doc:"the name for people"`
	Class CoverClass `yaml:"class" doc:"what it is, in words of Home Assistant"`

	Open     string        `yaml:"open" doc:"the id of the output that opens it; it takes no commands of its own"`
	Close    string        `yaml:"close" doc:"the id of the output that closes it, on the same chip"`
	DeadTime time.Duration `yaml:"dead_time" doc:"how long both outputs are off before the other one goes on, at least 15ms; motors often need 500ms"`

	OpenTime  time.Duration `yaml:"open_time" doc:"how long it takes from closed to open"`
	CloseTime time.Duration `yaml:"close_time" doc:"how long it takes from open to closed"`
	Overrun   time.Duration `yaml:"overrun" doc:"how much longer it is driven to an end that has no switch, so that it comes to it even if it was elsewhere than believed; only for motors that stop by themselves"`

	OpenSwitch  string `yaml:"open_switch" doc:"the id of an input that is on while the cover is open, on the same chip"`
	CloseSwitch string `yaml:"close_switch" doc:"the id of an input that is on while the cover is closed, on the same chip"`
}

// A CoverClass is what a cover is, in words of Home Assistant.
type CoverClass string

// Values lists what a CoverClass may be.
func (CoverClass) Values() []string {
	return []string{"awning", "blind", "curtain", "damper", "door", "garage", "gate", "shade", "shutter", "window"}
}

// longest returns how long an output of the cover is on at most.
func (c Cover) longest() time.Duration {
	travel := max(c.OpenTime, c.CloseTime)
	return travel + time.Duration(grace*float64(travel)) + c.Overrun
}

// locks returns all interlocks: a cover's outputs are one, too.
func (c Config) locks() []Interlock {
	locks := slices.Clone(c.Interlocks)
	for _, cover := range c.Covers {
		locks = append(locks, Interlock{Pins: []string{cover.Open, cover.Close}, DeadTime: cover.DeadTime})
	}
	return locks
}

// cover returns the cover that has an output; ok is false if there is none.
func (c Config) cover(output string) (cover Cover, ok bool) {
	i := slices.IndexFunc(c.Covers, func(c Cover) bool { return c.Open == output || c.Close == output })
	if i < 0 {
		return cover, false
	}
	return c.Covers[i], true
}

// pin returns the pin with an id; ok is false if there is none of this direction.
func (c Config) pin(id string, direction Direction) (p Pin, ok bool) {
	i := slices.IndexFunc(c.Pins, func(p Pin) bool { return p.ID == id && p.Direction == direction })
	if i < 0 {
		return p, false
	}
	return c.Pins[i], true
}

// checkCovers checks the covers and what their pins must not be.
func (c Config) checkCovers() error {
	var errs []error
	taken := make(map[string]string)
	for i, l := range c.Interlocks {
		for _, id := range l.Pins {
			taken[id] = fmt.Sprintf("in interlock %d; a cover has its own, with dead_time", i)
		}
	}
	for i, cover := range c.Covers {
		in := func(err error) { errs = append(errs, config.In(fmt.Sprintf("covers[%d]", i), err)) }
		in(checkID("id", cover.ID))
		in(cover.times())
		in(c.motors(cover, taken))
		in(c.switches(cover))
	}
	return errors.Join(errs...)
}

func (c Cover) times() error {
	errs := []error{oneOf("class", c.Class)}
	between := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			errs = append(errs, config.Errorf(field, "must be %v to %v, not %v", low, high, d))
		}
	}
	between("dead_time", c.DeadTime, minDead, maxDead)
	between("open_time", c.OpenTime, minTravel, maxTravel)
	between("close_time", c.CloseTime, minTravel, maxTravel)
	between("overrun", c.Overrun, 0, maxOverrun)
	if c.Overrun > 0 && c.OpenSwitch != "" && c.CloseSwitch != "" {
		errs = append(errs, config.Errorf("overrun", "both ends have a switch, which stops the cover: leave it out"))
	}
	return errors.Join(errs...)
}

// motors checks the outputs of a cover; taken says of others why they cannot be its.
func (c Config) motors(cover Cover, taken map[string]string) error {
	var errs []error
	var pins []Pin
	for _, m := range []struct{ at, id string }{{"open", cover.Open}, {"close", cover.Close}} {
		p, ok := c.pin(m.id, Output)
		if !ok {
			errs = append(errs, config.Errorf(m.at, "there is no output %q", m.id))
			continue
		}
		if by, is := taken[m.id]; is {
			errs = append(errs, config.Errorf(m.at, "%s is already %s", m.id, by))
		}
		taken[m.id] = "of cover " + cover.ID
		pins = append(pins, p)
		for _, why := range p.unfit(cover) {
			errs = append(errs, config.Errorf(m.at, "%s %s", m.id, why))
		}
	}
	if len(pins) == 2 && pins[0].Chip != pins[1].Chip {
		errs = append(errs, config.Errorf("close", "%s is on another chip than %s: two chips cannot be switched as one", cover.Close, cover.Open))
	}
	return errors.Join(errs...)
}

// unfit returns what p has that an output of a cover must not have. It begins off,
// stops when it must, and is on for as long as the way takes.
func (p Pin) unfit(cover Cover) (reasons []string) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			reasons = append(reasons, fmt.Sprintf(format, args...))
		}
	}
	off := func(s string) bool { return s == "" || s == Off }
	add(!off(string(p.Initial)) || !off(string(p.Warm)), "does not begin off: a cover does not move by itself")
	add(!off(string(p.OnExit)) || !off(string(p.Safe)), "is left on: a cover stops when nobody tends it")
	add(p.MinOn > 0, "has min_on: a cover must stop at any time")
	add(p.SoftPWM != nil, "has soft_pwm, which keeps no interlock")
	add(p.Retrigger != "", "has retrigger, which is of timed commands; it takes none of its own")
	add(p.MaxOn > 0 && p.MaxOn < cover.longest(), "may be on for %v only (max_on); the cover may need %v", p.MaxOn, cover.longest())
	return reasons
}

// switches checks the end switches of a cover.
func (c Config) switches(cover Cover) error {
	var errs []error
	motor, _ := c.pin(cover.Open, Output)
	for _, s := range []struct{ at, id string }{{"open_switch", cover.OpenSwitch}, {"close_switch", cover.CloseSwitch}} {
		if s.id == "" {
			continue
		}
		p, ok := c.pin(s.id, Input)
		switch {
		case !ok:
			errs = append(errs, config.Errorf(s.at, "there is no input %q", s.id))
		case p.Chip != motor.Chip:
			errs = append(errs, config.Errorf(s.at, "%s is on another chip than the outputs: a lost chip would leave the motor without its switch", s.id))
		}
	}
	if cover.OpenSwitch != "" && cover.OpenSwitch == cover.CloseSwitch {
		errs = append(errs, config.Errorf("close_switch", "%s is at the other end already", cover.CloseSwitch))
	}
	return errors.Join(errs...)
}

// checkNames checks that no entity has the name of another of another list.
func (c Config) checkNames() error {
	var errs []error
	taken := make(map[string]string)
	for _, p := range c.Pins {
		taken[p.ID] = "a pin"
		for _, e := range p.sensors() {
			taken[e.ID] = "a sensor of " + p.ID
		}
	}
	for i, cover := range c.Covers {
		if what, is := taken[cover.ID]; is && cover.ID != "" {
			errs = append(errs, config.Errorf(fmt.Sprintf("covers[%d].id", i), "%q is already %s", cover.ID, what))
		}
		taken[cover.ID] = "a cover"
	}
	for i, p := range c.PWM {
		if what, is := taken[p.ID]; is && p.ID != "" {
			errs = append(errs, config.Errorf(fmt.Sprintf("pwm[%d].id", i), "%q is already %s", p.ID, what))
		}
		taken[p.ID] = "a PWM channel"
	}
	return errors.Join(errs...)
}
