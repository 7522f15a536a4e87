package modbus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A world is a bus with units as a schedule sees it: requests take time and end in
// some way. Its clock is its own.
type world struct {
	t     *rapid.T
	now   time.Time
	start time.Time
	s     *schedule
	units []worldUnit
	items []item // as given, before they were sorted

	read   []time.Time // when each item of the schedule was read last
	gap    []time.Duration
	values []int // written, by item
	fates  map[*write]string
	calm   time.Time // gaps count from here
}

// A worldUnit answers, or not.
type worldUnit struct {
	illegal map[int]bool // addresses that are refused
	mute    map[int]bool // addresses about which it says nothing
	delay   time.Duration
	from    time.Time // it is dead from then
	until   time.Time // until then
}

func (u worldUnit) dead(now time.Time) bool { return !now.Before(u.from) && now.Before(u.until) }

const (
	worldTimeout = 100 * time.Millisecond
	worldLength  = 2 * time.Minute
)

func drawWorld(t *rapid.T) *world {
	start := time.Unix(1e9, 0)
	w := &world{t: t, now: start, start: start, fates: map[*write]string{}, calm: start.Add(worldLength / 2)}
	var units []limits
	for range rapid.IntRange(1, 4).Draw(t, "units") {
		w.units = append(w.units, drawUnit(t, start))
		units = append(units, limits{
			hole:      rapid.IntRange(0, 8).Draw(t, "hole"),
			registers: rapid.IntRange(2, 30).Draw(t, "registers"), bits: 30, timeout: worldTimeout,
		})
	}
	for range rapid.IntRange(1, 24).Draw(t, "items") {
		w.items = append(w.items, item{
			unit:   rapid.IntRange(0, len(units)-1).Draw(t, "unit"),
			table:  rapid.SampledFrom([]Table{Holding, Coil}).Draw(t, "table"),
			from:   rapid.IntRange(0, 50).Draw(t, "from"),
			count:  rapid.IntRange(1, 2).Draw(t, "count"),
			period: rapid.SampledFrom([]time.Duration{0, 500 * time.Millisecond, time.Second, 5 * time.Second}).Draw(t, "period"),
		})
	}
	w.s, _ = newSchedule(units, slices.Clone(w.items), start)
	w.read = make([]time.Time, len(w.items))
	w.gap = make([]time.Duration, len(w.items))
	w.values = make([]int, len(w.items))
	return w
}

func drawUnit(t *rapid.T, start time.Time) worldUnit {
	u := worldUnit{illegal: map[int]bool{}, mute: map[int]bool{}, delay: time.Duration(rapid.IntRange(1, 3).Draw(t, "delay")) * time.Millisecond}
	for range rapid.IntRange(0, 8).Draw(t, "illegal") {
		u.illegal[rapid.IntRange(0, 51).Draw(t, "address")] = true
	}
	if rapid.IntRange(0, 3).Draw(t, "mute") == 0 {
		u.mute[rapid.IntRange(0, 51).Draw(t, "address")] = true
	}
	switch rapid.IntRange(0, 3).Draw(t, "life") {
	case 0: // dead from the beginning to the end
		u.from, u.until = start, start.Add(worldLength)
	case 1: // for a while
		u.from = start.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "from")) * time.Second)
		u.until = u.from.Add(time.Duration(rapid.IntRange(1, 15).Draw(t, "for")) * time.Second)
	}
	return u
}

// ask does what a says, which takes time.
func (w *world) ask(a action) outcome {
	u := w.units[a.unit]
	from, count := a.from, a.count
	if a.write != nil && !a.write.written {
		it := w.s.items[a.write.item]
		from, count = it.from, it.count
	}
	is := func(set map[int]bool) bool {
		for i := range count {
			if set[from+i] {
				return true
			}
		}
		return false
	}
	if u.dead(w.now) || is(u.mute) {
		w.now = w.now.Add(worldTimeout)
		return silent
	}
	w.now = w.now.Add(u.delay)
	if is(u.illegal) {
		return illegal
	}
	return good
}

// check looks whether a is something that may be asked.
func (w *world) check(a action) {
	u := w.s.units[a.unit]
	if w.now.Before(u.resume) {
		w.t.Fatalf("unit %d is asked, but was to be left alone until %v", a.unit, u.resume.Sub(w.start))
	}
	if len(a.items) > 1 && (a.table == Holding && a.count > u.registers || a.table == Coil && a.count > u.bits) {
		w.t.Fatalf("%d registers are read at once, with a limit of %d", a.count, u.registers)
	}
	for _, i := range a.items {
		it := w.s.items[i]
		if it.unit != a.unit || it.table != a.table || it.from < a.from || it.end() > a.from+a.count {
			w.t.Fatalf("the item %+v is not in the read %+v", it, a)
		}
		if it.lacks && len(a.items) > 1 {
			w.t.Fatalf("%+v is read with others, but the unit does not have it", it)
		}
	}
}

