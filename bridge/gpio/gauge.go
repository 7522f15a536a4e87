package gpio

import (
	"slices"
	"strconv"
	"time"

	"edge/bridge"
	"edge/internal/gpiochip"
)

// What can be measured of an input.
const (
	Frequency = "frequency"
	Duty      = "duty"
	OnTime    = "on_time"
)

// A Quantity is what is measured of an input.
type Quantity string

// Values lists what a Quantity may be.
func (Quantity) Values() []string { return []string{Frequency, Duty, OnTime} }

// A gauge measures an input over one window after the other. Frequency and duty
// are those of the whole periods that ended in the window, by the kernel's clock
// alone: how late we come to read an edge does not matter. Zero is the frequency
// of a window in which no period ended.
type gauge struct {
	window time.Duration
	end    time.Time // of this window
	level  bool      // after the last edge

	tally   tally         // of rising edges
	first   time.Duration // time of the rising edge from which periods are counted
	last    time.Duration // time of the last one
	risen   bool          // there was one
	periods uint64        // from first to last
	lost    uint64        // periods after last, whose ends were dropped

	stage      stage
	rise, fall time.Duration // of this period
	span, on   time.Duration // of all periods of which no edge was dropped

	epoch time.Time     // zero of the kernel's clock, as far as we know
	mark  time.Time     // what was before is in time
	time  time.Duration // that the input was on in this window
}

// A stage is which edges of a period were seen.
type stage uint8

const (
	noRise stage = iota
	hasRise
	hasFall
)

// start begins the first window.
func (g *gauge) start(now time.Time, level bool) {
	*g = gauge{window: g.window, end: now.Add(g.window), level: level, mark: now}
	g.tally.begin(level)
}

// event takes an edge, before which lost others were dropped.
func (g *gauge) event(now time.Time, e gpiochip.Event, lost uint32) {
	level := e.Edge == gpiochip.Rising
	g.lost += g.tally.event(level, e.Time, lost).n
	if lost > 0 {
		g.stage = noRise
	}
	switch {
	case level:
		g.rises(e.Time)
	case g.stage == hasRise:
		g.stage, g.fall = hasFall, e.Time
	default:
		g.stage = noRise
	}
	g.pass(g.clock(now, e.Time))
	g.level = level
}

// rises ends a period and begins the next.
func (g *gauge) rises(at time.Duration) {
	if g.risen {
		g.periods += g.lost
	} else {
		g.risen, g.first = true, at
	}
	g.last, g.lost = at, 0
	if g.stage == hasFall {
		g.span += at - g.rise
		g.on += g.fall - g.rise
	}
	g.stage, g.rise = hasRise, at
}

// clock returns when the kernel's clock was at. The edge that came to us soonest
// tells best how the two clocks stand.
func (g *gauge) clock(now time.Time, at time.Duration) time.Time {
	if zero := now.Add(-at); g.epoch.IsZero() || zero.Before(g.epoch) {
		g.epoch = zero
	}
	return g.epoch.Add(at)
}

// pass has the input be what it is until then. An edge that comes late takes back
// what was too much.
func (g *gauge) pass(then time.Time) {
	if g.level {
		g.time += then.Sub(g.mark)
	}
	g.mark = then
}

// expire ends a window that is over, and returns what was measured.
func (g *gauge) expire(now time.Time) (values map[Quantity]string, over bool) {
	if now.Before(g.end) {
		return nil, false
	}
	g.pass(now)
	values = map[Quantity]string{Frequency: "0", Duty: "0", OnTime: g.takeTime()}
	if span := g.last - g.first; g.periods > 0 && span > 0 {
		values[Frequency] = significant(float64(g.periods) * float64(time.Second) / float64(span))
		g.first, g.periods = g.last, 0
	}
	switch {
	case g.span > 0:
		values[Duty] = strconv.FormatFloat(100*float64(g.on)/float64(g.span), 'f', 1, 64)
	case g.level:
		values[Duty] = "100"
	}
	g.span, g.on = 0, 0
	if g.end = g.end.Add(g.window); !now.Before(g.end) {
		g.end = now.Add(g.window)
	}
	return values, true
}

// takeTime returns how long the input was on, in seconds. What is left over is of
// the next window.
func (g *gauge) takeTime() string {
	t := min(max(g.time, 0), g.window)
	g.time -= t
	return strconv.FormatFloat(t.Seconds(), 'f', 3, 64)
}

// A scope publishes what a gauge measures.
type scope struct {
	gauge
	pin  Pin
	post *post
	told map[Quantity]string
}

func newScope(p Pin, post *post) *scope {
	return &scope{gauge: gauge{window: p.window()}, pin: p, post: post, told: make(map[Quantity]string)}
}

// expire publishes what has changed when a window is over.
func (s *scope) expire(now time.Time) {
	values, _ := s.gauge.expire(now)
	for q, v := range values {
		if slices.Contains(s.pin.Measure, q) && s.told[q] != v {
			s.told[q] = v
			s.post.scalar(s.pin.measureID(q), v)
		}
	}
}

// start begins to measure; nothing is published of a window that has not ended.
func (s *scope) start(now time.Time, level bool) {
	s.gauge.start(now, level)
	clear(s.told)
	for _, q := range s.pin.Measure {
		s.post.attr(s.pin.measureID(q), bridge.Attr{})
	}
}
