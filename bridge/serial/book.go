package serial

import (
	"fmt"
	"time"

	"edge/bridge"
	"edge/internal/codec"
	"edge/internal/frame"
)

// pause is the time in which an entity's attributes go out twice at most, so
// that noise on the line is no storm on the broker, but news after a while of
// silence does not wait.
const pause = time.Second

// A book keeps what is known of each entity, and when that has to be published.
// It does no I/O and asks no clock.
type book struct {
	cfg     Config
	decode  codec.Decoder
	entries []entry

	lines, bad, bytes uint64
	frames            frame.Stats
	lastBad           string // the last line that could not be read, and why
}

// An entry is what is known of one entity.
type entry struct {
	state   string // empty: unknown
	since   time.Time
	said    time.Time // state was published
	heard   time.Time // the stick told a good value
	cause   string
	quality bridge.Quality
	trouble string

	dirty        bool      // the attributes are not what was published
	told, before time.Time // they were published, and the time before
}

const (
	byInput   = "input"
	byCommand = "command"
)

// newBook begins a book for a configuration that is valid.
func newBook(cfg Config, now time.Time) (*book, error) {
	decode, err := newDecoder(cfg)
	if err != nil {
		return nil, err
	}
	b := &book{cfg: cfg, decode: decode, entries: make([]entry, len(cfg.Entities))}
	for i, e := range cfg.Entities {
		b.entries[i] = entry{quality: bridge.Good, since: now, dirty: true}
		if e.reported() {
			b.entries[i].quality, b.entries[i].trouble = bridge.Bad, "nothing received yet"
		}
	}
	return b, nil
}

// line takes a line from the stick that nobody has asked for, and returns the
// entities whose state is to be published.
func (b *book) line(line []byte, now time.Time) (publish []int) { return b.read(line, "", now) }

// read is line for the answer to a request, which is also for those entities that
// read any line.
func (b *book) read(line []byte, request string, now time.Time) (publish []int) {
	b.lines++
	get, err := b.decode(line)
	if err != nil {
		b.unreadable(quote(string(line)), err)
		return nil
	}
	var wrong error
	for i, e := range b.cfg.Entities {
		if !e.reported() || e.Request != "" && e.Request != request {
			continue
		}
		v, ok := get(e.key())
		if !ok {
			continue
		}
		if v.Trouble != "" { // the line is good, what it says is not
			b.entries[i].mark(bridge.Bad, v.Trouble)
			continue
		}
		state, err := e.value(v)
		if err != nil {
			wrong = fmt.Errorf("%s: %w", e.ID, err)
			b.entries[i].mark(bridge.Bad, err.Error())
			continue
		}
		if b.entries[i].hear(state, now, b.cfg.Heartbeat) {
			publish = append(publish, i)
		}
	}
	if wrong != nil {
		b.unreadable(quote(string(line)), wrong)
	}
	return publish
}

func (b *book) unreadable(line string, err error) {
	b.bad++
	b.lastBad = line + ": " + err.Error()
	b.dirty()
}

// hear notes a good value and reports whether it is to be published.
func (e *entry) hear(state string, now time.Time, heartbeat time.Duration) bool {
	e.heard = now
	e.mark(bridge.Good, "")
	if state == e.state && now.Sub(e.said) < heartbeat {
		return false
	}
	e.set(state, byInput, now)
	return true
}

func (e *entry) set(state, cause string, now time.Time) {
	if state != e.state {
		e.state, e.since, e.cause = state, now, cause
	}
	e.said, e.dirty = now, true
}

func (e *entry) mark(q bridge.Quality, trouble string) {
	if e.quality != q || e.trouble != trouble {
		e.quality, e.trouble, e.dirty = q, trouble, true
	}
}

// assume takes a command that was sent for the state.
func (b *book) assume(i int, state string, now time.Time) {
	b.entries[i].set(state, byCommand, now)
}

// state returns the state of an entity, or nothing if it is not known.
func (b *book) state(i int) string { return b.entries[i].state }

// expire marks what the stick has not told for too long.
func (b *book) expire(now time.Time) {
	for i := range b.entries {
		e := &b.entries[i]
		if at, ok := b.stale(e); ok && !now.Before(at) {
			e.mark(bridge.Bad, fmt.Sprintf("no value for %v", b.cfg.StaleAfter))
		}
	}
}

// stale returns when a good entry is good no more.
func (b *book) stale(e *entry) (at time.Time, ok bool) {
	return e.heard.Add(b.cfg.StaleAfter), b.cfg.StaleAfter > 0 && e.quality == bridge.Good && !e.heard.IsZero()
}

// due returns the entities whose attributes are to be published now, and takes
// it that they are.
func (b *book) due(now time.Time) (publish []int) {
	for i := range b.entries {
		e := &b.entries[i]
		if e.dirty && now.Sub(e.before) >= pause {
			e.dirty, e.told, e.before = false, now, e.told
			publish = append(publish, i)
		}
	}
	return publish
}

// next returns when expire or due will have something to do, or zero if only a
// line can bring that about.
func (b *book) next() (next time.Time) {
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for i := range b.entries {
		e := &b.entries[i]
		if e.dirty {
			sooner(e.before.Add(pause))
		}
		if at, ok := b.stale(e); ok {
			sooner(at)
		}
	}
	return next
}

// attr returns what there is to say about an entity beside its state.
func (b *book) attr(i int) bridge.Attr {
	e := b.entries[i]
	a := bridge.Attr{
		Quality: e.quality, Error: e.trouble, Cause: e.cause, Since: e.since,
		Counters: map[string]uint64{"lines": b.lines, "bad_lines": b.bad, "bytes": b.bytes},
	}
	if b.lastBad != "" {
		a.Extra = map[string]any{"last_bad_line": b.lastBad}
	}
	return a
}
