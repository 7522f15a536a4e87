package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// An enum is a string type that knows its values.
type enum interface{ Values() []string }

// A defaulter fills itself in before an item of a list is read into it.
type defaulter interface{ SetDefaults() }

var (
	sectionType  = reflect.TypeFor[Section]()
	durationType = reflect.TypeFor[time.Duration]()
)

// as returns a pointer to a new t as a T, if it is one.
func as[T any](t reflect.Type) (T, bool) {
	v, ok := reflect.TypeAssert[T](reflect.New(t))
	return v, ok
}

// A field is one key of a struct.
type field struct {
	key   string
	doc   string
	index []int
	typ   reflect.Type
}

// fields returns the keys of a struct type, those of inlined structs among them.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" && f.Type.Kind() == reflect.Struct {
			for _, in := range fields(f.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
			continue
		}
		if f.IsExported() && key != "" && key != "-" {
			out = append(out, field{key, f.Tag.Get("doc"), []int{i}, f.Type})
		}
	}
	return out
}

// A decoder walks nodes and Go values at once and collects what does not fit.
type decoder struct{ errs Errors }

func (d *decoder) errorf(at place, path, format string, args ...any) {
	d.errs = append(d.errs, newError(at, path, format, args...))
}

// mismatch reports a value of another kind than v's type reads.
func (d *decoder) mismatch(n *node, path string, t reflect.Type) {
	d.errorf(n.at, path, "expected %s, found %s%s", expected(t), describe(n), advice(n, t))
}

// value reads n into v.
func (d *decoder) value(n *node, path string, v reflect.Value) {
	t := v.Type()
	if n.kind == unknown {
		return
	}
	if t == sectionType {
		v.Set(reflect.ValueOf(Section{n, path}))
		return
	}
	if _, ok := as[encoding.TextUnmarshaler](t); ok && t.Kind() != reflect.Pointer {
		d.text(n, path, v)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		d.pointer(n, path, v)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.list(n, path, v)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			panic("config: cannot decode into " + t.String())
		}
		if x := free(n); x != nil {
			v.Set(reflect.ValueOf(x))
		} else {
			v.SetZero()
		}
	default:
		d.scalar(n, path, v)
	}
}

// pointer reads null as nil and everything else into what v points to, or into
// a new value.
func (d *decoder) pointer(n *node, path string, v reflect.Value) {
	if n.kind == nothing {
		v.SetZero()
		return
	}
	fresh := zero(v.Type().Elem())
	if !v.IsNil() {
		fresh.Set(v.Elem())
	}
	d.value(n, path, fresh)
	v.Set(fresh.Addr())
}

// zero returns a new value of type t with its defaults, which can be set.
func zero(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := reflect.TypeAssert[defaulter](p); ok {
		d.SetDefaults()
	}
	return p.Elem()
}

func (d *decoder) structure(n *node, path string, v reflect.Value) {
	if n.kind == nothing {
		return
	}
	if n.kind != mapping {
		d.mismatch(n, path, v.Type())
		return
	}
	known := fields(v.Type())
	for _, e := range n.keys {
		i := slices.IndexFunc(known, func(f field) bool { return f.key == e.key })
		if i < 0 {
			d.unknown(n, e, path, known)
			continue
		}
		d.value(e.value, join(path, e.key), v.FieldByIndex(known[i].index))
	}
}

// unknown reports a key that a struct does not have.
func (d *decoder) unknown(n *node, e entry, path string, known []field) {
	var names, taken []string
	for _, f := range known {
		names = append(names, f.key)
		if _, ok := n.get(f.key); ok {
			taken = append(taken, f.key)
		}
	}
	err := newError(e.at, join(path, e.key), "unknown key%s", suggestion(e.key, names, taken))
	if near := nearest(e.key, names, taken); near != "" {
		err.hint = join(path, near)
	} else if f, ok := owner(e.key, known); ok {
		err = newError(e.at, join(path, e.key), "unknown key; it belongs under %s", quote(f))
		err.hint = join(path, f+"."+e.key)
	}
	d.errs = append(d.errs, err)
}

// owner finds the one struct below known that has key.
func owner(key string, known []field) (name string, ok bool) {
	for _, f := range known {
		if f.typ.Kind() != reflect.Struct || f.typ == sectionType {
			continue
		}
		if slices.ContainsFunc(fields(f.typ), func(f field) bool { return f.key == key }) {
			if name != "" {
				return "", false
			}
			name = f.key
		}
	}
	return name, name != ""
}

// mapping reads into a copy of the map that is there: defaults may be shared.
func (d *decoder) mapping(n *node, path string, v reflect.Value) {
	if n.kind == nothing {
		return
	}
	if n.kind != mapping {
		d.mismatch(n, path, v.Type())
		return
	}
	t := v.Type()
	out := reflect.MakeMapWithSize(t, v.Len()+len(n.keys))
	for _, k := range v.MapKeys() {
		out.SetMapIndex(k, v.MapIndex(k))
	}
	for _, e := range n.keys {
		at := join(path, e.key)
		key, value := reflect.New(t.Key()).Elem(), zero(t.Elem())
		before := len(d.errs)
		d.value(&node{kind: scalar, at: e.at, text: e.key, quoted: key.Kind() == reflect.String}, at, key)
		if len(d.errs) > before {
			continue
		}
		if old := out.MapIndex(key); old.IsValid() {
			value.Set(old)
		}
		d.value(e.value, at, value)
		out.SetMapIndex(key, value)
	}
	v.Set(out)
}

func (d *decoder) list(n *node, path string, v reflect.Value) {
	if n.kind == nothing {
		return
	}
	if n.kind != sequence {
		d.mismatch(n, path, v.Type())
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(n.items))
	for i, n := range n.items {
		value := zero(v.Type().Elem())
		if n.kind == nothing {
			d.errorf(n.at, item(path, i), "this item is empty; expected %s", expected(value.Type()))
			continue
		}
		d.value(n, item(path, i), value)
		out = reflect.Append(out, value)
	}
	v.Set(out)
}

// free returns n as plain Go values: map[string]any, []any, string, bool, int64,
// uint64, float64 or nil.
func free(n *node) any {
	switch n.kind {
	case mapping:
		out := make(map[string]any, len(n.keys))
		for _, e := range n.keys {
			out[e.key] = free(e.value)
		}
		return out
	case sequence:
		out := make([]any, len(n.items))
		for i, n := range n.items {
			out[i] = free(n)
		}
		return out
	case scalar:
		return resolve(n)
	}
	return nil
}

// expected describes what a type reads.
func expected(t reflect.Type) string {
	if e, ok := as[enum](t); ok {
		return "one of " + list(e.Values(), "or")
	}
	if t == durationType {
		return "a duration such as `10s` or `1h30m`"
	}
	if _, ok := as[encoding.TextUnmarshaler](t); ok && t.Kind() != reflect.Pointer {
		return "text"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Struct, reflect.Map:
		return "a mapping (`key: value`)"
	case reflect.Slice:
		return "a list (`- value`)"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	if low, high, ok := bounds(t); ok {
		return fmt.Sprintf("a whole number%s", span(low, high))
	}
	return "a value"
}
