package gpio

import (
	"fmt"
	"time"

	"edge/bridge"
)

// A load is what one output switches, and what protects it. It decides, and
// drives nothing: the owner of the line tells it what the line has become.
type load struct {
	Pin
	to      pulse         // what the line is to be
	on      bool          // what it is
	since   time.Time     // of on, or of the start, since nobody knows what was before
	starts  []time.Time   // when it went on, as far as per_minute counts
	heard   time.Time     // of the lease
	from    bridge.Sender // whose command was the last
	left    time.Time     // when that one left; zero: not that anybody knows
	wait    time.Time     // nothing is done by itself before: it could not be done
	lockout *lockout      // nil: nobody has locked it
	lock    *interlock    // nil: it excludes no other
}

// reset begins anew at now with a line that was requested as begin says.
func (l *load) reset(now time.Time, begin pulse) {
	l.to, l.on, l.since = l.bound(now, begin), begin.on, now
	l.starts, l.heard, l.wait = nil, now, time.Time{}
	l.from, l.left = bridge.Sender{}, now // Whoever it was, it was before.
}

// aim has the line be set to what p says.
func (l *load) aim(p pulse) { l.to, l.wait = p, time.Time{} }

// became tells what the line is.
func (l *load) became(now time.Time, on bool) {
	if on == l.on {
		return
	}
	l.on, l.since = on, now
	if on && l.PerMinute > 0 {
		l.starts = append(l.starts, now)
		l.starts = l.starts[max(0, len(l.starts)-l.PerMinute):]
	}
}

// rest is what the output is when nobody answers for it.
func (p Pin) rest() pulse { return pulse{on: p.Safe == On} }

// hear keeps the lease: what it waits for has come.
func (l *load) hear(now time.Time) { l.heard = now }

// obey takes note of a command that is accepted.
func (l *load) obey(now time.Time, cmd command) {
	if l.Lease.Topic == "" {
		l.hear(now)
	}
	l.from, l.left = cmd.from, time.Time{}
}

// leave takes note that who has sent the last command is gone.
func (l *load) leave(now time.Time) {
	if l.left.IsZero() {
		l.left = now
	}
}

// next returns what a command makes of the output, or why it is refused.
func (l *load) next(now time.Time, c command) (pulse, error) {
	cmd := c.Command
	n, err := l.to.next(now, cmd)
	if err == nil && n.on != l.rest().on {
		err = l.mayLeaveRest(now, c, n)
	}
	switch {
	case err != nil:
		return n, err
	case n.on && l.to.on:
		return l.again(now, n, cmd)
	case n.on:
		return l.bound(now, n), l.mayRise(now, cmd)
	}
	return n, l.mayFall(now, cmd)
}

// again returns what a command to go on makes of an output that is on. It can
// make it last longer, but not than max_on.
func (l *load) again(now time.Time, n pulse, cmd bridge.Command) (pulse, error) {
	running := !l.to.until.IsZero() && l.to.cause == causeTimer
	if running && cmd.For > 0 {
		switch l.Retrigger {
		case Ignore:
			return l.to, nil
		case Extend:
			n.until = l.to.until.Add(cmd.For)
		}
	}
	if end := l.since.Add(l.MinOn); cmd.For > 0 && n.until.Before(end) {
		return n, fmt.Errorf("it must stay on for another %v (min_on)", soon(end.Sub(now)))
	}
	return l.bound(l.since, n), nil
}

// bound lets n end when an output that went on at rise has been on for max_on.
func (l *load) bound(rise time.Time, n pulse) pulse {
	if end := rise.Add(l.MaxOn); n.on && l.MaxOn > 0 && (n.until.IsZero() || n.until.After(end)) {
		n.until, n.cause = end, causeMaxOn
	}
	return n
}

// mayLeaveRest reports whether there is a lease for n, which is not that of rest.
func (l *load) mayLeaveRest(now time.Time, cmd command, n pulse) error {
	if l.Lease.Commander {
		return cmd.absent
	}
	if quiet := now.Sub(l.heard); n.on != l.to.on && l.Lease.Topic != "" && quiet >= l.Lease.Time {
		return fmt.Errorf("nothing has come on %s for %v (lease)", l.Lease.Topic, soon(quiet))
	}
	return nil
}

