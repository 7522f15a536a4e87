package codec

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Fill writes values into frame by the table, and its constants. It is the
// inverse of Binary. A value that does not fit its field is an error, and so is
// one that means that there is no value.
func (t Table) Fill(frame []byte, values func(key string) (text string, ok bool)) error {
	for i := range t {
		f := &t[i]
		b := f.slice(frame)
		if f.Is != nil {
			if b == nil {
				return fmt.Errorf("a frame of %d bytes has no byte %d", len(frame), f.At)
			}
			if err := f.put(b, uint64(*f.Is)&f.mask()); err != nil {
				return err
			}
			continue
		}
		s, ok := values(f.Key)
		if !ok {
			continue
		}
		if b == nil {
			return fmt.Errorf("%s: a frame of %d bytes has no byte %d", f.Key, len(frame), f.At)
		}
		if err := f.write(b, s); err != nil {
			return fmt.Errorf("%s: %w", f.Key, err)
		}
	}
	return nil
}

func (f *Field) mask() uint64 {
	if f.kind() == BCD {
		return math.MaxUint64
	}
	_, width, _ := f.part()
	return mask(width)
}

// write is the inverse of value.
func (f *Field) write(b []byte, s string) error {
	switch f.kind() {
	case ASCII:
		if len(s) > len(b) {
			return fmt.Errorf("%s is longer than %d bytes", short(s), len(b))
		}
		clear(b[copy(b, s):])
		return nil
	case Hex:
		v, err := hex.DecodeString(s)
		if err != nil || len(v) != len(b) {
			return fmt.Errorf("%s is not %d bytes in hexadecimal", short(s), len(b))
		}
		copy(b, v)
		return nil
	}
	bits, err := f.bits(s)
	switch {
	case err != nil:
		return err
	case f.among(bits, f.Error) || f.among(bits, f.Unsupported):
		return fmt.Errorf("%s does not stand for a value in the frame", short(s))
	}
	return f.put(b, bits)
}

// bits returns what stands for a text in the frame.
func (f *Field) bits(s string) (uint64, error) {
	if len(f.Enum) > 0 {
		for n, word := range f.words() {
			if word == s {
				return uint64(n) & f.mask(), nil
			}
		}
		return 0, fmt.Errorf("%s is not a word of the field", short(s))
	}
	if f.integer() && f.scale() == 1 && f.Offset == 0 {
		return f.whole(s)
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s is not a number", short(s))
	}
	v = Linear(v, 1/f.scale(), -f.Offset/f.scale())
	switch {
	case f.kind() == F64:
		return math.Float64bits(v), nil
	case f.kind() == F32 && math.Abs(v) > math.MaxFloat32:
		return 0, fmt.Errorf("%s does not fit %s", short(s), f.kind())
	case f.kind() == F32:
		return uint64(math.Float32bits(float32(v))), nil
	}
	return f.whole(Number(math.RoundToEven(v)))
}

// whole reads an integer that must fit the bits of the field.
func (f *Field) whole(s string) (uint64, error) {
	width := 64
	if f.integer() {
		_, width, _ = f.part()
	}
	var bits uint64
	var err error
	if f.signed() {
		var n int64
		n, err = strconv.ParseInt(s, 10, width)
		bits = uint64(n) & f.mask()
	} else {
		bits, err = strconv.ParseUint(s, 10, width)
	}
	switch {
	case errors.Is(err, strconv.ErrRange) || err != nil && s != "" && s[0] == '-':
		return 0, fmt.Errorf("%s does not fit %d bits of %s", short(s), width, f.kind())
	case err != nil:
		return 0, fmt.Errorf("%s is not a whole number", short(s))
	}
	return bits, nil
}

// put is the inverse of raw. Bits beside the field's stay as they are.
func (f *Field) put(b []byte, bits uint64) error {
	n := len(b)
	if f.kind() == BCD {
		for i := n - 1; i >= 0; i-- {
			b[place(f.Order, i, n)] = byte(bits/10%10<<4 | bits%10)
			bits /= 100
		}
		if bits != 0 {
			return fmt.Errorf("does not fit %d digits", 2*n)
		}
		return nil
	}
	shift, width := 0, 8*n
	if f.integer() {
		shift, width, _ = f.part()
	}
	keep := ^(mask(width) << shift)
	for i := n - 1; i >= 0; i-- {
		k := 8 * (n - 1 - i)
		p := &b[place(f.Order, i, n)]
		*p = *p&byte(keep>>k) | byte(bits<<shift>>k)
	}
	return nil
}
