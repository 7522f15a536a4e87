package modbus

import (
	"errors"
	"fmt"
	"time"
)

// readDone notes how a read ended, and what was read.
func (s *session) readDone(a action, o outcome, words []uint16, err error, now time.Time) {
	bad := s.schedule.done(a, o, now)
	if o == good {
		s.take(a, words, now)
	}
	for _, i := range bad {
		why := err.Error()
		if o == illegal {
			why = "the unit does not have it: " + why
		}
		for _, pt := range s.points[i] {
			s.book.fail(pt, why)
		}
	}
	if a.write != nil {
		s.looked(a.write, o, err, now)
	}
}

// take notes what was read. Scales come first, since the values that need them may
// have come in the same answer.
func (s *session) take(a action, words []uint16, now time.Time) {
	part := func(i int) []uint16 {
		it := s.schedule.items[i]
		return words[it.from-a.from : it.end()-a.from]
	}
	for _, i := range a.items {
		if s.schedule.items[i].scaling {
			s.takeScale(i, int16(part(i)[0]), now)
		}
	}
	cause := byInput
	if a.write != nil {
		cause = byCommand
	}
	for _, i := range a.items {
		for _, pt := range s.points[i] {
			s.takePoint(pt, part(i), cause, now)
		}
	}
}

// takeScale notes a power of ten. Values that waited for it are read again at once.
func (s *session) takeScale(i int, n int16, now time.Time) {
	// SunSpec: -10 to 10; 0x8000 says that there is none.
	p := power{int(n), n >= -10 && n <= 10}
	if p == s.powers[i] {
		return
	}
	s.powers[i] = p
	for pt, scale := range s.scales {
		if it := s.schedule.items[s.plan.points[pt].item]; scale == i && !it.lacks {
			it.due = now
		}
	}
}

// powerOf returns the power of ten of a point.
func (s *session) powerOf(pt int) (int, error) {
	scale := s.scales[pt]
	if scale < 0 {
		return 0, nil
	}
	if !s.powers[scale].known {
		return 0, fmt.Errorf("%w: its scale register says nothing that is one", errNoValue)
	}
	return s.powers[scale].n, nil
}

func (s *session) takePoint(pt int, words []uint16, cause string, now time.Time) {
	p := s.plan.points[pt]
	n, err := s.powerOf(pt)
	state := ""
	if err == nil {
		state, err = p.decode(words, n)
	}
	switch {
	case err == nil:
		s.book.hear(pt, state, cause, now)
		return
	case errors.Is(err, errUnsupported) && len(s.points[p.item]) == 1:
		s.schedule.items[p.item].lack(now)
	}
	s.book.fail(pt, err.Error())
}
