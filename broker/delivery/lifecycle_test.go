package delivery

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
)

func willTo(topic string, delay uint32) *Will {
	return &Will{Message: &Message{Message: journal.Message{Topic: topic, Payload: []byte("will"), QoS: 1}}, Delay: delay}
}

func TestSessionPresent(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	begin := func(o Opening) (*Session, bool) {
		o.ID = "c"
		o.Link = &peer{done: make(chan struct{})}
		s, present, release, err := e.Begin(o)
		if err != nil {
			t.Fatal(err)
		}
		release()
		e.Leave(s, o.Link, Leaving{})
		return s, present
	}
	for _, tt := range []struct {
		name    string
		o       Opening
		present bool
	}{
		{"new", Opening{Expiry: 9}, false},
		{"resumed", Opening{Expiry: 9}, true},
		{"clean", Opening{Expiry: 9, Clean: true}, false},
		{"for the last time", Opening{}, true},
		{"ended with its connection", Opening{}, false},
	} {
		if _, present := begin(tt.o); present != tt.present {
			t.Errorf("%s: present %t, want %t", tt.name, present, tt.present)
		}
	}
	if n := e.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestTakeOver(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	old := connect(t, e, "c", Opening{Expiry: 9}).subscribe("a", 1)
	connect(t, e, "p", Opening{}).publish("a", "1:x")
	expect(t, old, "a 1:x")
	// connect waits until the old connection has left.
	c := connect(t, e, "c", Opening{Expiry: 9})
	select {
	case <-old.Done():
	default:
		t.Error("the new connection has the session before the old one let go")
	}
	if _, ok := old.s.Next(old, nil, 1); ok {
		t.Error("the old connection may still send")
	}
	expect(t, c, "D a 1:x")
	// A leave of the old one that comes late takes nothing from the new one.
	e.Leave(old.s, old, Leaving{Normal: true})
	if e.Stats().Online != 2 {
		t.Errorf("%d online, want 2", e.Stats().Online)
	}
}

// TestTakeOverMany takes one session over from many goroutines at once; run
// with -race.
func TestTakeOverMany(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	done := make(chan bool)
	for range 8 {
		go func() {
			for range 50 {
				p := connect(t, e, "c", Opening{Clean: true}).subscribe("a", 0)
				p.s.Subscriptions()
			}
			done <- true
		}()
	}
	for range 8 {
		<-done
	}
	last := connect(t, e, "c", Opening{Clean: true}).subscribe("a", 0)
	connect(t, e, "p", Opening{}).publish("a", "0:x")
	expect(t, last, "a 0:x")
	if st := e.Stats(); st.Sessions != 2 {
		t.Errorf("%d sessions, want 2", st.Sessions)
	}
}

// TestBeginWhileLeaving begins a session whose connection is just leaving, and
// takes it along: the new connection must not get a session that ends.
func TestBeginWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		proceed := make(chan struct{})
		opts.Command = func(topic string) bool { return topic == "w" }
		opts.Refused = func(*Message, Refusal) { <-proceed } // Leaving takes a while.
		e := newEngine(t, journal.Memory{}, opts)
		will := willTo("w", 0)
		will.Message.Retain = true
		old := connect(t, e, "c", Opening{Will: will})
		go old.left(Leaving{})
		synctest.Wait()
		begun := make(chan *peer)
		go func() { begun <- connect(t, e, "c", Opening{}) }()
		synctest.Wait()
		select {
		case <-begun:
			t.Fatal("a session began that is about to end")
		default:
		}
		close(proceed)
		c := (<-begun).subscribe("a", 0)
		c.publish("a", "still here")
		expect(t, c, "a still here")
	})
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, journal.Memory{}, options())
		s := connect(t, e, "s", Opening{Expiry: 10}).subscribe("a", 1)
		s.left(Leaving{})
		time.Sleep(9 * time.Second)
		s = connect(t, e, "s", Opening{Expiry: 10}) // Just in time.
		s.left(Leaving{})
		time.Sleep(9 * time.Second)
		if n := e.Stats().Sessions; n != 1 {
			t.Errorf("%d sessions after 9 s, want 1", n)
		}
		time.Sleep(2 * time.Second)
		p := connect(t, e, "p", Opening{})
		if v := p.publish("a", "1:x"); v != NoSubscribers {
			t.Errorf("the subscription of an expired session is still there: verdict %d", v)
		}
		if n := e.Stats().Sessions; n != 1 {
			t.Errorf("%d sessions after 11 s, want only the publisher's", n)
		}
	})
}

