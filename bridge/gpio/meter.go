package gpio

import (
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"edge/bridge"
	"edge/internal/gpiochip"
)

// saveGap keeps save_pulses from wearing out the card.
const saveGap = 100 * time.Millisecond

// A meter is a total of pulses that outlives everything, and their rate.
//
// The total that is published is one that was saved before. So it does not go
// back when the process is killed or the power fails, and it never has a pulse
// that was not there. What is lost then is what was counted since the last save:
// the pulses of the time of save at most, if the disk keeps up.
//
// It belongs to a pin, not to a line that is held: when the chip goes and comes
// back, it counts on.
type meter struct {
	Counter
	pin      Pin
	post     *post
	tally    tally
	rate     rate
	pulses   uint64 // the total
	saved    uint64 // of pulses, what was given to be saved
	at       time.Time
	failed   *atomic.Bool // the last save; it is tried again
	unknown  string       // why the total is not known; until it is set, nothing is counted
	counters map[string]uint64
}

// A reading is the total of a meter as it is saved.
type reading struct {
	Pulses  uint64  `json:"pulses"`
	PerUnit float64 `json:"per_unit"` // so that the total stays when it is corrected
}

func newMeter(p Pin, post *post, saved reading) *meter {
	m := &meter{Counter: *p.Counter, pin: p, post: post, failed: new(atomic.Bool), counters: make(map[string]uint64)}
	m.tally.edge, m.tally.width = m.Edge, m.MinWidth
	m.pulses = min(saved.Pulses, maxPulses)
	if saved.PerUnit > 0 && saved.PerUnit != m.PerUnit {
		m.pulses = uint64(min(math.Ceil(float64(saved.Pulses)/saved.PerUnit*m.PerUnit), maxPulses))
	}
	m.saved = m.pulses
	return m
}

// start begins to watch a line. What is published is what was saved last.
func (m *meter) start(level bool) {
	m.tally.begin(level)
	m.rate.restart()
	if m.unknown == "" {
		m.repeat()
	}
	m.tellRate()
	m.post.attr(m.pin.rateID(), bridge.Attr{})
	m.post.attr(m.pin.totalID(), m.attr())
}

// repeat publishes what was saved last, behind that save.
func (m *meter) repeat() {
	id, post, failed, value := m.pin.totalID(), m.post, m.failed, m.total(m.saved)
	post.box.put(letter{"", func(ctx context.Context) error {
		if failed.Load() {
			return nil
		}
		return bridge.PublishState(ctx, post.client, post.base, id, value)
	}})
}

// event takes an edge, before which lost others were dropped.
func (m *meter) event(now time.Time, e gpiochip.Event, lost uint32) {
	c := m.tally.event(e.Edge == gpiochip.Rising, e.Time, lost)
	if c.n == 0 || m.unknown != "" {
		return
	}
	m.pulses = min(m.pulses+c.n, maxPulses)
	m.counters["pulses"] += c.n
	m.counters["lost"] += c.lost
	m.rate.count(now, c.at, c.n)
	m.expire(now)
}

// due returns when expire has something to do; zero is never.
func (m *meter) due() time.Time { return sooner(m.saveDue(), m.rate.due()) }

func (m *meter) saveDue() time.Time {
	switch {
	case m.pulses == m.saved && !m.failed.Load():
		return time.Time{}
	case m.SavePulses > 0 && m.pulses-m.saved >= m.SavePulses:
		return m.at.Add(saveGap)
	}
	return m.at.Add(m.Save)
}

// expire does what is due at now.
func (m *meter) expire(now time.Time) {
	if due := m.saveDue(); !due.IsZero() && !now.Before(due) {
		m.save(now, nil)
	}
	if m.rate.expire(now) {
		m.tellRate()
	}
}

// leave saves what is not saved yet: nobody counts any more.
func (m *meter) leave(now time.Time) {
	if m.pulses != m.saved {
		m.save(now, nil)
	}
}

// save keeps the total and publishes it when it is kept. cmd, if there is one, is
// answered then. A disk that does not take it is told in attr and tried again; it
// is no reason to let go of the lines.
func (m *meter) save(now time.Time, cmd *command) {
	m.saved, m.at = m.pulses, now
	id, post, failed := m.pin.totalID(), m.post, m.failed
	r, value, attr := reading{m.saved, m.PerUnit}, m.total(m.saved), m.attr()
	failed.Store(false)
	key := post.base.Saved(id)
	if cmd != nil {
		key = "" // An answer must not be replaced by a later save.
	}
	post.box.put(letter{key, func(ctx context.Context) error {
		err := bridge.Save(ctx, post.client, post.base, id, r)
		if err != nil && ctx.Err() == nil {
			failed.Store(true)
			attr.Quality, attr.Error = bridge.Bad, "the total is not saved: "+err.Error()
		} else if err == nil {
			err = bridge.PublishState(ctx, post.client, post.base, id, value)
			if err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if cmd != nil {
			if err := bridge.PublishResult(ctx, post.client, post.base, id, cmd.result(value, err)); err != nil {
				return err
			}
		}
		return bridge.PublishAttr(ctx, post.client, post.base, id, attr)
	}})
}

func (m *meter) attr() bridge.Attr {
	if m.tally.short > 0 {
		m.counters["short"] = m.tally.short
	}
	a := bridge.Attr{Error: m.unknown, Counters: maps.Clone(m.counters)}
	if m.unknown != "" {
		a.Quality = bridge.Bad
	}
	return a
}

func (m *meter) tellRate() {
	m.post.scalar(m.pin.rateID(), significant(m.rate.hourly/m.PerUnit))
}

// total is what so many pulses are in units.
func (m *meter) total(pulses uint64) string {
	return strconv.FormatFloat(float64(pulses)/m.PerUnit, 'f', m.decimals(), 64)
}

// significant is f in four digits.
func significant(f float64) string {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 4, 64), 64)
	if err != nil {
		return "0"
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// plainNumber is what a person reads off a meter.
var plainNumber = regexp.MustCompile(`^[0-9]{1,20}(\.[0-9]{1,10})?$`)

// execute does what a command wants of the total, and answers it.
func (m *meter) execute(cmd command) {
	if err := m.set(cmd); err != nil {
		m.post.refuse(cmd.entity, cmd.ID, err.Error())
	}
}

// set makes the total what a person has read off the meter.
func (m *meter) set(cmd command) error {
	if cmd.For > 0 {
		return fmt.Errorf("a total does not hold for a time")
	}
	if !plainNumber.MatchString(cmd.Value) {
		return fmt.Errorf("%q is no reading of a meter, such as 1234.567", cmd.Value)
	}
	units, err := strconv.ParseFloat(cmd.Value, 64)
	if err != nil || units*m.PerUnit >= maxPulses {
		return fmt.Errorf("%s is more than the meter can count", cmd.Value)
	}
	m.pulses, m.unknown = uint64(math.Round(units*m.PerUnit)), ""
	m.save(cmd.at, &cmd)
	return nil
}

// result is the answer to a command that made a total be value, unless it could
// not be saved.
func (c command) result(value string, err error) bridge.Result {
	r := bridge.Result{ID: c.ID, Status: bridge.StatusOK, Value: value, Latency: time.Since(c.at)}
	if err != nil {
		r.Status, r.Reason = bridge.StatusError, "it is not saved yet, and is tried again: "+err.Error()
	}
	return r
}
