package gpio

import (
	"log/slog"
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
	scope  *scope   // nil: nothing is measured
	damper damper

	informed uint64 // edges that attr speaks of
	pace     pace
	log      *slog.Logger
	boot     string // see bootID
}

// newInput returns the input of a line that was taken. meter is that of its pin,
// if it has one.
func newInput(p pin, meter *meter) *input {
	in := &input{pin: p, meter: meter}
	if p.Clicks != nil {
		in.clicks = &clicker{Clicks: *p.Clicks}
	}
	if len(p.Measure) > 0 {
		in.scope = newScope(p.Pin, p.post)
	}
	return in
}

// start tells what the line is. cause is why it is watched from now on.
func (in *input) start(now time.Time, cause string) error {
	on, err := in.read()
	if err != nil {
		return err
	}
	in.filter.level, in.filter.raw, in.filter.due = on, on, time.Time{}
	in.set(now, on, cause)
	in.publish()
	if in.meter != nil {
		in.meter.start(on)
	}
	if in.scope != nil {
		in.scope.start(now, on)
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
	if in.scope != nil {
		in.scope.event(now, e, lost)
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
		in.hush(func() bool { return in.damper.tell(now) })
	}
	return nil
}

// due returns when expire has something to do; zero is never.
func (in *input) due() time.Time {
	due := sooner(in.filter.due, in.damper.due())
	if in.clicks != nil {
		due = sooner(due, in.clicks.due)
	}
	if in.meter != nil {
		due = sooner(due, in.meter.due())
	}
	if in.scope != nil {
		due = sooner(due, in.scope.end)
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
	in.hush(func() bool { return in.damper.expire(now) })
	if in.clicks != nil {
		in.events(in.clicks.expire(now))
	}
	if in.meter != nil {
		in.meter.expire(now)
	}
	if in.scope != nil {
		in.scope.expire(now)
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

// settle ends the filter's wait, if it is over. The line has the last word, but
// not in the middle of a storm of which only some edges are looked at.
func (in *input) settle(now time.Time) error {
	if in.filter.due.IsZero() || now.Before(in.filter.due) {
		return nil
	}
	if in.pace.rests.Load() {
		in.filter.due = now.Add(in.filter.period)
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
	if in.counters["edges"] != in.informed { // by edges that changed nothing
		in.hush(func() bool { return in.damper.tell(now) })
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
	in.hush(func() bool { return in.damper.change(now) })
	if in.clicks != nil && !in.damper.muted {
		in.events(in.clicks.edge(now, in.on))
	}
}

// hush publishes the state if the damper says so, and says when the input begins
// and ends to flap. Then its clicks begin anew: a press that goes on is none.
func (in *input) hush(says func() bool) {
	was := in.damper.muted
	publish := says()
	switch is := in.damper.muted; {
	case is && !was:
		in.counters["flaps"]++
		in.log.Warn("input flaps: its state is published once a second at most", "pin", in.ID,
			"changes", in.damper.n, "within", in.damper.Window)
	case was && !is:
		in.log.Info("input does not flap any more", "pin", in.ID)
	}
	if was != in.damper.muted && in.clicks != nil {
		in.clicks = &clicker{Clicks: in.clicks.Clicks}
	}
	if publish {
		in.publish()
	}
}

func (in *input) publish() {
	in.post.state(in.ID, in.on)
	in.inform()
}

// inform tells what there is beside the state.
func (in *input) inform() {
	in.informed = in.counters["edges"]
	in.extra = make(map[string]any)
	if in.boot != "" {
		in.extra["boot"] = in.boot
	}
	if in.damper.muted {
		in.extra["flapping"] = true
	}
	in.tell(in.extra)
}

// gone returns err if it says that the lines are lost. Any other error
// of a line is told in attr and in results, and the line is tried again.
func gone(err error) error {
	if lost(err) {
		return err
	}
	return nil
}
