package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"edge/broker/journal"
)

// TestTight shows what is refused while memory is short, and that nothing is
// afterwards.
func TestTight(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	from := connect(t, e, "from", Opening{})
	here := connect(t, e, "here", Opening{Window: 2}).subscribe("here", 1)
	away := connect(t, e, "away", Opening{Expiry: 60}).subscribe("away", 1)
	from.publish("away", "1:kept")
	from.publish("state", "r1:on")
	away.left(Leaving{})
	e.Tighten(true)
	for _, tt := range []struct {
		topic, payload string
		want           Verdict
	}{
		{"here", "1:first", Accepted},
		{"here", "1:second", Accepted},
		{"here", "1:third", Full}, // It is beyond the window of its receiver.
		{"here", "0:rest", Accepted},
		{"away", "1:more", Full},
		{"away", "0:more", Accepted},
		{"nobody", "1:x", NoSubscribers},
		{"state", "r1:off", NoSubscribers},
		{"state", "r1:" + strings.Repeat("x", 2*overhead), Full},
		{"other", "r0:x", Full},
	} {
		if got := from.publish(tt.topic, tt.payload); got != tt.want {
			t.Errorf("Publish(%q, %.20q) while memory is short: verdict %d, want %d", tt.topic, tt.payload, got, tt.want)
		}
	}
	if _, _, err := e.Subscribe(here.s, journal.Subscription{Filter: "new"}); !errors.Is(err, ErrNoMemory) {
		t.Errorf("Subscribe while memory is short: %v, want %v", err, ErrNoMemory)
	}
	here.subscribe("here", 1) // It replaces one.
	if _, _, _, err := e.Begin(Opening{ID: "new", Link: here}); !errors.Is(err, ErrNoMemory) {
		t.Errorf("Begin while memory is short: %v, want %v", err, ErrNoMemory)
	}
	expect(t, connect(t, e, "away", Opening{Expiry: 60}), "away 1:kept")
	if got, want := e.Pressed(), (Pressed{Sessions: 1, Subscriptions: 1, Messages: 4}); got != want {
		t.Errorf("refused: %+v, want %+v", got, want)
	}
	e.Tighten(false)
	connect(t, e, "new", Opening{}).subscribe("new", 1)
	if got := from.publish("other", "r1:x"); got != NoSubscribers {
		t.Errorf("a retained message when there is memory again: verdict %d", got)
	}
}

// TestTightGroup: a message goes to the member who keeps up, or is refused.
func TestTightGroup(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	from := connect(t, e, "from", Opening{})
	member := connect(t, e, "member", Opening{Expiry: 60}).subscribe("$share/g/a", 1)
	connect(t, e, "gone", Opening{Expiry: 60}).subscribe("$share/g/a", 1).left(Leaving{})
	e.Tighten(true)
	if got := from.publish("a", "1:x"); got != Accepted {
		t.Errorf("with a member who keeps up: verdict %d, want %d", got, Accepted)
	}
	expect(t, member, "a 1:x")
	member.left(Leaving{})
	if got := from.publish("a", "1:x"); got != Full {
		t.Errorf("with nobody who keeps up: verdict %d, want %d", got, Full)
	}
}

// TestTightQoS0 drops what waits at QoS 0 when memory becomes short, counts it, and
// keeps the queue short until there is memory again.
func TestTightQoS0(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	from := connect(t, e, "from", Opening{})
	slow := connect(t, e, "slow", Opening{}).subscribe("#", 1)
	payload := "0:" + strings.Repeat("x", 1000)
	from.publish("a", "1:kept")
	fill := func() (waiting int) {
		for range 500 {
			from.publish("a", payload)
		}
		return e.Stats().QueuedBytes
	}
	if n := fill(); n < 500*1000 {
		t.Errorf("%d bytes wait before memory is short, want all", n)
	}
	e.Tighten(true)
	if n := e.Stats().QueuedBytes; n > tightQoS0+overhead+10 {
		t.Errorf("%d bytes wait when memory becomes short, want %d at most", n, tightQoS0)
	}
	if n := fill(); n > tightQoS0+overhead+10 {
		t.Errorf("%d bytes wait while memory is short, want %d at most", n, tightQoS0)
	}
	if got := slow.next(); len(got) == 0 || got[0] != "a 1:kept" || e.Dropped().Slow != uint64(1000-len(got)+1) {
		t.Errorf("%d messages came, the first %.20q, and %d were counted as dropped", len(got), got, e.Dropped().Slow)
	}
	e.Tighten(false)
	if n := fill(); n < 500*1000 {
		t.Errorf("%d bytes wait when there is memory again, want all", n)
	}
}

// TestLocalIsNotPressed: the hub's own go on.
func TestLocalIsNotPressed(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	connect(t, e, "away", Opening{Expiry: 60}).subscribe("a", 1).left(Leaving{})
	e.Tighten(true)
	hub := &peer{t: t, e: e, done: make(chan struct{})}
	hub.s = e.Local("hub", Hub, hub)
	hub.pub = e.Publisher(hub.s)
	hub.subscribe("b", 1)
	for _, topic := range []string{"a", "b", "c"} {
		if got := hub.publish(topic, "r1:x"); got == Full {
			t.Errorf("the hub's own message to %s was refused", topic)
		}
	}
}

// TestRoutesAreBounded publishes to many topics: what the publisher remembers has a
// bound in bytes, whatever they are.
func TestRoutesAreBounded(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	for i := range 100 {
		connect(t, e, fmt.Sprint("to", i), Opening{}).subscribe("#", 0)
	}
	from := connect(t, e, "from", Opening{})
	most := 0
	heaviest := func() (bytes int) {
		for i := range 2000 {
			from.publish(strings.Repeat("x", 900)+fmt.Sprint(i), "0:")
			sum := 0
			if i%100 == 0 {
				for _, r := range from.pub.routes {
					sum += r.weight()
				}
			}
			bytes, most = max(bytes, sum), max(most, len(from.pub.routes))
		}
		return bytes
	}
	if n := heaviest(); n > maxRouteBytes || most < 100 {
		t.Errorf("routes take %d bytes, want %d at most; there were %d at once, want 100 at least", n, maxRouteBytes, most)
	}
	e.Tighten(true)
	if n := heaviest(); n > tightRouteBytes {
		t.Errorf("routes take %d bytes while memory is short, want %d at most", n, tightRouteBytes)
	}
}
