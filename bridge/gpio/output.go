package gpio

import (
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
	at     time.Time
}

// An output is a line that is driven.
type output struct {
	pin
	pulse pulse
}

// start tells what the line is since its request.
func (o *output) start(now time.Time) error {
	o.pulse = pulse{on: o.Initial == On}
	o.set(now, o.pulse.on, causeStart)
	return gone(o.confirm(causeStart))
}

// execute does what cmd says and answers it. The error is one of a chip that is
// gone.
func (o *output) execute(cmd command) error {
	result := bridge.Result{ID: cmd.ID, Status: bridge.StatusOK}
	next, err := o.pulse.next(time.Now(), cmd.Command)
	if err != nil {
		o.post.refuse(o.ID, cmd.ID, err.Error())
		return nil
	}
	err = o.drive(next, causeCommand)
	result.Value, result.Latency = state(o.on), time.Since(cmd.at)
	if err != nil {
		result.Status, result.Reason = bridge.StatusError, err.Error()
	}
	o.post.result(o.ID, result)
	return gone(err)
}

// expire ends the time of a command, if it is over. The error is one of a chip
// that is gone.
func (o *output) expire(now time.Time) error {
	before := o.pulse
	next, over := before.expired(now)
	if !over {
		return nil
	}
	err := o.drive(next, causeTimer)
	if err != nil && o.pulse == before { // It could not even be set.
		o.pulse.until = now.Add(retry)
	}
	return gone(err)
}

// drive makes the line what next says, reads it back and publishes that. If the
// line could not be set, what was to be before still is.
func (o *output) drive(next pulse, cause string) error {
	var bit uint64
	if next.on {
		bit = 1
	}
	if err := o.judge(o.lines.SetValues(1, bit)); err != nil {
		return err
	}
	o.pulse = next
	return o.confirm(cause)
}

// confirm reads the line back and publishes it.
func (o *output) confirm(cause string) error {
	_, err := o.look(cause)
	o.publish()
	return err
}

// audit looks whether the line is still what it was made. The error is one of a
// chip that is gone.
func (o *output) audit() error {
	changed, err := o.look(causeAudit)
	if changed {
		o.publish()
	}
	return gone(err)
}

// look reads the line. A line that is not what it was made is a fault.
func (o *output) look(cause string) (changed bool, err error) {
	v, err := o.lines.Values(1)
	on := v == 1
	if err == nil {
		if changed = on != o.on; changed {
			o.set(time.Now(), on, cause)
			o.counters["switched"]++
		}
		if on != o.pulse.on {
			err = fmt.Errorf("it is %s after it was set %s: is something else driving it?", state(on), state(o.pulse.on))
		}
	}
	return changed, o.judge(err)
}

func (o *output) publish() {
	o.post.state(o.ID, o.on)
	var extra map[string]any
	if !o.pulse.until.IsZero() {
		extra = map[string]any{"until": o.pulse.until.UTC().Format(time.RFC3339Nano)}
	}
	o.tell(extra)
}

// leave makes the line what it is to be when nobody tends it any more.
func (o *output) leave() error {
	if o.OnExit == Keep {
		return nil
	}
	return o.drive(pulse{on: o.OnExit == On}, causeExit)
}
