package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMemoryBudget fills a broker with messages that nobody fetches, up to its
// budget: from then on it refuses what it would have to keep, and goes on with what
// it need not. Who comes for what was acknowledged gets all of it, and then there is
// memory again.
func TestMemoryBudget(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no budget of this kind")
	const budget = 64 << 20
	s := startWith(t, func(l *listeners) {
		l.config = fmt.Sprintf("broker: {allow_anonymous: true, sys_interval: 1s, limits: {memory: %d}, durability: [{filter: \"#\", never: true}]}", budget)
	})
	watch := s.connect(t, login{id: "watch"})
	watch.subscribe("$SYS/broker/memory/state", 0)
	expectState(t, watch, "ok")
	witness := s.connect(t, login{version: v5, id: "witness"})
	witness.subscribe("passes", 1)
	keeper := login{version: v5, id: "keeper", keep: true}
	away := s.connect(t, keeper)
	away.subscribe("waits", 1)
	away.disconnect()

	pub := s.connect(t, login{version: v5, id: "pub"})
	acknowledged := fillMemory(t, pub)
	expectState(t, watch, "tight", "full")
	stranger := s.dial(t)
	if a := stranger.login(login{version: v5, id: "new"}); a.code != 0x97 {
		t.Errorf("a new session while memory is short: %#x, want 0x97", a.code)
	}
	if code := witness.subscribe("more", 1); code != 0x97 {
		t.Errorf("a subscription while memory is short: %#x, want 0x97", code)
	}
	if code := pub.publish(message{topic: "kept", qos: 1, retain: true, payload: large}); code != 0x97 {
		t.Errorf("a retained message while memory is short: %#x, want 0x97", code)
	}
	for i := range 100 {
		want := fmt.Sprint(i, large)
		if code := pub.publish(message{topic: "passes", qos: 1, payload: want}); code != 0 {
			t.Fatalf("a message for who is there was refused with %#x", code)
		}
		if m := witness.receive(); m.payload != want {
			t.Fatalf("%.20q came, want %.20q", m.payload, want)
		}
	}
	allowed := budget + 32<<20
	if race {
		allowed *= racing // What the detector remembers is not the program's.
	}
	if peak := s.peak(t); peak > allowed {
		t.Errorf("the broker took %d bytes, with a budget of %d", peak, budget)
	}

	away = s.connect(t, keeper)
	for _, want := range acknowledged {
		if m := away.receive(); m.payload != want {
			t.Fatalf("%.20q came, want %.20q, which was acknowledged", m.payload, want)
		}
	}
	away.ping()
	expectState(t, watch, "ok")
	if code := pub.publish(message{topic: "kept", qos: 1, retain: true, payload: large}); code >= 0x80 {
		t.Errorf("a retained message when there is memory again: %#x", code)
	}
	if !strings.Contains(s.log.String(), "memory is short") || strings.Count(s.log.String(), "there is memory again") != 1 {
		t.Errorf("the log does not tell it once:\n%s", s.log.String())
	}
}

// fillMemory publishes to who is away until that is refused, and returns what was
// acknowledged.
func fillMemory(t testing.TB, pub *client) (acknowledged []string) {
	t.Helper()
	for n := 0; ; n++ {
		payload := fmt.Sprint(n, " ", large)
		switch code := pub.publish(message{topic: "waits", qos: 1, payload: payload}); {
		case code == 0x97 && n > 100:
			return acknowledged
		case code != 0 || n > 5000:
			t.Fatalf("message %d has the code %#x; want 0x97 at some time", n, code)
		}
		acknowledged = append(acknowledged, payload)
	}
}

// expectState waits until memory is said to be in one of some states.
func expectState(t testing.TB, c *client, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if got := c.receive().payload; slices.Contains(want, got) {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("memory is said to be %q, want one of %q", got, want)
		}
	}
}
