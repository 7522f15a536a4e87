package gpio

import "time"

// A stable filter lets a level through when it has been still for a period; each
// edge begins the period anew, also one whose counterpart was not seen. If it is
// immediate, the first edge after a period of stillness comes through at once,
// and what follows has to be still. Either way the last level of any storm comes
// through. The zero period lets everything through.
type stable struct {
	period    time.Duration
	immediate bool
	level     bool      // what came through
	raw       bool      // what was seen last
	due       time.Time // when raw comes through; zero: it has
}

// edge tells that the line changed to raw, and reports whether level changed.
func (s *stable) edge(now time.Time, raw bool) (changed bool) {
	calm := s.due.IsZero() || !now.Before(s.due)
	s.raw, s.due = raw, now.Add(s.period)
	if s.immediate && calm && s.level != raw {
		s.level, changed = raw, true
	}
	return s.settle(now) || changed
}

// settle reports whether level changed because the period is over at now.
func (s *stable) settle(now time.Time) (changed bool) {
	if s.due.IsZero() || now.Before(s.due) {
		return false
	}
	changed = s.level != s.raw
	s.level, s.due = s.raw, time.Time{}
	return changed
}
