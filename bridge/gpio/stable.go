package gpio

import "time"

// A stable filter lets a level through when it has been still for a period; each
// edge begins the period anew, also one whose counterpart was not seen. The last
// level of any storm comes through. The zero period lets everything through.
type stable struct {
	period time.Duration
	level  bool      // what came through
	raw    bool      // what was seen last
	due    time.Time // when raw comes through; zero: it has
}

// edge tells that the line changed to raw, and reports whether level changed.
func (s *stable) edge(now time.Time, raw bool) (changed bool) {
	s.raw, s.due = raw, now.Add(s.period)
	return s.settle(now)
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