func (l *load) mayRise(now time.Time, cmd bridge.Command) error {
	if cmd.For > 0 && cmd.For < l.MinOn {
		return fmt.Errorf("%v is shorter than min_on, %v", cmd.For, l.MinOn)
	}
	if left := l.since.Add(l.MinOff).Sub(now); left > 0 && l.MinOff > 0 {
		return fmt.Errorf("it must stay off for another %v (min_off)", soon(left))
	}
	return l.paced(now)
}

// paced reports whether the output may go on at a time without going on too often.
func (l *load) paced(at time.Time) error {
	if n := l.PerMinute; n > 0 && len(l.starts) == n {
		if left := l.starts[0].Add(time.Minute).Sub(at); left > 0 {
			return fmt.Errorf("it goes on %d times within a minute at most; wait for another %v (per_minute)", n, soon(left))
		}
	}
	return nil
}

func (l *load) mayFall(now time.Time, cmd bridge.Command) error {
	switch left := l.since.Add(l.MinOn).Sub(now); {
	case cmd.For > 0 && l.lock != nil:
		return fmt.Errorf("an output with an interlock does not go on by itself; send OFF without a time")
	case cmd.For > 0 && cmd.For < l.MinOff:
		return fmt.Errorf("%v is shorter than min_off, %v", cmd.For, l.MinOff)
	case left > 0 && l.MinOn > 0 && l.on:
		return fmt.Errorf("it must stay on for another %v (min_on)", soon(left))
	case cmd.For > 0:
		return l.paced(now.Add(cmd.For))
	}
	return nil
}

// soon rounds what people read.
func soon(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// postpone has what is due and could not be done be tried again.
func (l *load) postpone(now time.Time) { l.wait = now.Add(retry) }

// leaseEnd returns when the lease is over if nothing more is heard; zero is never,
// or that the output is at rest and needs none.
func (l *load) leaseEnd() time.Time {
	if l.to.on == l.rest().on {
		return time.Time{}
	}
	return l.lapse()
}

// lapse returns when a lease is over; zero is never.
func (l *load) lapse() time.Time {
	switch {
	case l.Lease.Commander && !l.left.IsZero():
		return l.left.Add(l.Lease.Time)
	case l.Lease.Commander || l.Lease.Time == 0:
		return time.Time{}
	}
	return l.heard.Add(l.Lease.Time)
}

// changes returns when the output changes by itself; zero is never.
func (l *load) changes() time.Time {
	if due := earlier(l.to.until, l.leaseEnd()); !due.IsZero() {
		return later(due, l.wait)
	}
	return time.Time{}
}

// due returns when expired has something to say; zero is never.
func (l *load) due() time.Time {
	if l.lockout == nil {
		return l.changes()
	}
	return earlier(l.changes(), later(l.lockout.Until, l.wait))
}

// earlier returns the earlier one of a and b; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expired returns what the output is to be at now, why, and whether that is
// something else than before.
func (l *load) expired(now time.Time) (next pulse, cause string, over bool) {
	if now.Before(l.wait) {
		return l.to, "", false
	}
	if l.lapsed(now) {
		return l.to, causeUnlock, true
	}
	if end := l.leaseEnd(); !end.IsZero() && !now.Before(end) {
		next = l.rest()
		if next.on {
			l.wait = l.mayRiseAt(now)
		}
		return next, causeLease, !now.Before(l.wait)
	}
	next, over = l.to.expired(now)
	if end := l.lapse(); over && next.on != l.rest().on && !end.IsZero() && !now.Before(end) {
		return l.rest(), causeLease, true // Nobody answers for what would be now.
	}
	if over && next.on { // Its time may be from before the start.
		l.wait = l.mayRiseAt(now)
		over = !now.Before(l.wait)
	}
	return l.bound(now, next), l.to.cause, over
}

// silence says, for people, why the lease is over.
func (l *load) silence() string {
	switch {
	case l.Lease.Commander && l.from == bridge.Sender{}:
		return "nobody has commanded it since the start"
	case l.Lease.Commander:
		return l.from.String() + " has left"
	case l.Lease.Topic != "":
		return fmt.Sprintf("nothing has come on %s for %v", l.Lease.Topic, l.Lease.Time)
	}
	return fmt.Sprintf("the last command of %s is %v ago", l.from, l.Lease.Time)
}

// mayRiseAt returns when, from now on, the output may go on as far as min_off and
// per_minute are concerned.
func (l *load) mayRiseAt(now time.Time) time.Time {
	at := later(now, l.since.Add(l.MinOff))
	if n := l.PerMinute; n > 0 && len(l.starts) == n {
		at = later(at, l.starts[0].Add(time.Minute))
	}
	return at
}
