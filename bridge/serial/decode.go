package serial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// fields looks up a value in a line by its key. ok is false where the line does
// not have it.
type fields func(key string) (value string, ok bool)

// A decoder takes a line apart.
type decoder func(line []byte) (fields, error)

// newDecoder returns the decoder for a configuration that is valid.
func newDecoder(cfg Config) (decoder, error) {
	switch cfg.Format {
	case Value:
		return decodeValue, nil
	case JSON:
		return decodeJSON, nil
	case Regex:
		re, err := regexp.Compile(cfg.Pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		return decodeRegex(re), nil
	}
	return nil, fmt.Errorf("unknown format %q", cfg.Format)
}

func decodeValue(line []byte) (fields, error) {
	return func(string) (string, bool) { return string(line), true }, nil
}

func decodeRegex(re *regexp.Regexp) decoder {
	return func(line []byte) (fields, error) {
		m := re.FindSubmatchIndex(line)
		if m == nil {
			return nil, errors.New("does not match the pattern")
		}
		return func(group string) (string, bool) {
			i := re.SubexpIndex(group)
			if i < 0 || m[2*i] < 0 { // an optional group took no part
				return "", false
			}
			return string(line[m[2*i]:m[2*i+1]]), true
		}, nil
	}
}

func decodeJSON(line []byte) (fields, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber() // 21.40 stays as it is, and so does a long counter
	var root any
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the line ends within")
		}
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("is not JSON: there is something behind the object")
	}
	switch root.(type) {
	case map[string]any, []any:
	default:
		return nil, errors.New("is not a JSON object")
	}
	return func(path string) (string, bool) { return scalar(dig(root, path)) }, nil
}

// dig follows path: keys of objects and indexes of lists, separated by dots. A
// key may have dots in it.
func dig(v any, path string) any {
	switch v := v.(type) {
	case map[string]any:
		if value, ok := v[path]; ok {
			return value
		}
		key, rest, more := strings.Cut(path, ".")
		if more {
			return dig(v[key], rest)
		}
	case []any:
		key, rest, more := strings.Cut(path, ".")
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(v) {
			return nil
		}
		if more {
			return dig(v[i], rest)
		}
		return v[i]
	}
	return nil
}

// scalar returns v as text. null is as if it were not there.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	b, err := json.Marshal(v)
	return string(b), err == nil
}
