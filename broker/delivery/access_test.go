package delivery

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"edge/broker/journal"
)

// A rulebook is what principals may not do: "anna publish a".
type rulebook struct {
	mu     sync.Mutex
	denied map[string]bool
	told   []string // by Options.Denied
}

func (b *rulebook) deny(rule string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.denied == nil {
		b.denied = make(map[string]bool)
	}
	b.denied[rule] = true
}

func (b *rulebook) access(owner, _ string) Access { return chapter{b, owner} }

// A chapter is what the rulebook says about one principal.
type chapter struct {
	b     *rulebook
	owner string
}

func (c chapter) may(action, topic string) bool {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return !c.b.denied[c.owner+" "+action+" "+topic]
}
func (c chapter) MayPublish(topic string) bool { return c.may("publish", topic) }
func (c chapter) MayReceive(topic string) bool { return c.may("receive", topic) }

func ruled(t *testing.T) (*rulebook, *Engine) {
	b, opts := new(rulebook), options()
	opts.Access = b.access
	opts.Denied = func(owner, id, topic string) { b.told = append(b.told, owner+" "+id+" "+topic) }
	return b, newEngine(t, journal.Memory{}, opts)
}

func TestMayPublish(t *testing.T) {
	b, e := ruled(t)
	b.deny("anna publish secret")
	all := connect(t, e, "all", Opening{Owner: "otto"}).subscribe("#", 1)
	p := connect(t, e, "p", Opening{Owner: "anna", Will: &Will{Message: &Message{Message: journal.Message{Topic: "secret", Payload: []byte("0:w")}}}})
	for _, tt := range []struct {
		topic, payload string
		want           Verdict
	}{
		{"open", "1:a", Accepted},
		{"secret", "0:b", Denied},
		{"secret", "2:c", Denied},
		{"secret", "r1:d", Denied},
	} {
		if got := p.publish(tt.topic, tt.payload); got != tt.want {
			t.Errorf("%s to %s: %v, want %v", tt.payload, tt.topic, got, tt.want)
		}
	}
	p.left(Leaving{}) // The will is for a topic that is forbidden.
	expect(t, all, "open 1:a")
	told := slices.Repeat([]string{"anna p secret"}, 4) // Each message, and the will.
	if !slices.Equal(b.told, told) {
		t.Errorf("%q were told of, want %q", b.told, told)
	}

	q := connect(t, e, "q", Opening{Owner: "anna"})
	q.publish("open", "1:e")
	b.deny("anna publish open")
	e.Reauthorize()
	if got := q.publish("open", "1:f"); got != Denied {
		t.Errorf("after the right was taken: %v", got)
	}
	expect(t, all, "open 1:e")
}

func TestMayReceive(t *testing.T) {
	b, e := ruled(t)
	b.deny("anna receive secret")
	p := connect(t, e, "p", Opening{Owner: "otto"})
	p.publish("secret", "r1:a")
	p.publish("open", "r1:b")
	a := connect(t, e, "a", Opening{Owner: "anna", Expiry: 100, Window: 1}).subscribe("#", 1)
	shared := connect(t, e, "s", Opening{Owner: "anna"}).subscribe("$share/g/#", 1)
	p.publish("secret", "1:c")
	p.publish("open", "1:d")
	p.publish("closing", "1:e")
	p.publish("open", "1:f")
	expect(t, shared, "open 1:d", "closing 1:e", "open 1:f")
	expect(t, a, "R open r1:b")
	if n := e.Withheld(); n != 2 {
		t.Errorf("%d messages were withheld, want 2 for a: a retained one, and one as it came", n)
	}

	b.deny("anna receive closing")
	e.Reauthorize()
	a.s.Acknowledge(1, 1)
	expect(t, a, "open 1:d")
	b.deny("anna receive open") // It is on its way.
	a.left(Leaving{})
	a = connect(t, e, "a", Opening{Owner: "anna", Expiry: 100})
	e.Reauthorize()
	p.publish("open", "1:g")
	expect(t, a)
	if d := a.s.Dropped(); d.Forbidden != 3 {
		t.Errorf("%+v, want three messages that were forbidden: closing and two of open", d)
	}
	if a.s.sent.len() != 0 {
		t.Errorf("%d messages are on their way still", a.s.sent.len())
	}
}

// TestRetainedOfRevoked does not give out what somebody retained who may not
// publish it any more.
func TestRetainedOfRevoked(t *testing.T) {
	b, e := ruled(t)
	connect(t, e, "p", Opening{Owner: "anna"}).publish("a", "r1:x")
	expect(t, connect(t, e, "c", Opening{Owner: "otto"}).subscribe("a", 1), "R a r1:x")
	b.deny("anna publish a")
	e.Reauthorize()
	expect(t, connect(t, e, "d", Opening{Owner: "otto"}).subscribe("a", 1))
}

// TestOwner keeps the session of one principal from others, over a restart too.
func TestOwner(t *testing.T) {
	b, opts := new(rulebook), options()
	opts.Access, opts.MaxExpiry = b.access, Forever
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	c := connect(t, s.e, "c", Opening{Owner: "anna", Expiry: Forever}).subscribe("#", 1)
	connect(t, s.e, "p", Opening{Owner: "anna"}).publish("a", "r1:x")
	foreign := func(when string) {
		for _, clean := range []bool{false, true} {
			_, _, _, err := s.e.Begin(Opening{ID: "c", Owner: "otto", Clean: clean, Link: c})
			if !errors.Is(err, ErrForeign) {
				t.Errorf("%s: the session of anna begins for otto, clean %t: %v", when, clean, err)
			}
		}
	}
	foreign("while anna is online")
	c.left(Leaving{})
	foreign("while anna is away")
	s = s.restart(opts, journal.Options{})
	foreign("after a restart")
	b.deny("anna publish a")
	expect(t, connect(t, s.e, "d", Opening{Owner: "otto"}).subscribe("a", 1))
	b.deny("anna receive a")
	s.e.Reauthorize()
	c = connect(t, s.e, "c", Opening{Owner: "anna", Expiry: Forever})
	expect(t, c)
	if d := c.s.Dropped(); d.Forbidden != 1 {
		t.Errorf("%+v, want one that was forbidden", d)
	}
	c.left(Leaving{})
	s.close()
}

// TestAdopt gives a session that nobody in particular has begun to the first who
// has a name.
func TestAdopt(t *testing.T) {
	_, e := ruled(t)
	connect(t, e, "c", Opening{Expiry: 100}).subscribe("a", 1).left(Leaving{})
	c := connect(t, e, "c", Opening{Owner: "anna", Expiry: 100})
	connect(t, e, "p", Opening{}).publish("a", "1:x")
	expect(t, c, "a 1:x")
	c.left(Leaving{})
	for _, owner := range []string{"", "otto"} {
		if _, _, _, err := e.Begin(Opening{ID: "c", Owner: owner, Link: c}); !errors.Is(err, ErrForeign) {
			t.Errorf("the session of anna begins for %q: %v", owner, err)
		}
	}
	connect(t, e, "c", Opening{Owner: "anna"}).left(Leaving{})
	connect(t, e, "c", Opening{Owner: "otto"}).left(Leaving{}) // It is free after the session.
}
