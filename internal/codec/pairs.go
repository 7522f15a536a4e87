package codec

import (
	"errors"
	"strings"
)

// Pairs returns a decoder of lines of keys with values:
//
//	T=21.5 H=40 name="a \"b\"", ok
//
// A word without a value is passed over. A value in quotes may have separators
// in it, and quotes behind backslashes.
func Pairs(t Text) Decoder {
	if t.Equals == "" {
		t.Equals = "="
	}
	return func(frame []byte) (Lookup, error) {
		values := make(map[string]string)
		for rest := t.skip(string(frame)); rest != ""; rest = t.skip(rest) {
			if len(values) > maxColumns {
				return nil, errors.New("has too many pairs")
			}
			var err error
			if rest, err = t.pair(rest, values); err != nil {
				return nil, err
			}
		}
		if len(values) == 0 {
			return nil, errors.New("has no key with a value")
		}
		return func(key string) (Value, bool) {
			v, ok := values[key]
			return Value{Text: v}, ok
		}, nil
	}
}

// skip takes separators off.
func (t Text) skip(s string) string {
	if t.Separator == "" {
		return strings.TrimLeft(s, " \t,;")
	}
	for s = strings.TrimSpace(s); strings.HasPrefix(s, t.Separator); {
		s = strings.TrimSpace(s[len(t.Separator):])
	}
	return s
}

// end returns where the next separator is, or the length of s.
func (t Text) end(s string) int {
	i := strings.Index(s, t.Separator)
	if t.Separator == "" {
		i = strings.IndexAny(s, " \t,;")
	}
	if i < 0 {
		return len(s)
	}
	return i
}

// pair takes one pair or word off s.
func (t Text) pair(s string, values map[string]string) (rest string, err error) {
	end := t.end(s)
	key, _, found := strings.Cut(s[:end], t.Equals)
	if !found {
		return s[end:], nil
	}
	after := s[len(key)+len(t.Equals):]
	key = strings.TrimSpace(key)
	if trimmed := strings.TrimLeft(after, " \t"); t.Separator != "" && strings.HasPrefix(trimmed, `"`) {
		after = trimmed
	}
	if strings.HasPrefix(after, `"`) {
		values[key], rest, err = quoted(after[1:])
		return rest, err
	}
	end = t.end(after)
	values[key] = strings.TrimSpace(after[:end])
	return after[end:], nil
}

// quoted reads up to the closing quote.
func quoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("a quote is not closed")
}
