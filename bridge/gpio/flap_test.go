package gpio

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDamperModel holds the damper to what it promises: all is told below the
// limit, little above it, and the last state always.
func TestDamperModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		d := damper{Flapping: Flapping{limit, 10 * time.Second}}
		now := time.Unix(1000, 0)
		state, told := 0, 0 // numbers of the last change, and of the one that was told last
		var last time.Time
		publish := func(yes, wasMuted bool) {
			if !yes {
				return
			}
			if wasMuted && d.muted && now.Sub(last) < mutedEvery {
				t.Fatalf("told twice within %v while it flaps", now.Sub(last))
			}
			told, last = state, now
		}
		pass := func(d *damper, by time.Duration) {
			end := now.Add(by)
			for due := d.due(); !due.IsZero() && !due.After(end); due = d.due() {
				now = due
				was := d.muted
				publish(d.expire(now), was)
			}
			now = end
		}
		var recent []time.Time
		for range rapid.IntRange(1, 80).Draw(t, "changes") {
			pass(&d, time.Duration(rapid.IntRange(0, 4000).Draw(t, "gap"))*time.Millisecond)
			state++
			was := d.muted
			publish(d.change(now), was)
			recent = append(recent, now)
			n := 0
			for _, at := range recent {
				if now.Sub(at) <= 20*time.Second {
					n++
				}
			}
			if n <= limit && (d.muted || told != state) {
				t.Fatalf("%d changes in 20s are too many for %d in 10s", n, limit)
			}
		}
		pass(&d, 21*time.Second)
		if d.muted || told != state || !d.due().IsZero() {
			t.Fatalf("at rest: muted %t, change %d told of %d, due %v", d.muted, told, state, d.due())
		}
	})
}

func TestDamperOff(t *testing.T) {
	var d damper
	for range 10_000 {
		if !d.change(time.Unix(0, 0)) || d.muted {
			t.Fatal("a change was not told, without a limit")
		}
	}
}
