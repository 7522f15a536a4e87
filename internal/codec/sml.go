package codec

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// SML decodes messages of the Smart Message Language (BSI TR-03109-1, annex IV)
// and finds the values in its GetListResponses. Keys are OBIS codes, as
// 1-0:1.8.0, 1.8.0 or 0100010800ff; the key server is the identifier of the
// meter. The frame is what the transport carries, or all of the transport.
func SML(frame []byte) (Lookup, error) {
	r := &reader{b: unescaped(frame)}
	var list smlList
	for {
		r.b = bytes.TrimLeft(r.b, "\x00") // fills up to a multiple of four
		if len(r.b) == 0 {
			break
		}
		message, err := r.sml()
		if err != nil {
			return nil, fmt.Errorf("is not SML: %w", err)
		}
		list.add(message)
	}
	if list.server == nil && list.values == nil {
		return nil, errors.New("has no list of values in SML")
	}
	return list.lookup, nil
}

// The transport, TR-03109-1 annex IV §8.
var (
	smlBegin = []byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01")
	smlEnd   = []byte("\x1b\x1b\x1b\x1b\x1a")
)

// unescaped returns what the transport carries.
func unescaped(frame []byte) []byte {
	inner, found := bytes.CutPrefix(frame, smlBegin)
	if !found {
		return frame
	}
	if i := bytes.LastIndex(inner, smlEnd); i >= 0 {
		inner = inner[:i]
	}
	return bytes.ReplaceAll(inner, []byte("\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b"), []byte("\x1b\x1b\x1b\x1b"))
}

// The types of a TL field, §6.3.1.
const (
	smlOctets   = 0
	smlBool     = 4
	smlInteger  = 5
	smlUnsigned = 6
	smlListOf   = 7
)

// sml reads one element: []byte, bool, int64, uint64 or []any. What is optional
// and absent is an empty []byte.
func (r *reader) sml() (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	kind, n, err := r.smlHead()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == smlListOf:
		return r.list(n, r.sml)
	case kind == smlOctets:
		return r.take(n)
	case kind == smlBool && n == 1:
		b, err := r.byte()
		return b != 0, err
	case kind == smlInteger && n >= 1 && n <= 8:
		v, err := r.uint(n)
		return int64(v<<(64-8*n)) >> (64 - 8*n), err
	case kind == smlUnsigned && n >= 1 && n <= 8:
		return r.uint(n)
	}
	return nil, fmt.Errorf("has an element of type %d with %d bytes", kind, n)
}

// smlHead reads a TL field: the type, and how many elements a list or bytes
// something else has. The length in it counts the TL field, too.
//
//	more:1 type:3 length:4 | more:1 0:3 length:4 …
func (r *reader) smlHead() (kind byte, n uint64, err error) {
	b, err := r.byte()
	if err != nil {
		return 0, 0, err
	}
	kind, n = b>>4&7, uint64(b&15)
	size := uint64(1)
	for ; b&0x80 != 0; size++ {
		if b, err = r.byte(); err != nil {
			return 0, 0, err
		}
		if n = n<<4 | uint64(b&15); n > maxFrame {
			return 0, 0, errors.New("has an element that is too long")
		}
	}
	switch {
	case kind == smlListOf:
		return kind, n, nil
	case n == 0 && size == 1: // the end of a message
		return kind, 0, nil
	case n < size:
		return 0, 0, errors.New("has an element with a negative length")
	}
	return kind, n - size, nil
}

// An smlList is what a GetListResponse says.
type smlList struct {
	server []byte
	values []smlValue
}

type smlValue struct {
	object
	unit, scaler, value any
}

const getListResponse = 0x701

// add takes the values of a message, if it has some. A message is a list of
// transaction, group, abort, body, checksum and end, §6.2; a body a list of a
// number and what that stands for.
func (l *smlList) add(message any) {
	body := elements(element(message, 3), 2)
	if body == nil {
		return
	}
	response := elements(body[1], 7)
	if body[0] != uint64(getListResponse) || response == nil {
		return
	}
	l.server, _ = response[1].([]byte)
	entries, _ := response[4].([]any)
	for _, entry := range entries {
		// Name, status, time, unit, scaler, value, signature.
		e := elements(entry, 7)
		if e == nil {
			continue
		}
		if name, ok := e[0].([]byte); ok && len(name) == 6 {
			l.values = append(l.values, smlValue{objectOf(name), e[3], e[4], e[5]})
		}
	}
}

// elements returns v as a list of at least n elements, or nil.
func elements(v any, n int) []any {
	if list, ok := v.([]any); ok && len(list) >= n {
		return list
	}
	return nil
}

func element(v any, i int) any {
	if list := elements(v, i+1); list != nil {
		return list[i]
	}
	return nil
}

func (l *smlList) lookup(key string) (Value, bool) {
	if key == "server" {
		return Value{Text: strings.ToUpper(fmt.Sprintf("%x", l.server))}, len(l.server) > 0
	}
	o := parseObject(key)
	for _, v := range l.values {
		if o.matches(v.object) {
			return v.read()
		}
	}
	return Value{}, false
}

// read returns the value with its unit.
func (v smlValue) read() (Value, bool) {
	switch x := v.value.(type) {
	case []byte:
		return Value{Text: printableBytes(x)}, len(x) > 0
	case bool:
		return text(strconv.FormatBool(x))
	case int64:
		return v.number(strconv.FormatInt(x, 10))
	case uint64:
		return v.number(strconv.FormatUint(x, 10))
	}
	return Value{}, false
}

func (v smlValue) number(digits string) (Value, bool) {
	scaler, _ := v.scaler.(int64)
	if scaler < -18 || scaler > 18 {
		return trouble(fmt.Sprintf("the scaler is %d", scaler))
	}
	unit, _ := v.unit.(uint64)
	return Value{Text: shift(digits, int(scaler)), Unit: dlmsUnits[unit]}, true
}

// shift moves the decimal point, so that no digit is lost.
func shift(digits string, by int) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	if by >= 0 {
		if digits == "0" {
			return "0"
		}
		return sign + digits + strings.Repeat("0", by)
	}
	digits = strings.Repeat("0", max(0, 1-by-len(digits))) + digits
	return sign + digits[:len(digits)+by] + "." + digits[len(digits)+by:]
}

// dlmsUnits are those that meters of a house have (IEC 62056-62, table 4).
var dlmsUnits = map[uint64]string{
	6: "min", 7: "s", 8: "°", 9: "°C", 13: "m³", 14: "m³", 19: "l", 27: "W", 28: "VA", 29: "var",
	30: "Wh", 31: "VAh", 32: "varh", 33: "A", 35: "V", 44: "Hz",
}
