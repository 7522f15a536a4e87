package codec

import (
	"fmt"
	"math"
)

// MessagePack decodes a map or an array of the MessagePack specification (2013
// and later). Keys are paths as in JSON; bytes and extensions are text in
// hexadecimal.
func MessagePack(frame []byte) (Lookup, error) {
	r := &reader{b: frame}
	root, err := r.msgpack()
	return r.done(root, err, "MessagePack")
}

// msgpack reads one value; "Formats" in the specification has the first bytes.
func (r *reader) msgpack() (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	b, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch {
	case b < 0x80: // positive fixint
		return unsigned(uint64(b)), nil
	case b < 0x90: // fixmap
		return r.object(uint64(b&15), r.msgpack)
	case b < 0xa0: // fixarray
		return r.list(uint64(b&15), r.msgpack)
	case b < 0xc0: // fixstr
		return r.msgpackText(uint64(b & 31))
	case b >= 0xe0: // negative fixint
		return signed(int64(int8(b))), nil
	}
	return r.msgpackLong(b)
}

// msgpackLong reads what has its length or number behind the first byte.
func (r *reader) msgpackLong(b byte) (any, error) {
	switch {
	case b == 0xc0:
		return nil, nil
	case b == 0xc2, b == 0xc3:
		return b == 0xc3, nil
	case b >= 0xc4 && b <= 0xc6: // bin 8, 16, 32
		return r.sized(1<<(b-0xc4), r.msgpackBytes)
	case b >= 0xc7 && b <= 0xc9: // ext 8, 16, 32
		return r.sized(1<<(b-0xc7), r.msgpackExtension)
	case b >= 0xd4 && b <= 0xd8: // fixext 1, 2, 4, 8, 16
		return r.msgpackExtension(1 << (b - 0xd4))
	case b >= 0xd9 && b <= 0xdb: // str 8, 16, 32
		return r.sized(1<<(b-0xd9), r.msgpackText)
	case b == 0xdc, b == 0xdd: // array 16, 32
		return r.sized(2<<(b-0xdc), func(n uint64) (any, error) { return r.list(n, r.msgpack) })
	case b == 0xde, b == 0xdf: // map 16, 32
		return r.sized(2<<(b-0xde), func(n uint64) (any, error) { return r.object(n, r.msgpack) })
	}
	return r.msgpackNumber(b)
}

func (r *reader) msgpackNumber(b byte) (any, error) {
	switch {
	case b == 0xca:
		v, err := r.uint(4)
		return decimal(float64(math.Float32frombits(uint32(v))), 32), err
	case b == 0xcb:
		v, err := r.uint(8)
		return decimal(math.Float64frombits(v), 64), err
	case b >= 0xcc && b <= 0xcf: // uint 8, 16, 32, 64
		v, err := r.uint(1 << (b - 0xcc))
		return unsigned(v), err
	case b >= 0xd0 && b <= 0xd3: // int 8, 16, 32, 64
		n := uint64(1) << (b - 0xd0)
		v, err := r.uint(n)
		return signed(int64(v<<(64-8*n)) >> (64 - 8*n)), err
	}
	return nil, fmt.Errorf("has the byte 0x%02x, which is never used", b)
}

// sized reads a length of n bytes, and what has it.
func (r *reader) sized(n uint64, of func(uint64) (any, error)) (any, error) {
	length, err := r.uint(n)
	if err != nil {
		return nil, err
	}
	return of(length)
}

func (r *reader) msgpackText(n uint64) (any, error) {
	b, err := r.take(n)
	return string(b), err
}

func (r *reader) msgpackBytes(n uint64) (any, error) {
	b, err := r.take(n)
	return opaque(b), err
}

// msgpackExtension reads the bytes of an extension behind its type.
func (r *reader) msgpackExtension(n uint64) (any, error) {
	if _, err := r.byte(); err != nil {
		return nil, err
	}
	return r.msgpackBytes(n)
}
