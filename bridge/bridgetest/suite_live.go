package bridgetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"edge/bridge"
)

func testMatch(t *testing.T, c bridge.Client) {
	names := []string{"a", "a/b", "a/b/c", "a/c", "b", "/a", "a/", "ä/☃", "a/b/"}
	for _, tt := range []struct {
		filter string
		end    string // a topic that matches
		want   string
	}{
		{"a/b", "a/b", "a/b"},
		{"a/+", "a/z", "a/b a/c a/"},
		{"a/#", "a", "a a/b a/b/c a/c a/ a/b/"},
		{"+/b/+", "z/b/", "a/b/c a/b/"},
		{"+", "z", "a b"},
		{"/+", "/", "/a"},
		{"+/+", "z/z", "a/b a/c /a a/ ä/☃"},
		{"#", "z/z/z/z", "a a/b a/b/c a/c b /a a/ ä/☃ a/b/"},
		{"ä/+", "ä/z", "ä/☃"},
		{"c/#", "c", ""},
	} {
		t.Run(tt.filter, func(t *testing.T) {
			in := subscribe(t, c, tt.filter)
			for _, name := range names {
				Send(t, c, name, "")
			}
			Send(t, c, tt.end, "end")
			var got strings.Builder
			for i, m := range in.until("end") {
				if i > 0 {
					got.WriteString(" ")
				}
				got.WriteString(m.Topic)
			}
			if got.String() != tt.want {
				t.Errorf("subscribed to %q: got %q, want %q", tt.filter, got.String(), tt.want)
			}
		})
	}
}

func testDollar(t *testing.T, c bridge.Client) {
	all, level := subscribe(t, c, "#"), subscribe(t, c, "+/x")
	own := subscribe(t, c, "$test/#")
	// A broker may keep such topics to itself (MQTT 5.0, section 4.7.2).
	err := c.Publish(t.Context(), bridge.Message{Topic: "$test/x", Payload: []byte("hidden")})
	Send(t, c, "z/x", "end")
	wantBrief(t, "subscribed to #", all.until("end"), "")
	wantBrief(t, "subscribed to +/x", level.until("end"), "")
	if err == nil {
		wantBrief(t, "subscribed to $test/#", []bridge.Message{own.next()}, "$test/x=hidden")
	}
}

func testOrder(t *testing.T, c bridge.Client) {
	const n = 10_000
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			in := subscribe(t, c, "order/+")
			for i := range n {
				publish(t, c, bridge.Message{Topic: "order/x", Payload: fmt.Append(nil, i), QoS: qos})
			}
			for i := range n {
				if got, want := string(in.next().Payload), fmt.Sprint(i); got != want {
					t.Fatalf("got message %s, want %s", got, want)
				}
			}
		})
	}
}

func testHandlerPublishes(t *testing.T, c bridge.Client) {
	const n = 2000
	var count int // handlers of a subscription are called one at a time
	done := make(chan struct{})
	err := c.Subscribe(t.Context(), "loop/#", func(m bridge.Message) {
		if count++; count == n {
			close(done)
		}
		if count < n {
			if err := c.Publish(t.Context(), bridge.Message{Topic: "loop/x", Payload: m.Payload, QoS: 1}); err != nil {
				t.Errorf("publish from a handler: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	Send(t, c, "loop/x", "x")
	wait(t, done, "a handler to receive what it publishes")
}

func testHandlerSubscribes(t *testing.T, c bridge.Client) {
	retain(t, c, "inner/x", "kept")
	got := make(chan bridge.Message, 1)
	err := c.Subscribe(t.Context(), "outer/x", func(bridge.Message) {
		if err := c.Subscribe(t.Context(), "inner/+", func(m bridge.Message) { got <- m }); err != nil {
			t.Errorf("subscribe from a handler: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	Send(t, c, "outer/x", "go")
	in := inbox{t: t, ch: got}
	wantBrief(t, "subscribed by a handler", []bridge.Message{in.next()}, "r:inner/x=kept")
}

func testOverlap(t *testing.T, c bridge.Client) {
	filters := []string{"a/b", "a/+", "#", "a/b"}
	var ins []*inbox
	for _, filter := range filters {
		ins = append(ins, subscribe(t, c, filter))
	}
	Send(t, c, "a/b", "x")
	Send(t, c, "a/b", "end")
	for i, in := range ins {
		wantBrief(t, fmt.Sprintf("subscription %d to %s", i, filters[i]), in.until("end"), "a/b=x")
	}
}

func testConcurrent(t *testing.T, c bridge.Client) {
	const publishers, each = 8, 500
	in := subscribe(t, c, "many/+")
	var wg sync.WaitGroup
	defer wg.Wait()
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				m := bridge.Message{Topic: fmt.Sprintf("many/%d", p), Payload: fmt.Append(nil, i), QoS: byte(i % 2)}
				if err := c.Publish(t.Context(), m); err != nil {
					t.Errorf("Publish(%q): %v", m.Topic, err)
				}
			}
		})
	}
	next := map[string]int{}
	for range publishers * each {
		m := in.next()
		if got, want := string(m.Payload), fmt.Sprint(next[m.Topic]); got != want {
			t.Fatalf("%s: got message %s, want %s", m.Topic, got, want)
		}
		next[m.Topic]++
	}
}
