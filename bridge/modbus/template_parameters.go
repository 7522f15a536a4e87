package modbus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"edge/internal/config"
)

// baseParameter is the parameter from which a template's addresses count. SunSpec
// has models whose place depends on what is before them (Device Information Model
// Specification, section 3).
const baseParameter = "base"

// values returns what each parameter of the template is for a unit that gives some.
// Errors have the path parameters.NAME.
func (t *Template) values(given map[string]string) (map[string]string, error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := t.Parameters[name]; !ok {
			errs = append(errs, config.Errorf("parameters."+name, "the template has no such parameter; %s", t.known()))
		}
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		value, ok := given[name]
		if !ok {
			value = p.Default
		}
		if err := p.accepts(name, value); err != nil {
			errs = append(errs, config.Errorf("parameters."+name, "%w", err))
		}
		values[name] = value
	}
	return values, errors.Join(errs...)
}

// known says which parameters there are.
func (t *Template) known() string {
	names := slices.Sorted(maps.Keys(t.Parameters))
	if len(names) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(names, ", ")
}

// accepts returns what is wrong with a value.
func (p Parameter) accepts(name, value string) error {
	switch {
	case value == "":
		return errors.New("must be set: the template has no default")
	case len(p.Values) > 0 && !slices.Contains(p.Values, value):
		return fmt.Errorf("%q is not one of %s", value, strings.Join(p.Values, ", "))
	case name == baseParameter:
		if _, err := strconv.ParseUint(value, 0, 16); err != nil {
			return fmt.Errorf("%q is no address, 0 to 65535", value)
		}
	}
	return nil
}

// move adds the base to all addresses.
func (t *Template) move(values map[string]string) error {
	if values[baseParameter] == "" {
		return nil
	}
	base, err := strconv.ParseUint(values[baseParameter], 0, 16)
	if err != nil {
		return config.Errorf("parameters.base", "%q is no address", values[baseParameter])
	}
	for i := range t.Entities {
		e := &t.Entities[i]
		for _, address := range []**uint16{&e.Address, &e.ScaleAddress, &e.WriteAddress} {
			if *address == nil {
				continue
			}
			sum := base + uint64(**address)
			if sum > 0xFFFF {
				return config.Errorf("parameters.base", "%d: the address of %s would be %d, above 65535", base, e.ID, sum)
			}
			moved := uint16(sum)
			*address = &moved
		}
	}
	return nil
}
