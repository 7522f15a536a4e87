package gpio

import (
	"errors"
	"time"

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
