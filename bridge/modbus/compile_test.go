package modbus

import (
	"testing"
	"time"

	"edge/bridge"
)

func TestCompileSaysWhere(t *testing.T) {
	period := time.Millisecond
	for _, v := range []struct {
		name string
		e    Entity
		want string // all of it, but for the address that each row but one has
	}{
		{"good", Entity{ID: "power", Class: "power", Unit: "W", Scale: 0.1}, ""},
		{"id", Entity{ID: "Power"}, `id: "Power" must have one or more of a-z, 0-9, _ and -`},
		{"kind", Entity{ID: "x", Kind: bridge.Cover}, `kind: "cover" is not one of sensor, binary_sensor, switch, number, text`},
		{"state class", Entity{ID: "x", Kind: bridge.BinarySensor, StateClass: bridge.Measurement}, `state_class: only a sensor has one, not a binary_sensor`},
		{"bit", Entity{ID: "x", Table: Coil, Format: U16}, `format: a coil is a bit, not a u16`},
		{"length", Entity{ID: "x", Format: String}, `length: 0 is not between 1 and 125`},
		{"no string", Entity{ID: "x", Length: 2}, `length: is for format string, not u16`},
		{"end", Entity{ID: "x", Format: U32, Address: new(uint16(65535))}, `address: 2 registers from 65535 on end above 65535`},
		{"order", Entity{ID: "x", Format: String, Length: 1, Order: Word}, `order: the registers of a string come in their order; use big or byte`},
		{"bits", Entity{ID: "x", Bits: "3"}, `bits: "3" is not shift:width, such as 3:1`},
		{"bits beyond", Entity{ID: "x", Bits: "10:8"}, `bits: "10:8" is beyond the 16 bits of format u16`},
		{"bits of a float", Entity{ID: "x", Format: F32, Bits: "3:1"}, `bits: a number of format f32 has none`},
		{"round", Entity{ID: "x", Round: -1}, `round: -1 is negative`},
		{"min", Entity{ID: "x", Min: new(2.0), Max: new(1.0)}, `min: 2 is not below max, 1`},
		{"binary", Entity{ID: "x", Kind: bridge.BinarySensor, Scale: 2}, `kind: a binary_sensor is ON or OFF: it has no scale, offset, round, min or max, and no unit`},
		{"text", Entity{ID: "x", Kind: bridge.Text}, `kind: a text is of format string, or has an enum`},
		{"error value", Entity{ID: "x", ErrorValues: []string{"0x8000", "70000"}}, `error_values[1]: "70000" is no whole number that fits in u16`},
		{"on value", Entity{ID: "x", OnValue: "1"}, `on_value: is for numbers of kinds switch and binary_sensor`},
		{"same", Entity{ID: "x", Kind: bridge.BinarySensor, OnValue: "1", OffValue: "0x1"}, `off_value: is the same as on_value`},
		{"names", Entity{ID: "x", Kind: bridge.Text, Write: true, Enum: map[int64]string{1: "a", 2: "a"}}, `enum: "a" is the name of two numbers: which is to be written?`},
		{"no write", Entity{ID: "x", Kind: bridge.Switch}, `write: a switch takes commands: set it to true, or use kind sensor or binary_sensor`},
		{"write", Entity{ID: "x", Write: true}, `write: a sensor takes no commands; use switch, number or text`},
		{"how", Entity{ID: "x", WriteFunction: 6}, `write: must be true, where it is said how`},
		{"input", Entity{ID: "x", Kind: bridge.Number, Table: Input, Write: true}, `write_table: must be coil or holding: nothing else can be written`},
		{"function", Entity{ID: "x", Kind: bridge.Number, Format: U32, Write: true, WriteFunction: 6}, `write_function: 6 writes a single register, and this takes 2; use 16`},
		{"coil by 6", Entity{ID: "x", Kind: bridge.Switch, Table: Coil, Write: true, WriteFunction: 6}, `write_function: 6 does not write to this table; use 5 or 15 for a coil, 6, 16 or 22 for registers`},
		{"bits by 6", Entity{ID: "x", Kind: bridge.Number, Bits: "0:4", Write: true, WriteFunction: 6}, `write_function: bits of one register are written by function 22, and nothing else is`},
		{"period", Entity{ID: "x", Period: &period}, `period: 1ms is shorter than 10ms`},
	} {
		t.Run(v.name, func(t *testing.T) {
			if v.e.Address == nil {
				v.e.Address = new(uint16(0))
			}
			_, err := compile(v.e)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != v.want {
				t.Errorf("compile:\n%s\nwant\n%s", got, v.want)
			}
		})
	}
	if _, err := compile(Entity{ID: "x"}); err == nil || err.Error() != "address: must be set" {
		t.Errorf("without an address: %v, want that it must be set", err)
	}
}
