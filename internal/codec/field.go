package codec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Field is one place in a frame of bytes. It is read and written by the same
// description.
type Field struct {
	Key    string `yaml:"key" doc:"The name of the value; a place with only is: needs none."`
	At     int    `yaml:"at" doc:"Offset of the first byte, from 0; -1 is the last byte of the frame."`
	Type   Type   `yaml:"type" doc:"u8, s8, u16, s16, u24, u32, s32, u64, s64, f32, f64, bcd (two digits a byte), ascii or hex; u8 if absent."`
	Length int    `yaml:"length" doc:"Bytes of bcd, ascii or hex, 1 to 255."`
	Order  Order  `yaml:"order" doc:"Of the bytes: big (the highest first; if absent), little, or mixed (the lowest 16 bits first, each with its high byte first)."`
	Bits   string `yaml:"bits" doc:"Part of an integer, SHIFT:WIDTH: 4:3 is three bits, of which the lowest is worth 16."`

	Scale  float64           `yaml:"scale" doc:"The value is the number in the frame times this, plus offset; 1 if absent."`
	Offset float64           `yaml:"offset" doc:"Added to the value after scale."`
	Enum   map[string]string `yaml:"enum" doc:"Words for numbers in the frame: {0: idle, 1: heating}."`

	Is          *int64  `yaml:"is" doc:"The number that is there in each frame of this table: others are passed over, and commands get it."`
	Error       []int64 `yaml:"error" doc:"Numbers that say that the sensor has an error."`
	Unsupported []int64 `yaml:"unsupported" doc:"Numbers that say that the device does not have this value."`
}

// A Type is how a number or text stands in bytes.
type Type string

// The types of fields.
const (
	U8    Type = "u8"
	S8    Type = "s8"
	U16   Type = "u16"
	S16   Type = "s16"
	U24   Type = "u24"
	U32   Type = "u32"
	S32   Type = "s32"
	U64   Type = "u64"
	S64   Type = "s64"
	F32   Type = "f32" // IEEE 754
	F64   Type = "f64"
	BCD   Type = "bcd"
	ASCII Type = "ascii"
	Hex   Type = "hex"
)

// sizes has the bytes of each type of a fixed size.
var sizes = map[Type]int{U8: 1, S8: 1, U16: 2, S16: 2, U24: 3, U32: 4, S32: 4, U64: 8, S64: 8, F32: 4, F64: 8}

// Values lists what a Type may be.
func (Type) Values() []string {
	return []string{"", "u8", "s8", "u16", "s16", "u24", "u32", "s32", "u64", "s64", "f32", "f64", "bcd", "ascii", "hex"}
}

// An Order says which byte of a number comes first.
type Order string

// The orders of bytes.
const (
	Big    Order = "big"
	Little Order = "little"
	Mixed  Order = "mixed" // 16-bit words, lowest first, of big-endian bytes
)

// Values lists what an Order may be.
func (Order) Values() []string { return []string{"", string(Big), string(Little), string(Mixed)} }

// maxFrame bounds offsets, in bytes.
const maxFrame = 65535

func (f *Field) kind() Type {
	if f.Type == "" {
		return U8
	}
	return f.Type
}

func (f *Field) size() int {
	if n := sizes[f.kind()]; n > 0 {
		return n
	}
	return f.Length
}

func (f *Field) scale() float64 {
	if f.Scale == 0 {
		return 1
	}
	return f.Scale
}

func (f *Field) signed() bool { return f.kind()[0] == 's' }
func (f *Field) float() bool  { return f.kind()[0] == 'f' }

// integer reports whether the field is a number of bits.
func (f *Field) integer() bool { return f.signed() || f.kind()[0] == 'u' }

// textual reports whether the field is no number.
func (f *Field) textual() bool { return f.kind() == ASCII || f.kind() == Hex }

// width is the number of bits of an integer.
func (f *Field) width() int { return 8 * f.size() }

// part reads Bits; the whole number if it is not set.
func (f *Field) part() (shift, width int, err error) {
	if f.Bits == "" {
		return 0, f.width(), nil
	}
	a, b, _ := strings.Cut(f.Bits, ":")
	shift, err = strconv.Atoi(a)
	if err == nil {
		width, err = strconv.Atoi(b)
	}
	if err != nil || shift < 0 || width < 1 || shift > f.width() || shift+width > f.width() {
		return 0, 0, fmt.Errorf("%q is not SHIFT:WIDTH within %d bits", f.Bits, f.width())
	}
	return shift, width, nil
}

// slice returns the bytes of the field, or nil where the frame is too short.
func (f *Field) slice(frame []byte) []byte {
	at := f.At
	if at < 0 {
		at += len(frame)
	}
	if n := f.size(); at >= 0 && at <= len(frame) && n <= len(frame)-at {
		return frame[at : at+n]
	}
	return nil
}

// validate reports everything that is wrong, by key.
func (f *Field) validate() error {
	var errs []error
	if f.Key == "" && f.Is == nil {
		errs = append(errs, wrong("key", "must be set, or else is"))
	}
	if f.At < -maxFrame || f.At > maxFrame {
		errs = append(errs, wrong("at", "%d is not within %d bytes", f.At, maxFrame))
	}
	if !slices.Contains(Type("").Values(), string(f.Type)) {
		return errors.Join(append(errs, wrong("type", "%q is not one of %s", f.Type, strings.Join(f.Type.Values()[1:], ", ")))...)
	}
	if sizes[f.kind()] == 0 && (f.Length < 1 || f.Length > 255) {
		errs = append(errs, wrong("length", "%d is not between 1 and 255, which type %s needs", f.Length, f.Type))
	}
	if sizes[f.kind()] != 0 && f.Length != 0 {
		errs = append(errs, wrong("length", "is for types bcd, ascii and hex, not %s", f.kind()))
	}
	if !slices.Contains(f.Order.Values(), string(f.Order)) {
		errs = append(errs, wrong("order", "%q is not one of big, little, mixed", f.Order))
	}
	return errors.Join(append(errs, f.validateNumber()...)...)
}

func (f *Field) validateNumber() (errs []error) {
	if f.Bits != "" && !f.integer() {
		errs = append(errs, wrong("bits", "is for integers, not %s", f.kind()))
	} else if _, _, err := f.part(); err != nil {
		errs = append(errs, wrong("bits", "%w", err))
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	if !finite(f.Scale) || !finite(f.Offset) {
		errs = append(errs, wrong("scale", "scale and offset must be finite numbers"))
	}
	if f.textual() && (f.Scale != 0 || f.Offset != 0 || f.Enum != nil || f.Is != nil || f.Error != nil || f.Unsupported != nil) {
		errs = append(errs, wrong("type", "%s is text: it has no scale, offset, enum, is, error or unsupported", f.Type))
	}
	if f.float() && (f.Enum != nil || f.Is != nil) {
		errs = append(errs, wrong("type", "%s has no enum and no is", f.Type))
	}
	for n := range f.Enum {
		if _, err := strconv.ParseInt(n, 0, 64); err != nil {
			errs = append(errs, wrong("enum", "%q is not an integer", n))
		}
	}
	return errs
}
