package journal_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

var crashes = flag.Int("crashes", 3, "states after a power cut that are tried at each access to the disk")

// TestCrashes drives a journal through random records, commits, cleaning and
// restarts, cuts the power at each access to the disk, and checks that what is
// there then is what there was at some moment since the last commit: nothing
// that was committed is missing, nothing is invented, and the order is kept.
func TestCrashes(t *testing.T) {
	var states, cleaned atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{
			rt: rt, fs: journaltest.NewFS(), rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), states: &states,
		}
		nobody := &broker{state: newState()}
		nobody.note(0)
		m.judges.Store(&judge{nobody, func() journal.Ticket { return 0 }})
		m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) { m.some() },
			"more":   func(*rapid.T) { m.some() },
			"commit": func(*rapid.T) { m.commit() },
			"clean":  func(*rapid.T) { m.b.j.AwaitTidy() },
			"load":   func(*rapid.T) { m.load() },
			"crash":  func(*rapid.T) { m.crash() },
			"kill":   func(*rapid.T) { m.kill() },
			"close":  func(*rapid.T) { m.close(); m.restart(m.fs, m.last) },
		})
		m.close()
		cleaned.Add(int64(m.cleaned))
	})
	t.Logf("%d states, %d segments cleaned", states.Load(), cleaned.Load())
	if states.Load() < 2000 || cleaned.Load() < 100 {
		t.Errorf("%d states and %d segments cleaned are too few to show anything", states.Load(), cleaned.Load())
	}
}

type machine struct {
	rt      *rapid.T
	fs      *journaltest.FS
	rand    *rand.Rand
	b       *broker
	judges  atomic.Pointer[judge]
	states  *atomic.Int64
	cleaned int
	wrong   atomic.Pointer[error]
	last    journal.Ticket
	n       int // things published
	next    map[string]uint64
}

func small() journal.Options { return journal.Options{SegmentBytes: 4 << 10, MinBytes: 8 << 10} }

