package gpio

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// A dial is a value of 0 to 100 that is commanded, and what it becomes by itself. It
// decides, and drives nothing.
type dial struct {
	safe  float64       // what it is when nobody answers for it
	lease time.Duration // how long a value lasts that is not commanded again; 0: for ever

	value float64
	until time.Time // when it becomes safe; zero: never
	cause string    // of that
}

// next returns what a command makes of the dial.
func (d dial) next(now time.Time, cmd command) (dial, error) {
	v, err := strconv.ParseFloat(cmd.Value, 64)
	switch {
	case err != nil || !(v >= 0 && v <= 100):
		return d, fmt.Errorf("%q is not a number from 0 to 100", cmd.Value)
	case cmd.Lock > 0 || cmd.Unlock:
		return d, fmt.Errorf("it cannot be locked")
	}
	d.value, d.until, d.cause = v, time.Time{}, ""
	if v == d.safe {
		return d, nil
	}
	if d.lease > 0 {
		d.until, d.cause = now.Add(d.lease), causeLease
	}
	if cmd.For > 0 && (d.lease == 0 || cmd.For < d.lease) {
		d.until, d.cause = now.Add(cmd.For), causeTimer
	}
	return d, nil
}

// expired returns what the dial is at now, and why, if that is something else than
// before.
func (d dial) expired(now time.Time) (next dial, cause string, over bool) {
	if d.until.IsZero() || now.Before(d.until) {
		return d, "", false
	}
	cause = d.cause
	d.value, d.until, d.cause = d.safe, time.Time{}, ""
	return d, cause, true
}

// A span is which part of the time a value of 0 to 100 stands for, in percent. Below
// low, what is driven does not start; 0 is none of the time all the same.
type span struct{ low, high float64 }

// duty returns the part of the time, of 1.
func (s span) duty(value float64) float64 {
	if value == 0 {
		return 0
	}
	return math.Min(1, (s.low+(s.high-s.low)*value/100)/100)
}

// number writes a value as it is published.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
