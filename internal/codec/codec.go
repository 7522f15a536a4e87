// Package codec takes frames apart into values with names, and makes frames of
// them: lines of text, objects, tables of bytes, and what meters and receivers
// say. It has no input or output; where a frame begins and ends, and whether it
// came over whole, is known before.
package codec

import (
	"fmt"
	"math"
	"strconv"
)

// A Value is what a frame says of one key.
type Value struct {
	Text string
	Unit string // as the frame has it; empty where it has none

	// Trouble says why there is no value although the frame has a place for
	// it: a sensor that is broken, a receiver without a fix. Text is empty then.
	Trouble string
}

// A Lookup finds a value in a frame by its key. ok is false where the frame
// does not have it.
type Lookup func(key string) (v Value, ok bool)

// A Decoder takes a frame apart. It is for one port and one goroutine: it may
// remember what the frames before said. The Lookup is good until the frame
// changes. An error says what is wrong with the frame, without showing it.
type Decoder func(frame []byte) (Lookup, error)

// nothing is the Lookup of a frame that says nothing, and is right in that.
func nothing(string) (Value, bool) { return Value{}, false }

// text returns a value that is there.
func text(s string) (Value, bool) { return Value{Text: s}, true }

// trouble returns a value that cannot be had.
func trouble(why string) (Value, bool) { return Value{Trouble: why}, true }

// A FieldError is one mistake in what describes a frame.
type FieldError struct {
	Path string // of the key in a configuration, as in fields[2].type
	Err  error
}

func (e *FieldError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

func wrong(path, format string, args ...any) error {
	return &FieldError{path, fmt.Errorf(format, args...)}
}

// Linear returns v*scale + offset, rounded to 12 digits of the greatest of its
// terms: 400*0.1 - 40 is 0, and not 2e-15 as on machines that multiply and add
// in one step.
func Linear(v, scale, offset float64) float64 {
	v *= scale
	most := max(math.Abs(v), math.Abs(offset))
	if v += offset; most == 0 || math.IsInf(most, 0) {
		return v
	}
	decimals := max(0, 11-int(math.Floor(math.Log10(most))))
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', decimals, 64), 64)
	if err != nil {
		return v
	}
	return r + 0 // no -0
}

// Number writes v in full, without an exponent.
func Number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// short keeps a stranger's text short in messages.
func short(s string) string {
	const limit = 32
	if len(s) <= limit {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:limit]) + "…"
}
