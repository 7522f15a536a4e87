package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A tree is what JSON, CBOR and MessagePack say: map[string]any, []any,
// json.Number, string, bool or nil.

// JSON decodes an object or a list. Keys are paths: names in objects and
// indexes of lists, from 0, with dots between them.
func JSON(frame []byte) (Lookup, error) {
	dec := json.NewDecoder(bytes.NewReader(frame))
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
	return branches(root, "JSON")
}

// branches returns the Lookup of a tree. A lone scalar is more likely noise than
// a message.
func branches(root any, format string) (Lookup, error) {
	switch root.(type) {
	case map[string]any, []any:
		return func(path string) (Value, bool) {
			s, ok := scalar(dig(root, path))
			return Value{Text: s}, ok
		}, nil
	}
	return nil, fmt.Errorf("is not a %s object", format)
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
