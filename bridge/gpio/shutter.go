package gpio

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A way is which way a cover goes.
type way int8

const (
	closing way = iota - 1
	resting
	opening
)

func (w way) String() string { return [...]string{"closing", "stopped", "opening"}[w+1] }

// How a position is rounded, and how much longer than configured a cover may take
// to its end before something is wrong.
const (
	hair  = 1e-6 // of the way: less is no distance
	blur  = 0.01 // if low and high are closer, the position is known
	grace = 0.2  // of the time of the whole way
)

// A sight is what the lines of a cover are.
type sight struct {
	way          way       // in which it is driven
	since        time.Time // of way
	cause        string    // of way
	waits        bool      // it has not begun to be driven, and will be
	open, closed bool      // end switches
	fault        string    // why it must not be driven; empty if it may
}

// end reports whether the switch at the end of w is on.
func (v sight) end(w way) bool { return w == opening && v.open || w == closing && v.closed }

// A goal is where a cover is to go.
type goal struct {
	way way
	to  float64
}

// full reports whether g is an end, to which a cover is driven even when it seems
// to be there already.
func (g goal) full() bool { return g.to == 0 || g.to == 1 }

// A shutter is where a cover is, as far as the time that its motor ran and its end
// switches tell, and where it is to go. It decides, and drives nothing. The cover
// is somewhere between low and high, where 0 is closed and 1 is open.
type shutter struct {
	Cover
	low, high float64
	at        time.Time // of low and high

	seen  sight
	began time.Time     // since when it is driven in this way
	room  time.Duration // how long that may last
	end   time.Time     // when it must have come to the end of this way; zero: not yet

	goal  *goal  // nil: it is to rest
	cause string // of the last goal, or of its end
	fault string // what went wrong with the last goal; empty: nothing
}

// lost forgets where the cover is.
func (s *shutter) lost() { s.low, s.high = 0, 1 }

// put says where the cover is.
func (s *shutter) put(position float64) { s.low, s.high = position, position }

// known reports whether it is known where the cover is.
func (s *shutter) known() bool { return s.high-s.low < blur+hair }

// travel returns how long the whole way takes.
func (s *shutter) travel(w way) time.Duration {
	if w == opening {
		return s.OpenTime
	}
	return s.CloseTime
}

// left returns how long it takes at most to get to a position by going in w.
func (s *shutter) left(w way, to float64) time.Duration {
	distance := to - s.low
	if w == closing {
		distance = s.high - to
	}
	return time.Duration(math.Ceil(max(0, distance) * float64(s.travel(w))))
}

// last returns the position at the end of w.
func last(w way) float64 {
	if w == opening {
		return 1
	}
	return 0
}

// over returns how long a cover is driven after it must have come to the end of w.
func (s *shutter) over(w way) time.Duration {
	if s.switched(w) {
		return 0
	}
	return s.Overrun
}

// switched reports whether there is a switch at the end of w.
func (s *shutter) switched(w way) bool {
	return w == opening && s.OpenSwitch != "" || w == closing && s.CloseSwitch != ""
}

// see takes in what the lines are at now.
func (s *shutter) see(now time.Time, v sight) {
	before := s.seen
	if v.way != before.way {
		turned := v.since
		if turned.Before(s.at) || turned.After(now) {
			turned = now
		}
		s.pass(turned)
		s.seen.way, s.began, s.end = v.way, turned, time.Time{}
		if w := v.way; w != resting {
			s.room = s.left(w, last(w)) + time.Duration(grace*float64(s.travel(w))) + s.over(w)
		}
	}
	s.pass(now)
	s.seen = v
	s.pin(before)
}

// pass lets time pass with what was seen last.
func (s *shutter) pass(now time.Time) {
	d, w := now.Sub(s.at), s.seen.way
	if d <= 0 {
		return
	}
	if w != resting {
		// What is left by rounding only is nothing, or due would be now for ever.
		if left := s.left(w, last(w)); s.end.IsZero() && left <= d+s.slack(w) {
			s.end = s.at.Add(left)
		}
		step := float64(w) * float64(d) / float64(s.travel(w))
		s.low, s.high = min(1, max(0, s.low+step)), min(1, max(0, s.high+step))
	}
	s.at = now
}

// pin puts the cover where an end switch says that it is, or was until now.
func (s *shutter) pin(before sight) {
	switch v := s.seen; {
	case v.open && v.closed:
		s.lost()
	case v.open, before.open && !before.closed && !v.closed:
		s.put(1)
		s.leaves(closing)
	case v.closed, before.closed && !before.open:
		s.put(0)
		s.leaves(opening)
	}
}

// leaves forgets that the cover must have come to the end of w: it has yet to leave
// the other one.
func (s *shutter) leaves(w way) {
	if s.seen.way == w {
		s.end = time.Time{}
	}
}

