package gpio

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"edge/bridge"
)

const (
	// noteWait is how long a cover waits for the disk before it moves. Longer, and
	// who commands it would do so again.
	noteWait = time.Second

	// coverPace is how often the position of a cover that moves is told.
	coverPace = time.Second
)

// A coverMemory is where a cover is, as it is saved for the next start. While it
// moves there is no position: if edge dies, nobody knows where it came to rest.
type coverMemory struct {
	Position *float64  `json:"position,omitempty"` // 0 is closed, 1 is open
	At       time.Time `json:"at"`                 // when this was written
}

// A cover is a motor that is driven to a position. Only the goroutine that owns its
// group uses it.
type cover struct {
	shutter
	post     *post
	outputs  [2]*output // that open and close it
	switches [2]*input  // at the open and the closed end; nil: none
	lock     *interlock

	moving *atomic.Bool // what is saved says that it moves; nil: it says where it rests
	nudge  chan struct{}
	by     *command  // the last one that it has followed
	start  *command  // that waits until moving is saved
	until  time.Time // when it waits no longer

	said     [3]string // state, position and fault
	saidAt   time.Time // of the position
	counters map[string]uint64
}

// newCover returns a cover that is where m says.
func newCover(cfg Cover, m coverMemory, g *group) *cover {
	c := &cover{shutter: shutter{Cover: cfg}, post: g.post, nudge: g.nudge, counters: make(map[string]uint64)}
	c.lost()
	if m.Position != nil && *m.Position >= 0 && *m.Position <= 1 {
		c.put(*m.Position)
	}
	c.lock = g.bank.find(cfg.Open).lock
	return c
}

// begin takes the lines that the group has taken. If they were lost while the cover
// moved, nobody knows where it is.
func (c *cover) begin(now time.Time, g *group) {
	c.outputs = [2]*output{g.output(g.bank.find(c.Open)), g.output(g.bank.find(c.Close))}
	c.switches = [2]*input{g.input(c.OpenSwitch), g.input(c.CloseSwitch)}
	if c.moving != nil {
		c.lost()
	}
	c.at, c.seen, c.said = now, sight{}, [3]string{}
	c.stop(causeStart, "")
	c.look(now)
	c.rest()
	c.tell(now)
}

// look takes in what the lines are.
func (c *cover) look(now time.Time) {
	var v sight
	for i, w := range []way{opening, closing} {
		o, in := c.outputs[i], c.switches[i]
		if o.on && v.way != resting {
			v.fault = "both of its outputs are on"
		} else if o.on {
			v.way = w
		}
		v.waits = v.waits || c.lock.claim != nil && c.lock.claim.load == o.load
		if o.on || v.way == resting && o.since.After(v.since) {
			v.since, v.cause = o.since, o.cause
		}
		if in != nil && in.fault != "" {
			v.fault = fmt.Sprintf("its end switch %s cannot be read: %s", in.ID, in.fault)
		}
	}
	v.open = c.switches[0] != nil && c.switches[0].on
	v.closed = c.switches[1] != nil && c.switches[1].on
	v.waits = v.waits || c.start != nil
	if v.open && v.closed {
		v.fault = "both of its end switches are on: is one of them broken?"
	}
	if v.way != resting && v.way != c.seen.way {
		c.counters["moves"]++
	}
	c.see(now, v)
}

// running reports whether one of the outputs is on, or is to be.
func (c *cover) running() bool {
	for _, o := range c.outputs {
		if o.on || o.load.to.on {
			return true
		}
	}
	return false
}

// give gives up what waits to move the cover.
func (c *cover) give(reason string) {
	if cmd := c.start; cmd != nil {
		c.post.refuse(c.ID, cmd.ID, reason)
		c.start = nil
	}
	if cmd := c.lock.drop(); cmd != nil {
		c.post.refuse(cmd.entity, cmd.ID, reason)
	}
}

// answer tells what became of a command that was carried out without switching.
func (c *cover) answer(cmd command, err error) {
	r := bridge.Result{ID: cmd.ID, Status: bridge.StatusOK, Reason: cmd.note, Value: c.state(), Latency: time.Since(cmd.at)}
	if err != nil {
		r.Status, r.Reason = bridge.StatusError, err.Error()
	}
	c.post.result(c.ID, r)
}

