package gpio

import (
	"errors"
	"fmt"
	"time"

	"edge/bridge"
)

// A lockout keeps all but one from commanding an output, as the padlock of who works
// on a machine does. What protects the output goes on to act. It is saved, and so it
// survives.
type lockout struct {
	Owner  string    `json:"owner,omitempty"` // what who has made it calls himself; it proves nothing
	User   string    `json:"user,omitempty"`  // who has made it
	Client string    `json:"client,omitempty"`
	Until  time.Time `json:"until"`
}

// String names the lockout for who is kept out by it.
func (k *lockout) String() string {
	who := bridge.Sender{Client: k.Client, User: k.User}.String()
	if k.Owner != "" {
		who = fmt.Sprintf("%s (%s)", k.Owner, who)
	}
	return fmt.Sprintf("locked by %s until %s", who, k.Until.UTC().Format(time.RFC3339))
}

// lets reports whether from may command in spite of k. The hub itself may, in the
// name of an admin.
func (k *lockout) lets(from bridge.Sender) bool {
	if from.User == bridge.Hub {
		return true
	}
	return from.User == k.User && (k.User != "" || from.Client == k.Client)
}

// admits says why the lockout keeps from out; nil if it does not.
func (l *load) admits(now time.Time, from bridge.Sender) error {
	if k := l.lockout; k != nil && now.Before(k.Until) && !k.lets(from) {
		return errors.New("it is " + k.String())
	}
	return nil
}

// mayLock says why the lockout that cmd asks for is not made.
func mayLock(cmd command) error {
	switch {
	case cmd.Lock > maxTime:
		return fmt.Errorf("a lock lasts for at most %v", maxTime)
	case cmd.Lock > 0 && cmd.from.User == "" && cmd.from.Client == "":
		return errors.New("nobody knows who wants to lock it")
	}
	return nil
}

// relock makes or ends the lockout as cmd asks, and reports whether it does.
func (l *load) relock(now time.Time, cmd command) bool {
	switch {
	case cmd.Lock > 0:
		l.lockout = &lockout{Owner: cmd.Owner, User: cmd.from.User, Client: cmd.from.Client, Until: now.Add(cmd.Lock)}
	case cmd.Unlock:
		l.lockout = nil
	default:
		return false
	}
	return true
}

// relocks reports whether t comes with a lockout that is made or ends.
func (t turn) relocks() bool {
	return t.cause == causeLock || t.cause == causeUnlock || t.cmd != nil && (t.cmd.Lock > 0 || t.cmd.Unlock)
}

// lapsed ends a lockout whose time is over, and reports whether there was one.
func (l *load) lapsed(now time.Time) bool {
	if l.lockout == nil || now.Before(l.lockout.Until) {
		return false
	}
	l.lockout = nil
	return true
}
