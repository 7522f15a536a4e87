package bridgetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edge/bridge"
)

func testEnd(t *testing.T, c bridge.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int64
	if err := c.Subscribe(ctx, "end/+", func(bridge.Message) { calls.Add(1) }); err != nil {
		t.Fatal(err)
	}
	other := subscribe(t, c, "end/#")
	Send(t, c, "end/x", "before")
	other.until("before")
	cancel()
	// Some calls may still come, but when all is quiet, it stays so.
	const quiet, limit = 20, 5000
	for still, tries, last := 0, 0, calls.Load(); still < quiet; tries++ {
		if tries == limit {
			t.Fatalf("after %d messages the handler is still called, %d times by now", limit, last)
		}
		Send(t, c, "end/x", "after")
		other.until("after")
		if now := calls.Load(); now != last {
			last, still = now, 0
		} else {
			still++
		}
	}
}

// A handler that ends its own subscription is not called again.
func testEndFromHandler(t *testing.T, c bridge.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 100
	for i := range n {
		retain(t, c, fmt.Sprintf("end/%d", i), "x")
	}
	var calls atomic.Int64
	err := c.Subscribe(ctx, "end/+", func(bridge.Message) {
		calls.Add(1)
		cancel()
	})
	if err != nil {
		t.Fatal(err)
	}
	other := subscribe(t, c, "end/#")
	for range n {
		other.next()
	}
	Send(t, c, "end/x", "after")
	other.until("after")
	if got := calls.Load(); got > 1 {
		t.Errorf("a handler that ended its context was called %d times, want once", got)
	}
}

func testOver(t *testing.T, c bridge.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Publish(ctx, bridge.Message{Topic: "a", QoS: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish returned %v, want %v", err, context.Canceled)
	}
	err := c.Subscribe(ctx, "a", func(bridge.Message) { t.Error("a handler was called whose context was over") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe returned %v, want %v", err, context.Canceled)
	}
	in := subscribe(t, c, "a")
	Send(t, c, "a", "end")
	wantBrief(t, "subscribed to a", in.until("end"), "")
}

func testPayload(t *testing.T, c bridge.Client) {
	one, two := subscribe(t, c, "a"), subscribe(t, c, "a")
	payload := []byte("payload")
	user := []bridge.UserProperty{{Name: "n", Value: "v"}}
	correlation := []byte("correlation")
	publish(t, c, bridge.Message{Topic: "a", Payload: payload, CorrelationData: correlation, User: user, Retain: true})
	clear(payload)
	clear(correlation)
	clear(user)
	for _, in := range []*inbox{one, two, subscribe(t, c, "a")} {
		m := in.next()
		if string(m.Payload) != "payload" || string(m.CorrelationData) != "correlation" || m.User[0].Name != "n" {
			t.Errorf("the publisher's buffer is shared: got %+v", m)
		}
	}
}

func testProperties(t *testing.T, c bridge.Client) {
	for _, want := range []bridge.Message{
		{Topic: "a", Payload: []byte("x")},
		{Topic: "a", Payload: []byte("x"), QoS: 1},
		{Topic: "a", Payload: []byte("x"), QoS: 2},
		{
			Topic: "a", Payload: []byte(`{"ä":1}`), QoS: 1, Expiry: time.Hour,
			Text: true, ContentType: "application/json", ResponseTopic: "answer/here",
			CorrelationData: []byte{0, 1, 255},
			User:            []bridge.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: ""}, {Name: "b", Value: "2"}},
		},
	} {
		t.Run("", func(t *testing.T) {
			in := subscribe(t, c, "a")
			publish(t, c, want)
			got := in.next()
			if got.Expiry > want.Expiry || want.Expiry-got.Expiry > time.Minute {
				t.Errorf("expiry: got %v, want at most %v and hardly less", got.Expiry, want.Expiry)
			}
			got.Expiry = want.Expiry
			got.From, got.Received = bridge.Sender{}, time.Time{} // The broker says them.
			if len(got.User) == 0 {
				got.User = nil
			}
			if len(got.CorrelationData) == 0 { // no data and empty data are the same here.
				got.CorrelationData = nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("received %+v, want what was published, %+v", got, want)
			}
		})
	}
}

func testAnyPayload(t *testing.T, c bridge.Client) {
	for _, want := range [][]byte{
		nil, {0}, {0xff, 0xfe}, []byte("ON\n"), bytes.Repeat([]byte{0x10}, 127), bytes.Repeat([]byte("ä"), 8192),
	} {
		in := subscribe(t, c, "a")
		publish(t, c, bridge.Message{Topic: "a", Payload: want, QoS: 1})
		if got := in.next().Payload; !bytes.Equal(got, want) {
			t.Errorf("payload: got %d bytes %.20q, want %d bytes %.20q", len(got), got, len(want), want)
		}
	}
}

func testInvalid(t *testing.T, c bridge.Client) {
	all := subscribe(t, c, "#")
	for _, name := range []string{"", "a/+", "a/#", "a+", "#", "a\x00b", "a\xffb", strings.Repeat("a", 65536)} {
		if err := c.Publish(t.Context(), bridge.Message{Topic: name, Payload: []byte("x"), QoS: 1}); err == nil {
			t.Errorf("Publish to %.20q, of %d bytes, returned no error", name, len(name))
		}
	}
	if err := c.Publish(t.Context(), bridge.Message{Topic: "a", QoS: 3}); err == nil {
		t.Error("Publish with QoS 3 returned no error")
	}
	for _, filter := range []string{"", "a/#/b", "a+", "a/b#", "a/+b", "a\x00b", "a\xffb", strings.Repeat("a", 65536)} {
		err := c.Subscribe(t.Context(), filter, func(m bridge.Message) { t.Errorf("%.20q received %s", filter, brief(m)) })
		if err == nil {
			t.Errorf("Subscribe to %.20q, of %d bytes, returned no error", filter, len(filter))
		}
	}
	Send(t, c, "a", "end")
	wantBrief(t, "subscribed to #", all.until("end"), "")
}

// wait waits until done is closed.
func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("waited %v for %s", patience, what)
	}
}
