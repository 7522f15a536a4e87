package gpio

import (
	"errors"
	"time"
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
	errs := []error{oneOf(at("debounce_mode"), p.DebounceMode)}
	if p.Debounce != nil {
		errs = append(errs, checkDebounce(at("debounce"), *p.Debounce))
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
