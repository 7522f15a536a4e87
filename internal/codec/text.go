package codec

import (
	"errors"
	"regexp"
)

// Plain takes the whole frame for the value of every key.
func Plain(frame []byte) (Lookup, error) {
	return func(string) (Value, bool) { return text(string(frame)) }, nil
}

// Regex returns a decoder whose keys are the named groups of re.
func Regex(re *regexp.Regexp) Decoder {
	return func(frame []byte) (Lookup, error) {
		m := re.FindSubmatchIndex(frame)
		if m == nil {
			return nil, errors.New("does not match the pattern")
		}
		return func(group string) (Value, bool) {
			i := re.SubexpIndex(group)
			if i < 0 || m[2*i] < 0 { // an optional group took no part
				return Value{}, false
			}
			return text(string(frame[m[2*i]:m[2*i+1]]))
		}, nil
	}
}
