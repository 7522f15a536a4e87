package modbus

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Function codes that write (Modbus Application Protocol V1.1b3, section 6).
const (
	writeCoil      = 5
	writeRegister  = 6
	writeCoils     = 15
	writeRegisters = 16
	maskWrite      = 22
)

// An order is a command as it goes over the bus.
type order struct {
	function uint8
	address  uint16
	words    []uint16 // registers; or one that is 0 or 1, a coil; for a mask write: and, or
	expect   string   // the state that will be read back
}

// encode is the inverse of decode. now is the state, if it is known, for TOGGLE.
// The error says why the command is refused.
func (p *point) encode(value, now string, power int) (order, error) {
	o := order{function: p.function(), address: *p.Address}
	if p.WriteAddress != nil {
		o.address = *p.WriteAddress
	}
	if p.format() == String {
		words, err := p.encodeText(value)
		o.words, o.expect = words, strings.TrimSpace(value)
		return o, err
	}
	raw, expect, err := p.rawOf(value, now, power)
	if err != nil {
		return order{}, err
	}
	o.expect = expect
	switch {
	case p.writesCoil():
		o.words = []uint16{uint16(min(raw, 1))}
	case o.function == maskWrite:
		// The register becomes (it AND and) OR (or AND NOT and), section 6.16.
		field := mask(p.width) << p.shift
		o.words = []uint16{^uint16(field), uint16(raw << p.shift)}
	default:
		o.words = fromRaw(raw, p.count, p.order())
	}
	return o, nil
}

func (p *point) writesCoil() bool {
	return p.WriteTable == Coil || p.WriteTable == "" && p.table() == Coil
}

// function returns the function code that writes.
func (p *point) function() uint8 {
	switch {
	case p.WriteFunction != 0:
		return p.WriteFunction
	case p.writesCoil():
		return writeCoil
	case p.width > 0:
		return maskWrite
	case p.count > 1:
		return writeRegisters
	}
	return writeRegister
}

// rawOf returns the bits for a value, and the state that they stand for.
func (p *point) rawOf(value, now string, power int) (raw uint64, expect string, err error) {
	switch {
	case p.binary():
		return p.rawOnOff(value, now)
	case len(p.Enum) > 0:
		for key, name := range p.Enum {
			if name == value {
				raw, err = p.number(float64(key))
				return raw, value, err
			}
		}
		return 0, "", fmt.Errorf("%s is not one of %s", quote(value), strings.Join(p.announced("", "").Options, ", "))
	}
	return p.rawNumber(value, power)
}

func (p *point) rawNumber(value string, power int) (raw uint64, expect string, err error) {
	v, err := parseNumber(value)
	if err == nil {
		err = p.checkRange(v)
	}
	if err != nil {
		return 0, "", err
	}
	if p.plain() && p.width == 0 && !p.format().floating() && !p.format().decimal() {
		// Exactly, since not all 64 bits fit in a float64.
		if raw, err = p.format().parseWhole(strings.TrimPrefix(value, "+")); err == nil {
			q, err := p.format().quantity(raw)
			return raw, q.String(), err
		}
	}
	factor := p.factor(power)
	if factor == 0 || math.IsInf(factor, 0) {
		return 0, "", errors.New("the scale of the unit is out of range")
	}
	if raw, err = p.number(linear(v, 1/factor, -p.Offset/factor)); err != nil {
		return 0, "", err
	}
	q, err := p.quantity(raw << p.shift)
	if err != nil {
		return 0, "", err
	}
	expect, err = p.state(q, power)
	return raw, expect, err
}

// number returns the bits of a number as the unit has it.
func (p *point) number(v float64) (uint64, error) {
	if p.width == 0 {
		return p.format().raw(v)
	}
	if v = math.Round(v); v < 0 || v > float64(mask(p.width)) {
		return 0, fmt.Errorf("%s does not fit in %d bits", formatNumber(v), p.width)
	}
	return uint64(v), nil
}

func (p *point) rawOnOff(value, now string) (raw uint64, expect string, err error) {
	switch expect = strings.ToUpper(value); {
	case expect == "ON", expect == "OFF":
	case expect != "TOGGLE":
		return 0, "", fmt.Errorf("%s is not ON, OFF or TOGGLE", quote(value))
	case now == "":
		return 0, "", errors.New("TOGGLE: the state is not known yet")
	case now == "ON":
		expect = "OFF"
	default:
		expect = "ON"
	}
	if expect == "ON" {
		return p.writeOn, expect, nil
	}
	return p.writeOff, expect, nil
}

func (p *point) encodeText(value string) ([]uint16, error) {
	if err := checkText(value); err != nil {
		return nil, err
	}
	if len(value) > 2*p.count {
		return nil, fmt.Errorf("%d bytes do not fit in %d registers", len(value), p.count)
	}
	b := make([]byte, 2*p.count)
	copy(b, value)
	return toWords(b, p.order()), nil
}
