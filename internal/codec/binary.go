package codec

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Table describes frames of bytes.
type Table []Field

// Validate reports everything that is wrong: a join of *FieldError, whose paths
// begin with the index of the field.
func (t Table) Validate() error {
	var errs []error
	for i := range t {
		f := &t[i]
		at := fmt.Sprintf("[%d]", i)
		if f.Key != "" && slices.ContainsFunc(t[:i], func(o Field) bool { return o.Key == f.Key }) {
			errs = append(errs, wrong(at+".key", "%q is already the key of an earlier field", f.Key))
		}
		if joined, ok := f.validate().(interface{ Unwrap() []error }); ok {
			for _, err := range joined.Unwrap() {
				if e, ok := errors.AsType[*FieldError](err); ok {
					errs = append(errs, &FieldError{at + "." + e.Path, e.Err})
				}
			}
		}
	}
	return errors.Join(errs...)
}

// Has reports whether the table has a field with this key.
func (t Table) Has(key string) bool {
	return slices.ContainsFunc(t, func(f Field) bool { return f.Key == key })
}

// Binary returns a decoder of frames of bytes by a table that is valid. Frames
// in which a field is not what its Is says are of another sort, and say nothing.
// A field beyond the end of the frame is not there.
func Binary(t Table) Decoder {
	words := make([]map[int64]string, len(t))
	for i := range t {
		f := &t[i]
		words[i] = f.words()
	}
	return func(frame []byte) (Lookup, error) {
		if len(frame) == 0 {
			return nil, errors.New("is empty")
		}
		if !t.fits(frame) {
			return nothing, nil
		}
		return func(key string) (Value, bool) {
			for i := range t {
				f := &t[i]
				if b := f.slice(frame); f.Key == key && b != nil {
					return f.value(b, words[i])
				}
			}
			return Value{}, false
		}, nil
	}
}

// fits reports whether the constants of the table are in the frame.
func (t Table) fits(frame []byte) bool {
	for i := range t {
		f := &t[i]
		if f.Is == nil {
			continue
		}
		b := f.slice(frame)
		if b == nil {
			return false
		}
		if bits, ok := f.raw(b); !ok || !f.among(bits, []int64{*f.Is}) {
			return false
		}
	}
	return true
}

// words returns the names of numbers.
func (f *Field) words() map[int64]string {
	words := make(map[int64]string, len(f.Enum))
	for n, word := range f.Enum {
		if v, err := strconv.ParseInt(n, 0, 64); err == nil {
			words[v] = word
		}
	}
	return words
}

// raw returns the bits of a number. ok is false where BCD has a digit that is
// none.
func (f *Field) raw(b []byte) (bits uint64, ok bool) {
	for i := range b {
		digit := uint64(b[place(f.Order, i, len(b))])
		if f.kind() != BCD {
			bits = bits<<8 | digit
			continue
		}
		if digit>>4 > 9 || digit&15 > 9 || bits > (math.MaxUint64-99)/100 {
			return 0, false
		}
		bits = bits*100 + digit>>4*10 + digit&15
	}
	if f.integer() {
		shift, width, _ := f.part()
		bits = bits >> shift & mask(width)
	}
	return bits, true
}

// place returns where in n bytes the byte is that has rank i, of which 0 is the
// highest.
func place(o Order, i, n int) int {
	switch {
	case o == Little:
		return n - 1 - i
	case o == Mixed && n%2 == 0:
		return n - 2 - i&^1 + i&1
	}
	return i
}

func mask(width int) uint64 { return math.MaxUint64 >> (64 - width) }

// among reports whether bits are one of the numbers: -1 and 65535 are the same
// in 16 bits.
func (f *Field) among(bits uint64, numbers []int64) bool {
	m := uint64(math.MaxUint64)
	if f.integer() {
		_, width, _ := f.part()
		m = mask(width)
	} else if f.float() {
		m = mask(f.width())
	}
	return slices.ContainsFunc(numbers, func(n int64) bool { return uint64(n)&m == bits })
}

// value reads the field from its bytes.
func (f *Field) value(b []byte, words map[int64]string) (Value, bool) {
	switch f.kind() {
	case ASCII:
		return printable(b)
	case Hex:
		return text(hex.EncodeToString(b))
	}
	bits, ok := f.raw(b)
	switch {
	case !ok:
		return trouble("is not in BCD: " + hex.EncodeToString(b))
	case f.among(bits, f.Error):
		return trouble("the sensor reports an error: " + strconv.FormatUint(bits, 10))
	case f.among(bits, f.Unsupported):
		return trouble("the device does not support this")
	case f.float():
		return f.real(bits)
	case len(words) > 0:
		return f.word(bits, words)
	case f.scale() != 1 || f.Offset != 0:
		return text(Number(Linear(f.number(bits), f.scale(), f.Offset)))
	case f.signed():
		return text(strconv.FormatInt(f.extend(bits), 10))
	}
	return text(strconv.FormatUint(bits, 10))
}

// printable returns text that is padded with zeros or blanks.
func printable(b []byte) (Value, bool) {
	s := strings.Trim(string(b), " \x00")
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return trouble("is not text: " + hex.EncodeToString(b))
	}
	return text(s)
}

func (f *Field) word(bits uint64, words map[int64]string) (Value, bool) {
	n := int64(bits)
	if f.signed() {
		n = f.extend(bits)
	}
	if w, ok := words[n]; ok {
		return text(w)
	}
	return trouble(fmt.Sprintf("%d has no word", n))
}

// real reads a float. Sensors that have no value say NaN.
func (f *Field) real(bits uint64) (Value, bool) {
	v := f.number(bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return trouble("the sensor says that it has no number: " + strconv.FormatFloat(v, 'g', -1, 64))
	}
	if f.scale() != 1 || f.Offset != 0 {
		v = Linear(v, f.scale(), f.Offset)
	} else if f.kind() == F32 {
		return text(strconv.FormatFloat(v, 'f', -1, 32)) // 0.1, not 0.10000000149011612
	}
	return text(Number(v))
}

// number returns the value that the bits stand for.
func (f *Field) number(bits uint64) float64 {
	switch {
	case f.kind() == F32:
		return float64(math.Float32frombits(uint32(bits)))
	case f.kind() == F64:
		return math.Float64frombits(bits)
	case f.signed():
		return float64(f.extend(bits))
	}
	return float64(bits)
}

// extend gives the bits of a two's complement number their sign.
func (f *Field) extend(bits uint64) int64 {
	_, width, _ := f.part()
	return int64(bits<<(64-width)) >> (64 - width)
}
