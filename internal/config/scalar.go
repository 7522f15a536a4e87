package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// octal is what YAML 1.1 reads as an octal number and YAML 1.2 as a decimal one.
var octal = regexp.MustCompile(`^[-+]?0[0-9_]+$`)

// scalar reads n into a bool, string, number or duration.
func (d *decoder) scalar(n *node, path string, v reflect.Value) {
	t := v.Type()
	if n.kind == nothing {
		d.errorf(n.at, path, "has no value; expected %s%s", expected(t), empty(t))
		return
	}
	if n.kind != scalar {
		d.mismatch(n, path, t)
		return
	}
	switch {
	case t == durationType:
		d.duration(n, path, v)
		return
	case t.Kind() == reflect.Bool:
		d.boolean(n, path, v)
		return
	case t.Kind() == reflect.String:
		d.string(n, path, v)
		return
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		d.float(n, path, v)
		return
	}
	if _, _, ok := bounds(t); !ok {
		panic("config: cannot decode into " + t.String())
	}
	d.integer(n, path, v)
}

func empty(t reflect.Type) string {
	if _, ok := as[enum](t); t.Kind() == reflect.String && !ok {
		return "; write \"\" for an empty one"
	}
	return "; remove the key to keep its default"
}

// string reads any scalar as it is written: `1.10` stays 1.10 and `on` stays on.
func (d *decoder) string(n *node, path string, v reflect.Value) {
	e, ok := reflect.TypeAssert[enum](v.Addr())
	if !ok || slices.Contains(e.Values(), n.text) {
		v.SetString(n.text)
		return
	}
	end := ""
	if near := nearest(n.text, e.Values(), nil); near != "" {
		end = "; did you mean " + quote(near) + "?"
	}
	d.errorf(n.at, path, "expected %s, found %s%s", expected(v.Type()), quote(n.text), end)
}

func (d *decoder) boolean(n *node, path string, v reflect.Value) {
	if b, ok := resolve(n).(bool); ok {
		v.SetBool(b)
		return
	}
	d.mismatch(n, path, v.Type())
}

func (d *decoder) integer(n *node, path string, v reflect.Value) {
	low, high, _ := bounds(v.Type())
	switch x := resolve(n).(type) {
	case int64:
		if x >= low && (x < 0 || uint64(x) <= high) {
			setInteger(v, uint64(x))
			return
		}
	case uint64:
		if x <= high {
			setInteger(v, x)
			return
		}
	}
	d.mismatch(n, path, v.Type())
}

func setInteger(v reflect.Value, x uint64) {
	if v.CanUint() {
		v.SetUint(x)
		return
	}
	v.SetInt(int64(x))
}

// bounds returns the limits of an integer type.
func bounds(t reflect.Type) (low int64, high uint64, ok bool) {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := t.Bits()
		return -1 << (bits - 1), 1<<(bits-1) - 1, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return 0, math.MaxUint64 >> (64 - t.Bits()), true
	}
	return 0, 0, false
}

// span describes bounds, as far as they are worth mentioning.
func span(low int64, high uint64) string {
	switch {
	case high <= math.MaxUint16:
		return fmt.Sprintf(" from %d to %d", low, high)
	case low == 0:
		return " of 0 or more"
	}
	return ""
}

func (d *decoder) float(n *node, path string, v reflect.Value) {
	var x float64
	switch r := resolve(n).(type) {
	case int64:
		x = float64(r)
	case uint64:
		x = float64(r)
	case float64:
		x = r
	default:
		d.mismatch(n, path, v.Type())
		return
	}
	if math.IsInf(x, 0) || math.IsNaN(x) || v.OverflowFloat(x) {
		d.mismatch(n, path, v.Type())
		return
	}
	v.SetFloat(x)
}

func (d *decoder) duration(n *node, path string, v reflect.Value) {
	x, err := parseDuration(n.text)
	if err != nil {
		d.errorf(n.at, path, "expected %s, found %s%s", expected(durationType), describe(n), lackOfUnit(n))
		return
	}
	v.SetInt(int64(x))
}

func lackOfUnit(n *node) string {
	if _, err := strconv.ParseFloat(n.text, 64); err == nil {
		return fmt.Sprintf("; add a unit: `%ss`", n.text)
	}
	return ""
}

// durationPattern is what parseDuration reads, for the schema.
const durationPattern = `^[-+]?(0|[0-9]+d` + durationParts + `*|` + durationParts + `+)$`

const durationParts = `(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))`

var days = regexp.MustCompile(`^([-+]?)([0-9]+)d(` + durationParts + `*)$`)

// parseDuration is time.ParseDuration with days of 24 hours in front.
func parseDuration(s string) (time.Duration, error) {
	m := days.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[2])
	if err != nil || n > int(math.MaxInt64/(24*time.Hour)) {
		return 0, errors.New("out of range")
	}
	var rest time.Duration
	if m[3] != "" {
		if rest, err = time.ParseDuration(m[3]); err != nil {
			return 0, err
		}
	}
	x := time.Duration(n)*24*time.Hour + rest
	if x < 0 {
		return 0, errors.New("out of range")
	}
	if m[1] == "-" {
		x = -x
	}
	return x, nil
}

// text reads a scalar into a type that reads text by itself.
func (d *decoder) text(n *node, path string, v reflect.Value) {
	if n.kind != scalar {
		d.mismatch(n, path, v.Type())
		return
	}
	fresh := reflect.New(v.Type())
	if err := fresh.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text)); err != nil {
		d.errorf(n.at, path, "%w", err)
		return
	}
	v.Set(fresh.Elem())
}

// resolve returns what a scalar is by the core schema of YAML 1.2, section
// 10.3.2, but for octal numbers, which are text.
func resolve(n *node) any {
	if n.quoted {
		return n.text
	}
	switch n.text {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	if n.text == "" || !strings.ContainsRune("+-.0123456789", rune(n.text[0])) || octal.MatchString(n.text) {
		return n.text
	}
	if i, err := strconv.ParseInt(n.text, 0, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(n.text, 0, 64); err == nil {
		return u
	}
	if f, err := strconv.ParseFloat(n.text, 64); err == nil && !math.IsInf(f, 0) && !strings.ContainsAny(n.text, "xX_") {
		return f
	}
	return n.text
}
