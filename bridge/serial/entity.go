package serial

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"edge/bridge"
	"edge/internal/codec"
	"edge/internal/config"
)

// kinds are those that a stick can have.
var kinds = []bridge.Kind{bridge.Sensor, bridge.BinarySensor, bridge.Switch, bridge.Number, bridge.Text, bridge.Button}

// commanded are those of them that take commands; all but text must.
var commanded = []bridge.Kind{bridge.Switch, bridge.Number, bridge.Text, bridge.Button}

func (e *Entity) kind() bridge.Kind {
	if e.Kind == "" {
		return bridge.Sensor
	}
	return e.Kind
}

func (e *Entity) key() string {
	if e.Key == "" {
		return e.ID
	}
	return e.Key
}

func (e *Entity) scale() float64 {
	if e.Scale == 0 {
		return 1
	}
	return e.Scale
}

// reported reports whether the stick says how the entity is.
func (e *Entity) reported() bool { return e.kind() != bridge.Button && !e.Optimistic }

// assumed reports whether a command that was sent becomes the state.
func (e *Entity) assumed() bool { return e.kind() != bridge.Button && e.Optimistic }

// takesCommands reports whether the entity says what is sent on a command.
func (e *Entity) takesCommands() bool { return e.Command != "" || e.Encode.As != NoEncoding }

func (e *Entity) binary() bool { return e.kind() == bridge.Switch || e.kind() == bridge.BinarySensor }

// numeric reports whether the entity's values must be numbers.
func (e *Entity) numeric() bool {
	return e.kind() == bridge.Number || e.Unit != "" || e.Min != nil || e.Max != nil || e.scale() != 1 || e.Offset != 0
}

// announced returns what the hub is told of the entity.
func (e *Entity) announced() bridge.Entity {
	return bridge.Entity{
		ID: e.ID, Name: e.Name, Kind: e.kind(), Class: e.Class, Unit: e.Unit,
		Min: e.Min, Max: e.Max, Options: e.Options, Command: e.takesCommands(),
	}
}

func (e *Entity) validate() error {
	var errs []error
	wrong := func(path, format string, args ...any) { errs = append(errs, config.Errorf(path, format, args...)) }
	if err := checkID(e.ID); err != nil {
		wrong("id", "%w", err)
	}
	if !slices.Contains(kinds, e.kind()) {
		wrong("kind", "%q is not one of sensor, binary_sensor, switch, number, text, button", e.Kind)
	}
	if (e.OnValue == "") != (e.OffValue == "") || e.OnValue != "" && e.OnValue == e.OffValue {
		wrong("on_value", "on_value and off_value must both be set, and differ")
	}
	if e.OnValue != "" && !e.binary() {
		wrong("on_value", "is for kinds switch and binary_sensor, not %s", e.kind())
	}
	if e.binary() && e.numeric() {
		wrong("kind", "a %s is ON or OFF: it has no unit, scale, offset, min or max", e.kind())
	}
	if math.IsNaN(e.Scale) || math.IsInf(e.Scale, 0) || math.IsNaN(e.Offset) || math.IsInf(e.Offset, 0) {
		wrong("scale", "scale and offset must be finite numbers")
	}
	if e.Min != nil && e.Max != nil && !(*e.Min <= *e.Max) {
		wrong("min", "%g is not below max, %g", *e.Min, *e.Max)
	}
	if slices.Contains(e.Options, "") {
		wrong("options", "an option is empty")
	}
	errs = append(errs, e.checkCommand()...)
	return errors.Join(errs...)
}