func TestExpiryChangedAtDisconnect(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	s := connect(t, e, "s", Opening{Expiry: 10})
	zero := uint32(0)
	s.left(Leaving{Normal: true, Expiry: &zero})
	if n := e.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
}

func TestWill(t *testing.T) {
	second := time.Second
	tests := []struct {
		name   string
		expiry uint32
		delay  uint32
		do     func(t *testing.T, e *Engine, c *peer)
		sent   time.Duration // when the will is there; negative: never
	}{
		{"lost connection", 0, 0, func(_ *testing.T, _ *Engine, c *peer) { c.left(Leaving{}) }, 0},
		{"DISCONNECT", 0, 0, func(_ *testing.T, _ *Engine, c *peer) { c.left(Leaving{Normal: true}) }, -1},
		{"delay", 60, 5, func(_ *testing.T, _ *Engine, c *peer) { c.left(Leaving{}) }, 5 * second},
		{"delay longer than the session", 3, 5, func(_ *testing.T, _ *Engine, c *peer) { c.left(Leaving{}) }, 3 * second},
		{"delay, session ends with the connection", 0, 5, func(_ *testing.T, _ *Engine, c *peer) { c.left(Leaving{}) }, 0},
		{"back before the delay", 60, 5, func(t *testing.T, e *Engine, c *peer) {
			c.left(Leaving{})
			time.Sleep(second)
			connect(t, e, "c", Opening{Expiry: 60})
		}, -1},
		{"back with a clean start", 60, 5, func(t *testing.T, e *Engine, c *peer) {
			c.left(Leaving{})
			time.Sleep(second)
			connect(t, e, "c", Opening{Clean: true})
		}, second},
		{"taken over", 60, 0, func(t *testing.T, e *Engine, _ *peer) { connect(t, e, "c", Opening{Expiry: 60}) }, 0},
		{"taken over, delay", 60, 5, func(t *testing.T, e *Engine, _ *peer) { connect(t, e, "c", Opening{Expiry: 60}) }, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, journal.Memory{}, options())
				var at time.Duration = -1
				begin := time.Now()
				w := &watcher{fire: func() { at = time.Since(begin) }}
				s := e.Local("watcher", Hub, w)
				if _, _, err := e.Subscribe(s, journal.Subscription{Filter: "will", QoS: 1}); err != nil {
					t.Fatal(err)
				}
				s.Next(w, nil, 1) // Nothing: from now on the link is woken.
				tt.do(t, e, connect(t, e, "c", Opening{Expiry: tt.expiry, Will: willTo("will", tt.delay)}))
				time.Sleep(time.Minute)
				synctest.Wait()
				if at != tt.sent && (at >= 0 || tt.sent >= 0) {
					t.Errorf("sent after %v, want %v", at, tt.sent)
				}
			})
		})
	}
}

// A watcher is a Link that notes when a message arrives.
type watcher struct{ fire func() }

func (w *watcher) Wake()               { w.fire() }
func (*watcher) Kick()                 {}
func (*watcher) Done() <-chan struct{} { return nil }

