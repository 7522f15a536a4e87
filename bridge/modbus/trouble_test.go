package modbus

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/internal/modbus"
)

// TestUnitsHaveTheirTimes: one unit needs longer than all others may, and is waited
// for; another one is given up sooner.
func TestUnitsHaveTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connect(t, `
timeout: 200ms
units:
  - {id: slow, unit: 1, period: 1s, timeout: 2s, entities: [{id: a, address: 0}]}
  - {id: brisk, unit: 2, period: 1s, timeout: 50ms, entities: [{id: a, address: 0}]}
  - {id: plain, unit: 3, period: 1s, entities: [{id: a, address: 0}]}
`, map[byte]modbus.Handler{1: memory(1), 2: memory(2), 3: memory(3)}, func(*Bridge) {})
		r.expect("brisk_a", "2")
		r.units[1].Slow(400 * time.Millisecond)
		r.units[2].Slow(100 * time.Millisecond)
		r.units[3].Slow(100 * time.Millisecond)
		r.attr("brisk_a", says("does not answer"))
		a := r.attr("slow_status", func(a bridge.Attr) bool { return a.Counters["requests"] > 10 })
		b := r.attr("plain_status", func(a bridge.Attr) bool { return a.Counters["requests"] > 10 })
		if a.Counters["timeouts"]+b.Counters["timeouts"] != 0 {
			t.Errorf("the slow unit has the counters %v and the plain one %v, want no time-outs", a.Counters, b.Counters)
		}
	})
}

// TestBusyUnit says for a while that it is busy: it is asked less often, and after that
// as it was before.
func TestBusyUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(1, 2, 3, 4)
		var busy atomic.Bool
		m.OnRead = func(modbus.Table, uint16, uint16) error {
			if busy.Load() {
				return modbus.DeviceBusy
			}
			return nil
		}
		r := connect(t, `
units:
  - unit: 1
    period: 1s
    entities: [{id: a, address: 0}, {id: b, address: 1}, {id: c, address: 3}]
`, map[byte]modbus.Handler{1: m}, nil)
		r.expect("c", "4")
		r.attr("a", isGood)
		busy.Store(true)
		r.attr("a", says("busy"))
		before := r.units[1].Asked()
		time.Sleep(time.Minute) // of the bubble
		if asked := r.units[1].Asked() - before; asked > 20 {
			t.Errorf("the busy unit was asked %d times in a minute", asked)
		}
		busy.Store(false)
		r.attr("a", isGood)
		r.expect("unit_status", "online")
		before = r.units[1].Asked()
		time.Sleep(time.Minute)
		if asked := r.units[1].Asked() - before; asked < 59 || asked > 61 {
			t.Errorf("then it was asked %d times in a minute, want once a second", asked)
		}
	})
}

// TestNoise has somebody speak out of turn all the time.
func TestNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(0)
		r := connect(t, "units: [{unit: 1, period: 500ms, entities: [{id: a, address: 0}]}]", map[byte]modbus.Handler{1: m}, nil)
		r.expect("a", "0")
		noise, random := r.line.Tie(), rand.New(rand.NewPCG(1, 2))
		defer noise.Close()
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(time.Duration(50+random.IntN(300)) * time.Millisecond):
				}
				b := make([]byte, 1+random.IntN(40))
				for i := range b {
					b[i] = byte(random.Uint32())
				}
				_, _ = noise.Write(b)
			}
		}()
		for value := range uint16(60) {
			m.Set(modbus.HoldingRegisters, 0, value+1)
			start := time.Now()
			r.expect("a", fmt.Sprint(value+1))
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("value %d was read only after %v", value+1, took)
			}
		}
	})
}
