// Package delivery carries messages from publishers to sessions: routes, queues,
// the flows of QoS 1 and 2, retained messages and wills. It knows neither the
// bytes of MQTT nor sockets; a connection is a Link to it. What must survive it
// hands to a journal, and acknowledgements wait for the tickets it returns.
package delivery

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"edge/broker/journal"
	"edge/internal/topic"
)

// Forever is the expiry of a session that does not expire (MQTT 5.0, section
// 3.1.2.11.2).
const Forever = math.MaxUint32

// Options are the limits and the policy of an Engine. All limits are counts or
// bytes and must be positive.
type Options struct {
	QoS0Bytes       int    // QoS 0 messages that wait for one session; the oldest are dropped
	QueueMessages   int    // QoS 1 and 2 messages that wait for one session
	QueueBytes      int    // their bytes
	UnkeptBytes     int    // of QoS 1 and 2 messages that wait for a session that ends with its connection
	DropOldest      bool   // at these limits: drop the oldest, instead of refusing the newest
	Each            bool   // one delivery for each matching subscription of a session, instead of one in all
	Window          int    // QoS 1 and 2 messages on their way to one client
	ReceiveMaximum  int    // QoS 2 ids that one client may own
	Sessions        int    // sessions in all; beyond, none begins that outlives its connection
	Subscriptions   int    // subscriptions of one session
	OwnerSessions   int    // sessions of one principal; 0 is as many as there may be in all
	OwnerQueueBytes int    // QoS 1 and 2 messages that wait for the sessions of one principal, unless the oldest are dropped; 0 is no limit but those of the sessions
	RetainedBytes   int    // retained messages in all
	WillBytes       int    // wills in all; 0 is no limit but that of their number
	MaxExpiry       uint32 // seconds; the longest expiry of a session
	TopicBytes      int    // of a topic to publish to
	TopicLevels     int    // of the same

	// Command reports whether messages to a topic are commands: retained and
	// expired ones are refused.
	Command func(topic string) bool

	// Durability says how messages to a topic that must survive are kept: how
	// long their commit may wait for more, or, if keep is false, in memory only.
	Durability func(topic string) (within time.Duration, keep bool)

	// Access says what a principal may do, by its name and the client id that it
	// uses; what is nil lets do everything. It is called when a session begins,
	// and by Reauthorize.
	Access func(owner, clientID string) Access

	// Denied is told of each message that its publisher may not publish: who that
	// is, its client id, and the topic. It may be nil, and must be quick.
	Denied func(owner, clientID, topic string)

	// Overrun ends the connection of a session that has more than UnkeptBytes. It
	// must not block.
	Overrun func(link Link)

	// Refused is told of each command that was refused. It may publish.
	Refused func(m *Message, why Refusal)
}

// A Refusal says why a command was not delivered.
type Refusal string

// The reasons.
const (
	Retained Refusal = "retained" // a command that is kept would be executed at any time
	Expired  Refusal = "expired"  // its message expiry interval has passed
)

// An Engine is the state of all sessions and the retained messages.
type Engine struct {
	opts    Options
	journal journal.Journal
	log     *slog.Logger
	began   time.Time

	connections atomic.Uint64 // how many there were

	// version changes with each subscription: routes of older versions are
	// looked up anew.
	version  atomic.Uint64
	dropped  struct{ Slow, Expired, Full, Large, Orphaned, Damaged, Forbidden atomic.Uint64 }
	warned   atomic.Int64  // Unix time of the last log line about drops
	withheld atomic.Uint64 // messages that matched a subscription whose client may not receive them
	expired  atomic.Uint64 // sessions whose time without a connection was over
	losses   losses
	pressure pressure

	willBytes atomic.Int64 // at least what the wills of all sessions take

	// Locks are taken in this order: mu, that of a group, that of a session.
	drafts map[string]*draft // sessions while they are restored

	mu       sync.RWMutex
	sessions map[string]*Session
	owners   map[string]int        // how many sessions each has
	over     bool                  // one of them has too much waiting; it belongs to Weigh
	locals   map[*Session]struct{} // within the process, and under rules
	filters  topic.Tree[[]subscriber]
	shares   topic.Tree[[]*group] // by FILTER of $share/GROUP/FILTER

	// floor is above the numbers of all messages of sessions that have ended. A
	// new session begins there, so that what was on its way to an older one with
	// the same id is not taken for its own.
	floor atomic.Uint64

	asking sync.Mutex // held while a session is told what it may do
	moving moving

	ids   idLocks
	clock clock

	waitMu  sync.Mutex
	waiting map[Link]struct{} // to be woken at the next commit

	retainedMu    sync.RWMutex
	retained      topic.Tree[keepsake]
	retainedBytes int
	retainedCount int
	retainedPlain int // payload bytes of retained messages
}

