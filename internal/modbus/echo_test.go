package modbus_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// An adapter that hears itself: the echo of a write looks like its
// confirmation, and must not be taken for it.
func TestClientHearsItself(t *testing.T) {
	for _, f := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		synctest.Test(t, func(t *testing.T) {
			timing := modbus.Timing{Baud: 9600, BitsPerChar: 10}
			bus, m := sim.NewBus(9600, 10), meter()
			unit := sim.NewUnit(17, m)
			serveBus(t, bus, f, timing, unit)
			c := modbus.NewClient(bus.TieEcho(), f, timing)
			value := uint16(0)
			write := func() error {
				value++
				return c.WriteRegister(t.Context(), 17, 0x6B, value)
			}
			if err := write(); err != nil { // nothing is known of the adapter yet
				t.Errorf("%s: write: %v", f, err)
			}
			if _, err := c.ReadBits(t.Context(), 17, modbus.ReadCoils, 0x0001, 8); err != nil {
				t.Errorf("%s: read: %v", f, err)
			}
			if err := c.WriteRegisters(t.Context(), 17, 0x6B, []uint16{1, 2}); err != nil {
				t.Errorf("%s: write two: %v", f, err)
			}
			if err := c.MaskWrite(t.Context(), 17, 0x6B, 0, 1); err != nil {
				t.Errorf("%s: mask: %v", f, err)
			}
			is(t, "a register that is not there", c.WriteRegister(t.Context(), 17, 0, 1), modbus.IllegalDataAddress)
			unit.Break(sim.Dead)
			is(t, "write to a dead unit", write(), modbus.ErrTimeout)
			_, err := c.ReadBits(t.Context(), 17, modbus.ReadCoils, 0, 8)
			is(t, "read of a dead unit", err, modbus.ErrTimeout)
			unit.Break(sim.Healthy)
			is(t, "write again", write(), nil)
		})
	}
}

// The same on an adapter that does not: the first write takes as long as an
// echo would, if nothing was read before.
func TestClientDoesNotHearItself(t *testing.T) {
	for _, read := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			timing := modbus.Timing{Baud: 9600, BitsPerChar: 10, Timeout: 300 * time.Millisecond}
			bus := sim.NewBus(9600, 10)
			unit := sim.NewUnit(17, meter())
			serveBus(t, bus, modbus.RTU, timing, unit)
			c := modbus.NewClient(bus.Tie(), modbus.RTU, timing)
			if read {
				if _, err := c.ReadBits(t.Context(), 17, modbus.ReadCoils, 0, 8); err != nil {
					t.Error(err)
				}
			}
			start := time.Now()
			if err := c.WriteCoil(t.Context(), 17, 0, true); err != nil {
				t.Error(err)
			}
			if fast := time.Since(start) < 50*time.Millisecond; fast != read {
				t.Errorf("a write after a read (%t) took %v", read, time.Since(start))
			}
			unit.Break(sim.Dead)
			is(t, "write to a dead unit", c.WriteCoil(t.Context(), 17, 0, true), modbus.ErrTimeout)
		})
	}
}

// What the client knows of the adapter, it knows from the first request, also if
// nobody answers that.
func TestFirstRequestTells(t *testing.T) {
	for _, echo := range []bool{true, false} {
		for _, dead := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				timing := modbus.Timing{Baud: 9600, BitsPerChar: 10, Timeout: 300 * time.Millisecond}
				bus, unit := sim.NewBus(9600, 10), sim.NewUnit(17, meter())
				serveBus(t, bus, modbus.RTU, timing, unit)
				port := bus.Tie()
				if echo {
					port = bus.TieEcho()
				}
				c := modbus.NewClient(port, modbus.RTU, timing)
				var want error
				if dead {
					unit.Break(sim.Dead)
					want = modbus.ErrTimeout
				}
				_, err := c.ReadBits(t.Context(), 17, modbus.ReadCoils, 0, 8)
				is(t, "read", err, want)
				unit.Break(sim.Dead)
				is(t, "write to a dead unit", c.WriteCoil(t.Context(), 17, 0, true), modbus.ErrTimeout)
				unit.Break(sim.Healthy)
				start := time.Now()
				is(t, "write", c.WriteRegister(t.Context(), 17, 0x6B, 1), nil)
				if took := time.Since(start); took > 50*time.Millisecond {
					t.Errorf("echo %t, dead %t: a write took %v", echo, dead, took)
				}
			})
		}
	}
}

