package modbus

import (
	"cmp"
	"slices"
	"time"
)

const (
	// shortestPeriod keeps a bus on the network from being asked in a loop.
	shortestPeriod = 10 * time.Millisecond

	// sparePeriod is how often what is read in spare time is read at most.
	sparePeriod = time.Second

	// A unit is dead when it has given no good answer for so long and has failed so
	// often in a row.
	deadAfter = 3 * time.Second
	deadFails = 2

	// backoffStep is what the pause of a unit that fails grows by, and backoffMost
	// what it grows to.
	backoffStep = 500 * time.Millisecond
	backoffMost = 10 * time.Second

	// forcedAfter is how long a unit that fails must wait for a moment in which its
	// time-out is nobody's loss. Then it is asked all the same; no two within it, nor
	// within forcedShare time-outs, so that it costs the others a fifth of the bus.
	forcedAfter = 2 * time.Second
	forcedShare = 5

	// seldom is how often it is asked for what a unit does not have: firmware is
	// updated, and some have it only in an operating mode.
	seldom = 10 * time.Minute

	// stubborn is how often an item may fail alone, while its unit answers others,
	// until that is its own fault: some units are silent about what they do not have.
	stubborn = 3
)

// A schedule says what is to be asked next of the units of one bus. It does no I/O
// and asks no clock: what it is told is the time, and how a request ended.
//
// Reads go by earliest deadline first: what is due at t, with the period p, should
// be known at t+p. Writes go before them. Units that fail wait until there is a gap
// between the reads of the others in which their time-out fits.
type schedule struct {
	units  []*unitState
	items  []*item // sorted by unit, table and address
	writes []*write
	forced time.Time // a failing unit was last asked although others had to wait

	// naive has units that fail asked as if they had answered, as a schedule does
	// that knows no back-off. It shows what that costs, and is for a test.
	naive bool
}

// limits are what can be asked of a unit at once, and how long it takes to fail.
type limits struct {
	hole, registers, bits int
	timeout               time.Duration
}

// A unitState is what a schedule knows of a unit.
type unitState struct {
	limits
	good   time.Time // it answered last, or the beginning
	fails  int       // requests in a row without an answer
	resume time.Time // it is left alone until then
	dead   bool
	wrote  bool // what failed last was a write: the next is a read
}

// An item is what is read for one entity, or a register with a scale.
type item struct {
	unit  int
	table Table
	from  int
	count int

	scaling bool // it is a scale register: it has no entity of its own

	period time.Duration // 0: in spare time
	due    time.Time
	missed uint64 // deadlines

	fails int       // reads in a row that failed
	since time.Time // the first of these
	pause time.Time // it is left alone until then
	cut   bool      // never read with what is before it
	lacks bool      // the unit does not have it
}

func (it *item) end() int { return it.from + it.count }

// spare reports whether the item has no period.
func (it *item) spare() bool { return it.period == 0 }

// rhythm is how often the item is read.
func (it *item) rhythm() time.Duration { return cmp.Or(it.period, sparePeriod) }

// deadline is when the item should be known.
func (it *item) deadline() time.Time { return it.due.Add(it.rhythm()) }

// open reports whether the item can be asked for at all now.
func (it *item) open(now time.Time) bool { return !now.Before(it.pause) }

// wanted reports whether the item may be read with others: it is due, or soon.
func (it *item) wanted(now time.Time) bool {
	return it.open(now) && !it.due.After(now.Add(it.rhythm()/8))
}

// An action is a request: a read of items, or a write.
type action struct {
	unit        int
	items       []int // what is read; indices of schedule.items
	table       Table
	from, count int
	write       *write // nil for a read that polls; with items it is read back
}

// newSchedule returns a schedule whose items are all due. It sorts items and
// returns where each has gone.
func newSchedule(units []limits, items []item, now time.Time) (*schedule, []int) {
	s := new(schedule)
	for _, l := range units {
		s.units = append(s.units, &unitState{limits: l, good: now})
	}
	by := make([]int, len(items))
	for i := range by {
		by[i] = i
	}
	slices.SortStableFunc(by, func(a, b int) int {
		x, y := items[a], items[b]
		return cmp.Or(x.unit-y.unit, cmp.Compare(x.table, y.table), x.from-y.from, x.count-y.count)
	})
	where := make([]int, len(items))
	for place, i := range by {
		it := items[i]
		it.due = now
		s.items = append(s.items, &it)
		where[i] = place
	}
	return s, where
}

