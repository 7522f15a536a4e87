package gpio

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A train is edges that alternate, the first one at the first time.
type train struct {
	first bool // the level before
	times []time.Duration
}

func drawTrain(t *rapid.T, shortest int) train {
	tr := train{first: rapid.Bool().Draw(t, "first")}
	at := time.Duration(0)
	for range rapid.IntRange(0, 40).Draw(t, "edges") {
		at += time.Duration(rapid.IntRange(shortest, 20).Draw(t, "gap"))
		tr.times = append(tr.times, at)
	}
	return tr
}

func (tr train) level(i int) bool { return tr.first != (i%2 == 0) }

// feed gives the edges to t, but for those that lose says are lost, and returns
// what was counted.
func (tr train) feed(t *tally, lose func(i int) bool) (n uint64) {
	t.begin(tr.first)
	var lost uint32
	for i, at := range tr.times {
		if lose(i) {
			lost++
			continue
		}
		n += t.event(tr.level(i), at, lost).n
		lost = 0
	}
	return n
}

func drawTally(t *rapid.T) *tally {
	return &tally{edge: rapid.SampledFrom([]CountEdge{"", Rising, Falling, Both}).Draw(t, "edge")}
}

func counts(edge CountEdge, level bool) bool {
	return edge == Both || level == (edge != Falling)
}

// TestTallyCountsAll counts each edge that was there before the last one that was
// heard of, whatever is lost on the way.
func TestTallyCountsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, tr := drawTally(t), drawTrain(t, 0)
		heard := -1
		got := tr.feed(c, func(i int) bool {
			lost := rapid.Bool().Draw(t, "lost")
			if !lost {
				heard = i
			}
			return lost
		})
		var want uint64
		for i := range heard + 1 {
			if counts(c.edge, tr.level(i)) {
				want++
			}
		}
		if got != want {
			t.Fatalf("counted %d of %+v, want %d", got, tr, want)
		}
	})
}

// TestTallyWidth counts changes between levels that last: those that do not are
// as if they were not there.
func TestTallyWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, tr := drawTally(t), drawTrain(t, 0)
		c.width = time.Duration(rapid.IntRange(1, 15).Draw(t, "width"))
		got := tr.feed(c, func(int) bool { return false })
		var want uint64
		solid := tr.first
		for i := 0; i+1 < len(tr.times); i++ {
			if tr.times[i+1]-tr.times[i] < c.width || tr.level(i) == solid {
				continue
			}
			if solid = tr.level(i); counts(c.edge, solid) {
				want++
			}
		}
		if got != want {
			t.Fatalf("counted %d of %+v with a width of %d, want %d", got, tr, c.width, want)
		}
	})
}

// TestTallyWidthLost has a clean train of which edges are lost: they are counted.
func TestTallyWidthLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawTally(t)
		c.width = time.Duration(rapid.IntRange(1, 15).Draw(t, "width"))
		tr := drawTrain(t, int(c.width))
		heard := 0
		got := tr.feed(c, func(i int) bool {
			lost := i > 0 && rapid.Bool().Draw(t, "lost")
			if !lost {
				heard = i
			}
			return lost
		})
		var want uint64
		for i := range heard { // The last one that was heard of has not ended yet.
			if counts(c.edge, tr.level(i)) {
				want++
			}
		}
		if got != want {
			t.Fatalf("counted %d of %+v with a width of %d, want %d", got, tr, c.width, want)
		}
	})
}

// TestTallyLostStorm has a disturbance of a thousand edges in the time of one
// pulse: most are lost, and cannot all have been pulses.
func TestTallyLostStorm(t *testing.T) {
	c := tally{width: 30 * time.Millisecond}
	c.begin(false)
	c.event(true, time.Second, 0)
	if got := c.event(true, time.Second+100*time.Millisecond, 999); got.n != 2 {
		t.Errorf("counted %d in 100ms, want 2 of at least 30ms, with as much between them", got.n)
	}
}

// TestTallyStart has an edge that was there before the line was read.
func TestTallyStart(t *testing.T) {
	for _, width := range []time.Duration{0, 5} {
		c := tally{width: width}
		c.begin(true)
		n := c.event(true, 100, 0).n + c.event(false, 110, 0).n + c.event(true, 120, 0).n + c.event(false, 130, 0).n
		if n != 2 {
			t.Errorf("width %d: counted %d, want 2", width, n)
		}
	}
}

// TestTallyMerged has the kernel see one edge where there were three: level after
// it is that before it.
func TestTallyMerged(t *testing.T) {
	for _, tt := range []struct {
		edge  CountEdge
		width time.Duration
		want  uint64
	}{{Rising, 0, 2}, {Falling, 0, 2}, {Both, 0, 4}, {Rising, 5, 1}} {
		c := tally{edge: tt.edge, width: tt.width}
		c.begin(false)
		n := c.event(true, 100, 0).n + c.event(true, 120, 0).n + c.event(false, 140, 0).n
		if n != tt.want {
			t.Errorf("%s, width %d: counted %d, want %d", tt.edge, tt.width, n, tt.want)
		}
	}
}

func TestRate(t *testing.T) {
	begin := time.Unix(1000, 0)
	var r rate
	at := func(s float64) (time.Time, time.Duration) {
		d := time.Duration(s * float64(time.Second))
		return begin.Add(d), d
	}
	want := func(s, hourly float64, told bool) {
		t.Helper()
		now, _ := at(s)
		if got := r.expire(now); got != told || significant(r.hourly) != significant(hourly) {
			t.Errorf("at %gs: told %t, %g per hour; want %t, %g", s, got, r.hourly, told, hourly)
		}
	}
	pulse := func(s float64) {
		now, kernel := at(s)
		r.count(now, kernel, 1)
	}
	pulse(0)
	want(0, 0, false)
	pulse(10)
	want(10, 360, true)
	pulse(10.5)
	want(10.5, 360, false) // once a second
	pulse(11)
	want(11, 7200, true) // two in a second: a mean
	want(11.6, 7200, false)
	want(12, 3600, true) // none came since 11
	want(12.05, 3600, false)
	for n := 0; r.hourly > 0; n++ {
		if n > 100 {
			t.Fatal("the rate does not end")
		}
		due, before := r.due(), r.hourly
		if due.Before(r.told.Add(rateEvery)) || !r.expire(due) || r.hourly > before*rateStep*1.0001 {
			t.Errorf("at %v: %g after %g per hour", due.Sub(begin), r.hourly, before)
		}
	}
	if quiet := r.told.Sub(begin) - 11*time.Second; quiet < 50*time.Second || quiet > 60*time.Second {
		t.Errorf("it was zero after %v, want about a hundred times half a second", quiet)
	}
	if !r.due().IsZero() {
		t.Error("there is something due")
	}
	pulse(3611)
	want(3611, 1, true)
}

func TestDecimals(t *testing.T) {
	for _, tt := range []struct {
		perUnit float64
		pulses  uint64
		want    string
	}{
		{1, 7, "7"},
		{1000, 1234567, "1234.567"},
		{100, 5, "0.05"},
		{0.1, 3, "30"},
		{0.01, 3, "300"},
		{75, 1, "0.013"},
		{3.579, 10, "2.79"},
		{10000, 1, "0.0001"},
		{1e9, 1, "0.000000001"},
	} {
		m := meter{Counter: Counter{PerUnit: tt.perUnit}}
		if got := m.total(tt.pulses); got != tt.want {
			t.Errorf("%d pulses, %g per unit: %s, want %s", tt.pulses, tt.perUnit, got, tt.want)
		}
	}
}
