package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Sections says what the Sections of a type contain, for its schema. The key is
// a path with * for any key of a map or any item of a list, the value maps the
// key of each Section to its defaults:
//
//	Sections{"bridges.*": {"gpio": gpio.DefaultConfig(), "serial": serial.DefaultConfig()}}
//
// describes the field `bridges` of type map[string]map[string]Section: each of
// its values has exactly one of the keys.
type Sections map[string]map[string]any

// Schema returns a JSON Schema (draft 2020-12) of the type of v, for editors.
// Values in v become the defaults in it. The same types and values give the
// same bytes. A path in sections that is no map of Sections, or a type that
// Decode does not read, is an error.
func Schema(v any, sections Sections) ([]byte, error) {
	s := schemer{sections: sections, used: make(map[string]bool)}
	root := s.of(reflect.ValueOf(v), "")
	for path := range sections {
		if !s.used[path] {
			s.fail("no map of sections is at %q", path)
		}
	}
	if s.err != nil {
		return nil, fmt.Errorf("schema of %T: %w", v, s.err)
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root) // Keys of maps are sorted.
	return b.Bytes(), err
}

type object = map[string]any

type schemer struct {
	sections Sections
	used     map[string]bool
	within   []reflect.Type // structs around the place, to see those that contain themselves
	err      error
}

func (s *schemer) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// of describes the type of v and gives its value as default where it is scalar
// and not zero.
func (s *schemer) of(v reflect.Value, path string) object {
	t := v.Type()
	if o := special(t); o != nil {
		return withDefault(o, v)
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return s.of(zero(t.Elem()), path)
		}
		return s.of(v.Elem(), path)
	case reflect.Struct:
		return s.structure(v, path)
	case reflect.Map:
		return s.mapping(v, path)
	case reflect.Slice:
		return object{"type": nullable("array"), "items": s.of(zero(t.Elem()), join(path, "*"))}
	case reflect.Interface:
		return object{}
	case reflect.Bool:
		return withDefault(object{"type": "boolean"}, v)
	case reflect.String:
		// A number or boolean where text is wanted is read as it is written.
		return withDefault(object{"type": []string{"string", "number", "boolean"}}, v)
	case reflect.Float32, reflect.Float64:
		return withDefault(object{"type": "number"}, v)
	}
	return withDefault(s.integer(t, path), v)
}

// integer gives the limits of a type where they are the same on all machines.
func (s *schemer) integer(t reflect.Type, path string) object {
	low, high, ok := bounds(t)
	if !ok {
		s.fail("%s: type %s cannot be read", path, t)
		return object{}
	}
	o := object{"type": "integer"}
	if low == 0 {
		o["minimum"] = 0
	}
	if k := t.Kind(); t.Bits() <= 32 && k != reflect.Int && k != reflect.Uint {
		o["minimum"], o["maximum"] = low, high
	}
	return o
}

// special describes types that are more than their kind, or returns nil.
func special(t reflect.Type) object {
	if e, ok := as[enum](t); ok && t.Kind() == reflect.String {
		return object{"enum": e.Values()}
	}
	if t == durationType {
		return object{"type": []string{"string", "integer"}, "pattern": durationPattern, "minimum": 0, "maximum": 0}
	}
	if t == sectionType {
		return object{}
	}
	if _, ok := as[encoding.TextUnmarshaler](t); ok && t.Kind() != reflect.Pointer {
		return object{"type": []string{"string", "number", "boolean"}}
	}
	return nil
}

// nullable allows a key without a value, which leaves the default.
func nullable(t string) []string { return []string{t, "null"} }

func withDefault(o object, v reflect.Value) object {
	if v.IsZero() || v.Type() == sectionType {
		return o
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		o["default"] = x.String()
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			o["default"] = string(text)
		}
	default:
		if k := v.Kind(); k != reflect.Struct && k != reflect.Interface {
			o["default"] = x
		}
	}
	return o
}

func (s *schemer) structure(v reflect.Value, path string) object {
	for _, t := range s.within {
		if t == v.Type() {
			s.fail("%s: type %s contains itself", path, t)
			return object{}
		}
	}
	s.within = append(s.within, v.Type())
	defer func() { s.within = s.within[:len(s.within)-1] }()

	properties := object{}
	for _, f := range fields(v.Type()) {
		p := s.of(v.FieldByIndex(f.index), join(path, f.key))
		if f.doc != "" {
			p["description"] = f.doc
		}
		properties[f.key] = p
	}
	return object{"type": nullable("object"), "properties": properties, "additionalProperties": false}
}

func (s *schemer) mapping(v reflect.Value, path string) object {
	t := v.Type()
	if kinds, ok := s.sections[path]; ok && t.Elem() == sectionType {
		s.used[path] = true
		return s.choice(kinds, path)
	}
	o := object{"type": nullable("object"), "additionalProperties": s.of(zero(t.Elem()), join(path, "*"))}
	if e, ok := as[enum](t.Key()); ok {
		o["propertyNames"] = object{"enum": e.Values()}
	}
	return o
}

// choice describes a mapping with exactly one of the keys of kinds.
func (s *schemer) choice(kinds map[string]any, path string) object {
	properties := object{}
	for kind, v := range kinds {
		properties[kind] = s.of(reflect.ValueOf(v), join(path, kind))
	}
	return object{
		"type": "object", "properties": properties, "additionalProperties": false,
		"minProperties": 1, "maxProperties": 1,
	}
}
