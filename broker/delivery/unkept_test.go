package delivery

import (
	"slices"
	"testing"
	"time"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestRetainedIsKept restarts while a retained message is on its way: it is sent
// again with its packet id, and no other message gets that.
func TestRetainedIsKept(t *testing.T) {
	opts := options()
	opts.MaxExpiry = Forever
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	p := connect(t, s.e, "p", lasting())
	p.publish("r", "r2:x")
	c := connect(t, s.e, "c", lasting()).subscribe("r", 2)
	_, last, err := s.e.Subscribe(c.s, journal.Subscription{Filter: "a", QoS: 2})
	if err != nil {
		t.Fatal(err)
	}
	s.e.Wait(nil, last) // The record of r is before that.
	expect(t, c, "R r r2:x")
	s = s.restart(opts, journal.Options{})
	defer s.close()
	c = connect(t, s.e, "c", lasting())
	expect(t, c, "D R r r2:x")
	p = connect(t, s.e, "p", lasting())
	p.publish("a", "1:y")
	if outs := c.outs(); len(outs) != 1 || outs[0].ID != 2 {
		t.Errorf("%+v is sent, want one message with id 2", outs)
	}
}

// TestUnkeptNumbers restarts twice after a message that was not kept was
// acknowledged. The message that comes next is not taken for it.
func TestUnkeptNumbers(t *testing.T) {
	opts := options()
	opts.MaxExpiry = Forever
	opts.Durability = func(topic string) (time.Duration, bool) { return 0, topic != "n" }
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	c := connect(t, s.e, "c", lasting()).subscribe("+", 1)
	c.publish("n", "1:x")
	expect(t, c, "n 1:x")
	c.s.Acknowledge(1, 1)
	s = s.restart(opts, journal.Options{})
	connect(t, s.e, "c", lasting()).publish("a", "1:y")
	s = s.restart(opts, journal.Options{})
	defer s.close()
	expect(t, connect(t, s.e, "c", lasting()), "D a 1:y")
}

// TestRefusedRetained refuses a retained message: the one before it stays.
func TestRefusedRetained(t *testing.T) {
	h := new(journaltest.Held)
	e := newEngine(t, h, options())
	p := connect(t, e, "p", Opening{})
	p.publish("r", "r1:old")
	h.Break()
	for _, payload := range []string{"r1:new", "r1:newer"} {
		if v := p.publish("r", payload); v != Unavailable {
			t.Errorf("publish %s: verdict %d", payload, v)
		}
	}
	expect(t, connect(t, e, "c", Opening{}).subscribe("r", 1), "R r r1:old")
	if k := e.retained.Get("r"); k.place != 1 {
		t.Errorf("its record is at %d, want 1", k.place)
	}
}

// TestFullSession has no room for the record that a session has lost its
// connection: the one before it counts still, and is kept.
func TestFullSession(t *testing.T) {
	h := new(journaltest.Held)
	e := newEngine(t, h, options())
	c := connect(t, e, "c", lasting())
	h.Break()
	c.left(Leaving{})
	h.Mend()
	before := len(h.Records())
	e.Keep(&journal.Record{Kind: journal.SessionBegun, Client: "c", Place: 1})
	if n := len(h.Records()) - before; n != 1 {
		t.Errorf("%d records are kept of a session, want 1", n)
	}
}

// TestUnkeptSession has a client subscribe whose session there was no room for when
// it began.
func TestUnkeptSession(t *testing.T) {
	h := new(journaltest.Held)
	e := newEngine(t, h, options())
	h.Break()
	c := connect(t, e, "c", lasting())
	h.Mend()
	c.subscribe("a", 1)
	var kinds []journal.Kind
	for _, r := range h.Records() {
		kinds = append(kinds, r.Kind)
	}
	if want := []journal.Kind{journal.SessionBegun, journal.Subscribed}; !slices.Equal(kinds, want) {
		t.Errorf("the journal has records of kinds %v, want %v", kinds, want)
	}
}
