package delivery

import (
	"strings"
	"testing"

	"edge/broker/journal"
)

// TestOverrun has clients who do not read. One whose session ends with its connection
// loses both, and nobody is refused; what it had is counted.
func TestOverrun(t *testing.T) {
	opts := options()
	opts.UnkeptBytes = 10_000
	large := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name    string
		qos     byte
		opening Opening
		retain  bool
		change  func(*Options)
		lost    bool
		dropped uint64
	}{
		{name: "QoS 0"},
		{name: "QoS 1", qos: 1, lost: true, dropped: 10},
		{name: "QoS 2", qos: 2, lost: true, dropped: 10},
		{name: "a session that lasts", qos: 1, opening: lasting()},
		{name: "the oldest are dropped", qos: 1, change: func(o *Options) { o.DropOldest = true }, dropped: 11},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := opts
			if tt.change != nil {
				tt.change(&opts)
			}
			var ended Link
			opts.Overrun = func(l Link) { ended = l }
			e := newEngine(t, journal.Memory{}, opts)
			deaf := connect(t, e, "deaf", tt.opening).subscribe("#", 2)
			pub := connect(t, e, "pub", Opening{})
			for range 20 {
				if v := pub.publish("a", string('0'+rune(tt.qos))+large); v != Accepted {
					t.Fatalf("the verdict is %v, want that it is accepted", v)
				}
			}
			if lost := ended != nil; lost != tt.lost || lost && ended != deaf {
				t.Errorf("the connection of the client was ended: %t, want %t", lost, tt.lost)
			}
			deaf.left(Leaving{})
			if n := e.Dropped().Full; n != tt.dropped {
				t.Errorf("%d are counted as lost, want %d", n, tt.dropped)
			}
		})
	}
}

// TestOverrunByRetained subscribes to more retained messages than may wait: they are
// in memory anyway, and no reason to go.
func TestOverrunByRetained(t *testing.T) {
	opts := options()
	opts.UnkeptBytes = 1000
	opts.Overrun = func(Link) { t.Error("the connection was ended") }
	e := newEngine(t, journal.Memory{}, opts)
	pub := connect(t, e, "pub", Opening{})
	for _, topic := range []string{"a", "b", "c"} {
		pub.publish(topic, "r1:"+strings.Repeat("x", 1000))
	}
	c := connect(t, e, "c", Opening{}).subscribe("#", 1)
	if got := c.next(); len(got) != 3 {
		t.Errorf("%d retained messages came, want 3", len(got))
	}
	if c.s.unkept != 0 {
		t.Errorf("%d bytes are counted, want none", c.s.unkept)
	}
}