func TestTooMany(t *testing.T) {
	opts := options()
	opts.Sessions, opts.Subscriptions = 2, 1
	e := newEngine(t, journal.Memory{}, opts)
	a := connect(t, e, "a", Opening{}).subscribe("x", 0)
	if _, _, err := e.Subscribe(a.s, journal.Subscription{Filter: "y"}); !errors.Is(err, ErrTooManySubscriptions) {
		t.Errorf("second subscription: %v, want %v", err, ErrTooManySubscriptions)
	}
	if _, _, err := e.Subscribe(a.s, journal.Subscription{Filter: "x", QoS: 1}); err != nil {
		t.Errorf("the first one again: %v", err)
	}
	connect(t, e, "b", Opening{})
	if _, _, _, err := e.Begin(Opening{ID: "c", Expiry: 1}); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("third session: %v, want %v", err, ErrTooManySessions)
	}
	connect(t, e, "a", Opening{Expiry: 1}) // One that exists is not one more.
	connect(t, e, "c", Opening{})          // The number of connections bounds those that end with theirs.
}

func TestRetained(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	p.publish("a/1", "r1:old")
	p.publish("a/1", "r1:new")
	p.publish("a/2", "r0:zero")
	p.send(&Message{Message: journal.Message{Topic: "a/3", QoS: 1, Retain: true, Payload: []byte("1:late"), Expires: 1}}, 0)
	s := connect(t, e, "s", Opening{})
	s.subscribeTo(journal.Subscription{Filter: "a/1", QoS: 1, RetainHandling: 1, ID: 5})
	if outs := s.outs(); len(outs) != 1 || !outs[0].Retain || outs[0].QoS != 1 || outs[0].IDs[0] != 5 {
		t.Errorf("retained: %+v, want a/1 with RETAIN, QoS 1 and identifier 5", outs)
	}
	s.subscribeTo(journal.Subscription{Filter: "a/1", RetainHandling: 1}) // Exists: nothing.
	s.subscribeTo(journal.Subscription{Filter: "a/2", RetainHandling: 2})
	s.subscribeTo(journal.Subscription{Filter: "a/3"})
	expect(t, s)
	if n := e.Stats().Retained; n != 2 {
		t.Errorf("%d retained, want 2: the expired one is gone", n)
	}
	s.subscribeTo(journal.Subscription{Filter: "b/+", RetainAsPublished: true})
	p.publish("a/2", "r0:live")
	p.publish("b/1", "r0:live")
	expect(t, s, "a/2 r0:live", "R b/1 r0:live")
	p.send(&Message{Message: journal.Message{Topic: "a/1", Retain: true}}, 0)
	if n := e.Stats().Retained; n != 2 {
		t.Errorf("%d retained after one was deleted, want 2", n)
	}
}

func TestRetainedBudget(t *testing.T) {
	opts := options()
	opts.RetainedBytes = 10 * (overhead + len("a/0") + len("r1:x"))
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	for i := range 10 {
		if v := p.publish("a/"+string(rune('0'+i)), "r1:x"); v == Full {
			t.Fatalf("message %d does not fit", i)
		}
	}
	if v := p.publish("a/x", "r1:x"); v != Full {
		t.Errorf("verdict %d beyond the budget, want Full", v)
	}
	if v := p.publish("a/0", "r1:y"); v == Full {
		t.Error("one of the same size cannot be replaced")
	}
	p.send(&Message{Message: journal.Message{Topic: "a/0", Retain: true}}, 0)
	if v := p.publish("a/x", "r1:x"); v == Full {
		t.Error("no room after one was deleted")
	}
}

// TestRetainedRace subscribes while retained messages change: the last one that
// arrives must be the last one that was published.
func TestRetainedRace(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	p := connect(t, e, "p", Opening{})
	for range 200 {
		s := connect(t, e, "s", Opening{Clean: true})
		ready := make(chan bool)
		go func() {
			<-ready
			s.subscribe("a", 1)
			ready <- true
		}()
		ready <- true
		for _, v := range []string{"r1:1", "r1:2", "r1:3"} {
			p.publish("a", v)
		}
		<-ready
		got := s.next()
		if len(got) == 0 || got[len(got)-1] != "a r1:3" && got[len(got)-1] != "R a r1:3" {
			t.Fatalf("got %q, want the last to be 3", got)
		}
		s.left(Leaving{})
	}
}
