package modbus

import (
	"sync"
	"time"

	"edge/bridge"
)

const (
	// pause is how often the attributes of an entity go out at most, though twice at
	// once, so that news after a while of silence does not wait.
	pause = time.Second

	// statsPause is the same for those of a unit, whose counters change all the time.
	statsPause = 10 * time.Second
)

const (
	byInput   = "input"
	byCommand = "command"
)

// A book keeps what is known of each entity and what of that is still to be told.
// It does no I/O and asks no clock. Who polls the bus writes in it, and who publishes
// reads it, so that neither waits for the other; of a state that changes faster than
// it can be told, the last one is.
type book struct {
	mu      sync.Mutex
	entries []entry // of the points, then of the units, then the bus load
	answers []answer
	news    chan struct{} // has a token when there is something to tell
}

// An entry is what is known of one entity.
type entry struct {
	id       string // in topics
	state    string // empty: unknown
	since    time.Time
	cause    string
	quality  bridge.Quality
	trouble  string
	counters map[string]uint64
	extra    map[string]any

	changed      bool // the state is to be told
	dirty        bool // the attributes are
	slow         bool // they are the numbers of a unit, which may wait
	told, before time.Time
}

// An answer is the result of a command that is to be told.
type answer struct {
	id     string // of the entity
	result bridge.Result
}

func newBook(ids []string, now time.Time) *book {
	b := &book{news: make(chan struct{}, 1)}
	for _, id := range ids {
		b.entries = append(b.entries, entry{id: id, quality: bridge.Bad, trouble: "nothing received yet", since: now, dirty: true})
	}
	b.ring()
	return b
}

func (b *book) ring() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// state returns the state of an entity, or nothing if it is not known.
func (b *book) state(i int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[i].state
}

// hear notes a good value.
func (b *book) hear(i int, state, cause string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &b.entries[i]
	if state != e.state {
		e.state, e.since, e.cause, e.changed, e.dirty = state, now, cause, true, true
	}
	b.mark(e, bridge.Good, "")
}

// fail notes that an entity has no good value.
func (b *book) fail(i int, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mark(&b.entries[i], bridge.Bad, why)
}

func (b *book) mark(e *entry, q bridge.Quality, trouble string) {
	if e.quality != q || e.trouble != trouble {
		e.quality, e.trouble, e.dirty = q, trouble, true
	}
	if e.changed || e.dirty {
		b.ring()
	}
}

// count notes the numbers of an entity, which are told when it suits.
func (b *book) count(i int, counters map[string]uint64, extra map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &b.entries[i]
	e.counters, e.extra, e.slow = counters, extra, true
	b.ring()
}

// reply notes the result of a command.
func (b *book) reply(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = append(b.answers, a)
	b.ring()
}

// full reports whether so many results wait that no command should be taken.
func (b *book) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.answers) >= backlog
}

// A page is what is to be told now, in this order.
type page struct {
	states  []answer // an id, and the state as the value
	answers []answer
	attrs   []pageAttr
}

type pageAttr struct {
	id   string
	attr bridge.Attr
}

// turn returns what is to be told now and takes it that it is. next is when there is
// more, or zero if only news can bring that about.
func (b *book) turn(now time.Time) (p page, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.answers, b.answers = b.answers, nil
	for i := range b.entries {
		e := &b.entries[i]
		if e.changed {
			e.changed = false
			p.states = append(p.states, answer{e.id, bridge.Result{Value: e.state}})
		}
		switch at, ok := e.due(); {
		case !ok:
		case at.After(now):
			next = sooner(next, at)
		default:
			e.dirty, e.slow, e.told, e.before = false, false, now, e.told
			p.attrs = append(p.attrs, pageAttr{e.id, e.attr()})
		}
	}
	return p, next
}

// due returns when the attributes are to be told.
func (e *entry) due() (at time.Time, ok bool) {
	if e.dirty {
		return e.before.Add(pause), true
	}
	return e.told.Add(statsPause), e.slow
}

func (e *entry) attr() bridge.Attr {
	return bridge.Attr{
		Quality: e.quality, Error: e.trouble, Cause: e.cause, Since: e.since,
		Counters: e.counters, Extra: e.extra,
	}
}
