package codec

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// Digits returns a decoder of lines in which bytes are written as numbers, for a
// decoder of bytes: OK 9 56 1 4 156 37 as JeeLinks write, in decimal, or t0A2B in
// hexadecimal. Words before the first number do not count; in hexadecimal the
// digits may stand together, behind skip bytes.
func Digits(base, skip int, decode Decoder) Decoder {
	return func(frame []byte) (Lookup, error) {
		var b []byte
		var err error
		if base == 16 {
			b, err = hexDigits(string(frame), skip)
		} else {
			b, err = decimals(string(frame))
		}
		if err != nil {
			return nil, err
		}
		return decode(b)
	}
}

func hexDigits(s string, skip int) ([]byte, error) {
	if skip > len(s) {
		return nil, errors.New("is too short")
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(s[skip:]), ""))
	if err != nil {
		return nil, errors.New("is not in hexadecimal")
	}
	return b, nil
}

func decimals(s string) (b []byte, err error) {
	for word := range strings.FieldsSeq(s) {
		n, err := strconv.ParseUint(word, 10, 8)
		switch {
		case err == nil:
			b = append(b, byte(n))
		case len(b) > 0:
			return nil, errors.New(short(word) + " is not a byte")
		}
	}
	if len(b) == 0 {
		return nil, errors.New("has no number")
	}
	return b, nil
}

// Select returns a decoder for sticks that receive many senders: a key A/B is
// the value of B in frames whose value of key is A.
func Select(key string, decode Decoder) Decoder {
	return func(frame []byte) (Lookup, error) {
		get, err := decode(frame)
		if err != nil {
			return nil, err
		}
		sender, _ := get(key)
		return func(key string) (Value, bool) {
			if from, name, found := strings.Cut(key, "/"); found {
				if from != sender.Text {
					return Value{}, false
				}
				key = name
			}
			return get(key)
		}, nil
	}
}
