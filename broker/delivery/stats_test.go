package delivery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/broker/journal"
)

// TestStats looks at sessions with something of everything.
func TestStats(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	if got, want := e.Stats(), (Stats{Sessions: 1, Online: 1}); got != want {
		t.Errorf("Stats of one session: %+v, want %+v", got, want)
	}
	on := connect(t, e, "on", Opening{}).subscribe("t", 2).subscribe("u", 0)
	off := connect(t, e, "off", Opening{Expiry: 100}).subscribe("t", 1)
	if _, _, err := e.Subscribe(off.s, journal.Subscription{Filter: "$share/g/v"}); err != nil {
		t.Fatal(err)
	}
	off.left(Leaving{})
	p.publish("t", "1:first")
	p.publish("t", "2:second")
	p.publish("u", "0:none")
	on.s.Own(7)
	p.publish("kept/1", "r0:old")
	p.publish("kept/1", "r0:newer")
	p.publish("kept/2", "r0:x")
	p.send(&Message{Message: journal.Message{Topic: "kept/2", Retain: true}}, 0)
	want := Stats{
		Sessions: 3, Online: 2, Subscriptions: 4, Shared: 1, Owned: 1,
		Retained: 1, RetainedBytes: overhead + len("kept/1r0:newer"), RetainedPayload: len("r0:newer"),
		Queued: 5, QueuedBytes: 5*overhead + 2*len("t1:firstt2:second") + len("u0:none"),
		QueuedPayload: 2*len("1:first2:second") + len("0:none"),
	}
	if diff := cmp.Diff(want, e.Stats()); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}

	outs := on.outs()
	on.s.Acknowledge(outs[1].ID, 2) // The second: a gap is not on its way.
	on.s.Disown(7)
	want.Owned, want.Queued, want.Inflight = 0, 2, 1
	want.QueuedBytes = 2*overhead + len("t1:firstt2:second")
	want.QueuedPayload, want.InflightPayload = len("1:first2:second"), len("1:first")
	if diff := cmp.Diff(want, e.Stats()); diff != "" {
		t.Errorf("Stats when messages were sent (-want +got):\n%s", diff)
	}
}

// TestStatsOfLongQueues shows where the sum of payloads is exact, and that
// messages that were dropped do not count.
func TestStatsOfLongQueues(t *testing.T) {
	opts := options()
	opts.QoS0Bytes = 1 << 30
	e := newEngine(t, journal.Memory{}, opts)
	p, s := connect(t, e, "p", Opening{}), connect(t, e, "s", Opening{}).subscribe("#", 0)
	for range 10 * sampled {
		p.publish("a/long/topic", "0:eight bytes")
	}
	if got, want := e.Stats().QueuedPayload, 10*sampled*len("0:eight bytes"); got != want {
		t.Errorf("payload of messages of one size is %d, want %d", got, want)
	}
	e.opts.QoS0Bytes = 100 * (overhead + len("a/long/topic0:eight bytes"))
	e.Tighten(false)
	p.publish("a/long/topic", "0:eight bytes")
	if st, want := e.Stats(), 100*len("0:eight bytes"); st.Queued != 100 || st.QueuedPayload != want {
		t.Errorf("after drops %d queued with %d bytes of payload, want 100 with %d", st.Queued, st.QueuedPayload, want)
	}
	s.left(Leaving{})
	if st := e.Stats(); st.Queued != 0 || st.QueuedBytes != 0 {
		t.Errorf("%d queued of %d bytes for a session that has ended", st.Queued, st.QueuedBytes)
	}
}

func TestLosses(t *testing.T) {
	opts := options()
	opts.QoS0Bytes = 1
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	connect(t, e, "b", Opening{}).subscribe("t", 0)
	a := connect(t, e, "a", Opening{}).subscribe("t", 0)
	p.publish("t", "0:1")
	expectLosses(t, e)
	p.publish("t", "0:2") // The first gives way.
	p.publish("t", "0:3")
	expectLosses(t, e, Loss{"a", Dropped{Slow: 2}}, Loss{"b", Dropped{Slow: 2}})
	expectLosses(t, e)
	a.s.Discard(a, 0)
	a.left(Leaving{}) // Its loss is told though it has gone.
	expectLosses(t, e, Loss{"a", Dropped{Large: 1}})
	if got, want := e.Dropped(), (Dropped{Slow: 4, Large: 1}); got != want || got.Total() != 5 {
		t.Errorf("dropped in all %+v, %d; want %+v, 5", got, got.Total(), want)
	}
}

// TestLossesAreBounded has more losers than are remembered: the others are told
// the next time.
func TestLossesAreBounded(t *testing.T) {
	opts := options()
	opts.Sessions = 2 * maxLosses
	e := newEngine(t, journal.Memory{}, opts)
	var last *peer
	for i := range maxLosses + 1 {
		last = connect(t, e, fmt.Sprint(i), Opening{})
		last.s.Discard(last, 0)
	}
	if n := len(e.Losses()); n != maxLosses {
		t.Errorf("%d losses at once, want %d", n, maxLosses)
	}
	last.s.Discard(last, 0)
	expectLosses(t, e, Loss{last.s.id, Dropped{Large: 2}})
}

func expectLosses(t *testing.T, e *Engine, want ...Loss) {
	t.Helper()
	if diff := cmp.Diff(want, e.Losses()); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
}

// countingJournal counts what is appended, by topic.
type countingJournal struct {
	journal.Memory
	topics *[]string
}

func (c countingJournal) Append(r *journal.Record) (journal.Ticket, error) {
	if r.Kind == journal.Published {
		*c.topics = append(*c.topics, r.Message.Topic)
	}
	return c.Memory.Append(r)
}

// TestOwnTopicsAreNotKept spares the disk what the next process says anew.
func TestOwnTopicsAreNotKept(t *testing.T) {
	var topics []string
	e := newEngine(t, countingJournal{topics: &topics}, options())
	p := connect(t, e, "p", Opening{})
	p.publish("$SYS/broker/uptime", "r0:1 seconds")
	p.publish("a/$SYS", "r0:x")
	if got := strings.Join(topics, " "); got != "a/$SYS" {
		t.Errorf("the journal was given %q, want a/$SYS only", got)
	}
	if st := e.Stats(); st.Retained != 2 || st.RetainedBytes != overhead+len("a/$SYSr0:x") {
		t.Errorf("%d retained of %d bytes, want 2, of which one counts", st.Retained, st.RetainedBytes)
	}
}
