package modbus

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"edge/bridge"
	"edge/internal/config"
)

// kinds are those that an entity can have.
var kinds = []bridge.Kind{bridge.Sensor, bridge.BinarySensor, bridge.Switch, bridge.Number, bridge.Text}

// A compiler makes a point of an entity and collects what is wrong with it.
type compiler struct {
	p    point
	errs []error
}

func (c *compiler) wrong(path, format string, args ...any) {
	c.errs = append(c.errs, config.Errorf(path, format, args...))
}

// compile returns e ready to be used. The error has everything that is wrong with
// it, by path.
func compile(e Entity) (*point, error) {
	c := compiler{p: point{Entity: e}}
	if err := checkID(e.ID); err != nil {
		c.wrong("id", "%w", err)
	}
	if !slices.Contains(kinds, e.kind()) {
		c.wrong("kind", "%q is not one of sensor, binary_sensor, switch, number, text", e.Kind)
	}
	if e.StateClass != "" && e.kind() != bridge.Sensor {
		c.wrong("state_class", "only a sensor has one, not a %s", e.kind())
	}
	c.place()
	c.bits()
	c.numbers()
	c.names()
	c.writing()
	return &c.p, errors.Join(c.errs...)
}

func checkID(id string) error {
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return fmt.Errorf("%q must have one or more of a-z, 0-9, _ and -", id)
	}
	return nil
}

// place checks where the entity is, and how much it takes.
func (c *compiler) place() {
	e := &c.p.Entity
	if !slices.Contains(e.table().Values(), string(e.table())) {
		c.wrong("table", "%q is not one of %s", e.Table, strings.Join(e.table().Values(), ", "))
	}
	if !slices.Contains(e.format().Values(), string(e.format())) {
		c.wrong("format", "%q is not one of %s", e.Format, strings.Join(e.format().Values(), ", "))
	}
	if !slices.Contains(e.order().Values(), string(e.order())) {
		c.wrong("order", "%q is not one of %s", e.Order, strings.Join(e.order().Values(), ", "))
	}
	if e.table().bits() && e.Format != "" && e.Format != Bool {
		c.wrong("format", "a %s is a bit, not a %s", e.table(), e.Format)
	}
	switch {
	case e.format() == String && (e.Length < 1 || e.Length > maxString):
		c.wrong("length", "%d is not between 1 and %d", e.Length, maxString)
	case e.format() != String && e.Length != 0:
		c.wrong("length", "is for format string, not %s", e.format())
	case e.format() == String && (e.order() == Word || e.order() == Little):
		c.wrong("order", "the registers of a string come in their order; use big or byte")
	}
	c.p.count = e.format().registers(e.Length)
	switch {
	case e.Address == nil:
		c.wrong("address", "must be set")
	case int(*e.Address)+c.p.count > 1<<16:
		c.wrong("address", "%d registers from %d on end above 65535", c.p.count, *e.Address)
	}
	if e.ScaleAddress != nil && e.table().bits() {
		c.wrong("scale_address", "a %s has no scale", e.table())
	}
	if e.Period != nil && *e.Period != 0 && *e.Period < shortestPeriod {
		c.wrong("period", "%v is shorter than %v", *e.Period, shortestPeriod)
	}
}

// bits checks which bits of the number count.
func (c *compiler) bits() {
	e := &c.p.Entity
	if e.Bits == "" {
		return
	}
	from, width, ok := strings.Cut(e.Bits, ":")
	shift, err := strconv.ParseUint(from, 10, 8)
	n, err2 := strconv.ParseUint(width, 10, 8)
	switch all := 16 * c.p.count; {
	case e.table().bits() || e.format().floating() || e.format().decimal() || e.format() == String:
		c.wrong("bits", "a number of format %s has none", e.format())
	case !ok || err != nil || err2 != nil || n == 0:
		c.wrong("bits", "%q is not shift:width, such as 3:1", e.Bits)
	case int(shift+n) > all:
		c.wrong("bits", "%q is beyond the %d bits of format %s", e.Bits, all, e.format())
	default:
		c.p.shift, c.p.width = uint(shift), uint(n)
	}
}

// numbers checks what is done with the number.
func (c *compiler) numbers() {
	e := &c.p.Entity
	for path, v := range map[string]float64{"scale": e.Scale, "offset": e.Offset, "round": e.Round} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			c.wrong(path, "must be finite")
		}
	}
	if e.Round < 0 {
		c.wrong("round", "%g is negative", e.Round)
	}
	if e.Min != nil && e.Max != nil && !(*e.Min <= *e.Max) {
		c.wrong("min", "%g is not below max, %g", *e.Min, *e.Max)
	}
	calculated := !e.plain() || e.Min != nil || e.Max != nil
	switch what := "it has no scale, offset, round, min or max"; {
	case e.binary() && (calculated || e.Unit != ""):
		c.wrong("kind", "a %s is ON or OFF: %s, and no unit", e.kind(), what)
	case e.format() == String && calculated:
		c.wrong("format", "a string is no number: %s", what)
	case len(e.Enum) > 0 && calculated:
		c.wrong("enum", "a name is no number: %s", what)
	}
	if e.kind() == bridge.Text && e.format() != String && len(e.Enum) == 0 {
		c.wrong("kind", "a text is of format string, or has an enum")
	}
	if e.kind() == bridge.Number && (e.format() == String || len(e.Enum) > 0) {
		c.wrong("kind", "a number is neither of format string nor has it an enum")
	}
}

