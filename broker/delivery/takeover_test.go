package delivery

import (
	"fmt"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestTakeOverSettles has a connection lost before its PUBREC and PUBREL are safe.
// What the next one is told must wait for that: a client that has PUBREL or PUBCOMP
// forgets the packet id.
func TestTakeOverSettles(t *testing.T) {
	h := new(journaltest.Held)
	e := newEngine(t, h, options())
	c := connect(t, e, "c", lasting()).subscribe("a", 2)
	c.publish("a", "2:x")
	h.Commit()
	expect(t, c, "a 2:x")
	if fresh, _, ok := c.s.Own(9); !fresh || !ok {
		t.Fatal("id 9 is not free")
	}
	c.s.Receive(1)
	c.s.Release(9)
	c.left(Leaving{})
	c = connect(t, e, "c", lasting())
	if outs := c.outs(); len(outs) != 0 {
		t.Errorf("%+v is sent before it is safe that PUBREC came", outs)
	}
	woke := c.woke.Load()
	if ticket, found := c.s.Release(9); found || ticket <= h.Committed() {
		t.Errorf("PUBREL again: found %t, PUBCOMP waits for ticket %d, %d is safe", found, ticket, h.Committed())
	}
	h.Commit()
	if c.woke.Load() == woke {
		t.Error("nobody woke the connection")
	}
	if outs := c.outs(); len(outs) != 1 || !outs[0].Release || outs[0].ID != 1 {
		t.Errorf("%+v is sent, want PUBREL for 1", outs)
	}
}

// A seizure is a journal in which somebody takes the session over while a message
// is read.
type seizure struct {
	*journal.Disk
	then func()
}

func (s *seizure) Load(p journal.Place) (*journal.Message, error) {
	if then := s.then; then != nil {
		s.then = nil
		then()
		return nil, journal.ErrGone
	}
	return s.Disk.Load(p)
}

// TestTakeOverWhileReading loses the connection while messages for it are read from
// the disk: the next one gets them all.
func TestTakeOverWhileReading(t *testing.T) {
	opts := options()
	opts.MaxExpiry, opts.QueueMessages = Forever, 1<<20
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	defer s.close()
	j := &seizure{Disk: s.j}
	s.e.journal = j
	connect(t, s.e, "c", lasting()).subscribe("a", 1).left(Leaving{})
	p := connect(t, s.e, "p", lasting())
	for i := range 2 * inMemory {
		before := s.j.Committed()
		p.publish("a", fmt.Sprintf("1:%d", i))
		s.e.Wait(nil, before+1)
	}
	if q := &s.e.session("c").queue; q.at(q.head+ahead).m != nil {
		t.Fatal("all is in memory")
	}

	c := connect(t, s.e, "c", lasting())
	var next *peer
	var got []string
	for range ahead {
		c.s.Next(c, nil, 1)
	}
	j.then = func() {
		c.left(Leaving{})
		next = connect(t, s.e, "c", lasting())
		got = next.next()
	}
	if outs, _ := c.s.Next(c, nil, 1); len(outs) != 0 {
		t.Errorf("the old connection gets %+v", outs)
	}
	if next == nil {
		t.Fatal("nothing was read from the disk")
	}
	for n, o := range got {
		want := fmt.Sprintf("a 1:%d", n)
		if n <= ahead {
			want = "D " + want
		}
		if o != want {
			t.Fatalf("message %d is %q, want %q", n, o, want)
		}
	}
	if d := next.s.Dropped(); len(got) != options().Window || d.Total() != 0 {
		t.Errorf("the next connection gets %d messages, %+v are lost", len(got), d)
	}
}

// TestNewSessionWaits has a client ask for a new session: it may be told that it has
// one when a crash cannot bring the old one back.
func TestNewSessionWaits(t *testing.T) {
	h := new(journaltest.Held)
	e := newEngine(t, h, options())
	connect(t, e, "c", lasting()).left(Leaving{})
	h.Commit()
	closed := make(chan struct{})
	close(closed)
	c := connect(t, e, "c", Opening{Clean: true, Expiry: 10})
	if c.s.Settled(closed) {
		t.Error("the new session is told of before the old one has ended for good")
	}
	h.Commit()
	if !c.s.Settled(nil) {
		t.Error("it is never told of")
	}
}
