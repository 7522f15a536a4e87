package gpio

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A moment is an event and when it is told, in ns. Of two at the same time, the
// one of lower rank is first: what was due, then the hand, then what follows.
type moment struct {
	at   int64
	rank int
	name string
}

// A press is from when to when a button is held.
type press struct{ down, up int64 }

// definition says what is to be told of presses, as the documentation does.
func (c Clicks) definition(presses []press, end int64) (all []moment) {
	var clicks []press // that count together
	tell := func(at int64, rank int) {
		if len(clicks) > 0 {
			all = append(all, moment{at, rank, clickNames[len(clicks)-1]})
		}
		clicks = nil
	}
	for _, p := range presses {
		if n := len(clicks); n > 0 && p.down-clicks[n-1].up >= int64(c.Double) {
			tell(clicks[n-1].up+int64(c.Double), 0)
		}
		all = append(all, moment{p.down, 1, eventPress}, moment{p.up, 1, eventRelease})
		if long := p.down + int64(c.Long); c.Long > 0 && long <= p.up {
			tell(long, 0)
			all = append(all, moment{long, 0, eventLong})
			for at := long + int64(c.Hold); c.Hold > 0 && at <= p.up; at += int64(c.Hold) {
				all = append(all, moment{at, 0, eventHold})
			}
			continue
		}
		clicks = append(clicks, p)
		if len(clicks) == 3 || c.Double == 0 {
			tell(p.up, 2)
		}
	}
	if n := len(clicks); n > 0 {
		tell(clicks[n-1].up+int64(c.Double), 0)
	}
	all = slices.DeleteFunc(all, func(m moment) bool { return m.at > end })
	slices.SortStableFunc(all, func(a, b moment) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return a.rank - b.rank
	})
	return all
}

// TestClicksModel holds the state machine to its definition, with an owner that
// wakes when something is due.
func TestClicksModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Clicks{
			Double: time.Duration(rapid.IntRange(0, 10).Draw(t, "double")),
			Long:   time.Duration(rapid.IntRange(0, 20).Draw(t, "long")),
			Hold:   time.Duration(rapid.IntRange(0, 8).Draw(t, "hold")),
		}
		c := clicker{Clicks: cfg}
		var got []string
		note := func(now int64, told []string) {
			for _, name := range told {
				got = append(got, fmt.Sprint(now, " ", name))
			}
		}
		now := int64(1000)
		pass := func(d int) {
			end := now + int64(d)
			for !c.due.IsZero() && c.due.UnixNano() <= end {
				now = c.due.UnixNano()
				note(now, c.expire(c.due))
			}
			now = end
		}
		var presses []press
		for range rapid.IntRange(1, 12).Draw(t, "presses") {
			pass(rapid.IntRange(1, 15).Draw(t, "gap"))
			p := press{down: now}
			note(now, c.edge(time.Unix(0, now), true))
			pass(rapid.IntRange(1, 40).Draw(t, "length"))
			p.up = now
			note(now, c.edge(time.Unix(0, now), false))
			presses = append(presses, p)
		}
		pass(rapid.IntRange(0, 15).Draw(t, "rest"))
		var want []string
		for _, m := range cfg.definition(presses, now) {
			if want = append(want, fmt.Sprint(m.at, " ", m.name)); !slices.Contains(cfg.events(), m.name) {
				t.Fatalf("%s is not among the events that are announced, %v", m.name, cfg.events())
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v, presses %v:\n got %v\nwant %v", cfg, presses, got, want)
		}
	})
}

// TestClickHeldAtStart has a button that is held when the bridge begins: nobody
// pressed it.
func TestClickHeldAtStart(t *testing.T) {
	c := clicker{Clicks: Clicks{Double: 400, Long: 1000}}
	if told := c.edge(time.Unix(0, 1), false); told != nil || !c.due.IsZero() {
		t.Errorf("the release of a press that nobody saw tells %v", told)
	}
}

// TestClickLate has an owner that comes long after something was due.
func TestClickLate(t *testing.T) {
	c := clicker{Clicks: Clicks{Long: 1000, Hold: 100}}
	c.edge(time.Unix(0, 0), true)
	if got, want := c.expire(time.Unix(60, 0)), []string{eventLong}; !slices.Equal(got, want) {
		t.Errorf("a minute late it tells %v, want %v", got, want)
	}
	if got, want := c.expire(time.Unix(60, 100)), []string{eventHold}; !slices.Equal(got, want) {
		t.Errorf("then it tells %v, want %v", got, want)
	}
}