// names checks the numbers that have a meaning.
func (c *compiler) names() {
	e := &c.p.Entity
	c.p.errors = c.sentinels("error_values", e.ErrorValues)
	c.p.never = c.sentinels("unsupported_values", e.UnsupportedValues)
	if len(e.Enum) > 0 && (e.format().floating() || e.format() == String || e.binary()) {
		c.wrong("enum", "is for whole numbers of kinds sensor and text")
	}
	seen := map[string]bool{}
	for _, name := range e.Enum {
		if checkText(name) != nil {
			c.wrong("enum", "%q is no name", name)
		}
		if seen[name] && e.Write {
			c.wrong("enum", "%q is the name of two numbers: which is to be written?", name)
		}
		seen[name] = true
	}
	for _, f := range []struct{ path, text string }{
		{"on_value", e.OnValue},
		{"off_value", e.OffValue},
		{"write_on", e.WriteOn},
		{"write_off", e.WriteOff},
	} {
		if f.text != "" && (!e.binary() || e.format() == String) {
			c.wrong(f.path, "is for numbers of kinds switch and binary_sensor")
		}
	}
	if !e.binary() || e.format() == String {
		return
	}
	c.p.on, c.p.off = c.number("on_value", e.OnValue), c.number("off_value", e.OffValue)
	if c.p.on != nil && c.p.off != nil && *c.p.on == *c.p.off {
		c.wrong("off_value", "is the same as on_value")
	}
	c.p.writeOn = lastSet(1, c.p.on, c.number("write_on", e.WriteOn))
	c.p.writeOff = lastSet(0, c.p.off, c.number("write_off", e.WriteOff))
}

// lastSet returns the last of what is set.
func lastSet(otherwise uint64, more ...*uint64) uint64 {
	for _, v := range more {
		if v != nil {
			otherwise = *v
		}
	}
	return otherwise
}

func (c *compiler) sentinels(path string, texts []string) (out []uint64) {
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c.p.format().floating() && strings.EqualFold(text, "nan") {
			c.p.nan = true
		} else if v := c.raw(at, text); v != nil {
			out = append(out, *v)
		}
	}
	return out
}

func (c *compiler) raw(path, text string) *uint64 {
	if c.p.format() == String {
		c.wrong(path, "a string has none")
		return nil
	}
	v, err := c.p.format().parseRaw(text)
	if err != nil {
		c.wrong(path, "%w", err)
		return nil
	}
	return &v
}

// number is raw for the bits that count; nil if text is empty.
func (c *compiler) number(path, text string) *uint64 {
	if text == "" {
		return nil
	}
	v := c.raw(path, text)
	if v != nil && c.p.width > 0 && *v > mask(c.p.width) {
		c.wrong(path, "%s does not fit in %d bits", text, c.p.width)
		return nil
	}
	return v
}

// writing checks what commands need.
func (c *compiler) writing() {
	e := &c.p.Entity
	takes := e.kind() == bridge.Switch || e.kind() == bridge.Number
	switch said := e.WriteTable != "" || e.WriteAddress != nil || e.WriteFunction != 0 || e.WriteOn != "" || e.WriteOff != ""; {
	case !e.Write && takes:
		c.wrong("write", "a %s takes commands: set it to true, or use kind sensor or binary_sensor", e.kind())
	case !e.Write && said:
		c.wrong("write", "must be true, where it is said how")
	case e.Write && !takes && e.kind() != bridge.Text:
		c.wrong("write", "a %s takes no commands; use switch, number or text", e.kind())
	}
	if !e.Write {
		return
	}
	if to := e.WriteTable; to == Discrete || to == Input || to == "" && (e.table() == Discrete || e.table() == Input) {
		c.wrong("write_table", "must be coil or holding: nothing else can be written")
	}
	c.writeFunction()
}

func (c *compiler) writeFunction() {
	coil, f := c.p.writesCoil(), c.p.function()
	switch {
	case coil != (f == writeCoil || f == writeCoils):
		c.wrong("write_function", "%d does not write to this table; use 5 or 15 for a coil, 6, 16 or 22 for registers", f)
	case coil && !c.p.binary():
		c.wrong("write_table", "a coil is ON or OFF: use kind switch")
	case f == writeRegister && c.p.count > 1:
		c.wrong("write_function", "6 writes a single register, and this takes %d; use 16", c.p.count)
	case !coil && c.p.width > 0 && f != maskWrite, f == maskWrite && (c.p.width == 0 || c.p.count != 1):
		c.wrong("write_function", "bits of one register are written by function 22, and nothing else is")
	case !slices.Contains([]uint8{writeCoil, writeRegister, writeCoils, writeRegisters, maskWrite}, f):
		c.wrong("write_function", "%d is not one of 5, 6, 15, 16, 22", f)
	case coil && (c.p.writeOn > 1 || c.p.writeOff > 1 || c.p.writeOn == c.p.writeOff):
		c.wrong("write_on", "a coil is written 1 or 0; write_on and write_off must be these two")
	}
}
