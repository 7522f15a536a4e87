package bridgetest

import (
	"context"
	"strings"
	"testing"

	"edge/bridge"
)

// TestClient is the suite that every bridge.Client passes. newClient returns a
// client of a broker that nobody else uses and whose prefix of topics is `edge`;
// what it opens it closes by t.Cleanup. Nothing here sleeps or depends on the
// speed of the broker, except that ten seconds are too long for one message.
func TestClient(t *testing.T, newClient func(t *testing.T) bridge.Client) {
	for _, tt := range []struct {
		name string
		test func(t *testing.T, c bridge.Client)
	}{
		{"delivers what matches", testMatch},
		{"hands out what is retained first", testRetainedFirst},
		{"gives a new subscription what is retained now", testRetainedNow},
		{"deletes by an empty retained payload", testRetainedDeleted},
		{"hands out many retained messages", testManyRetained},
		{"keeps the order of a topic", testOrder},
		{"lets a handler publish", testHandlerPublishes},
		{"lets a handler subscribe", testHandlerSubscribes},
		{"serves overlapping subscriptions each", testOverlap},
		{"ends calls with the context", testEnd},
		{"lets a handler end its subscription", testEndFromHandler},
		{"refuses a context that is over", testOver},
		{"keeps $ topics from wildcards", testDollar},
		{"shares no payload", testPayload},
		{"carries QoS and properties", testProperties},
		{"carries any payload", testAnyPayload},
		{"refuses what is not valid", testInvalid},
		{"refuses a retained command", testRetainedCommand},
		{"serves many goroutines", testConcurrent},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, newClient(t)) })
	}
}

// An inbox is what one subscription has received.
type inbox struct {
	t  *testing.T
	ch chan bridge.Message
}

// subscribe subscribes until the test ends.
func subscribe(t *testing.T, c bridge.Client, filter string) *inbox {
	t.Helper()
	in := &inbox{t: t, ch: make(chan bridge.Message, 1<<14)}
	handle := func(m bridge.Message) {
		select {
		case in.ch <- m:
		case <-t.Context().Done():
		}
	}
	if err := c.Subscribe(t.Context(), filter, handle); err != nil {
		t.Fatalf("Subscribe(%q): %v", filter, err)
	}
	return in
}

// next returns the next message; it fails the test if there is none.
func (in *inbox) next() bridge.Message {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(in.t.Context(), patience)
	defer cancel()
	select {
	case m := <-in.ch:
		return m
	case <-ctx.Done():
		in.t.Fatalf("no message within %v", patience)
		return bridge.Message{}
	}
}

// until returns the messages before the one with this payload.
func (in *inbox) until(payload string) []bridge.Message {
	in.t.Helper()
	var ms []bridge.Message
	for {
		m := in.next()
		if string(m.Payload) == payload {
			return ms
		}
		ms = append(ms, m)
	}
}

// publish fails the test if c does not take m.
func publish(t *testing.T, c bridge.Client, m bridge.Message) {
	t.Helper()
	if err := c.Publish(t.Context(), m); err != nil {
		t.Fatalf("Publish(%q): %v", m.Topic, err)
	}
}

func retain(t *testing.T, c bridge.Client, name, payload string) {
	t.Helper()
	publish(t, c, bridge.Message{Topic: name, Payload: []byte(payload), QoS: 1, Retain: true})
}

// brief shows messages as topic=payload, with r: before those that were retained.
func brief(ms ...bridge.Message) string {
	var s []string
	for _, m := range ms {
		b := m.Topic + "=" + string(m.Payload)
		if m.Retain {
			b = "r:" + b
		}
		s = append(s, b)
	}
	return strings.Join(s, " ")
}

// wantBrief compares what was received.
func wantBrief(t *testing.T, what string, got []bridge.Message, want string) {
	t.Helper()
	if brief(got...) != want {
		t.Errorf("%s: got %q, want %q", what, brief(got...), want)
	}
}
