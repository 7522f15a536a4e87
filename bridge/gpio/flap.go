package gpio

import (
	"errors"
	"time"

	"edge/internal/config"
)

// mutedEvery is how often the state of an input is published that flaps.
const mutedEvery = time.Second

// Flapping is when an input changes too often for every change to be told.
type Flapping struct {
	Changes int           `yaml:"changes" doc:"changes of an input within window, above which its state is published once a second at most, and attr says flapping; 0 turns it off"`
	Window  time.Duration `yaml:"window" doc:"the time in which changes count; it ends after one with fewer"`
}

func (f Flapping) validate() error {
	var errs []error
	if f.Changes < 0 || f.Changes > 1e6 {
		errs = append(errs, config.Errorf("changes", "%d is not between 0 and 1000000", f.Changes))
	}
	if f.Changes > 0 && (f.Window < time.Second || f.Window > time.Hour) {
		errs = append(errs, config.Errorf("window", "%v is not between 1s and 1h", f.Window))
	}
	return errors.Join(errs...)
}

// A damper says which changes of an input are published.
type damper struct {
	Flapping
	muted bool
	begin time.Time // of this window
	n     int       // changes in it
	told  time.Time // when the state was published last
	held  bool      // it has changed since then
}

// change takes a change, and reports whether it is published now.
func (d *damper) change(now time.Time) bool {
	if d.Changes == 0 {
		return true
	}
	d.roll(now)
	d.n++
	if d.n > d.Changes && !d.muted {
		d.muted, d.told = true, now
		return true
	}
	return d.tell(now)
}

// tell reports whether the state can be published now.
func (d *damper) tell(now time.Time) bool {
	d.held = d.muted && now.Before(d.told.Add(mutedEvery))
	if !d.held {
		d.told = now
	}
	return !d.held
}

// roll ends a window that is over.
func (d *damper) roll(now time.Time) {
	if now.Before(d.begin.Add(d.Window)) {
		return
	}
	d.muted = d.muted && d.n > d.Changes
	d.begin, d.n = now, 0
}

// due returns when expire has something to do; zero is never.
func (d *damper) due() time.Time {
	if !d.muted {
		return time.Time{}
	}
	due := d.begin.Add(d.Window)
	if d.held {
		due = sooner(due, d.told.Add(mutedEvery))
	}
	return due
}

// expire reports whether the state is published now: it was held back for long
// enough, or it flaps no more.
func (d *damper) expire(now time.Time) bool {
	if !d.muted {
		return false
	}
	if d.roll(now); !d.muted {
		d.held, d.told = false, now
		return true
	}
	return d.held && d.tell(now)
}
