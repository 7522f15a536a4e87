package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"edge/bridge"
	"edge/internal/gpiochip"
)

// Causes of a change, as they stand in attr.
const (
	causeStart   = "start"   // it was so, or was made so, when the bridge began
	causeBack    = "back"    // so it was found when the chip was there again
	causeInput   = "input"   // the line changed
	causeAudit   = "re-read" // found by reading the line, not by an edge
	causeCommand = "command"
	causeTimer   = "timer" // the time of a command was over
	causeExit    = "exit"
	causeFound   = "found" // it was so before, says the line
	causeLock    = "lock"  // these two change who may command
	causeUnlock  = "unlock"

	causeMaxOn     = "max_on"
	causeLease     = "lease"     // what must keep coming did not
	causeInterlock = "interlock" // another output is to go on

	causePosition  = "position"   // a cover is where it was to go
	causeEndSwitch = "end switch" // a cover is at its end
	causeFault     = "fault"      // a cover did not come to its end, or must not be driven
)

// errFault is wrapped by an error of a line whose chip is still there.
var errFault = errors.New("the line does not work")

// A pin is a line that is held, and what was told about it. Only the goroutine
// that owns its group uses it.
type pin struct {
	Pin
	lines gpiochip.Lines
	post  *post

	on       bool // last read
	since    time.Time
	cause    string
	fault    string // why on cannot be relied on; empty if it can
	counters map[string]uint64
	extra    map[string]any // what else attr says
}

// read returns the line's value. If it cannot be read, attr says so.
func (p *pin) read() (on bool, err error) {
	v, err := p.lines.Values(1)
	return v == 1, p.judge(err)
}

// judge keeps in mind whether the line works. A chip that is gone is no fault of
// the line.
func (p *pin) judge(err error) error {
	if lost(err) {
		return fmt.Errorf("pin %q: %w", p.ID, err)
	}
	fault := ""
	if err != nil {
		fault = err.Error()
		err = fmt.Errorf("%w: %w", errFault, err)
	}
	if fault != p.fault {
		p.fault = fault
		p.tell(p.extra)
	}
	return err
}

// set keeps in mind that the line was read as on.
func (p *pin) set(now time.Time, on bool, cause string) {
	p.on, p.since, p.cause = on, now, cause
}

// tell publishes what is known beside the state.
func (p *pin) tell(extra map[string]any) {
	a := bridge.Attr{Error: p.fault, Cause: p.cause, Since: p.since, Counters: maps.Clone(p.counters), Extra: extra}
	if p.fault != "" {
		a.Quality = bridge.Bad
	}
	p.post.attr(p.ID, a)
}

func state(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// A post puts what a bridge has to say into its outbox.
type post struct {
	base   bridge.Base
	client bridge.Client
	box    *outbox
}

func (p *post) state(entity string, on bool) { p.scalar(entity, state(on)) }

func (p *post) scalar(entity, value string) {
	p.box.put(letter{p.base.State(entity), func(ctx context.Context) error {
		return bridge.PublishState(ctx, p.client, p.base, entity, value)
	}})
}

func (p *post) position(entity, value string) {
	p.box.put(letter{p.base.Position(entity), func(ctx context.Context) error {
		return bridge.PublishPosition(ctx, p.client, p.base, entity, value)
	}})
}

func (p *post) attr(entity string, a bridge.Attr) {
	p.box.put(letter{p.base.Attr(entity), func(ctx context.Context) error {
		return bridge.PublishAttr(ctx, p.client, p.base, entity, a)
	}})
}

func (p *post) save(entity string, m memory) { p.keep(entity, m, nil) }

// keep saves v, and calls done, which may be nil, when it is saved.
func (p *post) keep(entity string, v any, done func()) {
	p.box.put(letter{p.base.Saved(entity), func(ctx context.Context) error {
		err := bridge.Save(ctx, p.client, p.base, entity, v)
		if err == nil && done != nil {
			done()
		}
		return err
	}})
}

// event reports false if there is so much to be said that it was left out.
func (p *post) event(entity, event string) bool {
	if p.box.len() >= crowded {
		return false
	}
	p.box.put(letter{"", func(ctx context.Context) error {
		return bridge.PublishEvent(ctx, p.client, p.base, entity, event)
	}})
	return true
}

func (p *post) change(entity string, c bridge.Change) {
	p.box.put(letter{"", func(ctx context.Context) error {
		return bridge.PublishChange(ctx, p.client, p.base, entity, c)
	}})
}

func (p *post) result(entity string, r bridge.Result) {
	p.box.put(letter{"", func(ctx context.Context) error {
		return bridge.PublishResult(ctx, p.client, p.base, entity, r)
	}})
}

// refuse answers a command that is not carried out.
func (p *post) refuse(entity, id, reason string) {
	p.result(entity, bridge.Result{ID: id, Status: bridge.StatusRefused, Reason: reason})
}

// farewell publishes what is left to say when ctx has ended.
func (p *post) farewell(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 300*time.Millisecond)
	defer cancel()
	if err := p.box.flush(ctx); err != nil {
		log.Debug("last states are not published", "err", err)
	}
}
