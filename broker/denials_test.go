package broker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/broker/access"
)

func TestDenialsAreBounded(t *testing.T) {
	var b Broker
	b.guard = new(guard)
	d, id := &b.guard.denials, identity{"anna", "c"}
	for i := range maxDenials {
		d.note(id, access.Publish, fmt.Sprint("topic/", i))
	}
	d.note(id, access.Publish, "topic/0")
	d.note(id, access.Subscribe, "topic/0")
	all := b.Denials()
	if len(all) != maxDenials || len(d.seen) != maxDenials {
		t.Fatalf("%d denials are remembered, and %d found, want %d", len(all), len(d.seen), maxDenials)
	}
	for i, want := range []string{"subscribe topic/0 1", "publish topic/0 2", "publish topic/255 1"} {
		if got := fmt.Sprint(all[i].Action, " ", all[i].Topic, " ", all[i].Count); got != want {
			t.Errorf("denial %d is %s, want %s", i, got, want)
		}
	}
	if last := all[maxDenials-1].Topic; last != "topic/2" {
		t.Errorf("the oldest is %s, want topic/2", last)
	}
}

func TestRecentIsBounded(t *testing.T) {
	for _, tt := range []struct{ denials, bytes, want int }{
		{0, 1, 0}, {1, 1, 1}, {19, 10, 19}, {256, 10, recentDenials}, {10, 1000, 7}, {2, recentBytes, 0},
	} {
		all := make([]Denial, tt.denials)
		for i := range all {
			all[i] = Denial{Owner: "anna", Topic: strings.Repeat("x", tt.bytes)}
		}
		text := recent(all)
		var got []Denial
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != tt.want || len(text) > recentBytes+1 {
			t.Errorf("%d of %d bytes are %d in %d bytes, want %d; %v", tt.denials, tt.bytes, len(got), len(text), tt.want, err)
		}
	}
}

// TestSysTellsDenials counts them all, and names the latest each 10 s at most.
func TestSysTellsDenials(t *testing.T) {
	withSys(t, time.Second, func(t *testing.T, b *Broker, cfg Config) {
		w := watch(t.Context(), t, b)
		cfg.Access.Roles = map[string][]access.Rule{"deaf": {deny(access.Read, "#")}}
		cfg.Access.Users = map[string]access.User{"relay": {Roles: []string{"deaf"}}}
		relay, hub := b.Bridge("relay"), b.Client("hub")
		own := bridge.Message{Topic: "/relay/a", QoS: 1, Retain: true, Payload: []byte("x")}
		if err := relay.Subscribe(t.Context(), "/relay/#", func(bridge.Message) {}); err != nil {
			t.Fatal(err)
		}
		if err := b.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_ = relay.Publish(t.Context(), message1("pump"))
			_ = hub.Publish(t.Context(), own)
		}
		_ = relay.Subscribe(t.Context(), "#", func(bridge.Message) {})
		synctest.Wait()
		w.all()
		pass(8 * time.Second)
		expect(t, w, map[string]string{"denied/publish": "3", "denied/subscribe": "1", "denied/receive": "3", "denied/recent": ""})
		pass(time.Second)
		var got []Denial
		if err := json.Unmarshal([]byte(w.took("denied/recent")), &got); err != nil || len(got) != 2 {
			t.Fatalf("denied/recent is %+v, %v, want two", got, err)
		}
		if d := got[1]; d.Owner != "bridge/relay" || d.Client != "bridge/relay" || d.Action != "publish" || d.Topic != "pump" || d.Count != 3 {
			t.Errorf("it has %+v, want what the bridge published, three times", d)
		}
		pass(time.Minute)
		if again := w.took("denied/recent"); again != "" {
			t.Errorf("what has not changed is published again: %s", again)
		}
	})
}
