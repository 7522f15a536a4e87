package delivery

import (
	"sync"
	"time"

	"edge/broker/journal"
)

// A clock counts the seconds by which messages and sessions expire. It looks like
// Unix time, but never jumps: a board without a battery wakes up in 1970, and years
// later, a minute old, the network tells it the date. While the broker runs, the
// clock goes on by the time that passes. While it was off, it goes on by what the
// time of day says, if that can be believed at both ends; else it stood still, and
// what should have expired lives a little longer.
//
// For this the journal has records of what the time of day was at what time of the
// clock: at the start, and when the two drift apart.
type clock struct {
	begun time.Time // when start was the time
	start time.Time

	mu    sync.Mutex
	noted reading
	place journal.Place // of the record of noted
	timer *time.Timer
	over  bool

	latest int64 // while the journal is read: a time that was reached for sure
}

// A reading is what the clock and the time of day were at one moment, in seconds.
type reading struct{ clock, day int64 }

// settledDays is when the time of day can be believed: edge is not older, so a clock
// that says less was not set.
const settledDays = 1_704_067_200 // 2024-01-01

const (
	readEvery = time.Minute // how often the time of day is compared
	drift     = 5           // seconds by which it may be off
	noteEvery = 3600        // seconds between records while it cannot be believed
)

// begin starts the clock, with what the journal says.
func (c *clock) begin() {
	now := time.Now()
	c.beginAt(now, now.Unix())
}

func (c *clock) beginAt(now time.Time, day int64) {
	c.begun, c.start = now, time.Unix(day, 0)
	last := c.noted
	if last == (reading{}) {
		return // A new journal.
	}
	t := last.clock
	if last.day >= settledDays && day > last.day {
		t += day - last.day
	}
	c.start = time.Unix(max(t, c.latest), 0)
}

// learn takes the time of a record.
func (c *clock) learn(r *journal.Record) {
	c.latest = max(c.latest, r.Since)
	if r.Kind == journal.ClockRead {
		c.noted, c.place = reading{r.Since, int64(r.Sequence)}, r.Place
	}
}

func (c *clock) now() int64 {
	return c.start.Add(time.Since(c.begun)).Unix()
}

// Now returns the time in seconds by which messages expire. It is like Unix time,
// but does not jump.
func (e *Engine) Now() int64 { return e.clock.now() }

// readClock notes the time of day if that is not as one would think, and does so
// again every minute.
func (e *Engine) readClock() {
	c := &e.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	is := reading{c.now(), time.Now().Unix()}
	off := (is.day - is.clock) - (c.noted.day - c.noted.clock)
	late := is.day < settledDays && is.clock-c.noted.clock >= noteEvery
	if off > drift || off < -drift || late || c.noted == (reading{}) {
		r := journal.Record{Kind: journal.ClockRead, Since: is.clock, Sequence: uint64(is.day), Within: readEvery}
		if _, err := e.journal.Append(&r); err == nil {
			c.noted, c.place = is, r.Place
		}
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(readEvery, e.readClock)
	} else {
		c.timer.Reset(readEvery)
	}
}

// keep is Keep for a record of the clock.
func (c *clock) keep(e *Engine, r *journal.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.place != r.Place {
		return
	}
	if _, err := e.journal.Append(r); err == nil {
		c.place = r.Place
	}
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over = true; c.timer != nil {
		c.timer.Stop()
	}
}