// New returns an engine without sessions.
func New(j journal.Journal, opts Options, log *slog.Logger) *Engine {
	if opts.Command == nil {
		opts.Command = func(string) bool { return false }
	}
	if opts.Durability == nil {
		opts.Durability = func(string) (time.Duration, bool) { return 0, true }
	}
	if opts.Denied == nil {
		opts.Denied = func(string, string, string) {}
	}
	if opts.Overrun == nil {
		opts.Overrun = func(l Link) { l.Kick() }
	}
	if opts.Refused == nil {
		opts.Refused = func(*Message, Refusal) {}
	}
	e := &Engine{opts: opts, journal: j, log: log, began: time.Now(), sessions: make(map[string]*Session), owners: make(map[string]int), locals: make(map[*Session]struct{}), waiting: make(map[Link]struct{})}
	e.pressure.qos0.Store(int64(opts.QoS0Bytes))
	e.clock.begin()
	j.Watch(e.committed)
	return e
}

// Await has link woken at the next commit of the journal. The caller looks at
// Committed once more after it.
func (e *Engine) Await(link Link) {
	e.waitMu.Lock()
	e.waiting[link] = struct{}{}
	e.waitMu.Unlock()
}

// Wait returns true when t is committed, or false when done is closed.
func (e *Engine) Wait(done <-chan struct{}, t journal.Ticket) bool {
	if t == 0 || t <= e.journal.Committed() {
		return true
	}
	w := &waiter{wake: make(chan struct{}, 1)}
	for {
		e.Await(w)
		if t <= e.journal.Committed() {
			return true
		}
		select {
		case <-w.wake:
		case <-done:
			return false
		}
	}
}

// A waiter is a Link that belongs to no session.
type waiter struct{ wake chan struct{} }

func (w *waiter) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
func (*waiter) Kick()                 {}
func (*waiter) Done() <-chan struct{} { return nil }

func (e *Engine) committed() {
	e.waitMu.Lock()
	links := e.waiting
	e.waiting = make(map[Link]struct{}, len(links))
	e.waitMu.Unlock()
	for link := range links {
		link.Wake()
	}
}

// Journal returns the journal of the engine.
func (e *Engine) Journal() journal.Journal { return e.journal }

// count notes the loss of one message for s, and says so in the log, at most
// once in ten seconds. The caller holds the lock of s.
func (e *Engine) count(c *atomic.Uint64, s *Session, reason string) {
	c.Add(1)
	e.losses.note(s)
	now, last := time.Now().Unix(), e.warned.Load()
	if now-last < 10 || !e.warned.CompareAndSwap(last, now) {
		return
	}
	d := e.Dropped()
	e.log.Warn("messages dropped", "client", s.id, "reason", reason,
		"slow_total", d.Slow, "expired_total", d.Expired, "full_total", d.Full, "large_total", d.Large, "orphaned_total", d.Orphaned,
		"damaged_total", d.Damaged, "forbidden_total", d.Forbidden)
}

func (e *Engine) refuse(m *Message, why Refusal) { e.opts.Refused(m, why) }

// idLocks has a lock for each client id in use: one connection at a time begins
// or ends a session.
type idLocks struct {
	mu    sync.Mutex
	locks map[string]*idLock
}

type idLock struct {
	sync.Mutex
	users int
}

// lock returns a function that unlocks; calling it again does nothing.
func (l *idLocks) lock(id string) (unlock func()) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = make(map[string]*idLock)
	}
	k := l.locks[id]
	if k == nil {
		k = new(idLock)
		l.locks[id] = k
	}
	k.users++
	l.mu.Unlock()
	k.Lock()
	return sync.OnceFunc(func() {
		k.Unlock()
		l.mu.Lock()
		if k.users--; k.users == 0 {
			delete(l.locks, id)
		}
		l.mu.Unlock()
	})
}

// raise makes sure that floor is not below next.
func (e *Engine) raise(next uint64) {
	for f := e.floor.Load(); f < next && !e.floor.CompareAndSwap(f, next); {
		f = e.floor.Load()
	}
}
