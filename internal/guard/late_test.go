package guard

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"edge/internal/gpiochip"
)

// TestSkew has frames of any age come from a clock that is off by anything: nobody looks
// older than he is, or newer than by what the quickest frame took.
func TestSkew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hour := rapid.Int64Range(0, int64(time.Hour))
		off := time.Duration(rapid.Int64Range(-1<<40, 1<<60).Draw(t, "offset"))
		var s skew
		var now time.Duration // of the guard
		quickest := time.Duration(1 << 62)
		for range rapid.IntRange(1, 20).Draw(t, "frames") {
			took := time.Duration(hour.Draw(t, "took"))
			now += took + time.Duration(hour.Draw(t, "gap"))
			quickest = min(quickest, took)
			wrote := now - took
			if got := s.written(now, wrote+off); got < wrote || got > wrote+quickest {
				t.Fatalf("a frame written at %v seems written at %v; the quickest took %v", wrote, got, quickest)
			}
		}
	})
}

// sleeper makes the guard of h one that the test can have sleep and wake.
func (h *house) sleeper() (sleep, wake func()) {
	awake := make(chan struct{}, 1)
	awake <- struct{}{}
	h.alive = func() {
		<-awake
		awake <- struct{}{}
	}
	return func() { <-awake }, func() { awake <- struct{}{} }
}

// inBedroom runs test in a bubble with a guard that sleeps and wakes, a main process whose
// clock began before, and the owner of a line that is on.
func inBedroom(t *testing.T, before time.Duration, test func(h *house, sleep, wake, hang func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		sleep, wake := h.sleeper()
		h.start()
		c := newClient(h.dial, h.as("main").descend, quiet)
		c.zero = c.zero.Add(-before)
		stop := run(c)
		l := h.request(c, gpiochip.LineConfig{})
		hang := owner(l)
		h.set(l, 1)
		time.Sleep(time.Second)
		test(h, sleep, wake, hang)
		l.Close()
		stop()
		h.end()
	})
}

const (
	steadyStory = "main requests 0, main sets 1"
	takenStory  = steadyStory + ", guard sets 0"
)

// TestLateBeats has beats wait for a guard that is late. They are as old as they are,
// whatever the clock of who has written them: who was alive then may not be so now.
func TestLateBeats(t *testing.T) {
	for _, before := range []time.Duration{0, 10 * 365 * 24 * time.Hour} {
		inBedroom(t, before, func(h *house, sleep, wake, hang func()) {
			sleep()
			time.Sleep(h.cfg.Patience / 2)
			hang()
			time.Sleep(h.cfg.Patience + pace(h.cfg.Patience))
			h.wantStory(steadyStory)
			wake()
			time.Sleep(pace(h.cfg.Patience) + 3*suspicion)
			h.wantStory(takenStory)
		})
	}
}

// TestLateGuard has a guard be late to whom beats have come all the time: nobody is given
// up. Who hangs later is.
func TestLateGuard(t *testing.T) {
	for _, before := range []time.Duration{0, 10 * 365 * 24 * time.Hour} {
		inBedroom(t, before, func(h *house, sleep, wake, hang func()) {
			sleep()
			time.Sleep(h.cfg.Patience + time.Second)
			wake()
			time.Sleep(20 * time.Second)
			h.wantStory(steadyStory)
			hang()
			time.Sleep(h.cfg.Patience + 3*suspicion)
			h.wantStory(takenStory)
		})
	}
}

// TestStandstill stops guard and main process together, as a machine does that stands
// still; the guard is the first to go on. The main process has time for a beat.
func TestStandstill(t *testing.T) {
	inBedroom(t, 0, func(h *house, sleep, wake, hang func()) {
		sleep()
		h.near.frozen.Store(true)
		time.Sleep(h.cfg.Patience + time.Second + 3*suspicion)
		wake() // A beat is due after the other two of the five suspicions that make a pace.
		time.Sleep(suspicion)
		h.near.frozen.Store(false)
		time.Sleep(20 * time.Second)
		h.wantStory(steadyStory)
		hang()
	})
}
