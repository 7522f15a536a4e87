package modbus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// A spy hears when the line was silent, for how long, before each frame.
type spy struct {
	end    *sim.BusEnd
	pauses []time.Duration
	done   chan struct{}
}

func spyOn(bus *sim.Bus, char time.Duration) *spy {
	s := &spy{end: bus.Tie(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		last, b := time.Now(), make([]byte, 1)
		for {
			if _, err := s.end.Read(b); err != nil {
				return
			}
			if pause := time.Since(last) - char; pause > char {
				s.pauses = append(s.pauses, pause)
			}
			last = time.Now()
		}
	}()
	return s
}

// silences returns the pauses after the first.
func (s *spy) silences() []time.Duration {
	s.end.Close()
	<-s.done
	return s.pauses[1:]
}

// onBus returns a client on a bus with unit 17, and who hears all.
func onBus(t *testing.T, timing modbus.Timing, m *modbus.Memory) (*modbus.Client, *sim.Unit, *spy) {
	t.Helper()
	bus, unit := sim.NewBus(timing.Baud, timing.BitsPerChar), sim.NewUnit(17, m)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- bus.Serve(ctx, modbus.RTU, timing, unit) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	char := time.Duration(timing.BitsPerChar) * time.Second / time.Duration(timing.Baud)
	return modbus.NewClient(bus.Tie(), modbus.RTU, timing), unit, spyOn(bus, char)
}

// Frames are 3.5 characters apart, above 19200 baud 1.75 ms (SL §2.5.1.1), or
// as far as the unit wants.
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		baud        int
		guard, unit time.Duration // of the line and of the unit
		want        time.Duration // before a request
		reply       time.Duration // before a reply
	}{
		{9600, 0, 0, 385 * time.Second / 96000, 385 * time.Second / 96000},
		{19200, 0, 0, 385 * time.Second / 192000, 385 * time.Second / 192000},
		{115200, 0, 0, 1750 * time.Microsecond, 1750 * time.Microsecond},
		{9600, time.Millisecond, 0, 385 * time.Second / 96000, 385 * time.Second / 96000},
		{9600, 10 * time.Millisecond, 0, 10 * time.Millisecond, 10 * time.Millisecond},
		{9600, 10 * time.Millisecond, 30 * time.Millisecond, 30 * time.Millisecond, 10 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := meter()
			c, _, spy := onBus(t, modbus.Timing{Baud: tt.baud, BitsPerChar: 11, Guard: tt.guard}, m)
			c.SetGuard(17, tt.unit)
			for range 3 {
				if _, err := c.ReadRegisters(t.Context(), 17, modbus.ReadInputRegisters, 0, 2); err != nil {
					t.Fatal(err)
				}
			}
			pauses := spy.silences()
			if len(pauses) != 5 {
				t.Fatalf("the line was silent %d times, want 5: %v", len(pauses), pauses)
			}
			for i, got := range pauses {
				want := tt.want
				if i%2 == 0 {
					want = tt.reply
				}
				if got < want-time.Microsecond || got > want+time.Microsecond {
					t.Errorf("%+v: silence %d is %v, want %v", tt, i, got, want)
				}
			}
		})
	}
}

func TestBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter()
		c, unit, spy := onBus(t, modbus.Timing{Baud: 19200, BitsPerChar: 11, Turnaround: 150 * time.Millisecond}, m)
		start := time.Now()
		if err := c.WriteRegister(t.Context(), modbus.Broadcast, 0x6B, 5); err != nil {
			t.Fatal(err)
		}
		sent := 8 * 11 * time.Second / 19200
		if took := time.Since(start); took < 150*time.Millisecond+sent || took > 153*time.Millisecond+sent {
			t.Errorf("a broadcast took %v, want 150ms of turnaround and %v", took, sent)
		}
		if v, _ := m.Get(modbus.HoldingRegisters, 0x6B, 1); v[0] != 5 {
			t.Errorf("the register is %d, want 5", v[0])
		}
		if _, err := c.ReadRegisters(t.Context(), modbus.Broadcast, modbus.ReadInputRegisters, 0, 2); err == nil || unit.Asked() != 1 {
			t.Errorf("a broadcast that reads: %v, and the unit was asked %d times", err, unit.Asked())
		}
		if pauses := spy.silences(); len(pauses) != 0 {
			t.Errorf("somebody spoke after the broadcast: %v", pauses)
		}
	})
}

// Each unit has its own time to answer.
func TestTimeoutOfUnit(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		c := line(t, f, modbus.Timing{Timeout: 100 * time.Millisecond}, modbus.Units{})
		c.SetTimeout(2, 5*time.Second)
		for unit, want := range map[byte]time.Duration{1: 100 * time.Millisecond, 2: 5 * time.Second} {
			start := time.Now()
			_, err := c.ReadRegisters(t.Context(), unit, modbus.ReadInputRegisters, 0, 2)
			is(t, "a unit that is not there", err, modbus.ErrTimeout)
			if took := time.Since(start); took < want || took > want+10*time.Millisecond {
				t.Errorf("unit %d: given up after %v, want %v", unit, took, want)
			}
		}
	})
}

