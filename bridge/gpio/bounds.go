package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/internal/config"
	"edge/internal/topic"
)

// Bounds of what is configured in time. minDead is what relays need to fall.
const (
	minDead = 15 * time.Millisecond
	maxDead = time.Minute
	maxTime = 7 * 24 * time.Hour
	maxRate = 1000 // per minute
)

// bounds checks what protects an output.
func (p Pin) bounds(at func(string) string) error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, config.Errorf(at(field), format, args...))
	}
	for _, f := range []struct {
		field string
		d     time.Duration
	}{{"max_on", p.MaxOn}, {"min_on", p.MinOn}, {"min_off", p.MinOff}, {"lease.time", p.Lease.Time}, {"max_age", p.MaxAge}} {
		if f.d < 0 || f.d > maxTime {
			add(f.field, "%v is not between 0s and %v", f.d, maxTime)
		}
	}
	if p.MaxOn > 0 && p.MaxOn < p.MinOn {
		add("max_on", "%v is shorter than min_on, %v", p.MaxOn, p.MinOn)
	}
	if p.PerMinute < 0 || p.PerMinute > maxRate {
		add("per_minute", "%d is not between 0 and %d", p.PerMinute, maxRate)
	}
	if p.MaxOn > 0 && p.Safe == On {
		add("max_on", "safe is on, and so it must be able to stay on; leave one of them out")
	}
	errs = append(errs, oneOf(at("retrigger"), p.Retrigger))
	if p.Lease.Commander && p.Lease.Topic != "" {
		add("lease.topic", "commander keeps the lease already; leave one of them out")
	}
	if p.Lease.Topic == "" {
		return errors.Join(errs...)
	}
	if err := topic.CheckFilter(p.Lease.Topic); err != nil {
		add("lease.topic", "%w", err)
	}
	if p.Lease.Time == 0 && !p.Lease.Commander {
		add("lease.time", "must be set: how long may %s be silent?", p.Lease.Topic)
	}
	return errors.Join(errs...)
}

// checkInterlocks checks which outputs exclude each other.
func (c Config) checkInterlocks() error {
	var errs []error
	taken := make(map[string]int)
	for i, l := range c.Interlocks {
		path := fmt.Sprintf("interlocks[%d]", i)
		errs = append(errs, config.In(path, c.checkInterlock(l)))
		for n, id := range l.Pins {
			if first, again := taken[id]; again {
				errs = append(errs, config.Errorf(fmt.Sprintf("%s.pins[%d]", path, n), "%s is in interlock %d already", id, first))
			}
			taken[id] = i
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkInterlock(l Interlock) error {
	var errs []error
	if len(l.Pins) < 2 {
		errs = append(errs, config.Errorf("pins", "name two outputs or more"))
	}
	if l.DeadTime < minDead || l.DeadTime > maxDead {
		errs = append(errs, config.Errorf("dead_time", "must be %v to %v, not %v", minDead, maxDead, l.DeadTime))
	}
	var on []string
	var chip string
	for n, id := range l.Pins {
		at := fmt.Sprintf("pins[%d]", n)
		i := slices.IndexFunc(c.Pins, func(p Pin) bool { return p.ID == id })
		if i < 0 || c.Pins[i].Direction != Output {
			errs = append(errs, config.Errorf(at, "there is no output %q", id))
			continue
		}
		p := c.Pins[i]
		if n > 0 && p.Chip != chip {
			errs = append(errs, config.Errorf(at, "%s is on another chip than %s: two chips cannot be switched as one", id, l.Pins[0]))
		}
		chip = p.Chip
		if p.Initial == On || p.Warm == On || p.OnExit == On {
			on = append(on, id)
		}
		if p.Safe == On {
			errs = append(errs, config.Errorf(at, "safe is on for %s: nobody would wait for dead_time when the others are made safe, too", id))
		}
		if p.Initial == Hardware || p.Warm == Hardware {
			errs = append(errs, config.Errorf(at, "%s begins as it is found, which may be on together with another one: an output with an interlock begins off, on or as it was", id))
		}
		if p.Initial == InvertedLast || p.Warm == InvertedLast {
			errs = append(errs, config.Errorf(at, "%s begins inverted: an output with an interlock begins off, on or as it was", id))
		}
	}
	if len(on) > 1 {
		errs = append(errs, config.Errorf("pins", "%s would be on together at the start or the end", strings.Join(on, " and ")))
	}
	return errors.Join(errs...)
}