// serveBus serves units until the test ends.
func serveBus(t *testing.T, bus *sim.Bus, f modbus.Framing, timing modbus.Timing, units ...*sim.Unit) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- bus.Serve(ctx, f, timing, units...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A server that hears itself does not obey its own confirmations, and does
// obey a client that says the same twice.
func TestServerHearsItself(t *testing.T) {
	for _, f := range []modbus.Framing{modbus.RTU, modbus.ASCII} {
		for _, echo := range []bool{true, false} {
			for _, read := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					timing := modbus.Timing{Baud: 9600, BitsPerChar: 10}
					bus, m, writes := sim.NewBus(9600, 10), meter(), 0
					m.OnWrite = func(modbus.Table, uint16, []uint16) error { writes++; return nil }
					port := bus.Tie()
					if echo {
						port = bus.TieEcho()
					}
					ctx, cancel := context.WithCancel(t.Context())
					done := make(chan error)
					go func() {
						done <- modbus.ServeStream(ctx, port, f, timing, modbus.Units{17: m}.Has, modbus.Units{17: m})
					}()
					c := modbus.NewClient(bus.Tie(), f, timing)
					if read {
						_, err := c.ReadBits(ctx, 17, modbus.ReadCoils, 0, 8)
						is(t, "read", err, nil)
					}
					for range 3 {
						is(t, "write", c.WriteRegister(ctx, 17, 0x6B, 9), nil)
						if !read {
							time.Sleep(2 * time.Second) // in the bubble's time
						}
					}
					cancel()
					is(t, "ServeStream", <-done, nil)
					if writes != 3 {
						t.Errorf("%s, echo %t, read %t: %d writes, want 3", f, echo, read, writes)
					}
				})
			}
		}
	}
}

// A unit hears what others are asked and answer, and obeys nothing of it.
func TestServerHearsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timing := modbus.Timing{Baud: 9600, BitsPerChar: 10}
		bus := sim.NewBus(9600, 10)
		units := map[byte]*sim.Unit{}
		memories := map[byte]*modbus.Memory{}
		for id := byte(1); id <= 3; id++ {
			m := &modbus.Memory{}
			// What unit 1 answers has a whole request to unit 2 in it.
			inner := modbus.AppendRTU(nil, 2, modbus.PDU{6, 0, 0, 0, 13})
			m.Set(modbus.HoldingRegisters, 0, 0)
			for i := 0; i < len(inner); i += 2 {
				m.Set(modbus.HoldingRegisters, uint16(1+i/2), uint16(inner[i])<<8|uint16(inner[i+1]))
			}
			memories[id], units[id] = m, sim.NewUnit(id, m)
			serveBus(t, bus, modbus.RTU, timing, units[id])
		}
		c := modbus.NewClient(bus.Tie(), modbus.RTU, timing)
		for id := byte(1); id <= 3; id++ {
			_, err := c.ReadRegisters(t.Context(), id, modbus.ReadHoldingRegisters, 0, 5)
			is(t, fmt.Sprintf("read unit %d", id), err, nil)
			is(t, fmt.Sprintf("write unit %d", id), c.WriteRegister(t.Context(), id, 0, uint16(10*id)), nil)
		}
		for id, u := range units {
			v, _ := memories[id].Get(modbus.HoldingRegisters, 0, 1)
			if u.Asked() != 2 || v[0] != uint16(10*id) {
				t.Errorf("unit %d was asked %d times and has %d, want 2 and %d", id, u.Asked(), v[0], 10*id)
			}
		}
	})
}
