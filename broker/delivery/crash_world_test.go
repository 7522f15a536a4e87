package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// A world is an engine on a disk that can be cut off, and its clients with what
// they know.
type world struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	fs    *journaltest.FS
	turns chan struct{} // each lets the disk do one access; closed: any number
	fault *fault
	long  bool // it has queues that do not fit into memory
	slow  int  // steps that the disk rests
	torn  bool // flushes have failed: the kernel may show what is not on the disk

	j       *journal.Disk
	log     *tap
	e       *Engine
	lines   [clients]*line
	clients [clients]client

	posts    []post // from number first on
	first    int
	sessions sessions
	history  []snapshot // of sessions, oldest first
	kept     [len(subjects)][]value

	states uint64
	trace  []string
	alive  map[*journal.Disk]func() // ends each world that runs
}

const clients = 5

// A subject is a topic with how it is used.
type subject struct {
	topic  string
	qos    byte
	retain bool
	within time.Duration
	never  bool
}

var subjects = [...]subject{
	{topic: "a/1", qos: 1},
	{topic: "a/2", qos: 2},
	{topic: "b/1", qos: 1, within: 100 * time.Millisecond},
	{topic: "b/2", qos: 2, within: 100 * time.Millisecond},
	{topic: "n/1", qos: 1, never: true},
	{topic: "k/0", qos: 1, retain: true},
	{topic: "k/1", qos: 0, retain: true, within: time.Second},
	{topic: "k/2", qos: 2, retain: true},
	{topic: "k/3", qos: 1, retain: true, never: true},
	{topic: "w/1", qos: 1},
}

const wills = len(subjects) - 1 // the subject of wills

// filters, and which subjects each matches.
var filters = [...]string{"a/+", "b/#", "n/1", "k/+", "a/2", "w/1"}

func matches(filter string, s *subject) bool {
	return filter == s.topic || filter[0] == s.topic[0] && strings.ContainsAny(filter, "+#")
}

// A post is a message that was published.
type post struct {
	by, about int
	empty     bool
	published bool // the broker has taken it from its publisher
	refused   bool // and has refused it before
	first     mask // who had subscribed when it did so first
	targets   mask // who had subscribed when it did so last
	reached   mask // whom it may come to
	due       mask // whom it must come to
	seen      mask // whom it came to
}

// A mask is a set of clients.
type mask uint8

func (m mask) has(c int) bool { return m>>c&1 != 0 }

// sessions are what the broker must know of sessions and subscriptions.
type sessions [clients]struct {
	there  bool
	unsure bool               // there was no room to keep it
	subs   [len(filters)]byte // 1 + QoS
}

// like reports whether found may be what is left of s.
func (s *sessions) like(found *sessions) bool {
	for c := range s {
		if !s[c].unsure && (s[c].subs != found[c].subs || s[c].there != found[c].there) {
			return false
		}
	}
	return true
}

// A snapshot is sessions as they were when a ticket was given.
type snapshot struct {
	ticket journal.Ticket
	sessions
}

// A value is a retained message: the number of its post.
type value struct {
	ticket journal.Ticket
	post   int
	empty  bool
}

// A tap is a journal that says how far it is.
type tap struct {
	*journal.Disk
	last atomic.Uint64 // ticket
	then func()        // called once, in Load

	mu     sync.Mutex
	unsure map[string]bool // sessions there was no room for
	mute   map[string]bool // whose wills there was no room for
	stale  map[string]bool // with a subscription whose end there was no room for
}