// recovered returns what the log in fs says.
func recovered(fs journal.FS) (*journal.Disk, *state, error) {
	d, err := journal.Open(fs, small(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	s := newState()
	report, err := d.Replay(s.apply)
	if err == nil && report.Lost+report.Unknown > 0 {
		err = fmt.Errorf("something was lost: %+v", report)
	}
	return d, s, err
}

// open starts a journal with what is in m.fs.
func (m *machine) open() {
	d, s, err := recovered(m.fs)
	if err != nil {
		m.rt.Fatalf("open: %v", err)
	}
	m.b, m.last, m.next = &broker{j: d, state: s}, 0, map[string]uint64{}
	m.b.note(0)
	for name := range s.things {
		if c, n, ok := strings.Cut(strings.TrimPrefix(name, "queued/"), "/"); ok && strings.HasPrefix(name, "queued/") {
			var sequence uint64
			_, _ = fmt.Sscan(n, &sequence) // It is a number that we have written.
			m.next[c] = max(m.next[c], sequence+1)
		}
	}
	m.fs.Hook(m.cut)
	if err := d.Start(m.b.keep); err != nil {
		m.rt.Fatalf("start: %v", err)
	}
	b := m.b // From now on, what was read is safe.
	m.judges.Store(&judge{b, func() journal.Ticket { return b.j.Committed() }})
}

// A judge knows what must be there after a crash.
type judge struct {
	b         *broker
	committed func() journal.Ticket
}

// cut cuts the power of a copy of the disk, at one of its accesses.
func (m *machine) cut(op journaltest.Op) error {
	if op.Kind == journaltest.OpRead || op.Kind == journaltest.OpOpen || op.Kind == journaltest.OpList {
		return nil
	}
	j := m.judges.Load()
	ticket := j.committed()
	r := rand.New(rand.NewPCG(uint64(m.states.Add(int64(*crashes))), 1))
	for fs := range m.fs.Crashes(r, *crashes) {
		d, s, err := recovered(fs)
		if err == nil {
			err = j.b.check(s, ticket)
			if next := m.judges.Load(); err != nil && next != j {
				// The journal has started meanwhile, and what came to the disk since is in the past
				// of the next one alone, which begins with all that was read.
				err = next.b.check(s, 0)
			}
			_ = d.Close(context.Background())
		}
		if err != nil {
			err = fmt.Errorf("cut at %v: %w\nleft was\n%sof\n%s", op, err, journal.Dump(fs), journal.Dump(m.fs.Clone()))
			m.wrong.CompareAndSwap(nil, &err)
			return nil
		}
	}
	return nil
}

func (m *machine) close() {
	m.cleaned += m.b.j.Stats().Cleaned
	if err := m.b.j.Close(context.Background()); err != nil {
		m.rt.Fatalf("close: %v", err)
	}
	m.judge()
}

func (m *machine) judge() {
	if err := m.wrong.Load(); err != nil {
		m.rt.Fatal(*err)
	}
}

// restart goes on with another disk, as another process. ticket is what was
// committed at least when that disk was as it is.
func (m *machine) restart(fs *journaltest.FS, ticket journal.Ticket) {
	old := m.b
	if m.fs != fs {
		m.close()
	}
	m.fs = fs
	m.judges.Store(&judge{old, func() journal.Ticket { return ticket }})
	m.open()
	if err := old.check(m.b.now(), ticket); err != nil {
		m.rt.Fatalf("after a restart: %v", err)
	}
}

func (m *machine) crash() {
	ticket := m.b.j.Committed()
	for fs := range m.fs.Crashes(m.rand, 1) {
		m.restart(fs, ticket)
	}
}

func (m *machine) kill() {
	ticket := m.b.j.Committed()
	m.restart(m.fs.Clone(), ticket)
}

func (m *machine) client() string {
	return rapid.SampledFrom([]string{"c0", "c1", "c2"}).Draw(m.rt, "client")
}

func (m *machine) append(r *journal.Record) {
	if rapid.IntRange(0, 3).Draw(m.rt, "hurry") > 0 {
		r.Within = 1 << 40
	}
	ticket, err := m.b.append(r)
	if err != nil {
		m.rt.Fatalf("append %+v: %v", r, err)
	}
	if ticket <= m.last {
		m.rt.Fatalf("append: ticket %d after %d", ticket, m.last)
	}
	m.last = ticket
	m.judge()
}

// some appends a few records.
func (m *machine) some() {
	for range rapid.IntRange(1, 12).Draw(m.rt, "records") {
		rapid.SampledFrom([]func(){m.session, m.publish, m.retain, m.answer, m.answer}).Draw(m.rt, "what")()
	}
}

func (m *machine) session() {
	c := m.client()
	switch rapid.IntRange(0, 8).Draw(m.rt, "what") {
	case 0:
		m.append(&journal.Record{Kind: journal.SessionEnded, Client: c})
	case 1:
		m.append(&journal.Record{Kind: journal.Unsubscribed, Client: c, Subscription: journal.Subscription{Filter: "f"}})
	case 2, 3:
		m.append(&journal.Record{Kind: journal.Subscribed, Client: c, Subscription: journal.Subscription{Filter: "f", QoS: 1}})
	case 4:
		m.append(&journal.Record{Kind: journal.WillSet, Client: c, Message: m.message("will")})
	case 5:
		m.append(&journal.Record{Kind: journal.WillCleared, Client: c})
	default:
		m.append(&journal.Record{Kind: journal.SessionBegun, Client: c, Expiry: uint32(m.number()), Since: 5})
	}
}

func (m *machine) number() int { m.n++; return m.n }

// message returns a message with a payload that no other one has.
func (m *machine) message(topic string) *journal.Message {
	size := rapid.SampledFrom([]int{0, 1, 40, 700, 1500, 6000}).Draw(m.rt, "size")
	return &journal.Message{Topic: topic, Payload: []byte(fmt.Sprint(m.number(), strings.Repeat("x", size)))}
}

func (m *machine) publish() {
	r := &journal.Record{Kind: journal.Published, Client: m.client(), Message: m.message("t")}
	for _, c := range []string{"c0", "c1", "c2"} {
		if rapid.Bool().Draw(m.rt, "target") {
			r.Targets = append(r.Targets, journal.Target{Client: c, Sequence: m.next[c], QoS: 2})
			m.next[c]++
		}
	}
	r.PacketID = uint16(rapid.IntRange(0, 5).Draw(m.rt, "id"))
	r.Message.Retain = rapid.IntRange(0, 4).Draw(m.rt, "retain") == 0
	if len(r.Targets) == 0 && r.PacketID == 0 {
		r.PacketID = 1
	}
	m.append(r)
}

func (m *machine) retain() {
	r := &journal.Record{Kind: journal.Published}
	if rapid.Bool().Draw(m.rt, "may be replaced") {
		r.Message, r.Within = m.message(rapid.SampledFrom([]string{"w0", "w1"}).Draw(m.rt, "topic")), 1<<40
		r.Message.Retain = true
		if rapid.IntRange(0, 5).Draw(m.rt, "forget") == 0 {
			r.Message.Payload = nil
		}
		if _, err := m.b.append(r); err != nil {
			m.rt.Fatalf("append %+v: %v", r, err)
		}
		return
	}
	r.Message = m.message(rapid.SampledFrom([]string{"r0", "r1"}).Draw(m.rt, "topic"))
	r.Message.Retain, r.Client, r.PacketID = true, m.client(), 9
	m.append(r)
}

// answer ends or advances the flow of a message.
func (m *machine) answer() {
	c := m.client()
	if m.next[c] == 0 || rapid.IntRange(0, 3).Draw(m.rt, "release") == 0 {
		m.append(&journal.Record{Kind: journal.Released, Client: c, PacketID: uint16(rapid.IntRange(1, 9).Draw(m.rt, "id"))})
		return
	}
	sequence := rapid.Uint64Range(0, m.next[c]-1).Draw(m.rt, "sequence")
	kind := rapid.SampledFrom([]journal.Kind{journal.Acknowledged, journal.Acknowledged, journal.Received}).Draw(m.rt, "kind")
	m.append(&journal.Record{Kind: kind, Client: c, Sequence: sequence})
}

func (m *machine) commit() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m.b.j.Committed() < m.last {
			m.b.j.Hurry()
		}
	}()
	<-done
	m.judge()
}

// load reads all retained messages from where they are.
func (m *machine) load() {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	for name, t := range m.b.state.things {
		if !strings.HasPrefix(name, "retained/") && name[0] != 'w' {
			continue
		}
		if got, err := m.b.j.Load(t.place); err != nil || short(got) != t.value {
			m.rt.Fatalf("load %s = %v, %v, want %q", name, got, err, t.value)
		}
	}
}
