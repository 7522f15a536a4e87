package modbus_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"edge/internal/modbus"
)

// meter is a unit with something in each table.
func meter() *modbus.Memory {
	m := &modbus.Memory{}
	m.Set(modbus.Coils, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1)
	m.Set(modbus.DiscreteInputs, 100, 0, 1, 0)
	m.Set(modbus.InputRegisters, 0, 0x4366, 0x3333, 0x1234)
	m.Set(modbus.HoldingRegisters, 0x6B, 0x022B, 0x0000, 0x0064, 0x0012)
	m.Identify(map[byte]string{modbus.VendorName: "edge", modbus.ProductCode: "M", modbus.Revision: "1.0"})
	return m
}

func eachFraming(t *testing.T, f func(t *testing.T, framing modbus.Framing)) {
	for _, framing := range []modbus.Framing{modbus.RTU, modbus.ASCII, modbus.TCP} {
		t.Run(string(framing), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, framing) })
		})
	}
}

func TestEveryFunction(t *testing.T) {
	eachFraming(t, func(t *testing.T, framing modbus.Framing) {
		m := meter()
		c := line(t, framing, modbus.Timing{}, modbus.Units{17: m})
		ctx := t.Context()
		check := func(what string, got any, err error, want any) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		bits, err := c.ReadBits(ctx, 17, modbus.ReadCoils, 0, 10)
		check("coils", bits, err, []bool{true, false, true, true, false, false, false, false, true, true})
		bits, err = c.ReadBits(ctx, 17, modbus.ReadDiscreteInputs, 100, 3)
		check("inputs", bits, err, []bool{false, true, false})
		regs, err := c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 0x6B, 3)
		check("holding", regs, err, []uint16{0x022B, 0, 0x64})
		regs, err = c.ReadRegisters(ctx, 17, modbus.ReadInputRegisters, 0, 3)
		check("input", regs, err, []uint16{0x4366, 0x3333, 0x1234})

		check("write coil", nil, c.WriteCoil(ctx, 17, 1, true), nil)
		check("write coils", nil, c.WriteCoils(ctx, 17, 2, []bool{false, false, true}), nil)
		bits, err = c.ReadBits(ctx, 17, modbus.ReadCoils, 0, 5)
		check("coils", bits, err, []bool{true, true, false, false, true})

		check("write register", nil, c.WriteRegister(ctx, 17, 0x6C, 7), nil)
		check("write registers", nil, c.WriteRegisters(ctx, 17, 0x6D, []uint16{8, 0x12}), nil)
		check("mask", nil, c.MaskWrite(ctx, 17, 0x6E, 0xF2, 0x25), nil)
		regs, err = c.ReadWriteRegisters(ctx, 17, 0x6B, 4, 0x6B, []uint16{6})
		check("read and write", regs, err, []uint16{6, 7, 8, 0x17})

		who, err := c.Identification(ctx, 17, modbus.Basic)
		check("identification", who, err, map[byte]string{0: "edge", 1: "M", 2: "1.0"})

		_, err = c.ReadRegisters(ctx, 17, modbus.ReadHoldingRegisters, 0x6B, 5)
		is(t, "beyond the end", err, modbus.IllegalDataAddress)
		_, err = c.Do(ctx, 17, modbus.PDU{99})
		is(t, "function 99", err, modbus.IllegalFunction)
		_, err = c.ReadRegisters(ctx, 18, modbus.ReadHoldingRegisters, 0x6B, 1)
		is(t, "a unit that is not there", err, modbus.ErrTimeout)
	})
}
