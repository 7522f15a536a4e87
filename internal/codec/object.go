package codec

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// A Scalar is what an object can hold: text, or a number or boolean as JSON
// writes it.
type Scalar struct {
	Text string
	Bare bool // Text is a number, true or false
}

// A Member is a key of an object with its value.
type Member struct {
	Key   string
	Value Scalar
}

// An Appender makes a message of an object.
type Appender func(b []byte, object []Member) ([]byte, error)

// AppendJSON appends an object on one line, without what would end it.
func AppendJSON(b []byte, object []Member) ([]byte, error) {
	b = append(b, '{')
	for i, m := range object {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(m.Key)
		if err != nil {
			return nil, err
		}
		b = append(append(b, key...), ':')
		if b, err = m.Value.appendJSON(b); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (s Scalar) appendJSON(b []byte) ([]byte, error) {
	if s.Bare {
		if !json.Valid([]byte(s.Text)) {
			return nil, errors.New(short(s.Text) + " is not a number in JSON")
		}
		return append(b, s.Text...), nil
	}
	v, err := json.Marshal(s.Text)
	return append(b, v...), err
}

// parse returns the value of a bare scalar: bool, uint64, int64 or float64.
func (s Scalar) parse() (any, error) {
	if s.Text == "true" || s.Text == "false" {
		return s.Text == "true", nil
	}
	if v, err := strconv.ParseUint(s.Text, 10, 64); err == nil {
		return v, nil
	}
	if v, err := strconv.ParseInt(s.Text, 10, 64); err == nil {
		if v >= 0 { // with a plus
			return uint64(v), nil
		}
		return v, nil
	}
	v, err := strconv.ParseFloat(s.Text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, errors.New(short(s.Text) + " is not a number")
	}
	return v, nil
}

// AppendCBOR appends a map of RFC 8949 in the shortest form of §4.1.
func AppendCBOR(b []byte, object []Member) ([]byte, error) {
	return appendObject(b, object, notation{
		object: func(b []byte, n uint64) []byte { return cborAppend(b, cborMap, n) },
		text:   func(b []byte, n uint64) []byte { return cborAppend(b, cborText, n) },
		uint:   func(b []byte, n uint64) []byte { return cborAppend(b, cborUint, n) },
		minus:  func(b []byte, v int64) []byte { return cborAppend(b, cborNegative, uint64(-1-v)) },
		bools:  [2]byte{0xf4, 0xf5}, f32: 0xfa, f64: 0xfb,
	})
}

// AppendMessagePack appends a map of MessagePack in its shortest form.
func AppendMessagePack(b []byte, object []Member) ([]byte, error) {
	return appendObject(b, object, notation{
		object: func(b []byte, n uint64) []byte { return msgpackAppend(b, n, 0x80, 15, 0, 0xde) },
		text:   func(b []byte, n uint64) []byte { return msgpackAppend(b, n, 0xa0, 31, 0xd9, 0xda) },
		uint:   func(b []byte, n uint64) []byte { return msgpackAppend(b, n, 0, 127, 0xcc, 0xcd) },
		minus:  msgpackMinus,
		bools:  [2]byte{0xc2, 0xc3}, f32: 0xca, f64: 0xcb,
	})
}

// A notation is how values begin.
type notation struct {
	object, text, uint func(b []byte, n uint64) []byte
	minus              func(b []byte, v int64) []byte // of a number below 0
	bools              [2]byte
	f32, f64           byte
}

func appendObject(b []byte, object []Member, as notation) ([]byte, error) {
	b = as.object(b, uint64(len(object)))
	for _, m := range object {
		b = append(as.text(b, uint64(len(m.Key))), m.Key...)
		if !m.Value.Bare {
			b = append(as.text(b, uint64(len(m.Value.Text))), m.Value.Text...)
			continue
		}
		v, err := m.Value.parse()
		if err != nil {
			return nil, err
		}
		b = as.append(b, v)
	}
	return b, nil
}

func (as notation) append(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, as.bools[1])
		}
		return append(b, as.bools[0])
	case uint64:
		return as.uint(b, v)
	case int64:
		return as.minus(b, v)
	case float64:
		if f := float32(v); float64(f) == v {
			return binary.BigEndian.AppendUint32(append(b, as.f32), math.Float32bits(f))
		}
		return binary.BigEndian.AppendUint64(append(b, as.f64), math.Float64bits(v))
	}
	return b
}

// cborAppend appends an initial byte and its argument.
func cborAppend(b []byte, major byte, n uint64) []byte {
	if n < 24 {
		return append(b, major<<5|byte(n))
	}
	size := sizeOf(n)
	return appendUint(append(b, major<<5|24+size), n, 1<<size)
}

// msgpackAppend appends n within the first byte up to most, and else behind the
// byte one for a size of 8 bits, or two for 16 bits, and those that follow it.
func msgpackAppend(b []byte, n uint64, fix byte, most uint64, one, two byte) []byte {
	if n <= most {
		return append(b, fix|byte(n))
	}
	size := sizeOf(n)
	if size == 0 && one != 0 {
		return append(b, one, byte(n))
	}
	size = max(size, 1)
	return appendUint(append(b, two+size-1), n, 1<<size)
}

func msgpackMinus(b []byte, v int64) []byte {
	if v >= -32 {
		return append(b, byte(v))
	}
	size := byte(0)
	for size < 3 && v < -1<<(8<<size-1) {
		size++
	}
	return appendUint(append(b, 0xd0+size), uint64(v), 1<<size)
}

// sizeOf returns 0 to 3 for what fits 1, 2, 4 and 8 bytes.
func sizeOf(n uint64) byte {
	switch {
	case n <= math.MaxUint8:
		return 0
	case n <= math.MaxUint16:
		return 1
	case n <= math.MaxUint32:
		return 2
	}
	return 3
}

// appendUint appends the lower bytes of n, the highest first.
func appendUint(b []byte, n uint64, bytes int) []byte {
	for i := bytes - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}
