package sim_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// float returns a number of a meter that has just been asked for it.
func float(t *testing.T, m *sim.Meter, address byte) float32 {
	t.Helper()
	reply, err := m.Serve(1, modbus.PDU{byte(modbus.ReadInputRegisters), 0, address, 0, 2})
	if err != nil || len(reply) != 6 {
		t.Fatalf("register %#x: % X, %v", address, reply, err)
	}
	var bits uint32
	for _, b := range reply[2:] {
		bits = bits<<8 | uint32(b)
	}
	return math.Float32frombits(bits)
}

func TestMeterCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sim.NewMeter(100)
		if p := float(t, m, 0x0C); p != 100 {
			t.Errorf("at the start the house takes %g W, want 100", p)
		}
		time.Sleep(time.Minute) // of the bubble
		if p := float(t, m, 0x0C); p != 600 {
			t.Errorf("after a minute the house takes %g W, want 600", p)
		}
		m.Load(2000)
		before := float(t, m, 0x48)
		time.Sleep(time.Hour)
		m.Load(-500)
		time.Sleep(2 * time.Hour)
		if taken, given := float(t, m, 0x48)-before, float(t, m, 0x4A); math.Abs(float64(taken)-2) > 1e-3 || given != 1 {
			t.Errorf("2 kW for an hour are %g kWh, and 0.5 kW back for two hours %g", taken, given)
		}
		if v, a := float(t, m, 0x00), float(t, m, 0x06); v != 230 || a < 2 {
			t.Errorf("%g V and %g A", v, a)
		}
	})
}

func TestRelaysObey(t *testing.T) {
	r := sim.NewRelays(2)
	write := func(relay, command byte) error {
		req := modbus.PDU{byte(modbus.WriteSingleRegister), 0, relay, command, 0}
		reply, err := r.Serve(1, req)
		if err == nil && string(reply) != string(req) {
			t.Errorf("the answer to % X is % X", req, reply)
		}
		return err
	}
	for i, c := range []struct {
		relay, command byte
		err            error
		on1, on2       bool
	}{
		{1, 1, nil, true, false},
		{2, 3, nil, true, true},
		{1, 2, nil, false, true},
		{2, 3, nil, false, false},
		{3, 1, modbus.IllegalDataAddress, false, false},
		{0, 1, modbus.IllegalDataAddress, false, false},
		{1, 9, modbus.IllegalDataValue, false, false},
	} {
		err := write(c.relay, c.command)
		if !errors.Is(err, c.err) || r.On(1) != c.on1 || r.On(2) != c.on2 {
			t.Errorf("%d: command %d to relay %d: %v, relays %t %t; want %v, %t %t", i, c.command, c.relay, err, r.On(1), r.On(2), c.err, c.on1, c.on2)
		}
	}
}

func TestThermometerMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := sim.NewThermometer()
		read := func() (temperature, humidity int16) {
			reply, err := room.Serve(1, modbus.PDU{byte(modbus.ReadInputRegisters), 0, 1, 0, 2})
			if err != nil || len(reply) != 6 {
				t.Fatalf("% X, %v", reply, err)
			}
			return int16(reply[2])<<8 | int16(reply[3]), int16(reply[4])<<8 | int16(reply[5])
		}
		if c, h := read(); c != 214 || h != 482 {
			t.Errorf("at the start %d and %d, want 214 and 482", c, h)
		}
		if _, err := room.Serve(1, modbus.PDU{byte(modbus.WriteSingleRegister), 1, 3, 0xFF, 0x9C}); err != nil {
			t.Fatal(err)
		}
		if c, _ := read(); c != 114 {
			t.Errorf("with a correction of -10 degrees %d, want 114", c)
		}
		time.Sleep(time.Minute) // of the bubble
		if c, h := read(); c == 114 && h == 482 {
			t.Error("the air stands still")
		}
	})
}
