package journal

// A State says whether the journal takes records.
type State byte

// The states.
const (
	OK      State = iota
	Full          // no more messages: ErrFull
	Failing       // neither messages nor subscriptions: ErrUnavailable; it tries again
)

func (s State) String() string { return [...]string{"ok", "full", "failing"}[s] }

// An alarm is what Options.Alarm is to be told. The lock of the Disk guards it.
type alarm struct {
	state State
	err   error
	ring  chan struct{}
}

// notice finds out whether the state has changed. The caller holds mu.
func (d *Disk) notice() {
	state, err := OK, error(nil)
	switch {
	case d.failing != nil:
		state, err = Failing, d.failing
	case d.full:
		state, err = Full, ErrFull
	}
	if state != d.alarm.state {
		d.alarm.state, d.alarm.err = state, err
		d.nudge(d.alarm.ring)
	}
}

// runAlarm tells about changes until the journal is closed.
func (d *Disk) runAlarm() {
	var told State
	for {
		select {
		case <-d.alarm.ring:
		case <-d.stop:
			return
		}
		d.mu.Lock()
		state, err := d.alarm.state, d.alarm.err
		d.mu.Unlock()
		if state != told {
			told = state
			d.report(state, err)
			d.opts.Alarm(state, err)
		}
	}
}

func (d *Disk) report(s State, err error) {
	switch s {
	case OK:
		d.log.Info("the journal takes records again")
	case Full:
		d.log.Error("the journal is full: messages that must survive are refused", "bytes", d.Stats().Bytes)
	case Failing:
		d.log.Error("the journal cannot be written: nothing that must survive is acknowledged", "error", err)
	}
}
