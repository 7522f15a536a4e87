package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/config"
)

// What a DebounceMode may be.
const (
	Stable    = "stable"
	Immediate = "immediate"
)

// A DebounceMode is what an input does with the first edge of many.
type DebounceMode string

// Values lists what a DebounceMode may be.
func (DebounceMode) Values() []string { return []string{Stable, Immediate} }

// inputSettings checks what only an input has. only reports a field of the other
// direction.
func (p Pin) inputSettings(at func(string) string, only func(Direction, string, bool)) error {
	only(Input, "debounce", p.Debounce != nil)
	only(Input, "debounce_mode", p.DebounceMode != "")
	only(Input, "clicks", p.Clicks != nil)
	only(Input, "counter", p.Counter != nil)
	only(Input, "measure", len(p.Measure) > 0)
	errs := []error{oneOf(at("debounce_mode"), p.DebounceMode)}
	if p.Debounce != nil {
		errs = append(errs, checkDebounce(at("debounce"), *p.Debounce))
	}
	if p.Clicks != nil {
		errs = append(errs, config.In(at("clicks"), p.Clicks.validate()))
	}
	if p.Counter != nil {
		errs = append(errs, config.In(at("counter"), p.Counter.validate()))
	}
	return errors.Join(append(errs, p.checkMeasure(at))...)
}

// Bounds of the window of what is measured.
const (
	minWindow     = time.Second
	maxWindow     = time.Hour
	defaultWindow = 10 * time.Second
)

// quantities are the sensors of what is measured.
var quantities = map[Quantity]bridge.Entity{
	Frequency: {Class: "frequency", Unit: "Hz"},
	Duty:      {Unit: "%"},
	OnTime:    {Class: "duration", Unit: "s"},
}

// measureID is what the sensor of a quantity is called.
func (p Pin) measureID(q Quantity) string { return p.ID + "_" + string(q) }

func (p Pin) window() time.Duration {
	if p.Window == 0 {
		return defaultWindow
	}
	return p.Window
}

func (p Pin) checkMeasure(at func(string) string) error {
	var errs []error
	for i, q := range p.Measure {
		path := at(fmt.Sprintf("measure[%d]", i))
		errs = append(errs, oneOf(path, q))
		if slices.Contains(p.Measure[:i], q) {
			errs = append(errs, config.Errorf(path, "%q is there already", q))
		}
		if q == "" {
			errs = append(errs, config.Errorf(path, "must be one of %s", strings.Join(q.Values(), ", ")))
		}
	}
	switch {
	case p.Window != 0 && len(p.Measure) == 0:
		errs = append(errs, config.Errorf(at("window"), "nothing is measured; set measure"))
	case p.Window != 0 && (p.Window < minWindow || p.Window > maxWindow):
		errs = append(errs, config.Errorf(at("window"), "%v is not between %v and %v", p.Window, minWindow, maxWindow))
	}
	return errors.Join(errs...)
}

// Bounds of what is told of a button.
const (
	minHold  = 50 * time.Millisecond // 20 messages a second
	maxClick = time.Minute
)

func (c *Clicks) validate() error {
	var errs []error
	for _, f := range []struct {
		field string
		d     time.Duration
	}{{"double", c.Double}, {"long", c.Long}, {"hold", c.Hold}} {
		if f.d < 0 || f.d > maxClick {
			errs = append(errs, config.Errorf(f.field, "%v is not between 0s and %v", f.d, maxClick))
		}
	}
	switch {
	case c.Hold > 0 && c.Long == 0:
		errs = append(errs, config.Errorf("hold", "it follows a long press, of which there is none; set long"))
	case c.Hold > 0 && c.Hold < minHold:
		errs = append(errs, config.Errorf("hold", "%v is too often; at least %v", c.Hold, minHold))
	}
	return errors.Join(errs...)
}

// debounce returns how long the input must be still: def, unless the pin says
// otherwise.
func (p Pin) debounce(def time.Duration) time.Duration {
	if p.Debounce != nil {
		return *p.Debounce
	}
	return def
}
