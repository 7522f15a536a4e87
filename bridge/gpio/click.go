package gpio

import "time"

// What a button tells on …/event.
const (
	eventPress   = "press"
	eventRelease = "release"
	eventSingle  = "single"
	eventDouble  = "double"
	eventTriple  = "triple"
	eventLong    = "long"
	eventHold    = "hold"
)

// clickNames are the events of so many clicks, from one on.
var clickNames = [...]string{eventSingle, eventDouble, eventTriple}

// Clicks are what is told of a button beside its state.
type Clicks struct {
	Double time.Duration `yaml:"double" doc:"the longest time between two clicks of a double or triple click, for which a single one has to wait; 0s: there is none but single, at once"`
	Long   time.Duration `yaml:"long" doc:"held for as long, it is a long press instead of a click; 0s: there is none"`
	Hold   time.Duration `yaml:"hold" doc:"after a long press, how often hold is told while it goes on, at least 50ms; 0s: never"`
}

// SetDefaults gives what holds where a file is silent.
func (c *Clicks) SetDefaults() { c.Double, c.Long = 400*time.Millisecond, time.Second }

// events are the names of those that there can be.
func (c *Clicks) events() []string {
	names := []string{eventPress, eventRelease, eventSingle}
	if c.Double > 0 {
		names = append(names, eventDouble, eventTriple)
	}
	if c.Long > 0 {
		names = append(names, eventLong)
	}
	if c.Hold > 0 {
		names = append(names, eventHold)
	}
	return names
}

// A clicker makes events of what is done to a button. A press that ends before it
// is long is a click; clicks that follow each other within the time of double
// count together, until there are three, or a long press begins. It knows no
// clock: its owner calls expire when it is due.
type clicker struct {
	Clicks
	down  bool
	long  bool // this press is told to be long
	count int  // clicks that are not told yet
	due   time.Time
}

// edge takes what the button is from now on, and returns what there is to tell.
func (c *clicker) edge(now time.Time, down bool) []string {
	if down == c.down {
		return nil // It was held at the start.
	}
	told := c.expire(now)
	if c.down = down; down {
		return append(told, c.press(now))
	}
	return append(told, c.release(now)...)
}

func (c *clicker) press(now time.Time) string {
	c.long, c.due = false, time.Time{}
	if c.Long > 0 {
		c.due = now.Add(c.Long)
	}
	return eventPress
}

func (c *clicker) release(now time.Time) []string {
	told := []string{eventRelease}
	if c.due = (time.Time{}); c.long {
		return told
	}
	if c.count++; c.count == len(clickNames) || c.Double == 0 {
		return append(told, c.tell()...)
	}
	c.due = now.Add(c.Double)
	return told
}

// tell returns the event of the clicks so far, and begins anew.
func (c *clicker) tell() []string {
	n := c.count
	if c.count = 0; n == 0 {
		return nil
	}
	return []string{clickNames[n-1]}
}

// expire returns what there is to tell because time has passed.
func (c *clicker) expire(now time.Time) (told []string) {
	for !c.due.IsZero() && !now.Before(c.due) {
		at := c.due
		c.due = time.Time{}
		switch {
		case !c.down:
			told = append(told, c.tell()...)
			continue
		case !c.long:
			c.long = true
			told = append(append(told, c.tell()...), eventLong)
		default:
			told = append(told, eventHold)
		}
		if c.Hold > 0 {
			c.due = at.Add(c.Hold)
			if c.due.Before(now) { // Who was late tells it once, not as often as it would have been.
				c.due = now.Add(c.Hold)
			}
		}
	}
	return told
}
