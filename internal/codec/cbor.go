package codec

import (
	"errors"
	"fmt"
	"math"
)

// CBOR decodes a map or an array of RFC 8949. Keys are paths as in JSON; bytes
// are text in hexadecimal; tags are passed over, what they are on counts.
func CBOR(frame []byte) (Lookup, error) {
	r := &reader{b: frame}
	root, err := r.cbor()
	return r.done(root, err, "CBOR")
}

// The major types, RFC 8949 §3.1.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// indefinite is the length of what ends with a break, §3.2.
const indefinite = math.MaxUint64

func (r *reader) cbor() (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	major, info, n, err := r.cborHead()
	if err != nil {
		return nil, err
	}
	switch major {
	case cborUint:
		return unsigned(n), nil
	case cborNegative:
		return negative(n), nil
	case cborBytes, cborText:
		return r.cborString(major, n)
	case cborArray:
		return r.cborList(n)
	case cborMap:
		return r.cborMap(n)
	case cborTag:
		return r.cbor()
	}
	return cborScalar(info, n)
}

// cborHead reads the initial byte and its argument, §3.
func (r *reader) cborHead() (major, info byte, n uint64, err error) {
	b, err := r.byte()
	if err != nil {
		return 0, 0, 0, err
	}
	major, info = b>>5, b&31
	open := major >= cborBytes && major <= cborMap || major == cborSimple
	switch {
	case info < 24:
		return major, info, uint64(info), nil
	case info < 28:
		n, err = r.uint(1 << (info - 24))
		return major, info, n, err
	case info == 31 && open:
		return major, info, indefinite, nil
	}
	return 0, 0, 0, fmt.Errorf("has the reserved byte 0x%02x", b)
}

// negative returns -1-n, for which an int64 may be too small.
func negative(n uint64) any {
	if n <= math.MaxInt64 {
		return signed(-1 - int64(n))
	}
	return decimal(-1-float64(n), 64)
}

// cborString reads a string, or the pieces of one, §3.2.3.
func (r *reader) cborString(major byte, n uint64) (any, error) {
	var whole []byte
	if n != indefinite {
		b, err := r.take(n)
		if err != nil {
			return nil, err
		}
		whole = b
	} else if err := r.pieces(major, &whole); err != nil {
		return nil, err
	}
	if major == cborText {
		return string(whole), nil
	}
	return opaque(whole), nil
}

func (r *reader) pieces(major byte, whole *[]byte) error {
	for {
		m, info, n, err := r.cborHead()
		if err != nil {
			return err
		}
		if m == cborSimple && info == 31 {
			return nil
		}
		if m != major || n == indefinite {
			return errors.New("has a string of other pieces")
		}
		b, err := r.take(n)
		if err != nil {
			return err
		}
		*whole = append(*whole, b...)
	}
}

// cborList reads an array, of which the end may be marked by a break.
func (r *reader) cborList(n uint64) (any, error) {
	if n != indefinite {
		return r.list(n, r.cbor)
	}
	list := []any{}
	for !r.broken() {
		v, err := r.cbor()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (r *reader) cborMap(n uint64) (any, error) {
	if n != indefinite {
		return r.object(n, r.cbor)
	}
	object := map[string]any{}
	for !r.broken() {
		if err := r.member(object, r.cbor); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// broken takes the break that ends what has no length, §3.2.1.
func (r *reader) broken() bool {
	if len(r.b) == 0 || r.b[0] != 0xff {
		return false
	}
	r.b = r.b[1:]
	return true
}

// cborScalar reads simple values and floats, §3.3.
func cborScalar(info byte, n uint64) (any, error) {
	switch info {
	case 20, 21:
		return info == 21, nil
	case 22, 23: // null, undefined
		return nil, nil
	case 25:
		return decimal(half(uint16(n)), 32), nil
	case 26:
		return decimal(float64(math.Float32frombits(uint32(n))), 32), nil
	case 27:
		return decimal(math.Float64frombits(n), 64), nil
	case 31:
		return nil, errors.New("has a break where nothing is open")
	}
	return nil, fmt.Errorf("has simple value %d, which means nothing", n)
}

// half returns an IEEE 754 number of 16 bits, RFC 8949 appendix D.
func half(b uint16) float64 {
	exp, mantissa := int(b>>10&31), float64(b&1023)
	v := 0.0
	switch exp {
	case 0:
		v = math.Ldexp(mantissa, -24)
	case 31:
		if v = math.Inf(1); mantissa != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(mantissa+1024, exp-25)
	}
	if b>>15 != 0 {
		return -v
	}
	return v
}
