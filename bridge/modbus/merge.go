package modbus

import "time"

// merge returns a read of the item seed and of its neighbours that are wanted, too.
// What lies between them is read along, as far as the unit's limits allow; items in
// between are told, whether they are due or not.
func (s *schedule) merge(seed int, now time.Time) action {
	a := s.single(seed)
	if s.items[seed].lacks {
		return a
	}
	low, high := seed, seed
	for j := seed + 1; j < len(s.items) && s.joins(j-1, j, now); j++ {
		if s.items[j].wanted(now) && s.fits(&a, s.items[j]) {
			high = j
		}
	}
	for j := seed - 1; j >= 0 && s.joins(j, j+1, now); j-- {
		if s.items[j].wanted(now) && s.fits(&a, s.items[j]) {
			low = j
		}
	}
	a.items = nil
	for j := low; j <= high; j++ {
		if it := s.items[j]; it.from >= a.from && it.end() <= a.from+a.count {
			a.items = append(a.items, j)
		}
	}
	return a
}

// joins reports whether the neighbours i and j may be in one read.
func (s *schedule) joins(i, j int, now time.Time) bool {
	a, b := s.items[i], s.items[j]
	return a.unit == b.unit && a.table == b.table && !b.cut &&
		!a.lacks && !b.lacks && a.open(now) && b.open(now)
}

// fits widens a by it, if the unit's limits allow that.
func (s *schedule) fits(a *action, it *item) bool {
	from, end := min(a.from, it.from), max(a.from+a.count, it.end())
	gap := max(it.from-(a.from+a.count), a.from-it.end())
	u := s.units[a.unit]
	most := u.registers
	if a.table.bits() {
		most = u.bits
	}
	if gap > u.hole || end-from > most {
		return false
	}
	a.from, a.count = from, end-from
	return true
}

// split keeps the items of a from being read in one again: at the hole that is
// nearest to their middle, since what is in a hole is what nobody has promised, or
// else in the middle. Halving finds the culprit, and leaves the others together.
func (s *schedule) split(a action) {
	middle := len(a.items) / 2
	at, end := middle, s.items[a.items[0]].end()
	hole := false
	for k := 1; k < len(a.items); k++ {
		it := s.items[a.items[k]]
		if it.from > end && (!hole || distance(k, middle) < distance(at, middle)) {
			at, hole = k, true
		}
		end = max(end, it.end())
	}
	s.items[a.items[at]].cut = true
}

func distance(a, b int) int { return max(a-b, b-a) }
