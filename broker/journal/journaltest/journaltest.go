// Package journaltest has the suite that every journal.Journal must pass, and
// Held, a journal that commits when the test says so.
package journaltest

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"edge/broker/journal"
)

// Test checks that the journals made by open keep the promises of
// journal.Journal. The journals must commit by themselves within a second.
func Test(t *testing.T, open func(t testing.TB) journal.Journal) {
	t.Run("zero is committed", func(t *testing.T) {
		if j := open(t); j.Committed() > 0 {
			t.Errorf("Committed() = %d before the first Append", j.Committed())
		}
	})
	t.Run("tickets do not fall and are committed", func(t *testing.T) {
		w := watch(open(t))
		var last journal.Ticket
		for _, r := range Records() {
			ticket, err := w.j.Append(r)
			if err != nil {
				t.Fatalf("Append(%+v): %v", r, err)
			}
			if ticket < last {
				t.Errorf("Append(%+v) = ticket %d after %d", r, ticket, last)
			}
			last = ticket
		}
		w.wait(t, last)
	})
	t.Run("many at once", func(t *testing.T) {
		w := watch(open(t))
		var g sync.WaitGroup
		for range 8 {
			g.Go(func() {
				for range 200 {
					for _, r := range Records() {
						ticket, err := w.j.Append(r)
						if err != nil {
							t.Errorf("Append: %v", err)
							return
						}
						w.wait(t, ticket)
					}
				}
			})
		}
		g.Wait()
	})
	t.Run("what has a place can be loaded", func(t *testing.T) {
		w := watch(open(t))
		var last journal.Ticket
		for _, r := range Records() {
			ticket, err := w.j.Append(r)
			if err != nil {
				t.Fatal(err)
			}
			checkLoad(t, w.j, r)
			last = ticket
			r.Within = time.Minute
		}
		w.wait(t, last)
		for _, r := range Records() {
			r.Within = time.Hour
			if last, err := w.j.Append(r); err != nil {
				t.Fatal(err)
			} else if r.Place != 0 {
				w.j.Hurry()
				w.wait(t, last)
				checkLoad(t, w.j, r)
			}
		}
	})
	t.Run("a record may be reused", func(t *testing.T) {
		w := watch(open(t))
		r := *Records()[0]
		ticket, err := w.j.Append(&r)
		if err != nil {
			t.Fatal(err)
		}
		r = journal.Record{}
		w.wait(t, ticket)
	})
}

// checkLoad checks that the message of r is where r is.
func checkLoad(t *testing.T, j journal.Journal, r *journal.Record) {
	t.Helper()
	if r.Place == 0 {
		return
	}
	m, err := j.Load(r.Place)
	if r.Message == nil {
		if !errors.Is(err, journal.ErrGone) {
			t.Errorf("Load of a record without message = %v, %v, want ErrGone", m, err)
		}
		return
	}
	if err != nil || !reflect.DeepEqual(m, r.Message) {
		t.Errorf("Load(%x) = %+v, %v, want %+v", uint64(r.Place), m, err, r.Message)
	}
}

// Records returns one record of each kind, all fields in use.
func Records() []*journal.Record {
	m := &journal.Message{
		Topic: "a/b", Payload: []byte("payload"), Origin: "publisher", Expires: 1 << 40, QoS: 2, Retain: true,
		Props: &journal.Properties{
			Text: true, ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{0, 1},
			User: []journal.UserProperty{{Name: "n", Value: "v"}, {Name: "n", Value: ""}},
		},
	}
	return []*journal.Record{
		{Kind: journal.SessionBegun, Client: "c", Owner: "anna", Expiry: 3600, Since: 1 << 33},
		{Kind: journal.Subscribed, Client: "c", Subscription: journal.Subscription{
			Filter: "a/#", ID: 7, QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 1,
		}},
		{Kind: journal.Published, Client: "p", PacketID: 9, Message: m, Targets: []journal.Target{
			{Client: "c", Sequence: 1, QoS: 2, Retain: true, Released: true, IDs: []uint32{7, 8}, Share: "$share/g/a/+"},
		}},
		{Kind: journal.Owned, Client: "p", PacketID: 9},
		{Kind: journal.Released, Client: "p", PacketID: 9},
		{Kind: journal.Received, Client: "c", Sequence: 1},
		{Kind: journal.Acknowledged, Client: "c", Sequence: 1},
		{Kind: journal.WillSet, Client: "c", Message: m, Delay: 5},
		{Kind: journal.WillCleared, Client: "c"},
		{Kind: journal.Unsubscribed, Client: "c", Subscription: journal.Subscription{Filter: "a/#"}},
		{Kind: journal.SessionEnded, Client: "c"},
	}
}