// step does one thing, or waits.
func (w *world) step() {
	for _, x := range w.s.expired(w.now) {
		w.end(x, "late")
	}
	a, ok, wake := w.s.next(w.now)
	if !ok {
		limit := w.now.Add(time.Second)
		if !wake.IsZero() && !wake.After(w.now) {
			w.t.Fatalf("there is nothing to do, but not until %v", wake.Sub(w.now))
		}
		w.now = sooner(wake, limit)
		return
	}
	w.check(a)
	o := w.ask(a)
	if a.write != nil && !a.write.written {
		if o == good {
			w.values[a.write.item] = int(a.write.order.words[0])
		}
		if w.s.sent(a.write, o, w.now) {
			w.end(a.write, "error")
		}
		return
	}
	w.s.done(a, o, w.now)
	if o == good {
		w.note(a)
	}
	if a.write != nil {
		if w.s.looked(a.write, o, w.values[a.write.item] == int(a.write.order.words[0]), w.now) {
			w.end(a.write, map[bool]string{true: "ok", false: "error"}[o == good])
		}
	}
}

func (w *world) note(a action) {
	for _, i := range a.items {
		if !w.read[i].Before(w.calm) {
			w.gap[i] = max(w.gap[i], w.now.Sub(w.read[i]))
		}
		w.read[i] = w.now
	}
}

// end gives a write its fate, once.
func (w *world) end(x *write, fate string) {
	if old, ok := w.fates[x]; ok {
		w.t.Fatalf("a write that was %s is %s now", old, fate)
	}
	w.fates[x] = fate
}

// bound is how long an item may be unread at most: a poll late, and where a unit is
// silent about something, the pauses that this costs it.
func (w *world) bound(it *item) time.Duration {
	most := 2 * it.rhythm()
	if len(w.units[it.unit].mute) > 0 {
		most += forcedAfter + 4*worldTimeout
	}
	if it.spare() {
		most += 2 * time.Second // spare time is what is left
	}
	return most
}

// judge looks at how the items are at the end.
func (w *world) judge() {
	for i, it := range w.s.items {
		u := w.units[it.unit]
		has := func(set map[int]bool) bool { return set[it.from] || it.count == 2 && set[it.from+1] }
		switch {
		case !u.until.IsZero() && u.until.After(w.calm):
			if !w.s.units[it.unit].dead {
				w.t.Errorf("unit %d never answered and is not dead", it.unit)
			}
		case has(u.mute):
		case has(u.illegal):
			if !it.lacks {
				w.t.Errorf("%+v is refused, and that is not known", it)
			}
		case it.lacks:
			w.t.Errorf("%+v is there, and taken for what the unit does not have", it)
		case max(w.gap[i], w.now.Sub(w.read[i])) > w.bound(it):
			w.t.Errorf("%+v was not read for %v, at the end for %v; want at most %v", it, w.gap[i], w.now.Sub(w.read[i]), w.bound(it))
		}
	}
}

func TestScheduleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		window := time.Duration(rapid.IntRange(0, 20).Draw(t, "window")) * time.Second
		commands := rapid.SliceOfN(rapid.IntRange(0, int(worldLength/time.Second)-40), 0, 12).Draw(t, "commands")
		slices.Sort(commands)
		var all []*write
		for w.now.Sub(w.start) < worldLength {
			for len(commands) > 0 && w.now.Sub(w.start) >= time.Duration(commands[0])*time.Second {
				x := &write{
					item:  rapid.IntRange(0, len(w.items)-1).Draw(t, "item"),
					order: order{words: []uint16{uint16(len(all) + 1)}}, until: w.now.Add(window),
				}
				if old := w.s.enqueue(x); old != nil {
					w.end(old, "overtaken")
				}
				all, commands = append(all, x), commands[1:]
			}
			w.step()
		}
		w.judge()
		for i, x := range all {
			it := w.s.items[x.item]
			fate, ok := w.fates[x]
			if !ok {
				t.Errorf("write %d was never answered", i)
			}
			if fate == "ok" && w.units[it.unit].illegal[it.from] {
				t.Errorf("write %d is ok, and the unit refuses it", i)
			}
			if u := w.units[it.unit]; u.from.IsZero() && len(u.illegal)+len(u.mute) == 0 && fate != "ok" && fate != "overtaken" {
				t.Errorf("write %d to a healthy unit is %q", i, fate)
			}
		}
	})
}

// TestScheduleFindsWhatIsIllegal counts what it costs to find one register of sixty
// that the unit does not have: a halving, and not a request for each of them.
func TestScheduleFindsWhatIsIllegal(t *testing.T) {
	for _, bad := range []int{0, 17, 59} {
		t.Run(fmt.Sprint(bad), func(t *testing.T) {
			now := time.Unix(1e9, 0)
			var items []item
			for i := range 60 {
				items = append(items, item{table: Input, from: i, count: 1, period: time.Second})
			}
			s, _ := newSchedule([]limits{{hole: 8, registers: 60, timeout: time.Second}}, items, now)
			requests := 0
			for a, ok, _ := s.next(now); ok; a, ok, _ = s.next(now) {
				requests++
				o := good
				if a.from <= bad && bad < a.from+a.count {
					o = illegal
				}
				now = now.Add(time.Millisecond)
				s.done(a, o, now)
			}
			for i, it := range s.items {
				if it.lacks != (i == bad) {
					t.Errorf("register %d: lacks = %t", i, it.lacks)
				}
			}
			if requests > 14 {
				t.Errorf("it took %d requests, want at most 14", requests)
			}
		})
	}
}
