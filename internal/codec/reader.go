package codec

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

const (
	maxDepth = 32    // of objects and lists in each other
	maxItems = 16384 // of a message
)

var errShort = errors.New("ends within")

// A reader takes a message of CBOR or MessagePack apart.
type reader struct {
	b     []byte
	items int // read so far
	depth int
}

// take returns the next n bytes.
func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)) {
		return nil, errShort
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b, nil
}

func (r *reader) byte() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// uint reads a number of n bytes, the highest first.
func (r *reader) uint(n uint64) (v uint64, err error) {
	b, err := r.take(n)
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, err
}

// enter counts an item, and the depth until leave.
func (r *reader) enter() error {
	r.items++
	r.depth++
	switch {
	case r.depth > maxDepth:
		return fmt.Errorf("is more than %d levels deep", maxDepth)
	case r.items > maxItems:
		return fmt.Errorf("has more than %d items", maxItems)
	}
	return nil
}

func (r *reader) leave() { r.depth-- }

// An item reads one value.
type item func() (any, error)

// list reads n items. What it holds grows only with what is there.
func (r *reader) list(n uint64, next item) (any, error) {
	list := []any{}
	for ; n > 0; n-- {
		v, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// object reads n keys with their values. A key that is no text gets one.
func (r *reader) object(n uint64, next item) (any, error) {
	object := map[string]any{}
	for ; n > 0; n-- {
		if err := r.member(object, next); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (r *reader) member(object map[string]any, next item) error {
	k, err := next()
	if err != nil {
		return err
	}
	v, err := next()
	if err != nil {
		return err
	}
	key, ok := scalar(k)
	if !ok {
		return errors.New("has a key that is null")
	}
	object[key] = v
	return nil
}

// done returns the Lookup of a message that has been read.
func (r *reader) done(root any, err error, format string) (Lookup, error) {
	if err == nil && len(r.b) > 0 {
		err = errors.New("there is something behind the message")
	}
	if err != nil {
		return nil, fmt.Errorf("is not %s: %w", format, err)
	}
	return branches(root, format)
}

func unsigned(v uint64) json.Number { return json.Number(strconv.FormatUint(v, 10)) }
func signed(v int64) json.Number    { return json.Number(strconv.FormatInt(v, 10)) }

// decimal returns a float; what is no number is null.
func decimal(v float64, bits int) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return json.Number(strconv.FormatFloat(v, 'f', -1, bits))
}

// opaque returns bytes as text.
func opaque(b []byte) any { return hex.EncodeToString(b) }
