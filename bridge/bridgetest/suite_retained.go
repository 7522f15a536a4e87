package bridgetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"edge/bridge"
)

func testRetainedFirst(t *testing.T, c bridge.Client) {
	retain(t, c, "a/1", "old")
	in := subscribe(t, c, "a/#")
	retain(t, c, "a/1", "new")
	Send(t, c, "a/2", "end")
	wantBrief(t, "retained, then live", in.until("end"), "r:a/1=old a/1=new")
}

func testRetainedNow(t *testing.T, c bridge.Client) {
	early := subscribe(t, c, "a/+")
	retain(t, c, "a/1", "first")
	retain(t, c, "a/1", "second")
	Send(t, c, "a/1", "not kept")
	late := subscribe(t, c, "a/+")
	Send(t, c, "a/2", "end")
	wantBrief(t, "subscribed before", early.until("end"), "a/1=first a/1=second a/1=not kept")
	wantBrief(t, "subscribed after", late.until("end"), "r:a/1=second")
}

func testRetainedDeleted(t *testing.T, c bridge.Client) {
	early := subscribe(t, c, "a/+")
	retain(t, c, "a/1", "x")
	retain(t, c, "a/1", "")
	late := subscribe(t, c, "a/+")
	Send(t, c, "a/2", "end")
	wantBrief(t, "subscribed before", early.until("end"), "a/1=x a/1=")
	wantBrief(t, "subscribed after", late.until("end"), "")
}

// More than any buffer between the broker and a handler is likely to have.
func testManyRetained(t *testing.T, c bridge.Client) {
	const n = 5000
	for i := range n {
		retain(t, c, fmt.Sprintf("many/%d/x", i), fmt.Sprint(i))
	}
	// The handler publishes while it is handed what is retained.
	answers := subscribe(t, c, "answer/#")
	err := c.Subscribe(t.Context(), "many/+/x", func(m bridge.Message) {
		if err := c.Publish(t.Context(), bridge.Message{Topic: "answer/" + string(m.Payload), QoS: 1}); err != nil {
			t.Errorf("publish from a handler: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range n {
		seen[answers.next().Topic] = true
	}
	if len(seen) != n {
		t.Errorf("got %d different retained messages, want %d", len(seen), n)
	}
}

func testRetainedCommand(t *testing.T, c bridge.Client) {
	const base = "edge/host/gpio/lamp"
	commands := subscribe(t, c, base+"/set")
	results := subscribe(t, c, base+"/result")
	err := c.Publish(t.Context(), bridge.Message{Topic: base + "/set", Payload: []byte("ON"), QoS: 1, Retain: true})
	if !errors.Is(err, bridge.ErrRefused) {
		t.Errorf("Publish of a retained command returned %v, want one that wraps %v", err, bridge.ErrRefused)
	}
	m := results.next()
	var r bridge.Result
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		t.Fatalf("result %q: %v", m.Payload, err)
	}
	if r.Status != bridge.StatusRefused || r.Reason == "" || m.Retain {
		t.Errorf("result %s, retained %t; want status refused with a reason, not retained", m.Payload, m.Retain)
	}
	Send(t, c, base+"/set", "OFF")
	late := subscribe(t, c, base+"/set")
	Send(t, c, base+"/set", "end")
	wantBrief(t, "commands", commands.until("end"), base+"/set=OFF")
	wantBrief(t, "commands to a new subscriber", late.until("end"), "")
}
