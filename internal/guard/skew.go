package guard

import "time"

// A skew is what a guard knows of the difference between its clock and that of a main
// process. Their clocks count from different times, and in time namespaces not even the
// kernel's are the same (time_namespaces(7)). But no frame is read before it was written:
// the one that seemed to come quickest tells the difference best (the minimum filter of
// RFC 5905, section 10). What waited longer in the socket, because the guard was late, is
// that much older, and does not make a main process look alive that is not.
//
// The difference is never taken for less than it is, so nobody looks older than he is.
type skew struct {
	known bool
	least time.Duration
}

// written returns when, by the clock of the guard, a frame was written that has come at
// now, with the time that it then was for its writer. It can be late by what the quickest
// frame took.
func (s *skew) written(now, clock time.Duration) time.Duration {
	if d := now - clock; !s.known || d < s.least {
		s.known, s.least = true, d
	}
	return clock + s.least
}
