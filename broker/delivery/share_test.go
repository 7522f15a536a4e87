package delivery

import (
	"fmt"
	"slices"
	"testing"

	"edge/broker/journal"
)

const work = "$share/g/work"

// worker connects a member of the group.
func worker(t testing.TB, e *Engine, id string, o Opening) *peer {
	t.Helper()
	return connect(t, e, id, o).subscribe(work, 1)
}

// publishAll publishes each payload to the group.
func (p *peer) publishAll(payloads ...string) {
	p.t.Helper()
	for _, payload := range payloads {
		if v := p.publish("work", payload); v != Accepted {
			p.t.Fatalf("publish %q: verdict %d, want Accepted", payload, v)
		}
	}
}

func TestShareTakesTurns(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	a, b, c := worker(t, e, "a", Opening{}), worker(t, e, "b", Opening{}), worker(t, e, "c", Opening{})
	p.publishAll("1:1", "1:2", "0:3", "1:4", "1:5")
	expect(t, a, "work 1:1", "work 1:4")
	expect(t, b, "work 1:2", "work 1:5")
	expect(t, c, "work 0:3")
	e.Unsubscribe(b.s, work)
	p.publishAll("1:6", "1:7", "1:8")
	expect(t, a, "work 1:7")
	expect(t, b)
	expect(t, c, "work 1:6", "work 1:8")
	e.Unsubscribe(a.s, work)
	e.Unsubscribe(c.s, work)
	if v := p.publish("work", "1:x"); v != NoSubscribers {
		t.Errorf("verdict %d without members, want NoSubscribers", v)
	}
}

// TestShareAllocatesNothing publishes to a group and, for comparison, to a
// session.
func TestShareAllocatesNothing(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", Opening{}).subscribe("own", 1)
	worker(t, e, "b", Opening{Window: 1})
	var outs []Out
	for _, topic := range []string{"own", "work"} {
		m := &Message{Message: journal.Message{Topic: topic, QoS: 1}}
		got := testing.AllocsPerRun(100, func() {
			r, _ := p.pub.Route([]byte(topic))
			p.pub.Publish(r, m, 0)
			p.pub.Flush()
			outs, _ = a.s.Next(a, outs[:0], 1000)
			for _, o := range outs {
				a.s.Acknowledge(o.ID, 1)
			}
		})
		if got >= 1 {
			t.Errorf("a message to %q allocates %.1f times, want none", topic, got)
		}
	}
}

// TestShareOptions has a session in two groups, with a subscription of its own
// that overlaps.
func TestShareOptions(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	connect(t, e, "kept", Opening{}).publish("a/b", "r1:kept")
	s := connect(t, e, "s", Opening{})
	s.subscribeTo(journal.Subscription{Filter: "$share/g/a/+", QoS: 2, ID: 1})
	s.subscribeTo(journal.Subscription{Filter: "$share/h/a/#", QoS: 0, ID: 2, RetainAsPublished: true})
	expect(t, s) // Nothing retained.
	s.subscribeTo(journal.Subscription{Filter: "a/b", QoS: 1, ID: 3, RetainHandling: 2})
	connect(t, e, "p", Opening{}).publish("a/b", "r2:x")
	var got []string
	for _, o := range s.outs() {
		got = append(got, fmt.Sprintf("QoS %d %v retain %t", o.QoS, o.IDs, o.Retain))
	}
	slices.Sort(got)
	want := []string{"QoS 0 [2] retain true", "QoS 1 [3] retain false", "QoS 2 [1] retain false"}
	if !slices.Equal(got, want) {
		t.Errorf("deliveries %q, want %q", got, want)
	}
	s.subscribeTo(journal.Subscription{Filter: "$share/g/a/+", QoS: 1, ID: 9}) // In its place.
	if n := len(s.s.Subscriptions()); n != 3 {
		t.Errorf("%d subscriptions, want 3", n)
	}
}

