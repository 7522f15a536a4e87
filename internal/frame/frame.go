// Package frame finds frames in the bytes of a line: where one begins and ends,
// and whether its checksum is right. It makes frames of the same description,
// too. It does no I/O, asks no clock, and does not know what a frame says.
//
// A [Spec] describes frames as a data sheet does. A [Splitter] cuts what comes
// in by it and finds its way back after noise: a frame that fails costs only
// its first byte, and what follows is looked at again.
package frame

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Kind says how the end of a frame is known.
type Kind string

// The kinds of frames.
const (
	Delimiter Kind = "delimiter"  // by bytes that end each, such as a line feed
	Fixed     Kind = "fixed"      // by its length, which is always the same
	Length    Kind = "length"     // by its length, which it says itself
	StartStop Kind = "start_stop" // by bytes that begin it and bytes that end it
	Gap       Kind = "gap"        // by silence
	SLIP      Kind = "slip"       // RFC 1055
	COBS      Kind = "cobs"       // consistent overhead byte stuffing, ended by a zero
	SML       Kind = "sml"        // the transport protocol of the Smart Message Language
)

// Kinds are all kinds.
var Kinds = []Kind{Delimiter, Fixed, Length, StartStop, Gap, SLIP, COBS, SML}

// Values lists what a Kind may be.
func (Kind) Values() []string { return texts(Kinds) }

// An Order says which byte of a number comes first.
type Order string

// The orders of bytes.
const (
	Big    Order = "big"    // the most significant one
	Little Order = "little" // the least significant one
)

// Values lists what an Order may be.
func (Order) Values() []string { return []string{string(Big), string(Little)} }

// A Count says which bytes a length counts.
type Count string

// What a length counts.
const (
	CountFrame Count = "frame" // the whole frame
	CountAfter Count = "after" // what comes after it, to the end of the frame
	CountBody  Count = "body"  // what comes after it, without checksum and end
)

// Values lists what a Count may be.
func (Count) Values() []string {
	return []string{string(CountFrame), string(CountAfter), string(CountBody)}
}

// Spec describes frames. Positions are bytes from the beginning of a frame as it
// is on the line, with what begins and ends it, but without its escapes;
// negative ones are counted from the end. Of the kinds delimiter, slip, cobs and
// sml, what delimits does not belong to the frame.
type Spec struct {
	Kind    Kind          `yaml:"kind" doc:"How the end of a frame is known: delimiter, fixed (always as long), length (it says so itself), start_stop (bytes that begin and end it), gap (silence), slip (RFC 1055), cobs, or sml (smart meters)."`
	Max     int           `yaml:"max" doc:"Bytes of the longest frame, 1 to 65536; 1024 if absent."`
	Start   Bytes         `yaml:"start" doc:"For fixed, length and start_stop: what each frame begins with, as text or, after 0x, in hexadecimal."`
	End     Bytes         `yaml:"end" doc:"What ends each frame, for delimiter, start_stop, fixed and length; a line feed for delimiter if absent."`
	Trailer int           `yaml:"trailer" doc:"For start_stop: bytes that come after the end and belong to the frame."`
	Escape  Bytes         `yaml:"escape" doc:"For start_stop: the byte that precedes one which would otherwise begin, end or escape."`
	XOR     Bytes         `yaml:"xor" doc:"For start_stop: what an escaped byte is combined with by exclusive or; unchanged if absent."`
	Size    int           `yaml:"size" doc:"For fixed: bytes of a frame."`
	Length  Field         `yaml:"length" doc:"For length: where the frame says how long it is."`
	Gap     time.Duration `yaml:"gap" doc:"For gap: the silence that ends a frame, 1ms to 10s; 20ms if absent."`
	Timeout time.Duration `yaml:"timeout" doc:"A frame that has begun is given up after this much silence; 1s if absent. Frames of kind delimiter, slip and cobs may take their time."`
	Check   *Check        `yaml:"checksum" doc:"The checksum of a frame."`
	Payload Part          `yaml:"payload" doc:"Which part of the frame is read by format; all of it if absent."`
}

// Field is where a frame says how long it is.
type Field struct {
	At     int   `yaml:"at" doc:"Its first byte, counted from 0."`
	Width  int   `yaml:"width" doc:"Its bytes: 1, 2 or 4; 1 if absent."`
	Order  Order `yaml:"order" doc:"Which byte comes first: big (the most significant one; if absent) or little."`
	Counts Count `yaml:"counts" doc:"What it counts: frame (all bytes), after (those after it; if absent) or body (those after it, without checksum and end)."`
	Bias   int   `yaml:"bias" doc:"Added to it, where it counts something else."`
}

// Part is a part of a frame.
type Part struct {
	From int  `yaml:"from" doc:"Its first byte, counted from 0; from the end if negative."`
	To   *int `yaml:"to" doc:"The byte after its last one; from the end if negative, the end if absent."`
}

// Bytes are text, or hexadecimal digits after 0x, in a configuration.
type Bytes string

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, err := ParseBytes(string(text))
	*b = Bytes(s)
	return err
}

// ParseBytes returns the bytes that text stands for: itself or, where it begins
// with 0x, what its hexadecimal digits say. Spaces between these do not count.
func ParseBytes(text string) (string, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok {
		return text, nil
	}
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("%q is not bytes in hexadecimal, such as 0xAA C0", text)
	}
	return string(b), nil
}

// A FieldError is one mistake in a Spec.
type FieldError struct {
	Field string // as in a configuration: length.width, checksum.algorithm
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// mistakes collects FieldErrors.
type mistakes []error

func (m *mistakes) add(field, format string, args ...any) {
	*m = append(*m, &FieldError{field, fmt.Errorf(format, args...)})
}

func (m mistakes) join() error { return errors.Join(m...) }

func texts[T ~string](list []T) (out []string) {
	for _, t := range list {
		out = append(out, string(t))
	}
	return out
}
