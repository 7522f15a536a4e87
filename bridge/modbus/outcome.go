package modbus

import (
	"slices"
	"time"
)

// An outcome is how a request ended, as far as a schedule cares.
type outcome int

const (
	good    outcome = iota
	illegal         // the unit does not have that, at this place or at all: exceptions 1 to 3
	busy            // the unit will do it, or cannot now: exceptions 5 and 6
	broken          // the unit answers, and will not: other exceptions
	silent          // no answer, or garbage
)

// done takes note of how a read ended. It returns the items for which it is now
// certain that they cannot be read; what can be, the caller has.
func (s *schedule) done(a action, o outcome, now time.Time) (bad []int) {
	u := s.units[a.unit]
	u.wrote = false
	if s.naive {
		o = good
	}
	if o == silent {
		u.fail(now)
		return s.unread(a, now)
	}
	s.answered(a.unit, now)
	switch o {
	case good:
		for _, i := range a.items {
			s.items[i].known(now)
		}
	case illegal:
		if len(a.items) > 1 {
			s.split(a)
			return nil
		}
		s.items[a.items[0]].lack(now)
		return a.items
	case busy:
		return s.postponed(a, now)
	default:
		return s.unread(a, now)
	}
	return nil
}

// answered notes that the unit is there.
func (s *schedule) answered(unit int, now time.Time) {
	u := s.units[unit]
	back := u.dead
	u.good, u.fails, u.resume, u.dead = now, 0, time.Time{}, false
	if !back {
		return
	}
	for _, it := range s.items {
		if it.unit != unit {
			continue
		}
		it.fails, it.pause = 0, time.Time{}
		it.cut = false // It may have been another one that answered in parts.
		if !it.lacks {
			it.due = now // Nothing was missed that anybody could have known.
		}
	}
}

// fail notes that the unit has not answered.
func (u *unitState) fail(now time.Time) {
	u.fails++
	u.resume = now.Add(backoff(u.fails))
	if u.fails >= deadFails && now.Sub(u.good) >= deadAfter {
		u.dead = true
	}
}

// backoff is the pause after so many failures: none after the first, which may be
// noise.
func backoff(fails int) time.Duration {
	return min(time.Duration(min(fails, 100)-1)*backoffStep, backoffMost)
}

// unread notes that items were not read. Those that fail alone, while their unit
// answers others, are taken apart and then left alone for a while.
func (s *schedule) unread(a action, now time.Time) (bad []int) {
	alone := false
	for _, i := range a.items {
		it := s.items[i]
		if it.fails == 0 {
			it.since = now
		}
		it.fails++
		alone = alone || it.fails >= stubborn && s.units[a.unit].good.After(it.since)
	}
	switch {
	case !alone:
		return nil
	case len(a.items) > 1:
		s.split(a)
		for _, i := range a.items {
			s.items[i].fails = stubborn - 1
		}
		return nil
	}
	it := s.items[a.items[0]]
	it.pause = now.Add(backoff(it.fails))
	return a.items
}

// postponed notes that the unit cannot say now what items are. That is nothing that
// would be better if they were read one by one.
func (s *schedule) postponed(a action, now time.Time) (bad []int) {
	for _, i := range a.items {
		it := s.items[i]
		it.fails++
		it.pause = now.Add(backoff(it.fails + 1))
		if it.fails >= stubborn {
			bad = append(bad, i)
		}
	}
	return bad
}

// known notes that the item was read.
func (it *item) known(now time.Time) {
	wanted := it.wanted(now)
	it.fails, it.pause, it.lacks = 0, time.Time{}, false
	switch {
	case it.spare():
		it.due = now.Add(sparePeriod)
	case wanted:
		// The phase stays: what was due every full second still is.
		missed := max(0, now.Sub(it.due)/it.period)
		it.missed += uint64(missed)
		it.due = it.due.Add((missed + 1) * it.period)
	}
}

// lack notes that the unit does not have the item.
func (it *item) lack(now time.Time) {
	it.lacks, it.fails, it.pause, it.due = true, 0, time.Time{}, now.Add(seldom)
}

// A write is a command on its way to a unit. It is over when it has been read back.
type write struct {
	item  int
	order order
	point int       // whose command it is; the caller's
	until time.Time // it is tried no more

	next    time.Time // it is tried, or read back
	tries   int
	written bool
	looks   int // how often something else was read back
}

const (
	// lookAgain is when it is read back again whether a command has had its effect,
	// and looks how often at most: blinds and pumps have ramps.
	lookAgain = 250 * time.Millisecond
	looks     = 8
)

func (w *write) unit(s *schedule) int { return s.items[w.item].unit }

// enqueue adds a write. One for the same item that is under way is overtaken: the
// new one takes its place, and it is returned.
func (s *schedule) enqueue(w *write) (overtaken *write) {
	i := slices.IndexFunc(s.writes, func(o *write) bool { return o.item == w.item })
	if i < 0 {
		s.writes = append(s.writes, w)
		return nil
	}
	overtaken, s.writes[i] = s.writes[i], w
	return overtaken
}

// readyWrite returns the first write to such a unit that can go now.
func (s *schedule) readyWrite(now time.Time, unit func(int) bool) *write {
	for _, w := range s.writes {
		if unit(w.unit(s)) && !now.Before(w.next) {
			return w
		}
	}
	return nil
}

func (s *schedule) writeAction(w *write) action {
	if w.written {
		a := s.single(w.item)
		a.write = w
		return a
	}
	return action{unit: w.unit(s), write: w}
}

// sent takes note of how the request of a write ended. over is true if that is the
// end of it.
func (s *schedule) sent(w *write, o outcome, now time.Time) (over bool) {
	w.tries++
	w.next = now.Add(backoff(w.tries + 1))
	u := w.unit(s)
	if o == silent {
		s.units[u].fail(now)
		s.units[u].wrote = true
		return s.late(w, now)
	}
	s.answered(u, now)
	switch o {
	case good:
		w.written, w.next, w.tries = true, now, 0
		w.until = later(w.until, now.Add(deadAfter))
	case busy:
		return s.late(w, now)
	default:
		s.drop(w)
		return true
	}
	return false
}

// looked takes note of what a write is read back as; matches says whether it is what
// was written.
func (s *schedule) looked(w *write, o outcome, matches bool, now time.Time) (over bool) {
	w.next = now.Add(lookAgain)
	switch {
	case o != good:
		w.tries++
		w.next = now.Add(backoff(w.tries + 1))
		return s.late(w, now)
	case !matches:
		w.looks++
	}
	if over = matches || w.looks >= looks; over {
		s.drop(w)
	}
	return over
}

// late drops a write whose time is over.
func (s *schedule) late(w *write, now time.Time) bool {
	if now.Before(w.until) {
		return false
	}
	s.drop(w)
	return true
}

// expired drops and returns the writes whose time is over.
func (s *schedule) expired(now time.Time) (out []*write) {
	for _, w := range slices.Clone(s.writes) {
		if w.next.After(now) || !s.healthy(w.unit(s)) { // else it is tried once more
			if s.late(w, now) {
				out = append(out, w)
			}
		}
	}
	return out
}

func (s *schedule) drop(w *write) {
	s.writes = slices.DeleteFunc(s.writes, func(o *write) bool { return o == w })
}
