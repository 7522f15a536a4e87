package modbus_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// Units answer when they like, up to just before twice their time-out, into the
// requests of others and over each other. No client takes the value of another
// register or unit for what it asked.
func TestLateAnswersAreNeverTakenForOthers(t *testing.T) {
	type step struct {
		unit, address byte
		fn            modbus.Function
		delay, pause  int // in ms
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			unit:    rapid.ByteRange(1, 3).Draw(t, "unit"),
			address: rapid.ByteRange(0, 4).Draw(t, "address"), // 4 is not there
			fn:      rapid.SampledFrom([]modbus.Function{modbus.ReadHoldingRegisters, modbus.ReadInputRegisters}).Draw(t, "fn"),
			delay:   rapid.SampledFrom([]int{0, 0, 90, 105, 120, 150, 180, 190}).Draw(t, "delay"),
			pause:   rapid.SampledFrom([]int{0, 0, 0, 15, 60, 110}).Draw(t, "pause"),
		}
	}), 1, 30)
	rapid.Check(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			timing := modbus.Timing{Baud: 19200, BitsPerChar: 10, Timeout: 100 * time.Millisecond}
			bus := sim.NewBus(timing.Baud, timing.BitsPerChar)
			units := make([]*sim.Unit, 4)
			for id := range units {
				m := &modbus.Memory{}
				for address := range uint16(4) {
					m.Set(modbus.HoldingRegisters, address, uint16(id)<<8|address)
					m.Set(modbus.InputRegisters, address, uint16(id)<<8|address)
				}
				units[id] = sim.NewUnit(byte(id), m)
			}
			serveBus(t, bus, modbus.RTU, timing, units[1:]...)
			c := modbus.NewClient(bus.Tie(), modbus.RTU, timing)
			for i, s := range script {
				units[s.unit].Slow(time.Duration(s.delay) * time.Millisecond)
				regs, err := c.ReadRegisters(t.Context(), s.unit, s.fn, uint16(s.address), 1)
				switch {
				case err == modbus.IllegalDataAddress && s.address < 4: //nolint:errorlint // It is returned as it is.
					rt.Errorf("step %d, %+v: an exception that is for another request", i, s)
				case err == nil && regs[0] != uint16(s.unit)<<8|uint16(s.address):
					rt.Errorf("step %d, %+v: %04X", i, s, regs)
				case err != nil && s.delay == 0 && s.address < 4 && i == 0:
					rt.Errorf("step %d, %+v: %v", i, s, err)
				}
				time.Sleep(time.Duration(s.pause) * time.Millisecond) // in the bubble's time
			}
		})
	})
}
