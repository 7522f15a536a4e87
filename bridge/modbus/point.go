package modbus

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"edge/bridge"
)

var (
	// errNoValue is wrapped where a unit says that it has no value now.
	errNoValue = errors.New("the unit has no value")

	// errUnsupported is wrapped where it says that it never has one.
	errUnsupported = errors.New("the unit does not have it")
)

// A point is an entity that is ready to be read and written: its texts are
// numbers.
type point struct {
	Entity
	count int // registers or bits

	shift, width uint     // of the bits that count; width 0: all
	errors       []uint64 // bits that say: no value
	never        []uint64 // bits that say: never
	nan          bool     // not a number says: no value, and is expected
	on, off      *uint64
	writeOn      uint64
	writeOff     uint64
}

func (e *Entity) kind() bridge.Kind {
	if e.Kind == "" {
		return bridge.Sensor
	}
	return e.Kind
}

func (e *Entity) table() Table {
	if e.Table == "" {
		return Holding
	}
	return e.Table
}

func (t Table) bits() bool { return t == Coil || t == Discrete }

func (e *Entity) format() Format {
	switch {
	case e.table().bits():
		return Bool
	case e.Format == "":
		return U16
	}
	return e.Format
}

func (e *Entity) order() Order {
	if e.Order == "" {
		return Big
	}
	return e.Order
}

func (e *Entity) scale() float64 {
	if e.Scale == 0 {
		return 1
	}
	return e.Scale
}

func (e *Entity) binary() bool { return e.kind() == bridge.Switch || e.kind() == bridge.BinarySensor }

// plain reports whether a whole number is published as it is read.
func (e *Entity) plain() bool {
	return e.scale() == 1 && e.Offset == 0 && e.Round == 0 && e.ScaleAddress == nil
}

// announced returns what the hub is told of the entity, which is called id there.
func (e *Entity) announced(id, name string) bridge.Entity {
	out := bridge.Entity{
		ID: id, Name: name, Kind: e.kind(), Class: e.Class, Unit: e.Unit, StateClass: e.StateClass,
		Min: e.Min, Max: e.Max, Command: e.Write,
	}
	if e.binary() {
		return out
	}
	for _, name := range e.Enum {
		out.Options = append(out.Options, name)
	}
	slices.Sort(out.Options)
	out.Options = slices.Compact(out.Options)
	return out
}

// decode returns the state for what was read: registers, or bits as 0 and 1. The
// power of ten is that of the scale register, or 0. The error says why there is
// no state, and may wrap errNoValue or errUnsupported.
func (p *point) decode(words []uint16, power int) (string, error) {
	if len(words) != p.count {
		return "", fmt.Errorf("%d registers, want %d", len(words), p.count)
	}
	if p.format() == String {
		return decodeText(toBytes(words, p.order()))
	}
	raw := toRaw(words, p.order())
	switch {
	case slices.Contains(p.never, raw):
		return "", fmt.Errorf("%w: it says %#x", errUnsupported, raw)
	case slices.Contains(p.errors, raw):
		return "", fmt.Errorf("%w: it says %#x", errNoValue, raw)
	}
	q, err := p.quantity(raw)
	if errors.Is(err, errNotNumber) && p.nan {
		return "", fmt.Errorf("%w: %w", errNoValue, err)
	}
	if err != nil {
		return "", err
	}
	return p.state(q, power)
}

// quantity returns the number of the bits that count.
func (p *point) quantity(raw uint64) (quantity, error) {
	if p.width > 0 {
		return quantity{whole: raw >> p.shift & mask(p.width)}, nil
	}
	return p.format().quantity(raw)
}

// state returns a number as it is published.
func (p *point) state(q quantity, power int) (string, error) {
	switch {
	case p.binary():
		return p.onOff(q)
	case len(p.Enum) > 0:
		key, ok := q.key()
		name, named := p.Enum[key]
		if !ok || !named {
			return "", fmt.Errorf("the unit says %s, which has no name", q)
		}
		return name, nil
	case p.format() == Bool && p.width == 0:
		q.whole = min(q.whole, 1)
	}
	if p.plain() && !q.floating {
		return q.String(), p.checkRange(q.value())
	}
	v := rounded(linear(q.value(), p.factor(power), p.Offset), p.Round)
	return formatNumber(v), p.checkRange(v)
}

// factor returns what a read number is multiplied by.
func (p *point) factor(power int) float64 {
	if power < 0 {
		return p.scale() / math.Pow10(-power) // 1e-1 is no float64, 10 is one.
	}
	return p.scale() * math.Pow10(power)
}

func (p *point) onOff(q quantity) (string, error) {
	raw := q.whole
	if q.negative || q.floating {
		var err error
		if raw, err = p.format().raw(q.value()); err != nil {
			return "", err
		}
	}
	switch {
	case p.on == nil && p.off == nil:
		if raw != 0 {
			return "ON", nil
		}
		return "OFF", nil
	case p.on != nil && raw == *p.on:
		return "ON", nil
	case p.off == nil || raw == *p.off:
		return "OFF", nil
	case p.on == nil:
		return "ON", nil
	}
	return "", fmt.Errorf("the unit says %s, which is neither on_value nor off_value", q)
}

func (p *point) checkRange(v float64) error {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return errors.New("the value is too large")
	case p.Min != nil && v < *p.Min:
		return fmt.Errorf("%s is below the minimum, %s", formatNumber(v), formatNumber(*p.Min))
	case p.Max != nil && v > *p.Max:
		return fmt.Errorf("%s is above the maximum, %s", formatNumber(v), formatNumber(*p.Max))
	}
	return nil
}

// decodeText returns a string of registers. It ends at the first zero byte;
// spaces that fill it up do not count.
func decodeText(b []byte) (string, error) {
	text, _, _ := strings.Cut(string(b), "\x00")
	text = strings.TrimSpace(text)
	return text, checkText(text)
}

// checkText refuses what is noise rather than a value.
func checkText(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the text is empty", errNoValue)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s is not UTF-8", quote(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s has control characters", quote(s))
	}
	return nil
}

// linear returns v*scale + offset, rounded to 12 digits of the greatest of its
// terms: 2341*0.1 is 234.1, and not 234.10000000000002.
func linear(v, scale, offset float64) float64 {
	v *= scale
	most := max(math.Abs(v), math.Abs(offset))
	if v += offset; most == 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return v
	}
	decimals := max(0, 11-int(math.Floor(math.Log10(most))))
	return decimal(v, decimals)
}

// rounded returns the multiple of step that is nearest to v.
func rounded(v, step float64) float64 {
	if step == 0 {
		return v
	}
	n := math.Round(v / step)
	return linear(n, step, 0)
}

// decimal rounds v to so many decimals, as a person would.
func decimal(v float64, decimals int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', decimals, 64), 64)
	if err != nil {
		return v
	}
	return r + 0 // no -0
}
