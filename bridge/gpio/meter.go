package gpio

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
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
	saves    uint64
	depot    depot
	unknown  string // why the total is not known; until it is set, nothing is counted
	counters map[string]uint64
}

// A reading is the total of a meter as it is saved.
type reading struct {
	Pulses  uint64  `json:"pulses"`
	PerUnit float64 `json:"per_unit"` // so that the total stays when it is corrected
}

func newMeter(p Pin, post *post, saved reading) *meter {
	m := &meter{Counter: *p.Counter, pin: p, post: post, counters: make(map[string]uint64)}
	m.depot.post, m.depot.entity = post, p.totalID()
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
		m.depot.repeat(m.deposit())
	}
	m.tellRate()
	m.post.attr(m.pin.rateID(), bridge.Attr{})
	m.post.attr(m.pin.totalID(), m.attr())
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
	case m.pulses == m.saved && !m.depot.failed.Load():
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

// save has the total be saved, and then published; cmd, if there is one, is
// answered then.
func (m *meter) save(now time.Time, cmd *command) {
	m.saved, m.at = m.pulses, now
	m.saves++
	s := m.deposit()
	s.cmd = cmd
	m.depot.put(s)
}

// deposit is what was given to be saved last.
func (m *meter) deposit() deposit {
	return deposit{reading: reading{m.saved, m.PerUnit}, number: m.saves, value: m.total(m.saved), attr: m.attr()}
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
