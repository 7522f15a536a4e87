package gpio

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/internal/gpiochip"
)

// TestGaugeModel measures a signal whose edges come late by any time, and of which
// some are lost, and compares with the signal itself.
func TestGaugeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window, late = 10 * time.Second, 50 * time.Millisecond
		on := time.Duration(rapid.IntRange(1, 400).Draw(t, "on")) * time.Millisecond
		off := time.Duration(rapid.IntRange(1, 400).Draw(t, "off")) * time.Millisecond
		boot := time.Unix(1000, 0) // zero of the kernel's clock
		g := gauge{window: window}
		g.start(boot, false)
		var seen float64 // seconds on, as told
		var measured map[Quantity]string
		wake := func(now time.Time) {
			if v, over := g.expire(now); over {
				measured = v
				s, err := strconv.ParseFloat(v[OnTime], 64)
				if seen += s; err != nil {
					t.Fatal(err)
				}
			}
		}
		at, level, lost := off, true, uint32(0)
		mayLose := rapid.Bool().Draw(t, "lossy")
		for at < 3*window {
			now := boot.Add(at)
			if at > off { // The first is not late: it sets the clock.
				now = now.Add(time.Duration(rapid.IntRange(0, int(late/time.Microsecond)).Draw(t, "late")) * time.Microsecond)
			}
			wake(now)
			if mayLose && rapid.IntRange(0, 3).Draw(t, "lose") == 0 {
				lost++
			} else {
				e := gpiochip.Event{Edge: gpiochip.Falling, Time: at}
				if level {
					e.Edge = gpiochip.Rising
				}
				g.event(now, e, lost)
				lost = 0
			}
			if level {
				at += on
			} else {
				at += off
			}
			level = !level
		}
		wake(boot.Add(3 * window))
		near(t, "frequency", measured[Frequency], 1/(on+off).Seconds(), 0.001)
		if !mayLose { // With losses there may be no whole period in a window.
			near(t, "duty", measured[Duty], 100*on.Seconds()/(on+off).Seconds(), 0.01)
			want := 3 * window.Seconds() * on.Seconds() / (on + off).Seconds()
			if math.Abs(seen-want) > (on + off + late).Seconds() {
				t.Fatalf("on for %g s, want %g", seen, want)
			}
		}
	})
}

// near checks a value to a part of it, and to what is left out in print.
func near(t *rapid.T, what, got string, want, part float64) {
	f, err := strconv.ParseFloat(got, 64)
	if err != nil || math.Abs(f-want) > want*part+0.05*part*100 {
		t.Fatalf("%s %s, want %g", what, got, want)
	}
}

// TestGaugeStill has a line that does not move.
func TestGaugeStill(t *testing.T) {
	for _, on := range []bool{false, true} {
		g := gauge{window: time.Second}
		g.start(time.Unix(0, 0), on)
		if _, over := g.expire(time.Unix(0, 999_999_999)); over {
			t.Error("the window is over too soon")
		}
		want := map[bool][3]string{false: {"0", "0", "0.000"}, true: {"0", "100", "1.000"}}[on]
		for n := range 3 {
			v, over := g.expire(time.Unix(int64(n)+1, 0))
			if got := [3]string{v[Frequency], v[Duty], v[OnTime]}; !over || got != want {
				t.Errorf("on %t: %v, %t; want %v", on, got, over, want)
			}
		}
		if _, _ = g.expire(time.Unix(60, 0)); !g.end.Equal(time.Unix(61, 0)) {
			t.Errorf("after a long sleep the next window ends at %v", g.end)
		}
	}
}
