package gpio

import (
	"errors"
	"fmt"
	"time"
)

// An interlock is outputs of which one may be on at a time, and none while the
// one before may still be falling. It decides, and drives nothing.
type interlock struct {
	members []*load
	dead    time.Duration
	claim   *claim // of a member that waits for the dead time
}

// A claim is a command to go on that waits until the others are off for long
// enough.
type claim struct {
	load *load
	cmd  command
	at   time.Time
	late bool // at was put off already
}

// A turn is what is to be done with a line.
type turn struct {
	load  *load
	next  pulse
	cause string
	why   string   // for people; may be empty
	cmd   *command // that is answered by it; may be nil
	of    *command // that has led to it, and is answered by another turn; may be nil
}

// rise returns what must be done now that l may go on, or why it cannot. With a
// claim, l itself goes on later.
func (i *interlock) rise(now time.Time, l *load, cmd command) (turns []turn, err error) {
	free := now
	for _, other := range i.members {
		if other == l {
			continue
		}
		if !other.on && !other.to.on {
			free = later(free, other.since.Add(i.dead))
			continue
		}
		if err := other.admits(now, cmd.from); err != nil {
			return nil, fmt.Errorf("%s must go off, but %w (interlock)", other.ID, err)
		}
		if left := other.since.Add(other.MinOn).Sub(now); left > 0 && other.MinOn > 0 {
			return nil, fmt.Errorf("%s must stay on for another %v (interlock, min_on)", other.ID, soon(left))
		}
		turns = append(turns, turn{load: other, cause: causeInterlock, why: fmt.Sprintf("%s is to go on, says %s", l.ID, cmd.from), of: &cmd})
		free = later(free, now.Add(i.dead))
	}
	if free.After(now) {
		i.claim = &claim{load: l, cmd: cmd, at: free}
	}
	return turns, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// drop gives a claim up and returns the command that waited, or nil.
func (i *interlock) drop() *command {
	if i == nil || i.claim == nil {
		return nil
	}
	cmd := i.claim.cmd
	i.claim = nil
	return &cmd
}

// putOff lets a claim wait a little longer, once: a member has fallen later than it
// was made to, by what it took to drive its line and to read it back.
func (i *interlock) putOff(now time.Time) bool {
	free := i.claim.at
	for _, other := range i.members {
		if other != i.claim.load && !other.on && !other.to.on {
			free = later(free, other.since.Add(i.dead))
		}
	}
	if i.claim.late || !free.After(now) {
		return false
	}
	i.claim.at, i.claim.late = free, true
	return true
}

// redeem returns the turn of a claim whose time has come. With an error, the
// command in it is refused.
func (i *interlock) redeem(now time.Time) (turn, error) {
	l := i.claim.load
	t := turn{load: l, cause: causeCommand, cmd: i.drop()}
	if err := i.fallen(now, l); err != nil {
		return t, err
	}
	if l.Lease.Commander && !l.left.IsZero() {
		return t, fmt.Errorf("%s has left (lease)", l.from)
	}
	err := l.admits(now, t.cmd.from)
	if err != nil {
		return t, err
	}
	t.next, err = l.next(now, *t.cmd)
	if err == nil && !t.next.on {
		err = errors.New("it is on already") // TOGGLE, and something else has switched it.
	}
	return t, err
}

// fallen reports whether all but l have been off for the dead time. A member that
// does not fall, or has been driven by somebody else, keeps it from being so.
func (i *interlock) fallen(now time.Time, l *load) error {
	for _, other := range i.members {
		switch {
		case other == l:
		case other.on || other.to.on:
			return fmt.Errorf("%s is still on (interlock)", other.ID)
		case now.Before(other.since.Add(i.dead)):
			return fmt.Errorf("%s has just gone off (interlock)", other.ID)
		}
	}
	return nil
}
