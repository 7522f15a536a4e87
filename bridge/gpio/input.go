package gpio

import (
	"time"

	"edge/internal/gpiochip"
)

// An input is a line that is watched.
type input struct {
	pin
	filter stable   // its period is zero if the kernel debounces
	seq    uint32   // of the last event
	clicks *clicker // nil: it is no button
	meter  *meter   // nil: it counts nothing
	dial   *dial    // nil: nothing is measured
}

// newInput returns the input of a line that was taken. meter is that of its pin,
// if it has one.
func newInput(p pin, meter *meter) *input {
	in := &input{pin: p, meter: meter}
	if p.Clicks != nil {
		in.clicks = &clicker{Clicks: *p.Clicks}
	}
	if len(p.Measure) > 0 {
		in.dial = newDial(p.Pin, p.post)
	}
	return in
}

// start tells what the line is.
func (in *input) start(now time.Time) error {
	on, err := in.read()
	if err != nil {
		return err
	}
	in.filter.level, in.filter.raw, in.filter.due = on, on, time.Time{}
	in.set(now, on, causeStart)
	in.publish()
	if in.meter != nil {
		in.meter.start(on)
	}
	if in.dial != nil {
		in.dial.start(now, on)
	}
	return nil
}

// event takes an edge. If there were others before it that the kernel had to
// drop, the line is read. The error is one of a chip that is gone.
func (in *input) event(now time.Time, e gpiochip.Event) error {
	lost := e.LineSeq - in.seq - 1
	in.seq = e.LineSeq
	in.counters["edges"]++
	if in.meter != nil {
		in.meter.event(now, e, lost)
	}
	if in.dial != nil {
		in.dial.event(now, e, lost)
	}
	changed := in.filter.edge(now, e.Edge == gpiochip.Rising)
	cause := causeInput
	if lost > 0 {
		in.counters["lost"] += uint64(lost)
		cause = causeAudit
		on, err := in.read()
		if err != nil {
			return gone(err)
		}
		// The edges that are still queued tell of what was before.
		changed = in.filter.edge(now, on) != changed
	}
	in.passed(now, changed, cause)
	if lost > 0 && !changed {
		in.tell(nil)
	}
	return nil
}

// due returns when expire has something to do; zero is never.
func (in *input) due() time.Time {
	due := in.filter.due
	if in.clicks != nil {
		due = sooner(due, in.clicks.due)
	}
	if in.meter != nil {
		due = sooner(due, in.meter.due())
	}
	if in.dial != nil {
		due = sooner(due, in.dial.end)
	}
	return due
}

// sooner returns the earlier one of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire does what is due at now.
func (in *input) expire(now time.Time) error {
	if err := in.settle(now); err != nil {
		return err
	}
	if in.clicks != nil {
		in.events(in.clicks.expire(now))
	}
	if in.meter != nil {
		in.meter.expire(now)
	}
	if in.dial != nil {
		in.dial.expire(now)
	}
	return nil
}

// leave keeps what must be known when the line is watched again.
func (in *input) leave(now time.Time) {
	if in.meter != nil {
		in.meter.leave(now)
	}
}

// events tells what happened to a button. What cannot be told soon is not told:
// a lamp must not be switched by who has left the room.
func (in *input) events(names []string) {
	for _, name := range names {
		if !in.post.event(in.ID, name) {
			in.counters["events_dropped"]++
		}
	}
}

// settle ends the filter's wait, if it is over. The line has the last word.
func (in *input) settle(now time.Time) error {
	if in.filter.due.IsZero() || now.Before(in.filter.due) {
		return nil
	}
	on, err := in.read()
	if err != nil {
		in.filter.due = now.Add(retry)
		return gone(err)
	}
	if on != in.filter.raw { // An edge is on its way, or was lost.
		in.passed(now, in.filter.edge(now, on), causeAudit)
		return nil
	}
	in.passed(now, in.filter.settle(now), causeInput)
	return nil
}

// audit reads the line, for an edge may have been lost without another behind it
// that would show the gap.
func (in *input) audit(now time.Time) error {
	on, err := in.read()
	if err != nil {
		return gone(err)
	}
	if on != in.filter.raw {
		in.passed(now, in.filter.edge(now, on), causeAudit)
	}
	return nil
}

// passed publishes what came through the filter.
func (in *input) passed(now time.Time, changed bool, cause string) {
	if !changed {
		return
	}
	in.set(now, in.filter.level, cause)
	in.counters["changes"]++
	in.publish()
	if in.clicks != nil {
		in.events(in.clicks.edge(now, in.on))
	}
}

func (in *input) publish() {
	in.post.state(in.ID, in.on)
	in.tell(nil)
}

// gone returns err if it says that the lines are lost. Any other error
// of a line is told in attr and in results, and the line is tried again.
func gone(err error) error {
	if lost(err) {
		return err
	}
	return nil
}
