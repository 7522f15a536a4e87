package modbus_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"edge/internal/modbus"
)

// ask returns the reply of a unit as bytes, exceptions included.
func ask(t *testing.T, h modbus.Handler, req string) string {
	t.Helper()
	reply, err := h.Serve(1, bin(t, req))
	if e, ok := errors.AsType[modbus.Exception](err); ok {
		return fmt.Sprintf("exception %d", byte(e))
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("% X", []byte(reply))
}

// specified is a unit with the values of the examples in AP §6.
func specified() *modbus.Memory {
	m := &modbus.Memory{}
	bits := func(table modbus.Table, address uint16, count int, packed ...byte) {
		for i := range count {
			m.Set(table, address+uint16(i), uint16(packed[i/8]>>(i%8)&1))
		}
	}
	bits(modbus.Coils, 19, 19, 0xCD, 0x6B, 0x05)
	bits(modbus.DiscreteInputs, 196, 22, 0xAC, 0xDB, 0x35)
	bits(modbus.Coils, 172, 1, 0)
	m.Set(modbus.HoldingRegisters, 107, 0x022B, 0x0000, 0x0064)
	m.Set(modbus.InputRegisters, 8, 0x000A)
	m.Set(modbus.HoldingRegisters, 1, 0, 0)
	m.Set(modbus.HoldingRegisters, 3, 0x00FE, 0x0ACD, 0x0001, 0x0003, 0x000D, 0x00FF)
	m.Set(modbus.HoldingRegisters, 14, 0, 0, 0)
	m.Identify(map[byte]string{0: "Company identification", 1: "Product code XX", 2: "V2.11"})
	return m
}

// The examples of AP §6; the refusals are its state diagrams: function, then
// quantity, then address.
func TestSpecifiedReplies(t *testing.T) {
	for _, tt := range []struct{ section, req, want string }{
		{"6.1", "01 00 13 00 13", "01 03 CD 6B 05"},
		{"6.2", "02 00 C4 00 16", "02 03 AC DB 35"},
		{"6.3", "03 00 6B 00 03", "03 06 02 2B 00 00 00 64"},
		{"6.4", "04 00 08 00 01", "04 02 00 0A"},
		{"6.5", "05 00 AC FF 00", "05 00 AC FF 00"},
		{"6.6", "06 00 01 00 03", "06 00 01 00 03"},
		{"6.11", "0F 00 13 00 0A 02 CD 01", "0F 00 13 00 0A"},
		{"6.12", "10 00 01 00 02 04 00 0A 01 02", "10 00 01 00 02"},
		{"6.16", "16 00 04 00 F2 00 25", "16 00 04 00 F2 00 25"},
		{"6.17", "17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF", "17 0C 00 FE 0A CD 00 01 00 03 00 0D 00 FF"},
		{"6.21", "2B 0E 01 00", fmt.Sprintf("2B 0E 01 81 00 00 03 00 16 % X 01 0F % X 02 05 % X",
			"Company identification", "Product code XX", "V2.11")},

		{"7", "01 04 A1 00 01", "exception 2"},
		{"6, function code", "63 00", "exception 1"},
		{"6.21, MEI type", "2B 0D 01 00", "exception 1"},
		{"6.1, 0", "01 00 13 00 00", "exception 3"},
		{"6.1, 2001", "01 00 13 07 D1", "exception 3"},
		{"6.1, 2000 with some missing", "01 00 13 07 D0", "exception 2"},
		{"6.3, 126", "03 00 6B 00 7E", "exception 3"},
		{"6.3, quantity comes before address", "03 FF FF 00 7E", "exception 3"},
		{"6.3, beyond 65535", "03 FF FF 00 02", "exception 2"},
		{"6.5, neither on nor off", "05 00 AC 12 34", "exception 3"},
		{"6.5, value comes before address", "05 EE EE 12 34", "exception 3"},
		{"6.5, address", "05 00 AD FF 00", "exception 2"},
		{"6.6, address", "06 00 0D 00 03", "exception 2"},
		{"6.11, byte count", "0F 00 13 00 0A 01 CD", "exception 3"},
		{"6.12, byte count", "10 00 01 00 02 02 00 0A", "exception 3"},
		{"6.12, too short for its byte count", "10 00 01 00 02 04 00 0A 01", "exception 3"},
		{"6.12, 0", "10 00 01 00 00 00", "exception 3"},
		{"6.12, 124", "10 00 01 00 7C F8" + strings.Repeat("00", 248), "exception 3"},
		{"6.12, 123 with some missing", "10 00 01 00 7B F6" + strings.Repeat("00", 246), "exception 2"},
		{"6.16, address", "16 00 0D 00 F2 00 25", "exception 2"},
		{"6.17, writes 122", "17 00 03 00 06 00 0E 00 7A F4" + strings.Repeat("00", 244), "exception 3"},
		{"6.17, reads 0", "17 00 03 00 00 00 0E 00 01 02 00 00", "exception 3"},
		{"6.17, cannot write", "17 00 03 00 06 00 0E 00 04 08 00 00 00 00 00 00 00 00", "exception 2"},
		{"6.21, level", "2B 0E 05 00", "exception 3"},
		{"6.21, single object", "2B 0E 04 02", fmt.Sprintf("2B 0E 04 81 00 00 01 02 05 % X", "V2.11")},
		{"6.21, no such object", "2B 0E 04 03", "exception 2"},
		{"6.21, no such first object: begins anew", "2B 0E 01 77", fmt.Sprintf("2B 0E 01 81 00 00 03 00 16 % X 01 0F % X 02 05 % X",
			"Company identification", "Product code XX", "V2.11")},
		{"a request that is too long", "03 00 6B 00 03 00", "exception 3"},
		{"a request that is too short", "03 00 6B 00", "exception 3"},
		{"no request", "", "exception 1"},
	} {
		if got := ask(t, specified(), tt.req); got != tt.want {
			t.Errorf("AP §%s: % X: %s, want %s", tt.section, bin(t, tt.req), got, tt.want)
		}
	}
}

func TestSpecifiedWrites(t *testing.T) {
	for _, tt := range []struct {
		section, req string
		table        modbus.Table
		address      uint16
		want         []uint16
	}{
		{"6.5", "05 00 AC FF 00", modbus.Coils, 172, []uint16{1}},
		{"6.6", "06 00 01 00 03", modbus.HoldingRegisters, 1, []uint16{3, 0}},
		{"6.11", "0F 00 13 00 0A 02 CD 01", modbus.Coils, 19, []uint16{1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0}},
		{"6.12", "10 00 01 00 02 04 00 0A 01 02", modbus.HoldingRegisters, 1, []uint16{0x0A, 0x0102}},
		{"6.16, of 0x12", "16 00 01 00 F2 00 25", modbus.HoldingRegisters, 1, []uint16{0x17}},
		{"6.17", "17 00 03 00 06 00 0E 00 03 06 00 FF 00 FE 00 FD", modbus.HoldingRegisters, 14, []uint16{0xFF, 0xFE, 0xFD}},
		{"6.17, nothing is written if it cannot be read", "17 00 03 00 07 00 0E 00 01 02 00 07", modbus.HoldingRegisters, 14, []uint16{0}},
		{"6.12, nothing is written if one is missing", "10 00 02 00 08 10" + strings.Repeat("11", 16), modbus.HoldingRegisters, 2, []uint16{0, 0xFE}},
	} {
		m := specified()
		if strings.HasPrefix(tt.section, "6.16") {
			m.Set(modbus.HoldingRegisters, 1, 0x12)
		}
		_ = ask(t, m, tt.req)
		got, err := m.Get(tt.table, tt.address, uint16(len(tt.want)))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("AP §%s: % X: %v (-want +got):\n%s", tt.section, bin(t, tt.req), err, diff)
		}
	}
}