func (l *tap) Append(r *journal.Record) (journal.Ticket, error) {
	again := r.Place != 0
	t, err := l.Disk.Append(r)
	if (r.Kind == journal.SessionBegun || r.Kind == journal.SessionEnded) && !again {
		l.mu.Lock()
		l.unsure[r.Client] = err != nil && (l.unsure[r.Client] || r.Since == 0)
		l.mu.Unlock()
	}
	if r.Kind == journal.Unsubscribed && err != nil || r.Kind == journal.SessionEnded && err == nil {
		l.mu.Lock()
		l.stale[r.Client] = err != nil
		l.mu.Unlock()
	}
	if r.Kind == journal.WillSet && !again {
		l.mu.Lock()
		l.mute[r.Client] = err != nil
		l.mu.Unlock()
	}
	for old := l.last.Load(); err == nil && old < uint64(t) && !l.last.CompareAndSwap(old, uint64(t)); {
		old = l.last.Load()
	}
	return t, err
}

func (l *tap) Load(p journal.Place) (*journal.Message, error) {
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return l.Disk.Load(p)
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), fault: new(fault),
		fs: journaltest.NewFS(), turns: make(chan struct{}), long: seed%10 == 0,
		alive: make(map[*journal.Disk]func()),
	}
	for i := range w.clients {
		w.clients[i].id = i
		w.clients[i].clean, w.clients[i].will = true, nothing
	}
	for i := range w.kept {
		w.kept[i] = []value{{empty: true}}
	}
	w.history = []snapshot{{}}
	w.powerUp()
	w.fs.Hook(w.gate)
	return w
}

// fork returns a world that goes on with another disk. Clients know what they knew;
// connections are lost.
func (w *world) fork(fs *journaltest.FS) *world {
	seed := w.rand.Uint64()
	f := &world{
		t: w.t, seed: w.seed, rand: rand.New(rand.NewPCG(seed, 7)), fault: new(fault),
		fs: fs, turns: make(chan struct{}), long: w.long, states: w.states,
		posts: slices.Clone(w.posts), first: w.first, sessions: w.sessions, trace: slices.Clone(w.trace),
		clients: w.clients, alive: w.alive,
	}
	safe := w.j.Committed()
	for i := range f.clients {
		c := &f.clients[i]
		c.line = nil
		if c.willSafe > safe {
			c.will = nothing
		}
		c.flights, c.held = slices.Clone(c.flights), slices.Clone(c.held)
	}
	f.history = since(w.history, func(s *snapshot) bool { return s.ticket <= safe })
	for i := range f.kept {
		f.kept[i] = since(w.kept[i], func(v *value) bool { return v.ticket <= safe })
		if subjects[i].never {
			f.kept[i] = []value{{empty: true}}
		}
	}
	return f
}

// since returns a copy of the newest of all that is safe, and what follows it.
func since[T any](all []T, safe func(*T) bool) []T {
	i := len(all) - 1
	for i > 0 && !safe(&all[i]) {
		i--
	}
	return slices.Clone(all[i:])
}

func (w *world) powerUp() {
	j, err := journal.Open(w.fs, journal.Options{SegmentBytes: 8 << 10, MinBytes: 16 << 10}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.failf("open: %v", err)
	}
	w.j, w.log = j, &tap{Disk: j, unsure: map[string]bool{}, mute: map[string]bool{}, stale: map[string]bool{}}
	opts := options()
	opts.MaxExpiry, opts.ReceiveMaximum = Forever, 10
	opts.Durability = durability
	w.e = New(w.log, opts, slog.New(slog.DiscardHandler))
	report, err := j.Replay(w.e.Restore)
	if err != nil || report.Lost+report.Unknown > 0 {
		w.failf("replay: %v, %+v", err, report)
	}
	w.e.Restored()
	if err := j.Start(w.e.Keep); err != nil {
		w.failf("start: %v", err)
	}
	w.e.Continue()
	turns, e, fs, fault := w.turns, w.e, w.fs, w.fault
	w.alive[j] = func() {
		fault.every.Store(0)
		fs.SetFree(1 << 40)
		close(turns)
		e.Close()
		_ = j.Close(context.Background())
	}
}

func durability(topic string) (within time.Duration, keep bool) {
	i := slices.IndexFunc(subjects[:], func(s subject) bool { return s.topic == topic })
	return subjects[i].within, !subjects[i].never
}

