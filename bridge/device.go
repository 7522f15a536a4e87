package bridge

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"edge/internal/topic"
)

// A Device is what a bridge announces: one thing with its entities.
type Device struct {
	Base         Base   // where it speaks
	Name         string // for people; empty: the last level of Base
	Manufacturer string
	Model        string
	Serial       string
	Version      string // of its firmware
	Entities     []Entity
}

// An Entity is one thing to see or to switch on a device.
type Entity struct {
	ID      string // a level of its topics: [a-z0-9_-]+, but neither status nor meta
	Name    string // for people; empty: the ID
	Kind    Kind
	Class   string   // what is measured or switched: `temperature`, `door`
	Unit    string   // of the state: `°C`
	Min     *float64 // smallest value, in Unit
	Max     *float64 // greatest value, in Unit
	Options []string // the only values, where there are few
	Command bool     // it takes commands on …/set and answers on …/result
	Events  []string // what is told on …/event

	StateClass StateClass // of a sensor's numbers; empty: nothing is known of them
}

// A StateClass says what the numbers of a sensor mean for statistics, in words of
// Home Assistant.
type StateClass string

// The classes of states.
const (
	Measurement     StateClass = "measurement"      // as it is now: a rate, a temperature
	TotalIncreasing StateClass = "total_increasing" // a meter; less than before is a new meter
)

// A Kind says how an entity is shown and what its state looks like.
type Kind string

// The kinds of entities.
const (
	Switch       Kind = "switch"        // ON or OFF, and can be commanded
	BinarySensor Kind = "binary_sensor" // ON or OFF
	Sensor       Kind = "sensor"        // a measured value
	Button       Kind = "button"        // a command without a state
	Number       Kind = "number"        // a value that can be set
	Text         Kind = "text"          // words
	Event        Kind = "event"         // moments without a state

	// Cover is a blind or a gate: open, opening, closed, closing or stopped. It is
	// commanded by OPEN, CLOSE, STOP or a position, which is also told.
	Cover Kind = "cover"
)

// hasState reports whether entities of this kind have a state to be retained.
func (k Kind) hasState() bool { return k != Button && k != Event }

func (k Kind) known() bool {
	switch k {
	case Switch, BinarySensor, Sensor, Button, Number, Text, Event, Cover:
		return true
	}
	return false
}

// Validate reports everything that is wrong with d, joined.
func (d Device) Validate() error {
	var errs []error
	if err := d.Base.check(); err != nil {
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	for i, e := range d.Entities {
		if err := checkID(e.ID); err != nil {
			errs = append(errs, fmt.Errorf("device %s: entity %d: %w", d.Base, i, err))
		} else if seen[e.ID] {
			errs = append(errs, fmt.Errorf("device %s: entity %d: the id %q is taken by an earlier one", d.Base, i, e.ID))
		}
		seen[e.ID] = true
		for _, err := range e.faults() {
			errs = append(errs, fmt.Errorf("device %s: entity %q: %w", d.Base, e.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (b Base) check() error {
	switch s := "/" + string(b) + "/"; {
	case topic.CheckName(string(b)) != nil:
		return fmt.Errorf("device base: %w", topic.CheckName(string(b)))
	case strings.Contains(s, "//"), s[1] == '$':
		return fmt.Errorf("device base %q: want <prefix>/<node>/<bridge>, without empty levels and without $", string(b))
	}
	return nil
}

func (e Entity) faults() []error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !e.Kind.known() {
		add("unknown kind %q; want switch, binary_sensor, sensor, button, number, text, event or cover", e.Kind)
	}
	if e.Kind == Button && !e.Command {
		add("a button must take commands")
	}
	if e.Kind == Event && len(e.Events) == 0 {
		add("an event needs the names of its events")
	}
	for _, v := range []*float64{e.Min, e.Max} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			add("%g is no limit", *v)
		}
	}
	if e.Min != nil && e.Max != nil && *e.Min > *e.Max {
		add("the smallest value %g is above the greatest, %g", *e.Min, *e.Max)
	}
	switch e.StateClass {
	case "":
	case Measurement, TotalIncreasing:
		if e.Kind != Sensor {
			add("only a sensor has a state class, and this is a %s", e.Kind)
		}
	default:
		add("unknown state class %q; want measurement or total_increasing", e.StateClass)
	}
	for i, o := range e.Options {
		if o == "" {
			add("option %d is empty", i)
		}
	}
	for i, v := range e.Events {
		if !isName(v) {
			add("event %d is called %q; want one or more of a-z, 0-9, _ and -", i, v)
		}
	}
	return errs
}

func checkID(id string) error {
	switch {
	case !isName(id):
		return fmt.Errorf("the id %q: want one or more of a-z, 0-9, _ and -", id)
	case id == "status", id == "meta":
		return fmt.Errorf("the id %q is the name of a topic of the bridge; choose another", id)
	}
	return nil
}

// isName reports whether s is [a-z0-9_-]+.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}