// note saves that the cover moves, and has cmd wait for that: what is not on the
// disk when edge dies would leave a position behind that is wrong.
func (c *cover) note(now time.Time, cmd command) {
	c.start, c.until = &cmd, now.Add(noteWait)
	if c.moving == nil {
		c.saveMoving(now)
	}
}

func (c *cover) saveMoving(now time.Time) {
	saved := new(atomic.Bool)
	c.moving = saved
	c.post.keep(c.ID, coverMemory{At: now}, func() {
		saved.Store(true)
		signal(c.nudge)
	})
}

// noted reports whether the disk knows that the cover moves.
func (c *cover) noted() bool { return c.moving != nil && c.moving.Load() }

// rest saves where the cover is, when it has come to rest.
func (c *cover) rest() {
	if c.moving == nil || c.running() || c.seen.waits || c.goal != nil {
		return
	}
	c.moving = nil
	m := coverMemory{At: c.at}
	if c.known() {
		position := (c.low + c.high) / 2
		m.Position = &position
	}
	c.post.keep(c.ID, m, nil)
}

// leave ends what the cover does. Its lines are still there, and off, unless the
// chip is gone.
func (c *cover) leave(now time.Time) {
	if c.outputs[0] == nil {
		return // It has never begun.
	}
	c.give("its outputs are given back")
	c.stop(causeExit, "")
	c.look(now)
	c.rest()
	c.tell(now)
	c.outputs, c.switches = [2]*output{}, [2]*input{}
}

// due returns when the cover is to be looked at; zero is never.
func (c *cover) due() (due time.Time) {
	times := []time.Time{c.shutter.due()}
	if c.start != nil {
		times = append(times, c.until)
	}
	if c.seen.way != resting {
		times = append(times, c.saidAt.Add(coverPace))
	}
	for _, t := range times {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	return due
}

// tell publishes what has changed; while the cover moves, its position at a pace.
func (c *cover) tell(now time.Time) {
	first, state, trouble := c.said[0] == "", c.state(), c.trouble()
	turned := state != c.said[0]
	if turned || c.seen.way == resting || now.Sub(c.saidAt) >= coverPace {
		c.saidAt = now
		if position := c.position(); first || position != c.said[1] {
			c.post.position(c.ID, position)
			c.said[1] = position
		}
	}
	if turned {
		c.post.scalar(c.ID, state)
		ch := change(state, c.cause, c.doing())
		ch.Why = trouble
		c.post.change(c.ID, ch)
	}
	if turned || trouble != c.said[2] {
		c.post.attr(c.ID, c.attr(trouble))
	}
	c.said[0], c.said[2] = state, trouble
}

// doing returns whose doing it is what the cover does; nil is nobody's.
func (c *cover) doing() *command {
	if c.cause != causeCommand {
		return nil
	}
	return c.by
}

// trouble returns what is wrong with the cover or its lines; empty if nothing is.
func (c *cover) trouble() string {
	for _, o := range c.outputs {
		if o.fault != "" {
			return fmt.Sprintf("its output %s: %s", o.ID, o.fault)
		}
	}
	if c.seen.fault != "" {
		return c.seen.fault
	}
	return c.fault
}

func (c *cover) attr(trouble string) bridge.Attr {
	a := bridge.Attr{Error: trouble, Cause: c.cause, Since: c.seen.since, Counters: maps.Clone(c.counters)}
	if trouble != "" {
		a.Quality = bridge.Bad
	}
	return a
}

// coverMemories reads what was saved of covers. What cannot be read is as if it
// were not there.
func (b *Bridge) coverMemories(saved map[string][]byte) map[string]coverMemory {
	memories := make(map[string]coverMemory)
	for _, c := range b.cfg.Covers {
		var m coverMemory
		if err := json.Unmarshal(saved[c.ID], &m); err != nil && len(saved[c.ID]) > 0 {
			b.log.Warn("what was saved of a cover cannot be read; its position is not known", "cover", c.ID, "err", err)
		}
		memories[c.ID] = m
	}
	return memories
}
