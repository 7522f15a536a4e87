package gpio

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A hanging is a shutter with a blind behind it, whose motor is a little slower or
// faster than configured, and with an owner who is late.
type hanging struct {
	*rapid.T
	shutter
	now    time.Time
	pos    float64    // where the blind is
	speed  [2]float64 // of what is configured, closing and opening
	stuck  bool
	lines  sight
	starts time.Time // when the motor may be on, with the dead time
	off    float64   // how far the position may be off, since the last end
}

// TestShutterModel moves a blind by random commands. Where the shutter believes it to
// be is right but for what the motor's speed adds; its motor never runs on, and
// whatever was commanded last ends.
func TestShutterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hanging{T: t, now: time.Unix(1e9, 0), pos: rapid.Float64Range(0, 1).Draw(t, "pos")}
		h.Cover = Cover{OpenTime: h.time("open_time", 60), CloseTime: h.time("close_time", 60), DeadTime: 500 * time.Millisecond}
		if rapid.Bool().Draw(t, "open_switch") {
			h.OpenSwitch = "o"
		}
		if rapid.Bool().Draw(t, "close_switch") {
			h.CloseSwitch = "c"
		}
		h.Overrun = rapid.SampledFrom([]time.Duration{0, 3 * time.Second}).Draw(t, "overrun")
		h.speed = [2]float64{rapid.Float64Range(0.95, 1.05).Draw(t, "closing"), rapid.Float64Range(0.95, 1.05).Draw(t, "opening")}
		h.at, h.starts = h.now, h.now
		h.lost()
		h.look()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				h.stuck = !h.stuck
			case 1, 2, 3:
				h.command(rapid.SampledFrom([]string{"OPEN", "CLOSE", "STOP"}).Draw(t, "command"))
			case 4, 5:
				h.command(strconv.Itoa(rapid.IntRange(0, 100).Draw(t, "position")))
			default:
				h.wait(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "wait")) * time.Millisecond)
			}
		}
		h.wait(10 * h.longest())
		if h.goal != nil || h.lines.way != resting {
			t.Fatalf("its motor is %v long after the last command", h.lines.way)
		}
	})
}

func (h *hanging) time(name string, seconds int) time.Duration {
	return time.Duration(rapid.IntRange(1, seconds).Draw(h.T, name)) * time.Second
}

// command does what the owner does with a command.
func (h *hanging) command(value string) {
	h.look()
	known := h.known()
	g, err := h.order(value)
	if err != nil {
		if p, e := strconv.Atoi(value); e != nil || known || p == 0 || p == 100 {
			h.Fatalf("%s is refused, and the position is known: %t: %v", value, known, err)
		}
		return
	}
	h.goal = g
	if g != nil && g.way != h.lines.way {
		h.drive(resting)
		h.lines.waits = true
	}
	h.look()
}

// wait lets time pass; the owner wakes when something is due, and a little later.
func (h *hanging) wait(d time.Duration) {
	for end := h.now.Add(d); ; {
		next := end
		soonest := func(t time.Time) {
			if t.After(h.now) && t.Before(next) {
				next = t
			}
		}
		if due := h.due(); !due.IsZero() {
			late := time.Duration(rapid.IntRange(0, 20).Draw(h.T, "late")) * time.Millisecond
			soonest(due.Add(late))
			soonest(h.now.Add(max(due.Sub(h.now), 0) + late + 1))
		}
		if h.lines.waits {
			soonest(h.starts)
		}
		if step := h.step(); step != 0 {
			for _, at := range []float64{0, rim, 1 - rim, 1} {
				if left := (at - h.pos) / step; left > 0 {
					soonest(h.now.Add(time.Duration(left*float64(time.Second)) + time.Microsecond))
				}
			}
		}
		h.turn(next)
		h.look()
		if !h.now.Before(end) {
			return
		}
	}
}

// rim is how near to an end its switch is on.
const rim = 0.004

// step is how fast the blind goes, in whole ways a second.
func (h *hanging) step() float64 {
	switch {
	case h.stuck || h.lines.way == resting:
		return 0
	case h.lines.way == opening:
		return h.speed[1] / h.OpenTime.Seconds()
	}
	return -h.speed[0] / h.CloseTime.Seconds()
}

// turn moves the blind.
func (h *hanging) turn(to time.Time) {
	before, step := h.pos, h.step()*to.Sub(h.now).Seconds()
	h.pos = min(1, max(0, before+step))
	if h.stuck && h.lines.way != resting {
		h.off = 1 // until an end is found
	}
	h.off += 0.05*math.Abs(step)/0.95 + 1e-6
	h.now = to
}

func (h *hanging) drive(w way) {
	if w != h.lines.way {
		h.lines.way, h.lines.since = w, h.now
		h.starts = h.now.Add(h.DeadTime)
	}
}

// look does what the owner does after everything that happens.
func (h *hanging) look() {
	if h.lines.waits && !h.now.Before(h.starts) {
		h.lines.waits = false
		h.drive(h.goal.way)
	}
	h.lines.open = h.OpenSwitch != "" && h.pos > 1-rim
	h.lines.closed = h.CloseSwitch != "" && h.pos < rim
	h.see(h.now, h.lines)
	if h.lines.open || h.lines.closed {
		h.off = rim + 1e-5
	}
	if h.decide(h.now) == resting {
		h.drive(resting)
		h.lines.waits = false
		h.see(h.now, h.lines)
	}
	h.judge()
}

func (h *hanging) judge() {
	if !(h.low >= 0 && h.low <= h.high && h.high <= 1) {
		h.Fatalf("it is between %v and %v", h.low, h.high)
	}
	if h.pos < h.low-h.off || h.pos > h.high+h.off {
		h.Fatalf("it is at %.4f, not between %.4f and %.4f, with an error of %.4f", h.pos, h.low, h.high, h.off)
	}
	if ran := h.now.Sub(h.lines.since); h.lines.way != resting && ran > h.longest()+50*time.Millisecond {
		h.Fatalf("the motor runs for %v, longest is %v", ran, h.longest())
	}
	if p := h.position(); (p == "") == h.known() || p == "100" != (h.known() && h.ended(opening)) {
		h.Fatalf("position %q between %v and %v", p, h.low, h.high)
	}
}