func TestContextEndsRequest(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		c := line(t, f, modbus.Timing{Timeout: time.Hour}, modbus.Units{17: meter()})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		var all sync.WaitGroup
		for range 2 { // one asks, the other waits for his turn
			all.Go(func() {
				_, err := c.ReadRegisters(ctx, 18, modbus.ReadInputRegisters, 0, 2)
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
					t.Errorf("%v after %v, want %v after 3s", err, took, context.DeadlineExceeded)
				}
			})
		}
		all.Wait()
		if _, err := c.ReadRegisters(t.Context(), 17, modbus.ReadInputRegisters, 0, 2); err != nil {
			t.Errorf("the next request: %v", err)
		}
	})
}

func TestManyAskAtOnce(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		units := modbus.Units{}
		for id := byte(1); id <= 10; id++ {
			m := &modbus.Memory{}
			m.Set(modbus.InputRegisters, 0, uint16(id))
			units[id] = m
		}
		c := line(t, f, modbus.Timing{}, units)
		var all sync.WaitGroup
		for id := range units {
			all.Go(func() {
				for range 10 {
					regs, err := c.ReadRegisters(t.Context(), id, modbus.ReadInputRegisters, 0, 1)
					if err != nil || regs[0] != uint16(id) {
						t.Errorf("unit %d: %v, %v", id, regs, err)
					}
				}
			})
		}
		all.Wait()
	})
}

// An answer that comes after its time is not taken for that to the next
// request.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, modbus.RTU, func(n int, req []byte) []piece {
			if n == 0 {
				return []piece{{1001 * time.Millisecond, in(t, modbus.RTU, req, 17, 3, 2, 0, 1)}}
			}
			return []piece{{bytes: in(t, modbus.RTU, req, 17, 3, 2, 0, 2)}}
		})
		ask := func() ([]uint16, error) { return c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1) }
		_, err := ask()
		is(t, "a late answer", err, modbus.ErrTimeout)
		time.Sleep(time.Second) // in the bubble's time
		if regs, err := ask(); err != nil || regs[0] != 2 {
			t.Errorf("the next request got %v, %v, want 2", regs, err)
		}
	})
}

// Nor is one that comes after the next request could have been sent, be it values
// or an exception.
func TestLateAnswerIsOwed(t *testing.T) {
	for _, late := range [][]byte{{3, 2, 0, 1}, {0x83, 2}} {
		for _, address := range []uint16{0, 1} { // the same again, and another
			synctest.Test(t, func(t *testing.T) {
				c := scripted(t, modbus.RTU, func(n int, req []byte) []piece {
					if n == 0 {
						return []piece{{1500 * time.Millisecond, in(t, modbus.RTU, req, 17, late...)}}
					}
					return []piece{{bytes: in(t, modbus.RTU, req, 17, 3, 2, 0, 2)}}
				})
				start := time.Now()
				_, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1)
				is(t, "a late answer", err, modbus.ErrTimeout)
				regs, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, address, 1)
				if err != nil || regs[0] != 2 {
					t.Errorf("after % X came late, address %d: %v, %v, want 2", late, address, regs, err)
				}
				if took := time.Since(start).Round(100 * time.Millisecond); took != 2*time.Second {
					t.Errorf("asked again after %v, want twice the time-out", took)
				}
			})
		}
	}
}

func TestLateTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held []byte // the late answer; a piece of it comes first
		c := scripted(t, modbus.TCP, func(n int, req []byte) []piece {
			answer := in(t, modbus.TCP, req, 17, 3, 2, 0, byte(n))
			switch n {
			case 0:
				held = answer
				return nil
			case 1:
				return []piece{{bytes: held[:5]}, {1100 * time.Millisecond, held[5:]}, {bytes: answer}}
			}
			return []piece{{bytes: answer}}
		})
		ask := func() ([]uint16, error) { return c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1) }
		for n, want := range []string{"[] no answer", "[] no answer", "[2] <nil>"} {
			if regs, err := ask(); fmt.Sprint(regs, err) != want {
				t.Errorf("request %d: %v, %v, want %s", n, regs, err, want)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := scripted(t, modbus.TCP, func(_ int, req []byte) []piece {
			req[1]-- // the transaction
			return []piece{{bytes: in(t, modbus.TCP, req, 17, 3, 2, 0, 1)}}
		})
		_, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1)
		if kindOf(err) != string(modbus.Transaction) {
			t.Errorf("an answer to another transaction: %v", err)
		}
	})
}

// What the port says, the caller is told.
func TestPortIsGone(t *testing.T) {
	eachFraming(t, func(t *testing.T, f modbus.Framing) {
		near, far := net.Pipe()
		far.Close()
		c := modbus.NewClient(near, f, modbus.Timing{})
		_, err := c.ReadRegisters(t.Context(), 17, modbus.ReadHoldingRegisters, 0, 1)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v, want that of the port", err)
		}
	})
}