// order returns what a command makes the goal; nil is to rest.
func (s *shutter) order(value string) (*goal, error) {
	g := new(goal)
	switch v := strings.ToUpper(value); v {
	case "STOP":
		return nil, nil
	case "OPEN":
		g.to = 1
	case "CLOSE":
	default:
		percent, err := strconv.ParseFloat(v, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return nil, fmt.Errorf("%q is not OPEN, CLOSE, STOP or a position from 0 to 100", value)
		}
		g.to = percent / 100
	}
	switch {
	case s.seen.fault != "":
		return nil, errors.New(s.seen.fault)
	case !g.full() && !s.known():
		return nil, errors.New("its position is not known; send OPEN or CLOSE, and it is known at the end")
	case !g.full() && math.Abs(g.to-(s.low+s.high)/2) < blur/2:
		return nil, nil
	}
	g.way = s.toward(g.to)
	if s.seen.end(g.way) || g.full() && s.ended(g.way) && s.over(g.way) == 0 {
		return nil, nil
	}
	return g, nil
}

// toward returns the way to a position.
func (s *shutter) toward(to float64) way {
	if to == 1 || to > (s.low+s.high)/2 {
		return opening
	}
	return closing
}

// ended reports whether the cover is at the end of w. Where there is a switch, it
// has to say so.
func (s *shutter) ended(w way) bool {
	return s.seen.end(w) || !s.switched(w) && s.left(w, last(w)) <= s.slack(w)
}

// slack is a time in which no cover goes far enough to be seen.
func (s *shutter) slack(w way) time.Duration { return time.Duration(hair * float64(s.travel(w))) }

// decide returns which way the cover is to be driven at now. A goal that is reached,
// or that cannot be, is one no more.
func (s *shutter) decide(now time.Time) way {
	g, v := s.goal, s.seen
	switch {
	case g == nil:
		return resting
	case v.fault != "":
		s.stop(causeFault, v.fault)
	case v.end(g.way):
		s.stop(causeEndSwitch, "")
	case v.way == resting && v.waits:
		return g.way
	case v.way != g.way: // Its output went off by itself, or could not be switched.
		s.stop(v.cause, "")
	case s.reached(now):
		s.stop(causePosition, "")
	case !now.Before(s.began.Add(s.room)):
		s.stop(causeFault, s.overdue(g.way))
		s.lost()
	default:
		return g.way
	}
	return resting
}

// stop gives the goal up.
func (s *shutter) stop(cause, fault string) { s.goal, s.cause, s.fault = nil, cause, fault }

// reached reports whether the cover has come to its goal, in the way to which it is
// driven. At an end with a switch, the switch says so.
func (s *shutter) reached(now time.Time) bool {
	g := s.goal
	if !g.full() {
		return s.left(g.way, g.to) <= s.slack(g.way)
	}
	return !s.switched(g.way) && !s.end.IsZero() && !now.Before(s.end.Add(s.Overrun))
}

// overdue says what is wrong with a cover that has not come to the end of w in time.
func (s *shutter) overdue(w way) string {
	after := soon(s.room)
	name := s.OpenSwitch
	if w == closing {
		name = s.CloseSwitch
	}
	switch {
	case s.seen.open || s.seen.closed:
		return fmt.Sprintf("it was driven for %v and has not left its end switch: is the motor blocked or without power?", after)
	case name != "":
		return fmt.Sprintf("it was driven for %v and has not come to its end switch %s: is it blocked?", after, name)
	}
	return fmt.Sprintf("it was driven for %v and is not where it should be", after)
}

// due returns when decide may have something new to say by itself; zero is never.
func (s *shutter) due() time.Time {
	g := s.goal
	if g == nil || s.seen.way != g.way {
		return time.Time{}
	}
	due := s.began.Add(s.room)
	arrives := s.at.Add(s.left(g.way, g.to))
	switch {
	case !g.full():
	case s.switched(g.way):
		return due
	case s.end.IsZero():
		arrives = arrives.Add(s.Overrun)
	default:
		arrives = s.end.Add(s.Overrun)
	}
	if arrives.Before(due) {
		return arrives
	}
	return due
}

// state returns what the cover is, as it is published.
func (s *shutter) state() string {
	switch {
	case s.seen.way != resting:
		return s.seen.way.String()
	case s.ended(opening):
		return "open"
	case s.ended(closing):
		return "closed"
	}
	return "stopped"
}

// position returns how far the cover is open, in percent, as it is published; empty
// if that is not known. Only at an end it is 0 or 100.
func (s *shutter) position() string {
	switch {
	case !s.known():
		return ""
	case s.ended(opening):
		return "100"
	case s.ended(closing):
		return "0"
	}
	percent := math.Round(50 * (s.low + s.high))
	return strconv.Itoa(int(min(99, max(1, percent))))
}