func TestShareBusyMembers(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", Opening{Window: 1})
	b := worker(t, e, "b", Opening{Window: 3})
	p.publishAll("1:1", "1:2")
	expect(t, a, "work 1:1")
	expect(t, b, "work 1:2")
	p.publishAll("1:3", "1:4")
	expect(t, a) // Its window is full.
	expect(t, b, "work 1:3", "work 1:4")
	p.publishAll("1:5", "1:6", "1:7") // All windows are full.
	if a.s.count+b.s.count != 3 || a.s.count == 0 || b.s.count == 0 {
		t.Errorf("%d and %d wait, want the queues about equal", a.s.count, b.s.count)
	}
}

func TestShareOfflineMembers(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	o := Opening{Expiry: 100}
	p := connect(t, e, "p", Opening{})
	a, b, c := worker(t, e, "a", o), worker(t, e, "b", o), worker(t, e, "c", Opening{})
	a.left(Leaving{})
	b.left(Leaving{})
	p.publishAll("1:1", "1:2")
	expect(t, c, "work 1:1", "work 1:2")
	c.left(Leaving{}) // Its session ends: offline members inherit.
	p.publishAll("1:3", "1:4", "0:nobody")
	a = connect(t, e, "a", o) // It gets what waited with b, too.
	expect(t, a, "work 1:1", "work 1:2", "work 1:3", "work 1:4")
	b = connect(t, e, "b", o)
	expect(t, b)
	if d := e.Dropped(); d != (Dropped{}) {
		t.Errorf("dropped %+v, want nothing", d)
	}
}

func TestShareFull(t *testing.T) {
	opts := options()
	opts.QueueMessages = 3
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", Opening{Expiry: 9, Window: 1})
	b := worker(t, e, "b", Opening{Expiry: 9, Window: 1})
	b.left(Leaving{})
	for i := range 6 { // Three fill a, three b.
		p.publishAll(fmt.Sprint("1:", i))
	}
	if a.s.count != 3 || b.s.count != 3 {
		t.Errorf("%d and %d wait, want 3 each", a.s.count, b.s.count)
	}
	if v := p.publish("work", "1:x"); v != Full {
		t.Errorf("verdict %d while both queues are full, want Full", v)
	}
	a.left(Leaving{})
	b = connect(t, e, "b", Opening{Expiry: 9, Window: 100})
	if got := b.next(); len(got) != 6 {
		t.Errorf("b gets %q, want all 6, its own and those of a", got)
	}
	if v := p.publish("work", "1:x"); v != Accepted {
		t.Errorf("verdict %d when there is room again, want Accepted", v)
	}
}

// TestShareOverfull lets members come, fill and go: what they pile up with one
// who reads nothing has an end.
func TestShareOverfull(t *testing.T) {
	opts := options()
	opts.QueueMessages = 10
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	stalled := worker(t, e, "stalled", Opening{Window: 1})
	accepted := 0
	for range 20 {
		a := worker(t, e, "a", Opening{Window: 1})
		for p.publish("work", "1:x") == Accepted {
			accepted++
		}
		a.left(Leaving{})
	}
	d := e.Dropped().Orphaned
	if n := stalled.s.count; n > 40 || n+int(d) != accepted {
		t.Errorf("%d wait and %d were dropped of %d; want at most 40, and each accounted for", n, d, accepted)
	}
}

func TestShareFullDropsOldest(t *testing.T) {
	opts := options()
	opts.QueueMessages, opts.DropOldest = 2, true
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	a, b := worker(t, e, "a", Opening{}), worker(t, e, "b", Opening{})
	for i := range 10 {
		p.publishAll(fmt.Sprint("1:", i))
	}
	if n := len(a.outs()) + len(b.outs()); n+int(e.Dropped().Full) != 10 || n < 4 {
		t.Errorf("%d delivered, %d counted as dropped, want 10 together", n, e.Dropped().Full)
	}
}