// watcher waits for tickets of a journal.
type watcher struct {
	j    journal.Journal
	mu   sync.Mutex
	cond *sync.Cond
}

func watch(j journal.Journal) *watcher {
	w := &watcher{j: j}
	w.cond = sync.NewCond(&w.mu)
	j.Watch(func() {
		w.mu.Lock()
		w.cond.Broadcast()
		w.mu.Unlock()
	})
	return w
}

// wait returns when ticket is committed. A journal that never commits it hangs
// the test until its time-out, which prints this place.
func (w *watcher) wait(t testing.TB, ticket journal.Ticket) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.j.Committed() < ticket {
		w.cond.Wait()
	}
}

// ErrBroken is what a Held journal returns after Break.
var ErrBroken = errors.New("the disk of the test is broken")

// Held is a journal in memory whose records are committed when the test says
// so. It shows that nothing is acknowledged before its time. The zero value
// holds everything back.
type Held struct {
	mu        sync.Mutex
	records   []journal.Record
	committed journal.Ticket
	flow      bool
	broken    bool

	watching sync.Mutex // one call of watch at a time
	watch    func()
}

var _ journal.Journal = (*Held)(nil)

// Append implements journal.Journal.
func (h *Held) Append(r *journal.Record) (journal.Ticket, error) {
	h.mu.Lock()
	if h.broken {
		h.mu.Unlock()
		return 0, ErrBroken
	}
	r.Place = journal.Place(len(h.records) + 1)
	h.records = append(h.records, *r)
	ticket := journal.Ticket(len(h.records))
	flow := h.flow
	h.mu.Unlock()
	if flow {
		h.Commit()
	}
	return ticket, nil
}

// Committed implements journal.Journal.
func (h *Held) Committed() journal.Ticket {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.committed
}

// Watch implements journal.Journal.
func (h *Held) Watch(f func()) { h.watch = f }

// Hurry implements journal.Journal; the test decides.
func (h *Held) Hurry() {}

// Load implements journal.Journal.
func (h *Held) Load(p journal.Place) (*journal.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == 0 || int(p) > len(h.records) || h.records[p-1].Message == nil {
		return nil, journal.ErrGone
	}
	m := *h.records[p-1].Message
	return &m, nil
}

// Flow commits each record at once, from now on.
func (h *Held) Flow() {
	h.mu.Lock()
	h.flow = true
	h.mu.Unlock()
}

// Break makes every later Append fail.
func (h *Held) Break() {
	h.mu.Lock()
	h.broken = true
	h.mu.Unlock()
}

// Mend ends what Break began.
func (h *Held) Mend() {
	h.mu.Lock()
	h.broken = false
	h.mu.Unlock()
}

// Commit commits all that was appended so far.
func (h *Held) Commit() {
	h.watching.Lock()
	defer h.watching.Unlock()
	h.mu.Lock()
	h.committed = journal.Ticket(len(h.records))
	h.mu.Unlock()
	if h.watch != nil {
		h.watch() // Without h.mu: it may ask what is committed.
	}
}

// Records returns a copy of what was appended.
func (h *Held) Records() []journal.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]journal.Record(nil), h.records...)
}
