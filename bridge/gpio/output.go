package gpio

import (
	"errors"
	"fmt"
	"time"

	"edge/bridge"
)

// retry is how soon an output whose time was over and that could not be
// switched is tried again.
const retry = time.Second

// A command is what somebody wants of an output, and when it came.
type command struct {
	bridge.Command
	entity string
	from   bridge.Sender
	at     time.Time
	note   string // for the result
	absent error  // why who has sent it cannot hold a lease; nil if he can
	says   string // in its result when it was done; empty: the state of the output
}

// An output is a line that is driven.
type output struct {
	pin
	load *load
	boot string
	kept *lockout // that is saved
	why  string   // of the last change, for people; empty if the cause says it all
}

// start tells what the line is since its request, which made it begin.
func (o *output) start(now time.Time, begin pulse, cause string) error {
	o.load.reset(now, begin)
	o.save(cause)
	o.set(now, o.load.on, cause)
	return gone(o.confirm(turn{cause: cause}))
}

// turn does what was decided, and answers the command that it is for.
func (o *output) turn(t turn) error {
	before := o.load.to
	err := o.drive(t)
	if t.cmd != nil {
		o.answer(*t.cmd, err)
	} else if err != nil && o.load.to == before { // It could not even be set.
		o.load.postpone(time.Now())
	}
	return err
}

// answer tells what became of a command.
func (o *output) answer(cmd command, err error) {
	result := bridge.Result{ID: cmd.ID, Status: bridge.StatusOK, Reason: cmd.note, Value: state(o.on), Latency: time.Since(cmd.at)}
	if cmd.says != "" && err == nil {
		result.Value = cmd.says
	}
	if err != nil {
		result.Status, result.Reason = bridge.StatusError, err.Error()
	}
	o.post.result(cmd.entity, result)
}

// drive makes the line what t says, reads it back and publishes that. If the
// line could not be set, what was to be before still is.
func (o *output) drive(t turn) error {
	var bit uint64
	if t.next.on {
		bit = 1
	}
	if err := o.judge(o.lines.SetValues(1, bit)); err != nil {
		return err
	}
	o.load.aim(t.next)
	o.save(t.cause)
	return o.confirm(t)
}

// confirm reads the line back after t and publishes it.
func (o *output) confirm(t turn) error {
	changed, err := o.look(t)
	if !changed && (t.cause == causeStart || t.relocks()) {
		o.log(t)
	}
	o.publish()
	return err
}

// audit looks whether the line is still what it was made. The error is one of a
// chip that is gone.
func (o *output) audit() error {
	changed, err := o.look(turn{cause: causeAudit})
	if changed {
		o.publish()
	}
	return gone(err)
}

// look reads the line after t. A line that is not what it was made is a fault.
func (o *output) look(t turn) (changed bool, err error) {
	v, err := o.lines.Values(1)
	on := v == 1
	if err == nil {
		if changed = on != o.on; changed {
			o.set(time.Now(), on, t.cause)
			o.why = t.why
			o.load.became(o.since, on)
			o.count(t.cause)
			o.log(t)
		}
		if on != o.load.to.on {
			err = fmt.Errorf("it is %s after it was set %s: is something else driving it?", state(on), state(o.load.to.on))
		}
	}
	return changed, o.judge(err)
}

func (o *output) publish() {
	o.post.state(o.ID, o.on)
	o.extra = make(map[string]any)
	if due := o.load.changes(); !due.IsZero() {
		o.extra["until"] = due.UTC().Format(time.RFC3339Nano)
	}
	if o.why != "" {
		o.extra["why"] = o.why
	}
	if k := o.load.lockout; k != nil {
		o.extra["lock"] = k
	}
	o.tell(o.extra)
}

// change returns what is told of a change to value; by may be nil.
func change(value, cause string, by *command) bridge.Change {
	c := bridge.Change{Time: time.Now(), Value: value, Cause: cause}
	if by != nil {
		c.User, c.Client, c.ID = by.from.User, by.from.Client, by.ID
	}
	return c
}

// log tells of a change after t.
func (o *output) log(t turn) {
	by := t.cmd
	if by == nil {
		by = t.of
	}
	c := change(state(o.on), t.cause, by)
	c.Why = t.why
	if t.relocks() && o.load.lockout != nil {
		c.Why = o.load.lockout.String()
	}
	o.post.change(o.ID, c)
}

// count counts a change, and that of a kind that somebody should look into.
func (o *output) count(cause string) {
	o.counters["switched"]++
	if cause == causeMaxOn || cause == causeLease || cause == causeInterlock {
		o.counters[cause]++
	}
}

// leave makes the line what it is to be when nobody tends it any more. Without all the
// others, which may be anything, one that excludes some goes off.
func (o *output) leave(all bool) error {
	if o.OnExit == Keep {
		return nil
	}
	next, why := o.load.exit(time.Now())
	if o.load.lock != nil && !all {
		next = pulse{}
	}
	return errors.Join(why, o.drive(turn{next: next, cause: causeExit}))
}
