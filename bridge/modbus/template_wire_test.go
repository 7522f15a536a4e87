package modbus

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"edge/internal/modbus"
)

// TestTemplatesOverTheWire reads a simulated unit of each template, whose registers
// are the examples of its maker's table, and expects their states in topics. What lies
// between registers the unit does not have, as many do not.
func TestTemplatesOverTheWire(t *testing.T) {
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	for name, tmpl := range all {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parameters := combinations(defaultsOf(tmpl))[0]
				m, states := exampleUnit(t, name, parameters)
				if len(states) == 0 {
					t.Fatal("there is no example")
				}
				r := connect(t, unitText(name, parameters), map[byte]modbus.Handler{1: m}, nil)
				for _, id := range slices.Sorted(maps.Keys(states)) {
					r.expect(id, states[id])
				}
			})
		})
	}
}

// defaultsOf leaves the parameters of a template their defaults only.
func defaultsOf(tmpl Template) map[string]Parameter {
	defaults := map[string]Parameter{}
	for name, p := range tmpl.Parameters {
		defaults[name] = Parameter{Values: []string{p.Default}}
	}
	return defaults
}

// unitText is a configuration with one unit.
func unitText(template string, parameters map[string]string) string {
	var given []string
	for name, value := range parameters {
		given = append(given, fmt.Sprintf("%s: %q", name, value))
	}
	return fmt.Sprintf("units: [{unit: 1, template: %s, parameters: {%s}}]\n", template, strings.Join(given, ", "))
}

var wireTables = map[Table]modbus.Table{
	Coil: modbus.Coils, Discrete: modbus.DiscreteInputs, Input: modbus.InputRegisters, Holding: modbus.HoldingRegisters,
}

// exampleUnit returns a unit with what a template reads, and the states that its maker's
// table gives for it.
func exampleUnit(t *testing.T, template string, parameters map[string]string) (*modbus.Memory, map[string]string) {
	t.Helper()
	tmpl, err := resolve("", template, parameters)
	if err != nil {
		t.Fatal(err)
	}
	m, states := new(modbus.Memory), map[string]string{}
	powers := map[uint16]string{}
	examples := examplesOf(t, template)
	for _, e := range tmpl.Entities {
		p, err := compile(e)
		if err != nil {
			t.Fatal(err)
		}
		m.Set(wireTables[p.table()], *e.Address, make([]uint16, p.count)...)
		x, ok := examples[e.ID]
		if !ok {
			continue
		}
		if e.ScaleAddress != nil {
			if other, taken := powers[*e.ScaleAddress]; taken && other != x.power {
				continue
			}
			powers[*e.ScaleAddress] = x.power
		}
		m.Set(wireTables[p.table()], *e.Address, x.words...)
		states[e.ID] = x.state
	}
	for _, e := range tmpl.Entities {
		if e.ScaleAddress != nil {
			n, _ := strconv.Atoi(powers[*e.ScaleAddress]) // 0 where no example says it
			m.Set(wireTables[e.table()], *e.ScaleAddress, uint16(int16(n)))
		}
	}
	return m, states
}

// An example is a line of a maker's table: these words are that state.
type example struct {
	words []uint16
	power string
	state string
}

func examplesOf(t *testing.T, template string) map[string]example {
	t.Helper()
	data, err := os.ReadFile("testdata/templates/" + template + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]example{}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, "read ")
		what, state, _ := strings.Cut(strings.TrimSpace(rest), " = ")
		if !ok || strings.HasPrefix(state, "!") {
			continue
		}
		id, hex, _ := strings.Cut(what, " ")
		hex, power, _ := strings.Cut(hex, "^")
		words, err := wordsOf(hex)
		if err != nil {
			t.Fatal(err)
		}
		examples[id] = example{words, power, state}
	}
	return examples
}
