package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
)

// A store is an engine with its journal in a folder.
type store struct {
	t   testing.TB
	dir string
	e   *Engine
	j   *journal.Disk
}

func openStore(t testing.TB, dir string, opts Options, o journal.Options) *store {
	t.Helper()
	j, err := journal.Open(journal.OS(dir), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e := New(j, opts, slog.New(slog.DiscardHandler))
	if _, err := j.Replay(e.Restore); err != nil {
		t.Fatal(err)
	}
	e.Restored()
	if err := j.Start(e.Keep); err != nil {
		t.Fatal(err)
	}
	e.Continue()
	s := &store{t, dir, e, j}
	return s
}

// restart closes the journal and opens it again with a new engine.
func (s *store) restart(opts Options, o journal.Options) *store {
	s.t.Helper()
	s.close()
	return openStore(s.t, s.dir, opts, o)
}

func (s *store) close() {
	s.t.Helper()
	s.e.Close()
	if err := s.j.Close(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func lasting() Opening { return Opening{Expiry: Forever} }

// TestRestart has everything that a session is outlive the engine.
func TestRestart(t *testing.T) {
	opts := options()
	opts.MaxExpiry = Forever
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	c := connect(t, s.e, "c", lasting())
	c.subscribeTo(journal.Subscription{Filter: "a/#", QoS: 2, ID: 7})
	pub := connect(t, s.e, "p", lasting())
	pub.send(&Message{Message: journal.Message{Topic: "kept", Payload: []byte("r"), Retain: true}}, 0)
	c.left(Leaving{})
	for i := range 10 {
		pub.publish("a/b", fmt.Sprintf("1:%d", i))
	}
	if fresh, _, ok := pub.s.Own(5); !fresh || !ok {
		t.Fatal("id 5 is not free")
	}
	pub.send(&Message{Message: journal.Message{Topic: "a/2", Payload: []byte("two"), QoS: 2}}, 5)

	s = s.restart(opts, journal.Options{})
	if st := s.e.Stats(); st.Sessions != 2 || st.Retained != 1 || st.Subscriptions != 1 {
		t.Errorf("restored %+v, want 2 sessions, 1 retained message, 1 subscription", st)
	}
	c = connect(t, s.e, "c", lasting())
	outs := c.outs()
	if len(outs) != 11 {
		t.Fatalf("%d messages, want 11", len(outs))
	}
	for i, o := range outs {
		want := fmt.Sprintf("1:%d", i)
		if i == 10 {
			want = "two"
		}
		if string(o.Message.Payload) != want || o.ID != uint16(i+1) || len(o.IDs) != 1 || o.IDs[0] != 7 {
			t.Errorf("message %d is %q with id %d and identifiers %v", i, o.Message.Payload, o.ID, o.IDs)
		}
		c.s.Acknowledge(o.ID, o.QoS)
	}
	pub = connect(t, s.e, "p", lasting())
	if fresh, _, _ := pub.s.Own(5); fresh {
		t.Error("the QoS 2 id of the publisher is forgotten")
	}
	s = s.restart(opts, journal.Options{})
	c = connect(t, s.e, "c", lasting())
	expect(t, c)
	expect(t, c.subscribe("kept", 1), "R kept r")
	s.close()
}

// TestRestartWithFewerSessions restarts with room for fewer sessions: those that are
// there stay, and no other begins.
func TestRestartWithFewerSessions(t *testing.T) {
	opts := options()
	opts.MaxExpiry = Forever
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	for _, id := range []string{"a", "b", "c"} {
		connect(t, s.e, id, lasting()).subscribe(id, 1)
	}
	opts.Sessions = 1
	s = s.restart(opts, journal.Options{})
	defer s.close()
	if st := s.e.Stats(); st.Sessions != 3 || st.Subscriptions != 3 {
		t.Errorf("restored %+v, want 3 sessions with a subscription each", st)
	}
	if _, _, _, err := s.e.Begin(Opening{ID: "d", Expiry: 1}); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("another one begins: %v, want %v", err, ErrTooManySessions)
	}
}

// TestCleaning publishes far more than the journal may keep, with a session that
// is away and one that reads: nothing that is needed goes, and the journal stays
// small.
func TestCleaning(t *testing.T) {
	opts := options()
	opts.MaxExpiry, opts.QueueMessages, opts.QueueBytes = Forever, 1<<20, 1<<30
	o := journal.Options{SegmentBytes: 1 << 16, MinBytes: 1 << 18}
	s := openStore(t, t.TempDir(), opts, o)
	away := connect(t, s.e, "away", lasting()).subscribe("a", 1)
	away.left(Leaving{})
	here := connect(t, s.e, "here", lasting()).subscribe("#", 1)
	pub := connect(t, s.e, "p", Opening{})
	var last journal.Ticket
	for i := range 20_000 {
		topic := "b"
		if i%100 == 0 {
			topic = "a"
		}
		tk, v := pub.send(&Message{Message: journal.Message{Topic: topic, Payload: fmt.Appendf(nil, "%05d", i), QoS: 1, Retain: i%1000 == 0}}, 0)
		if v != Accepted {
			t.Fatalf("message %d: %v", i, v)
		}
		last = tk
		for _, out := range here.outs() {
			here.s.Acknowledge(out.ID, out.QoS)
		}
		if i%500 == 0 {
			s.e.Wait(nil, last)
		}
	}
	s.e.Wait(nil, last)
	if st := s.j.Stats(); st.Cleaned == 0 || st.Bytes > 4<<20 {
		t.Errorf("%d segments were cleaned, %d bytes are left", st.Cleaned, st.Bytes)
	}
	for range 2 {
		s = s.restart(opts, o)
		away = connect(t, s.e, "away", lasting())
		var got []Out
		for {
			outs := away.outs()
			if len(outs) == 0 {
				break
			}
			got = append(got, outs...)
			if len(got) < 200 {
				for _, out := range outs {
					away.s.Acknowledge(out.ID, out.QoS)
				}
			}
		}
		for i, out := range got {
			if want := fmt.Sprintf("%05d", (i+200-len(got))*100); string(out.Message.Payload) != want {
				t.Fatalf("message %d of %d is %s, want %s", i, len(got), out.Message.Payload, want)
			}
		}
		if len(got) == 0 {
			t.Fatal("nothing is left of what waited")
		}
		if st := s.e.Stats(); st.Retained != 1 {
			t.Errorf("%d retained, want 1", st.Retained)
		}
	}
	s.close()
}

// TestRestartOfGroup restarts a broker that has messages for a group whose member
// is away: another member gets them, in order, and the first does not.
func TestRestartOfGroup(t *testing.T) {
	opts := options()
	opts.MaxExpiry = Forever
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	work := journal.Subscription{Filter: "$share/g/work", QoS: 1, ID: 3}
	a := connect(t, s.e, "a", lasting()).subscribeTo(work)
	pub := connect(t, s.e, "p", lasting())
	pub.publish("work", "1:0") // on its way
	expect(t, a, "work 1:0")
	a.left(Leaving{})
	for i := range 5 {
		pub.publish("work", fmt.Sprint("1:", 1+i))
	}

	s = s.restart(opts, journal.Options{})
	b := connect(t, s.e, "b", lasting()).subscribeTo(work)
	expect(t, b, "work 1:0", "work 1:1", "work 1:2", "work 1:3", "work 1:4", "work 1:5")
	s = s.restart(opts, journal.Options{})
	b = connect(t, s.e, "b", lasting())
	expect(t, connect(t, s.e, "a", lasting()))
	if outs := b.outs(); len(outs) != 6 || !slices.Equal(outs[0].IDs, []uint32{3}) {
		t.Errorf("b gets %+v, want six again with identifier 3", outs)
	}
	s.close()
}

// TestRestartSendsWills restarts a broker, as after a power cut, that had a client
// with a will and a session that ends with its connection.
func TestRestartSendsWills(t *testing.T) {
	opts := options()
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	will := func(payload string) *Will {
		return &Will{Message: &Message{Message: journal.Message{Topic: "state", Payload: []byte(payload), QoS: 1, Retain: true}}, Delay: 60}
	}
	connect(t, s.e, "gone", Opening{Will: will("1:revoked")}).left(Leaving{Normal: true})
	connect(t, s.e, "here", Opening{Will: will("1:here is gone")})

	s = s.restart(opts, journal.Options{})
	expect(t, connect(t, s.e, "c", Opening{}).subscribe("#", 1), "R state 1:here is gone")
	if n := s.e.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions, want that of c alone", n)
	}
	connect(t, s.e, "here", Opening{}).publish("state", "r1:here is back")
	s = s.restart(opts, journal.Options{})
	expect(t, connect(t, s.e, "c", Opening{}).subscribe("#", 1), "R state r1:here is back")
	s.close()
}

// TestAcknowledgementsAreLazy counts flushes: one for each message that somebody
// waits for, and none for what the receiver answers.
func TestAcknowledgementsAreLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		opts.MaxExpiry = Forever
		s := openStore(t, t.TempDir(), opts, journal.Options{})
		c := connect(t, s.e, "c", lasting()).subscribe("a", 1)
		p := connect(t, s.e, "p", lasting())
		time.Sleep(time.Minute)
		before := s.j.Stats().Flushes
		for range 5 {
			ticket, _ := p.send(&Message{Message: journal.Message{Topic: "a", Payload: []byte("x"), QoS: 1}}, 0)
			s.e.Wait(nil, ticket)
			for _, o := range c.outs() {
				c.s.Acknowledge(o.ID, 1)
			}
			synctest.Wait()
		}
		if n := s.j.Stats().Flushes - before; n != 5 {
			t.Errorf("%d flushes for 5 messages", n)
		}
		time.Sleep(time.Minute)
		if n := s.j.Stats().Flushes - before; n != 6 {
			t.Errorf("%d flushes in all, want one more for the last acknowledgement", n)
		}
		s.close()
	})
}
