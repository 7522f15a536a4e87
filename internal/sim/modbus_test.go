package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// char is a character of 8N1 at 9600 baud.
const char = 10 * time.Second / 9600

// hear reads n bytes from an end and says when the last of them came.
func hear(t *testing.T, e *sim.BusEnd, n int) ([]byte, time.Duration) {
	t.Helper()
	start, got, buf := time.Now(), []byte(nil), make([]byte, 64)
	for len(got) < n {
		m, err := e.Read(buf)
		if err != nil {
			t.Fatalf("after % X: %v", got, err)
		}
		got = append(got, buf[:m]...)
	}
	return got, time.Since(start)
}

func TestBusTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sim.NewBus(9600, 10)
		a, b, echoing := bus.Tie(), bus.Tie(), bus.TieEcho()
		for range 2 {
			if _, err := a.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		if got, took := hear(t, b, 10); string(got) != "hellohello" || took != 10*char {
			t.Errorf("heard %q after %v, want hellohello after %v", got, took, 10*char)
		}
		if _, err := echoing.Write([]byte("xyz")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := echoing.Drain(t.Context()); err != nil || time.Since(start) != 3*char {
			t.Errorf("Drain: %v after %v, want nil after %v", err, time.Since(start), 3*char)
		}
		if got, took := hear(t, echoing, 13); string(got) != "hellohelloxyz" || took != 0 {
			t.Errorf("the echoing end heard %q after %v", got, took)
		}
		if busy := bus.Busy(); busy != 13*char {
			t.Errorf("Busy = %v, want %v", busy, 13*char)
		}
	})
}

func TestBusClash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := sim.NewBus(9600, 10)
		a, b, c := bus.Tie(), bus.Tie(), bus.Tie()
		say := func(e *sim.BusEnd, s string) {
			if _, err := e.Write([]byte(s)); err != nil {
				t.Error(err)
			}
		}
		say(a, "0123456789")
		time.Sleep(5*char + char/2) // in the bubble's time
		say(b, "abcdefghij")
		got, took := hear(t, c, 20)
		if !bytes.HasPrefix(got, []byte("01234")) || bytes.Contains(got, []byte("789")) || bytes.Contains(got, []byte("hij")) {
			t.Errorf("two who speak at once are heard as %q", got)
		}
		if took != 10*char { // after the first half
			t.Errorf("that took %v, want %v", took, 10*char)
		}
		say(a, "ok")
		if got, _ := hear(t, c, 2); string(got) != "ok" {
			t.Errorf("afterwards: %q, want ok", got)
		}
	})
}

func TestBusEndContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := sim.NewBus(9600, 10).Tie()
		start := time.Now()
		_ = e.SetReadDeadline(start.Add(time.Minute))
		if _, err := e.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		_ = e.SetReadDeadline(time.Time{})
		_ = e.SetWriteDeadline(start)
		if _, err := e.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write after its deadline: %v", err)
		}
		ended := make(chan error)
		go func() { _, err := e.Read(make([]byte, 1)); ended <- err }()
		synctest.Wait()
		_ = e.Close()
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read during Close: %v", err)
		}
		if _, err := e.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

// serve serves units until the test ends.
func serve(t *testing.T, bus *sim.Bus, timing modbus.Timing, units ...*sim.Unit) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- bus.Serve(ctx, modbus.RTU, timing, units...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Twenty units are asked in turn; one is dead, one slow, one garbles.
func TestUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, timing := sim.NewBus(9600, 10), modbus.Timing{Baud: 9600, BitsPerChar: 10, Timeout: 200 * time.Millisecond}
		units := make([]*sim.Unit, 20)
		for i := range units {
			m := &modbus.Memory{}
			m.Set(modbus.InputRegisters, 0, uint16(i+1), 2, 3)
			m.Set(modbus.Coils, 0, 0)
			units[i] = sim.NewUnit(byte(i+1), m)
		}
		units[3].Break(sim.Dead)
		units[4].Break(sim.Garbling)
		units[5].Slow(150 * time.Millisecond)
		units[6].Slow(207 * time.Millisecond) // too late: it talks into the next request
		serve(t, bus, timing, units...)
		c := modbus.NewClient(bus.TieEcho(), modbus.RTU, timing)

		ask := func(unit byte) string {
			start := time.Now()
			regs, err := c.ReadRegisters(t.Context(), unit, modbus.ReadInputRegisters, 0, 3)
			var frame *modbus.FrameError
			switch took := time.Since(start); {
			case errors.Is(err, modbus.ErrTimeout):
				return "timeout"
			case errors.As(err, &frame):
				return "garbage"
			case err != nil || regs[0] != uint16(unit):
				t.Fatalf("unit %d: %v, %v", unit, regs, err)
			case took > 100*time.Millisecond:
				return "slow"
			}
			return "ok"
		}
		want := map[byte]string{4: "timeout", 5: "garbage", 6: "slow", 7: "timeout", 8: "garbage"}
		for round := range 3 {
			for unit := byte(1); unit <= 20; unit++ {
				w := "ok"
				if s, ok := want[unit]; ok {
					w = s
				}
				if got := ask(unit); got != w {
					t.Errorf("round %d, unit %d: %s, want %s", round, unit, got, w)
				}
			}
		}
		if n := units[3].Asked(); n != 3 {
			t.Errorf("the dead unit was asked %d times, want 3", n)
		}
		units[3].Break(sim.Healthy)
		if got := ask(4); got != "ok" {
			t.Errorf("a unit that is healthy again: %s", got)
		}
		pdu, _ := modbus.Request{Function: modbus.WriteSingleCoil, Bits: []bool{true}}.PDU()
		if _, err := c.Do(t.Context(), modbus.Broadcast, pdu); err != nil {
			t.Fatal(err)
		}
		for unit := byte(1); unit <= 20; unit++ {
			on, err := c.ReadBits(t.Context(), unit, modbus.ReadCoils, 0, 1)
			if got := fmt.Sprint(on, err); unit != 5 && unit != 7 && unit != 8 && got != "[true] <nil>" {
				t.Errorf("unit %d after a broadcast: %s", unit, got)
			}
		}
	})
}

// A program that opens a serial port is on the bus; one that comes later, too.
func TestBusBridge(t *testing.T) {
	bus, m := sim.NewBus(115200, 10), &modbus.Memory{}
	m.Set(modbus.InputRegisters, 0, 0x4711)
	timing := modbus.Timing{Baud: 115200, BitsPerChar: 10, Timeout: time.Minute, Gap: time.Minute}
	serve(t, bus, timing, sim.NewUnit(1, m))
	pty, err := sim.NewPTY("")
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- bus.Bridge(ctx, pty) }()
	for range 2 {
		port, err := os.OpenFile(pty.Port(), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := modbus.NewClient(port, modbus.RTU, timing)
		for range 3 {
			regs, err := c.ReadRegisters(ctx, 1, modbus.ReadInputRegisters, 0, 1)
			if err != nil || regs[0] != 0x4711 {
				t.Errorf("over a pseudo-terminal: %04X, %v", regs, err)
			}
		}
		port.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Bridge: %v", err)
	}
}
