package broker

import (
	"context"
	"slices"
	"strings"
	"testing"

	"edge/bridge"
	"edge/broker/access"
)

// ruled starts a broker of the node edge/n. It returns a function that replaces
// the rules: those of role extra, which bridge relay has.
func ruled(t *testing.T) (*Broker, func(rules ...access.Rule)) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Root = "edge/n"
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	return b, func(rules ...access.Rule) {
		t.Helper()
		cfg.Access = access.Config{
			Roles:    map[string][]access.Rule{"extra": rules, "quiet": {deny("publish", "#")}},
			Users:    map[string]access.User{"relay": {Roles: []string{"extra"}}},
			Everyone: []string{"quiet"},
		}
		if err := b.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func allow(verb access.Verb, filter string) access.Rule {
	return access.Rule{Allow: []access.Verb{verb}, Topics: []string{filter}}
}

func deny(verb access.Verb, filter string) access.Rule {
	return access.Rule{Deny: []access.Verb{verb}, Topics: []string{filter}}
}

// TestBridgeMay holds a bridge to its own topics, and to what else it is given.
func TestBridgeMay(t *testing.T) {
	b, rules := ruled(t)
	c, id := b.Bridge("relay"), "bridge/relay"
	try := func(when, action, topic string, want bool) {
		t.Helper()
		var err error
		if action == "publish" {
			err = c.Publish(t.Context(), message1(topic))
		} else {
			err = c.Subscribe(t.Context(), topic, func(bridge.Message) {})
		}
		if (err == nil) != want {
			t.Errorf("%s: %s %s: %v, want allowed: %t", when, action, topic, err, want)
		}
		asked, _ := access.ParseAction(action)
		if e := b.Explain(id, id, asked, topic); e.Allowed != want {
			t.Errorf("%s: %s %s: explained as %+v, want allowed: %t", when, action, topic, e, want)
		}
		if err != nil && !strings.Contains(err.Error(), "access.users.relay.roles") {
			t.Errorf("%q does not say what can be done", err)
		}
	}
	try("at first", "publish", "edge/n/relay/pump", true)
	try("at first", "subscribe", "edge/n/relay/+/set", true)
	try("at first", "publish", "edge/n/other/pump", false)
	try("at first", "publish", "$SYS/broker/version", false)
	try("at first", "subscribe", "edge/n/+/pump/set", false)
	want := []string{id + " publish $SYS/broker/version", id + " publish edge/n/other/pump", id + " subscribe edge/n/+/pump/set"}
	if got := denialsOf(b); !slices.Equal(got, want) {
		t.Errorf("denials %q, want %q", got, want)
	}
	rules(allow("publish", "edge/n/other/#"), allow("read", "#"), deny("publish", "edge/n/relay/pump"))
	try("with more", "publish", "edge/n/other/pump", true)
	try("with more", "subscribe", "edge/n/+/pump/set", true)
	try("with more", "publish", "edge/n/relay/tap", true) // What everyone is denied is not denied to bridges.
	try("with more", "publish", "edge/n/relay/pump", false)
	rules()
	try("as before", "publish", "edge/n/other/pump", false)
	try("as before", "publish", "edge/n/relay/pump", true)
	c = b.Bridge("relay", "house/boiler/#")
	try("with a configuration", "subscribe", "house/boiler/alive", true)
	try("with a configuration", "subscribe", "house/#", false)
	try("with a configuration", "publish", "house/boiler/alive", false)
	rules(deny("read", "house/boiler/alive"))
	try("with rules against it", "subscribe", "house/boiler/alive", false)
	c = b.Bridge("relay")
	try("with another configuration", "subscribe", "house/boiler/alive", false)
}

// denialsOf returns what was denied: "WHO ACTION TOPIC", sorted.
func denialsOf(b *Broker) []string {
	var all []string
	for _, d := range b.Denials() {
		all = append(all, d.Owner+" "+d.Action+" "+d.Topic)
	}
	slices.Sort(all)
	return all
}

// TestBridgeMayNoMore takes rights from a bridge that runs: what waits for it is
// not handed over, and what it has retained is not given out.
func TestBridgeMayNoMore(t *testing.T) {
	b, rules := ruled(t)
	rules(allow("publish", "house/#"), allow("read", "house/#"))
	c, hub := b.Bridge("relay"), b.Client("hub")
	got, carryOn := make(chan string, 10), make(chan struct{})
	err := c.Subscribe(t.Context(), "house/#", func(m bridge.Message) {
		got <- string(m.Payload)
		<-carryOn
	})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(who bridge.Client, topic, payload string) {
		t.Helper()
		m := bridge.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: who == c}
		if err := who.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	take := func(want string) {
		t.Helper()
		if p := <-got; p != want {
			t.Errorf("the bridge got %q, want %q", p, want)
		}
		carryOn <- struct{}{}
	}
	publish(hub, "house/a", "1")
	if p := <-got; p != "1" {
		t.Errorf("got %q", p)
	}
	publish(hub, "house/b", "2") // It waits: the bridge is busy.
	publish(c, "house/c", "3")
	if held := retained(t, hub, "house/c"); !held {
		t.Error("what the bridge retains is not there")
	}
	rules(allow("read", "house/#"), deny("read", "house/b"))
	carryOn <- struct{}{}
	take("3")
	if held := retained(t, hub, "house/c"); held {
		t.Error("what the bridge may not publish any more is there still")
	}
	publish(hub, "house/b", "4")
	publish(hub, "house/a", "5")
	take("5")
	rules(allow("read", "house/#"))
	publish(hub, "house/b", "6")
	take("6") // It is still subscribed.
}

// retained reports whether who subscribes to all gets a retained message of topic.
func retained(t *testing.T, c bridge.Client, topic string) (found bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := make(chan struct{})
	err := c.Subscribe(ctx, "#", func(m bridge.Message) {
		switch {
		case m.Topic == "end":
			close(end)
		case m.Topic == topic && m.Retain:
			found = true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(ctx, message1("end")); err != nil {
		t.Fatal(err)
	}
	<-end
	return found
}

// TestLongestTopic has topics that no packet could carry: clients within the process
// could say them.
func TestLongestTopic(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Root = "edge/n"
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	cfg.Limits.TopicBytes = 65535
	c := startWith(t, cfg).Bridge("relay")
	const root = "edge/n/relay/"
	for n, want := range map[int]bool{65535: true, 65536: false} {
		topic := root + strings.Repeat("a", n-len(root))
		if err := c.Publish(t.Context(), message1(topic)); (err == nil) != want {
			t.Errorf("publish to %d bytes: %.200v, want allowed: %t", n, err, want)
		}
		if err := c.Subscribe(t.Context(), topic, func(bridge.Message) {}); (err == nil) != want {
			t.Errorf("subscribe to %d bytes: %.200v, want allowed: %t", n, err, want)
		}
	}
}