func TestHooks(t *testing.T) {
	m := specified()
	var wrote string
	m.OnRead = func(table modbus.Table, address, _ uint16) error {
		if address == 8 {
			return modbus.DeviceFailure // not known yet
		}
		m.Set(table, address, 0x4711)
		return nil
	}
	m.OnWrite = func(table modbus.Table, address uint16, values []uint16) error {
		wrote = fmt.Sprint(table, address, values)
		if values[0] == 13 {
			return modbus.IllegalDataValue
		}
		return nil
	}
	for req, want := range map[string]string{
		"04 00 08 00 01": "exception 4",
		"03 00 6B 00 01": "03 02 47 11",
		"06 00 01 00 0D": "exception 3",
	} {
		if got := ask(t, m, req); got != want {
			t.Errorf("%s: %s, want %s", req, got, want)
		}
	}
	if got, _ := m.Get(modbus.HoldingRegisters, 1, 1); wrote != "3 1 [13]" || got[0] != 0 {
		t.Errorf("OnWrite had %q, the register is %v", wrote, got)
	}
}

// What does not fit one reply comes in several (AP §6.21), in each framing.
func TestLongIdentification(t *testing.T) {
	eachFraming(t, func(t *testing.T, framing modbus.Framing) {
		m, want := &modbus.Memory{}, map[byte]string{}
		for id := range byte(7) {
			want[id] = strings.Repeat(string('a'+rune(id)), 40*int(id))
		}
		want[0x80] = strings.Repeat("x", 244)
		want[0xFF] = "last"
		m.Identify(want)
		c := line(t, framing, modbus.Timing{}, modbus.Units{1: m})
		for level, n := range map[byte]int{modbus.Basic: 3, modbus.Regular: 7, modbus.Extended: 9} {
			got, err := c.Identification(t.Context(), 1, level)
			if err != nil || len(got) != n {
				t.Errorf("level %d: %d objects, %v, want %d", level, len(got), err, n)
			}
			for id, value := range got {
				if value != want[id] {
					t.Errorf("object %d is %q, want %q", id, value, want[id])
				}
			}
		}
	})
}

// A unit that always has more is left.
func TestEndlessIdentification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := line(t, modbus.RTU, modbus.Timing{}, modbus.Units{1: endless{}})
		_, err := c.Identification(t.Context(), 1, modbus.Basic)
		if got := kindOf(err); got != string(modbus.ForeignContent) {
			t.Errorf("Identification: %v", err)
		}
	})
}

type endless struct{}

func (endless) Serve(_ byte, req modbus.PDU) (modbus.PDU, error) {
	return bytes.Join([][]byte{req[:3], {0x81, 0xFF, 1, 1, 0, 1, 'x'}}, nil), nil
}
