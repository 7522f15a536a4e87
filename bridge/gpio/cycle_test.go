package gpio

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestCycleModel changes the duty at any time, and looks late. Between two rises there
// is a period at least, unless a steady level was between them; with one duty and no
// delay, each period is on for its part exactly.
func TestCycleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := cycle{period: time.Duration(rapid.IntRange(10, 1000).Draw(t, "period")) * time.Millisecond}
		now := time.Unix(1e9, 0)
		var rose time.Time
		on := false
		look := func() {
			level := c.step(now)
			if level && !on {
				if !rose.IsZero() && now.Sub(rose) < c.period-lateness {
					t.Fatalf("it goes on %v after it did so before; its period is %v", now.Sub(rose), c.period)
				}
				rose = now
			}
			if on = level; c.duty == 0 && on || c.duty == 1 && !on {
				t.Fatalf("it is %s with a duty of %v", state(on), c.duty)
			}
			if due := c.due(); !due.IsZero() && !due.After(now) {
				t.Fatalf("at %v it is due at %v", now, due)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "set") {
				c.set(now, float64(rapid.IntRange(0, 10).Draw(t, "tenths"))/10)
				if c.start.IsZero() {
					rose = time.Time{}
				}
				look()
				continue
			}
			for end := now.Add(3 * c.period); !c.due().IsZero() && c.due().Before(end); look() {
				now = c.due().Add(time.Duration(rapid.IntRange(0, int(lateness)).Draw(t, "late")))
			}
		}
		if c.start.IsZero() {
			return
		}
		now = c.start.Add(c.period)
		look()
		if falls := c.due(); falls.Sub(now) != time.Duration(c.duty*float64(c.period)) || !on {
			t.Fatalf("it is on for %v of %v, the duty is %v", falls.Sub(now), c.period, c.duty)
		}
	})
}

// lateness is how late a cycle is looked at, at most.
const lateness = 2 * time.Millisecond
