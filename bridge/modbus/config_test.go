package modbus

import (
	"strings"
	"testing"
	"time"

	"edge/internal/config"
	"edge/internal/modbus"
)

// two returns a valid configuration of two units.
func two() Config {
	c := DefaultConfig()
	c.Port = "ttyUSB0"
	for i, id := range []string{"a", "b"} {
		c.Units = append(c.Units, Unit{
			ID: id, Unit: uint8(i + 1), Period: time.Second,
			Entities: []Entity{{ID: "x", Address: new(uint16(0))}, {ID: "y", Address: new(uint16(1))}},
		})
	}
	return c
}

func TestConfigSaysWhere(t *testing.T) {
	for _, v := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"good", func(*Config) {}, ""},
		{"one without an id", func(c *Config) { c.Units = c.Units[:1]; c.Units[0].ID = "" }, ""},
		{"gateway", func(c *Config) { c.Port, c.Units[0].Unit = "tcp://[::1]:502", 255 }, ""},
		{"ascii", func(c *Config) { c.Framing, c.DataBits = modbus.ASCII, 7 }, ""},
		{"port", func(c *Config) { c.Port = "" }, "port: must be set"},
		{"baud", func(c *Config) { c.Baud = 3 }, "baud: 3 is not between 50 and"},
		{"seven bits", func(c *Config) { c.DataBits = 7 }, "data_bits: rtu needs 8, not 7"},
		{"no gateway", func(c *Config) { c.Framing = modbus.TCP }, "framing: tcp is for a port tcp://host:502"},
		{"address", func(c *Config) { c.Port = "tcp://host" }, `port: "tcp://host" is not tcp://host:port`},
		{"timeout", func(c *Config) { c.Timeout = 0 }, "timeout: 0s is not between 1ms and 1m0s"},
		{"window", func(c *Config) { c.WriteWindow = -1 }, "write_window: -1ns is not between 0s and 24h0m0s"},
		{"templates", func(c *Config) { c.Templates = "mine" }, `templates: "mine" is not an absolute path`},
		{"no units", func(c *Config) { c.Units = nil }, "units: there are 0; want 1 to 247"},
		{"no id", func(c *Config) { c.Units[1].ID = "" }, "units[1].id: must be set where there are several units"},
		{"id", func(c *Config) { c.Units[1].ID = "B" }, `units[1].id: "B" must have one or more of a-z`},
		{"unit", func(c *Config) { c.Units[0].Unit = 255 }, "units[0].unit: 255 is not between 1 and 247"},
		{"same unit", func(c *Config) { c.Units[1].Unit = 1 }, "units[1].unit: 1 is the address of units[0], too"},
		{"period", func(c *Config) { c.Units[0].Period = time.Millisecond }, "units[0].period: 1ms is not between 10ms and 24h, or 0s"},
		{"unit's timeout", func(c *Config) { c.Units[0].Timeout = time.Hour }, "units[0].timeout: 1h0m0s is not between 0s and 1m"},
		{"hole", func(c *Config) { c.Units[0].Hole = new(-1) }, "units[0].hole: -1 is not between 0 and 2000"},
		{"registers", func(c *Config) { c.Units[0].MaxRegisters = 126 }, "units[0].max_registers: 126 is not between 1 and 125"},
		{"bits", func(c *Config) { c.Units[0].MaxBits = 2001 }, "units[0].max_bits: 2001 is not between 1 and 2000"},
		{"guard", func(c *Config) { c.Units[0].Guard = -1 }, "units[0].guard: -1ns is not between 0s and 1m"},
		{"entity", func(c *Config) { c.Units[1].Entities[1].Address = nil }, "units[1].entities[1].address: must be set"},
		{"same entity", func(c *Config) { c.Units[1].Entities[1].ID = "x" }, `units[1].entities[1].id: "x" is already the id of an earlier entity`},
		{"no entities", func(c *Config) { c.Units[1].Entities = nil }, "units[1].entities: there are none, and no template has any"},
		{"condition", func(c *Config) { c.Units[1].Entities[1].When = "phases" }, "units[1].entities[1].when: want a comparison"},
		{"parameters", func(c *Config) { c.Units[1].Parameters = map[string]string{"p": "1"} }, "units[1].parameters: nobody asks for them"},
		{"no template", func(c *Config) { c.Units[1].Template = "nobodys" }, `units[1].template: there is no template "nobodys"`},
		{"too long", func(c *Config) {
			c.Units[0].MaxRegisters, c.Units[0].Entities[0].Format = 1, F32
		}, "units[0].entities[0].format: takes 2 registers, more than the unit can be asked for at once, 1"},
		{"topic", func(c *Config) { c.Units[0].Entities[0].ID = "status" }, `units[0]: the topic "a_status" is taken by units[0]; choose another id`},
		{"topic of the bridge", func(c *Config) { c.Units[0].ID, c.Units[0].Entities[0].ID = "bus", "load" }, `units[0]: the topic "bus_load" is taken by the bridge itself`},
	} {
		t.Run(v.name, func(t *testing.T) {
			c := two()
			v.change(&c)
			err := c.Validate()
			switch {
			case v.want == "" && err != nil:
				t.Errorf("Validate: %v, want no mistake", err)
			case v.want != "" && (err == nil || !strings.HasPrefix(err.Error(), v.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("Validate:\n%v\nwant\n%s", err, v.want)
			}
		})
	}
}

// TestEntitiesByCondition leaves out what a parameter says is not there.
func TestEntitiesByCondition(t *testing.T) {
	c := two()
	c.Units[0].Parameters = map[string]string{"stages": "2"}
	c.Units[0].Entities[0].When = "stages == 1"
	c.Units[0].Entities[1].When = "stages in (2, 3)"
	p, err := newPlan(&c)
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for _, pt := range p.points {
		topics = append(topics, pt.topic)
	}
	if got := strings.Join(topics, " "); got != "a_y b_x b_y" {
		t.Errorf("the entities are %s, want a_y b_x b_y", got)
	}
}

// TestEntityReplacesThatOfTheTemplate by its id.
func TestEntityReplacesThatOfTheTemplate(t *testing.T) {
	tree, err := config.Parse("t.yaml", []byte("port: x\nunits: [{id: m, unit: 1, template: eastron-sdm120, entities: [{id: voltage, address: 99, format: u16}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	if err := tree.Decode(&c); err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(&c)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, pt := range p.points {
		if pt.ID == "voltage" {
			found++
			if *pt.Address != 99 {
				t.Errorf("voltage is at %d, want 99", *pt.Address)
			}
		}
	}
	if found != 1 || len(p.points) < 5 {
		t.Errorf("of %d entities %d are the voltage, want one of many", len(p.points), found)
	}
}
