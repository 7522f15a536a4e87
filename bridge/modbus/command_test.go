package modbus

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/modbus"
	"edge/internal/sim"
)

const boiler = `
write_window: 20s
timeout: 200ms
units:
  - id: boiler
    unit: 9
    period: 1s
    entities:
      - {id: target, kind: number, address: 0, scale: 0.5, min: 5, max: 30, write: true}
      - {id: pump, kind: switch, table: coil, address: 3, write: true}
      - {id: burner, kind: switch, address: 1, bits: "4:1", write: true}
      - {id: label, kind: text, address: 4, format: string, length: 2, write: true}
      - {id: elsewhere, kind: number, table: input, address: 0, write: true, write_table: holding, write_address: 2}
`

func boilerMemory() *modbus.Memory {
	m := memory(40, 0x0103, 0, 0, 0x4142, 0x4300)
	m.Set(modbus.Coils, 3, 0)
	m.Set(modbus.InputRegisters, 0, 7)
	return m
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := boilerMemory()
		r := connect(t, boiler, map[byte]modbus.Handler{9: m}, nil)
		r.expect("boiler_target", "20")
		for _, c := range []struct{ entity, payload, status, value, reason string }{
			{"target", `{"value":"21.5","id":"a"}`, bridge.StatusOK, "21.5", ""},
			{"pump", "ON", bridge.StatusOK, "ON", ""},
			{"pump", "TOGGLE", bridge.StatusOK, "OFF", ""},
			{"burner", "ON", bridge.StatusOK, "ON", ""},
			{"label", "XYZ", bridge.StatusOK, "XYZ", ""},
			{"target", "31", bridge.StatusRefused, "", "above the maximum, 30"},
			{"target", `{"value":"21","for":"5s"}`, bridge.StatusRefused, "", "for a time"},
			{"pump", "maybe", bridge.StatusRefused, "", "not ON, OFF or TOGGLE"},
			{"elsewhere", "8", bridge.StatusError, "7", "8 was written, and 7 is read back"},
		} {
			got := r.command("boiler_"+c.entity, c.payload)
			if got.Status != c.status || got.Value != c.value || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s of %s: %+v, want %s, value %q, reason with %q", c.payload, c.entity, got, c.status, c.value, c.reason)
			}
			if c.entity == "target" && c.status == bridge.StatusOK && (got.ID != "a" || got.Latency <= 0 || got.Latency > time.Second) {
				t.Errorf("the result has the id %q and a latency of %v", got.ID, got.Latency)
			}
		}
		r.expect("boiler_target", "21.5")
		if a := r.attr("boiler_target", isGood); a.Cause != byCommand && a.Cause != byInput {
			t.Errorf("the cause is %q", a.Cause)
		}
		want := []uint16{43, 0x0113, 8, 0, 0x5859, 0x5A00}
		if got, err := m.Get(modbus.HoldingRegisters, 0, 6); err != nil || !slices.Equal(got, want) {
			t.Errorf("the unit has %#x, %v, want %#x", got, err, want)
		}
	})
}

func TestCommandIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connect(t, boiler, map[byte]modbus.Handler{9: boilerMemory()}, nil)
		r.expect("boiler_pump", "OFF")
		r.units[9].Break(sim.Dead)
		start := time.Now()
		bridgetest.Send(t, r.Client, testBase.Set("boiler_pump"), `{"value":"ON","id":"1"}`)
		r.expect("boiler_status", "offline")
		r.attr("boiler_pump", says("does not answer"))
		bridgetest.Send(t, r.Client, testBase.Set("boiler_pump"), `{"value":"ON","id":"2"}`)
		if got := r.result("boiler_pump"); got.ID != "1" || got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "overtaken") {
			t.Errorf("the first result is %+v, want that 1 was overtaken", got)
		}
		r.units[9].Break(sim.Healthy)
		if got := r.result("boiler_pump"); got.ID != "2" || got.Status != bridge.StatusOK || got.Value != "ON" {
			t.Errorf("the second result is %+v, want that 2 is ok", got)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it took %v, longer than the window", took)
		}
		r.expect("boiler_status", "online")
		r.attr("boiler_target", isGood)
	})
}

func TestCommandRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connect(t, boiler, map[byte]modbus.Handler{9: boilerMemory()}, nil)
		r.expect("boiler_pump", "OFF")
		r.units[9].Break(sim.Dead)
		start := time.Now()
		got := r.command("boiler_pump", "ON")
		if took := time.Since(start); got.Status != bridge.StatusError || took < 19*time.Second || took > 31*time.Second {
			t.Errorf("after %v the result is %+v, want an error after the window of 20 s", took, got)
		}
		r.units[9].Break(sim.Healthy)
		r.attr("boiler_pump", isGood)
		if m, _ := r.Retained(testBase.State("boiler_pump")); string(m.Payload) != "OFF" {
			t.Errorf("a command whose time was over has switched the pump: it is %s", m.Payload)
		}
	})
}

func TestCommandRefusedByUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := boilerMemory()
		m.OnWrite = func(modbus.Table, uint16, []uint16) error { return modbus.IllegalDataValue }
		r := connect(t, boiler, map[byte]modbus.Handler{9: m}, nil)
		r.expect("boiler_pump", "OFF")
		if got := r.command("boiler_pump", "ON"); got.Status != bridge.StatusError || !strings.Contains(got.Reason, "illegal data value") {
			t.Errorf("the result is %+v, want the exception of the unit", got)
		}
	})
}

// TestCommandWithoutAnswer is a unit that is silent about what it does not let one
// write: it does not seem dead, and what it measures is read all the same.
func TestCommandWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := boilerMemory()
		m.OnWrite = func(modbus.Table, uint16, []uint16) error { return modbus.ErrSilent }
		r := connect(t, boiler, map[byte]modbus.Handler{9: m}, nil)
		r.expect("boiler_pump", "OFF")
		bridgetest.Send(t, r.Client, testBase.Set("boiler_pump"), "ON")
		for value := range uint16(15) {
			time.Sleep(time.Second) // of the bubble
			m.Set(modbus.HoldingRegisters, 0, 20+value)
			start := time.Now()
			bridgetest.Await(t, r.Client, testBase.State("boiler_target"), func(bridge.Message) bool { return true })
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("a value was read only after %v", took)
			}
		}
		if got := r.result("boiler_pump"); got.Status != bridge.StatusError || !strings.Contains(got.Reason, "no answer") {
			t.Errorf("the result is %+v, want that there was no answer", got)
		}
	})
}

// TestCommandOnce has no window: what was written once is read back all the same.
func TestCommandOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connect(t, strings.Replace(boiler, "write_window: 20s", "write_window: 0s", 1), map[byte]modbus.Handler{9: boilerMemory()}, nil)
		r.expect("boiler_pump", "OFF")
		if got := r.command("boiler_pump", "ON"); got.Status != bridge.StatusOK {
			t.Errorf("the result is %+v, want ok", got)
		}
		r.units[9].Break(sim.Dead)
		start := time.Now()
		if got := r.command("boiler_pump", "OFF"); got.Status != bridge.StatusError || time.Since(start) > time.Second {
			t.Errorf("after %v the result is %+v, want an error after one try", time.Since(start), got)
		}
	})
}

// TestCommandsWhenTheBusGoes are answered, whether they were tried or not.
func TestCommandsWhenTheBusGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, ends := sim.NewBus(9600, 10), make(chan *sim.BusEnd, 1)
		b := New(testBase, parse(t, "port: /dev/ttyS0\n"+boiler), slog.New(slog.DiscardHandler))
		b.open = func(context.Context, *Config, *slog.Logger) (port, error) {
			end := line.Tie()
			ends <- end
			return end, nil
		}
		c, ended := new(bridgetest.Client), make(chan error, 1)
		go func() { ended <- b.Run(t.Context(), c) }()
		bridgetest.Expect(t, c, testBase.Status(), bridge.Online)
		bridgetest.Send(t, c, testBase.Set("boiler_pump"), "ON")
		bridgetest.Send(t, c, testBase.Set("boiler_target"), "20")
		synctest.Wait()
		(<-ends).Close()
		for _, entity := range []string{"boiler_pump", "boiler_target"} {
			r := (&rig{Client: c, t: t}).result(entity)
			if r.Status == bridge.StatusOK || !strings.Contains(r.Reason, "the bus is gone") {
				t.Errorf("the result of %s is %+v, want that the bus is gone", entity, r)
			}
		}
		if err := <-ended; err == nil {
			t.Error("Run returned nil, want that the port is closed")
		}
	})
}
