package delivery

import (
	"errors"
	"testing"

	"edge/broker/journal"
)

func TestSessionsOfOneOwner(t *testing.T) {
	opts := options()
	opts.OwnerSessions = 2
	e := newEngine(t, journal.Memory{}, opts)
	begin := func(id, owner string) error {
		_, _, release, err := e.Begin(Opening{ID: id, Owner: owner, Expiry: 60, Link: &peer{}})
		if err == nil {
			release()
		}
		return err
	}
	for _, id := range []string{"a1", "a2"} {
		if err := begin(id, "anna"); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin("a3", "anna"); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("a third session of anna: %v, want %v", err, ErrTooManySessions)
	}
	for _, other := range []struct{ id, owner string }{{"b1", "bert"}, {"n1", ""}, {"n2", ""}, {"n3", ""}} {
		if err := begin(other.id, other.owner); err != nil {
			t.Errorf("session %s of %q: %v", other.id, other.owner, err)
		}
	}
	e.end(e.session("a1"))
	if err := begin("a3", "anna"); err != nil {
		t.Errorf("a session in place of one that has ended: %v", err)
	}
	e.session("n1").adopt("bert")
	if err := begin("b2", "bert"); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("a third session of bert, who has adopted one: %v, want %v", err, ErrTooManySessions)
	}
	for _, id := range []string{"a2", "a3", "b1", "n1", "n2", "n3"} {
		e.end(e.session(id))
	}
	if len(e.owners) > 0 {
		t.Errorf("without sessions, there are still counts: %v", e.owners)
	}
}

// TestQueuesOfOneOwner fills the queues of somebody with many client ids: all of
// them take no more, until there is less in all.
func TestQueuesOfOneOwner(t *testing.T) {
	opts := options()
	opts.OwnerQueueBytes = 1000
	e := newEngine(t, journal.Memory{}, opts)
	from := connect(t, e, "from", Opening{})
	for _, id := range []string{"a1", "a2"} {
		connect(t, e, id, Opening{Owner: "anna", Expiry: 60}).subscribe(id, 1).left(Leaving{})
	}
	connect(t, e, "b1", Opening{Owner: "bert", Expiry: 60}).subscribe("b1", 1).left(Leaving{})
	publish := func(topic string, want Verdict) {
		t.Helper()
		if got := from.publish(topic, "1:x"); got != want {
			t.Errorf("publish to %s: verdict %d, want %d", topic, got, want)
		}
	}
	for range 10 {
		publish("a1", Accepted)
	}
	e.Weigh()
	publish("a1", Full)
	publish("a2", Full)
	publish("b1", Accepted)
	back := connect(t, e, "a1", Opening{Owner: "anna", Expiry: 60})
	back.next()
	e.Weigh()
	publish("a1", Accepted)
	publish("a2", Accepted)
}