// gate has the disk wait for its turn, and fail now and then.
func (w *world) gate(op journaltest.Op) error {
	switch op.Kind {
	case journaltest.OpRead, journaltest.OpOpen, journaltest.OpList:
		return nil
	}
	<-w.turns
	if op.Kind == journaltest.OpSync || op.Kind == journaltest.OpWrite {
		return w.fault.next()
	}
	return nil
}

// A fault has one in so many accesses fail; 0 is none.
type fault struct{ every, count atomic.Int32 }

func (f *fault) next() error {
	if n := f.every.Load(); n > 0 && f.count.Add(1)%n == 0 {
		return syscall.EIO
	}
	return nil
}

// work lets the disk do up to n things.
func (w *world) work(n int) {
	for range n {
		synctest.Wait()
		select {
		case w.turns <- struct{}{}:
		default:
			return
		}
	}
	synctest.Wait()
}

// trouble makes the disk fail, or well again.
func (w *world) trouble() {
	switch {
	case w.fault.every.Load() > 0:
		w.fault.every.Store(0)
	case w.rand.IntN(2) == 0:
		w.fault.every.Store(1 + w.rand.Int32N(4))
		w.torn = true
	default:
		free := int64(w.rand.IntN(2)) << 40
		w.fs.SetFree(free)
		w.tracef("%d bytes are free", free)
		return
	}
	w.tracef("one in %d accesses fails", w.fault.every.Load())
}

// calm lets the disk finish what it has to do.
func (w *world) calm() {
	w.fault.every.Store(0)
	w.fs.SetFree(1 << 40)
	w.work(1 << 20)
	w.fs.Hook(nil)
	for range 3 {
		w.work(1 << 20)
		time.Sleep(31 * time.Second) // It tries again by then.
	}
	w.work(1 << 20)
}

// step lets something happen.
func (w *world) step() {
	if w.slow--; w.slow < -60 {
		w.slow = w.rand.IntN(40)
	}
	c := &w.clients[w.rand.IntN(clients)]
	switch n := w.rand.IntN(200); {
	case n < 60:
		w.publish(c)
	case n < 100:
		w.serve(c, 1+w.rand.IntN(6))
	case n < 140:
		w.read(c, 1+w.rand.IntN(10))
	case n < 175 && w.slow > 0:
		w.rush(c)
	case n < 175:
		w.work(1 + w.rand.IntN(8))
	case n < 180:
		time.Sleep(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
	case n < 181:
		w.trouble()
	case n < 184:
		w.lose(c)
	case n < 186:
		w.connect(c)
	case n < 187 && w.long && w.rand.IntN(6) == 0:
		w.burst()
	case c.line == nil:
		w.connect(c)
	default:
		w.subscribe(c)
	}
}

// rush has c take over from itself, and hear what the broker has for it.
func (w *world) rush(c *client) {
	w.connect(c)
	w.serve(c, 0)
	w.read(c, 20)
	w.serve(c, 20)
}

// lose cuts a connection; the broker may learn of it later.
func (w *world) lose(c *client) {
	c.line = nil
	if l := w.lines[c.id]; l != nil && w.rand.IntN(2) == 0 {
		w.tracef("%d leaves", c.id)
		l.peer.left(Leaving{})
		w.lines[c.id], c.will = nil, nothing
	}
}

func (w *world) tracef(format string, args ...any) {
	if w.trace = append(w.trace, fmt.Sprintf(format, args...)); len(w.trace) > 200 {
		w.trace = slices.Clone(w.trace[100:])
	}
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	for j, end := range w.alive {
		delete(w.alive, j)
		end() // Or the bubble of time would not end.
	}
	w.t.Fatalf("%s\nseed %d (-crashseed); what happened last:\n%s", fmt.Sprintf(format, args...), w.seed, strings.Join(w.trace, "\n"))
}
