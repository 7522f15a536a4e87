package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxString is the longest string in registers: what one request can read.
const maxString = 125

// registers returns how many registers a value of format f takes; length is that
// of a string.
func (f Format) registers(length int) int {
	switch f {
	case U32, S32, F32, BCD32:
		return 2
	case U64, S64, F64:
		return 4
	case String:
		return length
	}
	return 1
}

func (f Format) signed() bool   { return f == S16 || f == S32 || f == S64 }
func (f Format) floating() bool { return f == F32 || f == F64 }
func (f Format) decimal() bool  { return f == BCD16 || f == BCD32 }

// toBytes returns the bytes ABCD… of words that came in order o.
func toBytes(words []uint16, o Order) []byte {
	words = slices.Clone(words)
	if o == Word || o == Little {
		slices.Reverse(words)
	}
	var b []byte
	for _, w := range words {
		if o == Byte || o == Little {
			w = w<<8 | w>>8
		}
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

// toWords is the inverse of toBytes, for an even number of bytes.
func toWords(b []byte, o Order) []uint16 {
	var words []uint16
	for ; len(b) >= 2; b = b[2:] {
		w := binary.BigEndian.Uint16(b)
		if o == Byte || o == Little {
			w = w<<8 | w>>8
		}
		words = append(words, w)
	}
	if o == Word || o == Little {
		slices.Reverse(words)
	}
	return words
}

// toRaw returns the bits of a number of one to four registers.
func toRaw(words []uint16, o Order) (raw uint64) {
	for _, b := range toBytes(words, o) {
		raw = raw<<8 | uint64(b)
	}
	return raw
}

// fromRaw is the inverse of toRaw, for n registers.
func fromRaw(raw uint64, n int, o Order) []uint16 {
	b := binary.BigEndian.AppendUint64(nil, raw)
	return toWords(b[8-2*n:], o)
}

// A quantity is what registers say: a whole number, which is kept exactly, or a
// floating one.
type quantity struct {
	negative bool
	whole    uint64 // its magnitude
	float    float64
	floating bool
}

func (q quantity) value() float64 {
	switch {
	case q.floating:
		return q.float
	case q.negative:
		return -float64(q.whole)
	}
	return float64(q.whole)
}

// key returns the number for a table of names; ok is false if none can be there.
func (q quantity) key() (key int64, ok bool) {
	switch {
	case q.floating || q.whole > math.MaxInt64:
		return 0, false
	case q.negative:
		return -int64(q.whole), true
	}
	return int64(q.whole), true
}

func (q quantity) String() string {
	switch {
	case q.floating:
		return formatNumber(q.float)
	case q.negative:
		return "-" + strconv.FormatUint(q.whole, 10)
	}
	return strconv.FormatUint(q.whole, 10)
}

var (
	errNotNumber = errors.New("the unit says that it is not a number (NaN)")
	errInfinite  = errors.New("the unit says that it is infinite")
)

// quantity returns what the bits raw are in format f.
func (f Format) quantity(raw uint64) (quantity, error) {
	bits := uint(16 * f.registers(0))
	switch {
	case f.floating():
		v := math.Float64frombits(raw)
		if f == F32 {
			v = shortest(math.Float32frombits(uint32(raw)))
		}
		switch {
		case math.IsNaN(v):
			return quantity{}, errNotNumber
		case math.IsInf(v, 0):
			return quantity{}, errInfinite
		}
		return quantity{floating: true, float: v}, nil
	case f.decimal():
		v, err := fromBCD(raw, bits)
		return quantity{whole: v}, err
	case f.signed() && raw>>(bits-1) != 0:
		return quantity{negative: true, whole: (^raw + 1) & mask(bits)}, nil
	}
	return quantity{whole: raw}, nil
}

// mask returns n ones.
func mask(n uint) uint64 {
	if n >= 64 {
		return math.MaxUint64
	}
	return 1<<n - 1
}

// shortest returns the float64 with the fewest digits that is still v, so that
// 230.1 from a meter does not become 230.10000610351562.
func shortest(v float32) float64 {
	text := strconv.FormatFloat(float64(v), 'g', -1, 32)
	d, err := strconv.ParseFloat(text, 64)
	if err != nil { // it is infinite
		return float64(v)
	}
	return d
}

func fromBCD(raw uint64, bits uint) (v uint64, err error) {
	for shift := int(bits) - 4; shift >= 0; shift -= 4 {
		digit := raw >> shift & 0xF
		if digit > 9 {
			return 0, fmt.Errorf("%#x is no decimal number in BCD", raw)
		}
		v = v*10 + digit
	}
	return v, nil
}

func toBCD(v uint64) (raw uint64) {
	for shift := 0; v > 0; shift += 4 {
		raw |= v % 10 << shift
		v /= 10
	}
	return raw
}

// raw is the inverse of quantity: the bits of v in format f, rounded to what it
// can say.
func (f Format) raw(v float64) (uint64, error) {
	bits := uint(16 * f.registers(0))
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, errors.New("the value is no finite number")
	case f == F64:
		return math.Float64bits(v), nil
	case f == F32:
		if math.IsInf(float64(float32(v)), 0) {
			return 0, fmt.Errorf("%s does not fit in %s", formatNumber(v), f)
		}
		return uint64(math.Float32bits(float32(v))), nil
	}
	v = math.Round(v)
	low, high := f.bounds()
	if v < low || v > high || v >= 1<<64 {
		return 0, fmt.Errorf("%s does not fit in %s", formatNumber(v), f)
	}
	switch {
	case f.decimal():
		return toBCD(uint64(v)), nil
	case v < 0:
		return uint64(int64(v)) & mask(bits), nil
	case f.signed():
		return min(uint64(v), mask(bits-1)), nil // 2⁶³-1 is no float64: high is 2⁶³.
	}
	return uint64(v), nil
}

// bounds returns the limits of a format of whole numbers.
func (f Format) bounds() (low, high float64) {
	bits := uint(16 * f.registers(0))
	switch {
	case f == BCD16:
		return 0, 9999
	case f == BCD32:
		return 0, 99999999
	case f.signed():
		return -float64(uint64(1) << (bits - 1)), float64(mask(bits - 1))
	}
	return 0, float64(mask(bits))
}

// parseRaw reads a number as the unit has it, before scale: 0x8000 is bits, and
// what is decimal is a number in format f.
func (f Format) parseRaw(text string) (uint64, error) {
	bits := uint(16 * f.registers(0))
	if hex, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		raw, err := strconv.ParseUint(hex, 16, 64)
		if err != nil || raw > mask(bits) {
			return 0, fmt.Errorf("%q does not fit in %d bits", text, bits)
		}
		return raw, nil
	}
	if !f.floating() && !f.decimal() {
		return f.parseWhole(text)
	}
	v, err := parseNumber(text)
	if err != nil {
		return 0, err
	}
	return f.raw(v)
}

// parseWhole reads a whole number exactly.
func (f Format) parseWhole(text string) (uint64, error) {
	bits := 16 * f.registers(0)
	if f.signed() {
		if v, err := strconv.ParseInt(text, 10, bits); err == nil {
			return uint64(v) & mask(uint(bits)), nil
		}
	} else if v, err := strconv.ParseUint(text, 10, bits); err == nil {
		return v, nil
	}
	return 0, fmt.Errorf("%q is no whole number that fits in %s", text, f)
}

// parseNumber reads a decimal number. strconv alone would take nan, inf, 0x1p4.
func parseNumber(s string) (float64, error) {
	if strings.Trim(s, "0123456789+-.eE") == "" {
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%s is not a number", quote(s))
}

func formatNumber(v float64) string { return strconv.FormatFloat(v+0, 'f', -1, 64) }

// quote shows a stranger's text, in messages, and not all of it.
func quote(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strconv.QuoteToASCII(s)
}