// checkCommand tries the template on values of every sort.
func (e *Entity) checkCommand() (errs []error) {
	errs = e.checkEncode()
	takes := slices.Contains(commanded, e.kind())
	switch needs := takes && e.kind() != bridge.Text; {
	case !e.takesCommands() && needs:
		errs = append(errs, config.Errorf("command", "must be set for kind %s", e.kind()))
	case e.takesCommands() && !takes:
		errs = append(errs, config.Errorf("command", "a %s takes no commands; use switch, number, text or button", e.kind()))
	}
	if e.Optimistic && (!e.takesCommands() || !takes) {
		errs = append(errs, config.Errorf("optimistic", "is for entities with a command"))
	}
	if e.Command == "" {
		return errs
	}
	t, err := compile(*e, nil)
	if err == nil {
		_, err = t.render(order{ID: e.ID, Value: "1", Raw: "1"})
	}
	if err != nil {
		errs = append(errs, config.Errorf("command", "%w", err))
	}
	return errs
}

func checkID(id string) error {
	if id == "status" || id == "meta" {
		return fmt.Errorf("%q is the name of a topic of the bridge", id)
	}
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return fmt.Errorf("%q must have one or more of a-z, 0-9, _ and -", id)
	}
	return nil
}

// value turns a value with its unit into what is published, or says why not.
func (e *Entity) value(v codec.Value) (string, error) {
	if v.Unit == "" || e.Unit == "" || sameUnit(v.Unit, e.Unit) {
		return e.state(v.Text)
	}
	factor, ok := convert(v.Unit, e.Unit)
	if !ok {
		return "", fmt.Errorf("the unit is %s, not %s", quote(v.Unit), e.Unit)
	}
	n, err := parseNumber(v.Text)
	if err != nil {
		return "", err
	}
	return e.state(codec.Number(codec.Linear(n, factor, 0)))
}

// state turns what the stick said into what is published, or says why not.
func (e *Entity) state(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if err := checkText(raw); err != nil {
		return "", err
	}
	switch {
	case e.binary():
		return e.onOff(raw)
	case e.numeric():
		return e.number(raw)
	case len(e.Options) > 0 && !slices.Contains(e.Options, raw):
		return "", fmt.Errorf("%q is not one of %s", shorten(raw), strings.Join(e.Options, ", "))
	}
	return raw, nil
}

// checkText refuses what is noise rather than a value.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("the value is empty")
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is not UTF-8", quote(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s has control characters", quote(s))
	}
	return nil
}

func (e *Entity) onOff(raw string) (string, error) {
	on, off := []string{"on", "true", "1", "yes"}, []string{"off", "false", "0", "no"}
	if e.OnValue != "" {
		on, off = []string{e.OnValue}, []string{e.OffValue}
	}
	is := func(s string) bool { return strings.EqualFold(s, raw) }
	// Exactly first, for sticks that say M and m.
	switch {
	case slices.Contains(on, raw):
		return "ON", nil
	case slices.Contains(off, raw):
		return "OFF", nil
	case slices.ContainsFunc(on, is):
		return "ON", nil
	case slices.ContainsFunc(off, is):
		return "OFF", nil
	}
	return "", fmt.Errorf("%s is neither %s nor %s", quote(raw), on[0], off[0])
}

func (e *Entity) number(raw string) (string, error) {
	v, err := parseNumber(raw)
	if err != nil {
		return "", err
	}
	text := raw
	if e.scale() != 1 || e.Offset != 0 || !json.Valid([]byte(raw)) {
		v = codec.Linear(v, e.scale(), e.Offset)
		text = codec.Number(v)
	}
	return text, e.checkRange(v)
}

func (e *Entity) checkRange(v float64) error {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return errors.New("the value is too large")
	case e.Min != nil && v < *e.Min:
		return fmt.Errorf("%s is below the minimum, %s", codec.Number(v), codec.Number(*e.Min))
	case e.Max != nil && v > *e.Max:
		return fmt.Errorf("%s is above the maximum, %s", codec.Number(v), codec.Number(*e.Max))
	}
	return nil
}

// parseNumber reads a decimal number. strconv alone would take nan, inf, 0x1p4.
func parseNumber(s string) (float64, error) {
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	return v, nil
}

// shorten keeps a stranger's line short in messages.
func shorten(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

func quote(s string) string { return strconv.QuoteToASCII(shorten(s)) }
