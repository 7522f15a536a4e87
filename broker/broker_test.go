package broker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// start opens a broker that everybody on this machine may use, at urls.
func start(t *testing.T, urls ...string) *Broker {
	t.Helper()
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	for _, u := range urls {
		cfg.Listeners = append(cfg.Listeners, Listener{URL: u})
	}
	return startWith(t, cfg)
}

func message1(topic string) bridge.Message {
	return bridge.Message{Topic: topic, Payload: []byte("x"), QoS: 1}
}

func TestClient(t *testing.T) {
	bridgetest.TestClient(t, func(t *testing.T) bridge.Client { return start(t).Client("test") })
}

func TestIsCommand(t *testing.T) {
	for topic, want := range map[string]bool{
		"edge/cellar/relays/pump/set": true,
		"edge/cellar/relays/pump":     false,
		"edge/cellar/relays/set":      false,
		"edge/a/b/c/d/set":            false,
		"other/cellar/relays/x/set":   false,
		"edgy/cellar/relays/x/set":    false,
		"edge/cellar/relays/x/setup":  false,
	} {
		if got := isCommand("edge", topic); got != want {
			t.Errorf("isCommand(%q) = %t, want %t", topic, got, want)
		}
	}
}

// TestRefusedCommand retains a command over the network: the publisher's client
// cannot know better, but whoever watches the results sees why nothing happens.
func TestRefusedCommand(t *testing.T) {
	b := start(t, "tcp://127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	results := make(chan string, 2)
	if err := b.Client("watch").Subscribe(ctx, "edge/#", func(m bridge.Message) {
		results <- fmt.Sprintf("%s %s %t", m.Topic, m.Payload, m.Retain)
	}); err != nil {
		t.Fatal(err)
	}
	c := dialURL(t, b.URLs()[0])
	talk(t, c, hello, welcome)
	topic, payload := "edge/n/relays/pump/set", `{"value":"ON","id":"7"}`
	pub := fmt.Sprintf("\x33%c\x00%c%s\x00\x01%s", 4+len(topic)+len(payload), len(topic), topic, payload)
	talk(t, c, pub, "\x40\x02\x00\x01")
	select {
	case got := <-results:
		want := `edge/n/relays/pump/result {"id":"7","status":"refused","reason":"retained"} false`
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	case <-ctx.Done():
		t.Fatal("no result")
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	on := true
	tests := []struct {
		listeners []Listener
		want      string // path and part of the message; "" is valid
	}{
		{[]Listener{{URL: "tcp://:1883"}, {URL: "ws://localhost"}, {URL: "unix:///run/edge.sock"}}, ""},
		{[]Listener{{URL: "tcp://127.0.0.1:0"}, {URL: "tcp://127.0.0.1:0"}}, ""},
		{[]Listener{{URL: "tls://:8883", Cert: "c", Key: "k"}}, ""},
		{[]Listener{{URL: "tcp://[::1]:1883"}, {URL: "tcp://[::]"}, {URL: "ws://[fe80::1%25eth0]:80/mqtt"}}, ""},
		{[]Listener{{URL: "tcp://a", Proxy: true, ProxyFrom: []string{"192.0.2.7", "2001:db8::/32"}}}, ""},
		{[]Listener{{URL: "wss://a", Cert: "c", Key: "k", NoDelay: &on, Backlog: 65535, Interface: "eth0"}}, ""},
		{[]Listener{{URL: "unix:///run/edge.sock", Proxy: true}}, ""},
		{[]Listener{{URL: ""}}, "listeners[0].url"},
		{[]Listener{{URL: "tcp://[fe80::1%eth0]"}}, "a zone is written with %25"},
		{[]Listener{{URL: "tcp://a", ProxyFrom: []string{"::1"}}}, "listeners[0].proxy_from: needs proxy: true"},
		{[]Listener{{URL: "tcp://a", Proxy: true, ProxyFrom: []string{"::1", "10.0.0.1/8"}}}, "listeners[0].proxy_from[1]: \"10.0.0.1/8\": the network is 10.0.0.0/8"},
		{[]Listener{{URL: "unix:///a", Proxy: true, ProxyFrom: []string{"::1"}}}, "listeners[0].proxy_from: a unix socket has no addresses"},
		{[]Listener{{URL: "unix:///a", NoDelay: &on}}, "listeners[0].nodelay: only listeners with a port"},
		{[]Listener{{URL: "unix:///a", Backlog: 5}}, "listeners[0].backlog: only listeners with a port"},
		{[]Listener{{URL: "unix:///a", Interface: "lo"}}, "listeners[0].interface: only listeners with a port"},
		{[]Listener{{URL: "tcp://a", Backlog: -1}}, "listeners[0].backlog: must be 1 to 65535, not -1"},
		{[]Listener{{URL: "unix:///a", Connections: 5}}, ""},
		{[]Listener{{URL: "tcp://a", Connections: -1}}, "listeners[0].connections: must be 1 to 2147483647, not -1"},
		{[]Listener{{URL: "tcp://a", Backlog: 65536}}, "listeners[0].backlog: must be 1 to 65535, not 65536"},
		{[]Listener{{URL: "tcp://anna:x@a:1", Cert: "c"}}, "listeners[0].url: has a user, or a password, in it"},
		{[]Listener{{URL: "tcp://anna:x@:::"}}, "listeners[0].url: has a user, or a password, in it"},
		{[]Listener{{URL: "unix:///run/@/a"}, {URL: "ws://a/b@c"}}, ""},
		{[]Listener{{URL: "mqtt://a"}}, "listeners[0].url: \"mqtt://a\": the scheme"},
		{[]Listener{{URL: "tcp://a:99999"}}, "port 99999"},
		{[]Listener{{URL: "tcp://a/b"}}, "tcp has no path"},
		{[]Listener{{URL: "unix://run/edge.sock"}}, "three slashes"},
		{[]Listener{{URL: "tls://a", Cert: "c"}}, "listeners[0].key: a certificate and its key go together"},
		{[]Listener{{URL: "tcp://a", Key: "k"}}, "only tls:// and wss://"},
		{[]Listener{{URL: "tcp://a", ClientCA: "ca"}}, "listeners[0].client_ca: only tls:// and wss://"},
		{[]Listener{{URL: "tcp://a", Origins: []string{"x"}}}, "only ws:// and wss:// have origins"},
		{[]Listener{{URL: "tcp://a"}, {URL: "tcp://a"}}, "listeners[1].url: tcp://a is listener 0 already"},
	}
	for _, tt := range tests {
		cfg := DefaultConfig()
		cfg.Listeners = tt.listeners
		err := cfg.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("Validate(%+v) = %v, want %q", tt.listeners, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"": "", "reply/%c": "", "reply": "", "reply/%d": "only %c", "100%": "only %c", "reply/#": "wildcard",
	} {
		cfg := DefaultConfig()
		cfg.ResponseInformation = text
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), "response_information: ") || !strings.Contains(err.Error(), want)) {
			t.Errorf("Validate of response_information %q = %v, want %q", text, err, want)
		}
	}
	cfg := DefaultConfig()
	cfg.Overlapping = "twice"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), `overlapping: must be once or each, not "twice"`) {
		t.Errorf("Validate of overlapping: twice = %v", err)
	}
	cfg.Limits = Limits{QueueOverflow: "drop", TopicAliases: -1, UserProperties: -1, Memory: 1 << 20}
	err := cfg.Validate()
	for _, path := range []string{
		"packet_before", "packet", "topic_bytes", "topic_aliases", "user_properties", "packet_rate", "idle", "window", "sessions", "connect_timeout", "session_expiry", "queue_overflow",
		"memory", "connections_per_address", "connection_rate", "connections_per_user", "sessions_per_user", "queue_bytes_per_user",
	} {
		if err == nil || !strings.Contains(err.Error(), "limits."+path+":") {
			t.Errorf("Validate of zero limits does not name limits.%s: %v", path, err)
		}
	}
}

func TestLocal(t *testing.T) {
	for u, want := range map[string]bool{
		"tcp://127.0.0.1:1": true, "tcp://[::1]:1": true, "ws://localhost": true, "unix:///x": true,
		"tcp://:1883": false, "tcp://0.0.0.0": false, "tcp://192.0.2.1": false,
	} {
		if got := (Listener{URL: u}).Local(); got != want {
			t.Errorf("Listener{%s}.Local() = %t, want %t", u, got, want)
		}
		if (Listener{URL: u, Proxy: true}).Local() {
			t.Errorf("the clients of a proxy at %s are said to be on this machine", u)
		}
	}
}