// next returns what is to be done now. If there is nothing, ok is false, and wake is
// when there may be something; zero if only a command can bring that about.
func (s *schedule) next(now time.Time) (a action, ok bool, wake time.Time) {
	if w := s.readyWrite(now, s.healthy); w != nil {
		return s.writeAction(w), true, time.Time{}
	}
	seed, soonest := s.earliest(now)
	if seed >= 0 && !s.items[seed].spare() {
		return s.merge(seed, now), true, time.Time{}
	}
	u, wakeFailing := s.failing(now, soonest)
	switch {
	case u >= 0:
		return s.probe(u, now), true, time.Time{}
	case seed >= 0:
		return s.merge(seed, now), true, time.Time{}
	}
	wake = sooner(soonest, wakeFailing)
	for _, w := range s.writes {
		wake = sooner(wake, w.until)
		if s.healthy(w.unit(s)) {
			wake = sooner(wake, w.next)
		}
	}
	return action{}, false, wake
}

func (s *schedule) healthy(unit int) bool { return s.units[unit].fails == 0 }

// sooner returns the earlier of two times, of which zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// earliest returns the due item of a healthy unit with the earliest deadline, or -1,
// and when the next item with a period is due that is not yet. What is read in spare
// time comes after everything that has a period.
func (s *schedule) earliest(now time.Time) (seed int, soonest time.Time) {
	seed = -1
	for i, it := range s.items {
		if !s.healthy(it.unit) {
			continue
		}
		if at := later(it.due, it.pause); at.After(now) {
			soonest = sooner(soonest, at)
			continue
		}
		if seed < 0 || before(it, s.items[seed]) {
			seed = i
		}
	}
	return seed, soonest
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func before(a, b *item) bool {
	if a.spare() != b.spare() {
		return b.spare()
	}
	return a.deadline().Before(b.deadline())
}

// failing returns the unit that failed last time and is to be asked again, or -1,
// and when to look again. soonest is when somebody else is due.
func (s *schedule) failing(now, soonest time.Time) (unit int, wake time.Time) {
	unit = -1
	for i, u := range s.units {
		if u.fails == 0 || !s.asked(i) {
			continue
		}
		if now.Before(u.resume) {
			wake = sooner(wake, u.resume)
			continue
		}
		if unit < 0 || u.resume.Before(s.units[unit].resume) {
			unit = i
		}
	}
	if unit < 0 {
		return -1, wake
	}
	u := s.units[unit]
	if soonest.IsZero() || !soonest.Before(now.Add(u.timeout)) {
		return unit, wake
	}
	wait := max(forcedAfter, forcedShare*u.timeout)
	if at := later(u.resume, s.forced).Add(wait); now.Before(at) {
		return -1, sooner(wake, at)
	}
	s.forced = now
	return unit, wake
}

// asked reports whether there is anything to ask the unit for.
func (s *schedule) asked(unit int) bool {
	return slices.ContainsFunc(s.items, func(it *item) bool { return it.unit == unit })
}

// probe returns what a failing unit is asked for: a write that waits, or the one
// item that has failed least. It is a read after a write that failed, since some units
// are silent about what they do not let one write, and would seem dead.
func (s *schedule) probe(unit int, now time.Time) action {
	w := s.readyWrite(now, func(u int) bool { return u == unit })
	if w != nil && !s.units[unit].wrote {
		return s.writeAction(w)
	}
	best := -1
	for i, it := range s.items {
		if it.unit == unit && (best < 0 || likelier(it, s.items[best])) {
			best = i
		}
	}
	return s.single(best)
}

func likelier(a, b *item) bool {
	if a.lacks != b.lacks {
		return b.lacks
	}
	return cmp.Or(a.fails-b.fails, a.deadline().Compare(b.deadline())) < 0
}

// single returns the read of one item.
func (s *schedule) single(i int) action {
	it := s.items[i]
	return action{unit: it.unit, items: []int{i}, table: it.table, from: it.from, count: it.count}
}
