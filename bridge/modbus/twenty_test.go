package modbus

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// The bus of the tests below: twenty units at 9600 baud, one of which is dead, one
// slow, and one answers garbage.
const (
	twenty       = 20
	deadUnit     = 4
	slowUnit     = 9
	garblingUnit = 14
	twentyPeriod = 2 * time.Second
	twentyTime   = 2 * time.Minute
)

// A witness notes when a unit is read.
type witness struct {
	mu    sync.Mutex
	times []time.Time
}

func (w *witness) see(modbus.Table, uint16, uint16) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times = append(w.times, time.Now())
	return nil
}

// drift returns how late a read was at most, after the moment at which it was due by
// the first one, and whether any is missing at the end.
func (w *witness) drift(end time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.times) == 0 {
		return time.Hour
	}
	first, worst := w.times[0], time.Duration(0)
	for k, at := range append(w.times, end) {
		if k < len(w.times) || at.After(first.Add(time.Duration(k)*twentyPeriod)) {
			worst = max(worst, at.Sub(first.Add(time.Duration(k)*twentyPeriod)))
		}
	}
	return worst
}

// twentyUnits runs the bus for two minutes and returns the worst drift of the
// healthy units.
func twentyUnits(t *testing.T, change func(*Bridge)) (worst time.Duration, r *rig) {
	var text strings.Builder
	fmt.Fprintf(&text, "timeout: 1s\nunits:\n")
	seen, memories := map[byte]*witness{}, map[byte]modbus.Handler{}
	for id := byte(1); id <= twenty; id++ {
		fmt.Fprintf(&text, "  - {id: u%d, unit: %d, period: %v, entities: [{id: a, address: 0}, {id: b, address: 9}]}\n", id, id, twentyPeriod)
		m := memory(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		seen[id] = new(witness)
		m.OnRead = seen[id].see
		memories[id] = m
	}
	r = connect(t, text.String(), memories, change)
	r.units[deadUnit].Break(sim.Dead)
	r.units[garblingUnit].Break(sim.Garbling)
	r.units[slowUnit].Slow(400 * time.Millisecond)
	time.Sleep(twentyTime) // of the bubble
	for id, w := range seen {
		if id != deadUnit && id != garblingUnit {
			worst = max(worst, w.drift(time.Now()))
		}
	}
	return worst, r
}

func TestTwentyUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drift, r := twentyUnits(t, nil)
		t.Logf("the worst drift of a healthy unit is %v, with a period of %v", drift, twentyPeriod)
		if drift >= twentyPeriod {
			t.Errorf("a healthy unit was read %v late, a poll or more", drift)
		}
		for id := 1; id <= twenty; id++ {
			want := "online"
			if id == deadUnit || id == garblingUnit {
				want = "offline"
			}
			if m, _ := r.Retained(testBase.State(fmt.Sprintf("u%d_status", id))); string(m.Payload) != want {
				t.Errorf("unit %d is %q, want %s", id, m.Payload, want)
			}
		}
		r.attr(fmt.Sprintf("u%d_b", deadUnit), says("does not answer"))
		r.attr(fmt.Sprintf("u%d_b", garblingUnit), says("does not answer"))
		r.attr(fmt.Sprintf("u%d_b", slowUnit), isGood)
	})
}

// TestTwentyUnitsWithoutBackOff shows that the test above finds what it looks for: the
// dead unit's time-out in the path of the others.
func TestTwentyUnitsWithoutBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drift, _ := twentyUnits(t, func(b *Bridge) { b.naive = true })
		t.Logf("the worst drift of a healthy unit is %v, with a period of %v", drift, twentyPeriod)
		if drift < twentyPeriod {
			t.Errorf("without back-off a healthy unit was read only %v late: this bus is no proof", drift)
		}
	})
}
