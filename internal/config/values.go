package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Value is one scalar of a configuration, and where it comes from.
type Value struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Origin string `json:"origin"` // FILE:LINE, or default
}

// Values lists what v, a struct that was decoded from the tree below path, is
// set to, in the order of its fields; keys of maps are sorted. Secrets are
// listed too.
func (t *Tree) Values(path string, v any) []Value {
	var out []Value
	t.list(path, reflect.ValueOf(v), &out)
	return out
}

func (t *Tree) list(path string, v reflect.Value, out *[]Value) {
	if text, ok := scalarText(v); ok {
		*out = append(*out, Value{path, text, t.origin(path)})
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			t.list(path, v.Elem(), out)
		}
	case reflect.Struct:
		for _, f := range fields(v.Type()) {
			t.list(join(path, f.key), v.FieldByIndex(f.index), out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			t.list(item(path, i), v.Index(i), out)
		}
	case reflect.Map:
		var entries []Value
		for _, k := range v.MapKeys() {
			t.list(join(path, fmt.Sprint(k)), v.MapIndex(k), &entries)
		}
		slices.SortStableFunc(entries, func(a, b Value) int { return strings.Compare(a.Path, b.Path) })
		*out = append(*out, entries...)
	}
}

// scalarText returns a value as a file would have it.
func scalarText(v reflect.Value) (string, bool) {
	if !v.IsValid() || v.Type() == sectionType {
		return "", false
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String(), true
	case encoding.TextMarshaler:
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return "", false
		}
		text, err := x.MarshalText()
		return string(text), err == nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Slice, reflect.Map:
		return "", false
	}
	return fmt.Sprint(v.Interface()), true
}

func (t *Tree) origin(path string) string {
	at, exact := t.root.find(path)
	if !exact || at.src == nil {
		return "default"
	}
	return fmt.Sprintf("%s:%d", at.src.name, at.line)
}
