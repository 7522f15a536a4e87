package gpiochip

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"time"
)

// ErrGone means that the chip is no longer there: an expander was unplugged, or
// its driver was unbound. Open it again when it is back.
var ErrGone = errors.New("the GPIO chip is gone")

// A BusyError says who holds a line that was asked for. It is syscall.EBUSY.
type BusyError struct {
	Chip     string // label
	Line     LineInfo
	Consumer string  // who asked
	Holder   *Holder // nil if it is the kernel, or cannot be seen
}

// Error names the line and its holder, and says what can be done.
func (e *BusyError) Error() string {
	name := ""
	if e.Line.Name != "" {
		name = " (" + e.Line.Name + ")"
	}
	return fmt.Sprintf("line %d%s of %s is held by %s: %s", e.Line.Offset, name, e.Chip, e.heldBy(), e.advice())
}

// Unwrap returns syscall.EBUSY.
func (e *BusyError) Unwrap() error { return syscall.EBUSY }

// Validate reports what no chip can do, all at once. A chip that was opened
// checks its own limits besides: how many lines it has and what they can.
func (r Request) Validate() error {
	var errs []error
	if n := len(r.Lines); n == 0 || n > MaxLines {
		errs = append(errs, fmt.Errorf("%d lines in one request, want 1 to %d", n, MaxLines))
	}
	seen := make(map[uint32]bool)
	for _, l := range r.Lines {
		if seen[l.Offset] {
			errs = append(errs, fmt.Errorf("line %d is named twice in one request", l.Offset))
		}
		seen[l.Offset] = true
		if err := l.validate(); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", l.Offset, err))
		}
	}
	return errors.Join(errs...)
}

func (l LineConfig) validate() error {
	switch {
	case l.Direction > Output || l.Bias > PullDown || l.Drive > OpenSource || l.Edges > BothEdges:
		return errors.New("a setting has a value that is not one of its constants")
	case l.Direction == AsIs && (l.ActiveLow || l.Bias != BiasAsIs):
		return errors.New("a line that is left as it is takes no settings")
	case l.Direction != Input && (l.Edges != 0 || l.Debounce != 0):
		return errors.New("only an input has edges and debounce")
	case l.Direction != Output && (l.Drive != PushPull || l.Value || l.Found || l.Safe):
		return errors.New("only an output has a drive and a value")
	case l.Found && l.Value:
		return errors.New("an output has the value that it is found with, or another one")
	case l.Debounce < 0 || l.Debounce/time.Microsecond > math.MaxUint32:
		return fmt.Errorf("debounce is %v, want 0 to %v", l.Debounce, math.MaxUint32*time.Microsecond)
	}
	return nil
}
