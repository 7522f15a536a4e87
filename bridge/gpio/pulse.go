package gpio

import (
	"fmt"
	"strings"
	"time"

	"edge/bridge"
)

// A pulse is what an output is to be: a level, and for a timed command the time
// at which it turns to the other one. A later command replaces both.
type pulse struct {
	on    bool
	until time.Time // zero: until the next command
	cause string    // of its end
}

// next returns what a command makes of an output that is p now.
func (p pulse) next(now time.Time, cmd bridge.Command) (pulse, error) {
	var n pulse
	switch strings.ToUpper(cmd.Value) {
	case "ON":
		n.on = true
	case "OFF":
	case "TOGGLE":
		n.on = !p.on
	default:
		return p, fmt.Errorf("%q is not ON, OFF or TOGGLE", cmd.Value)
	}
	if cmd.For > 0 {
		n.until, n.cause = now.Add(cmd.For), causeTimer
	}
	return n, nil
}

// expired returns what an output that is p is to be at now, and whether that is
// something else because the time of its command is over.
func (p pulse) expired(now time.Time) (pulse, bool) {
	if !p.past(now) {
		return p, false
	}
	return pulse{on: !p.on}, true
}

// past reports whether the time of p is over.
func (p pulse) past(now time.Time) bool { return !p.until.IsZero() && !now.Before(p.until) }
