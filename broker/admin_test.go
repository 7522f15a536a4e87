package broker

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/broker/gate"
)

// An echo is an Admin that notes what it is asked for.
type echo struct {
	mu   sync.Mutex
	seen []Request
}

func (e *echo) Administer(_ context.Context, r *Request) (any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, *r)
	return "well", nil
}

// last returns the latest request, and how many there were.
func (e *echo) last() (Request, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.seen) == 0 {
		return Request{}, 0
	}
	return e.seen[len(e.seen)-1], len(e.seen)
}

// requested sends a request with QoS 1, and returns what comes until it is
// acknowledged.
func requested(t *testing.T, c net.Conn, json string) string {
	t.Helper()
	if _, err := c.Write([]byte(packed(0x32, text(gate.RequestTopic)+"\x00\x07\x00"+json))); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got strings.Builder
	for b := make([]byte, 4096); !strings.Contains(got.String(), "\x00\x07"); {
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("answer to %s: %q, %v", json, got.String(), err)
		}
		got.Write(b[:n])
	}
	return got.String()
}

// TestPairingClients lets somebody without credentials in while there is a pairing,
// for that alone.
func TestPairingClients(t *testing.T) {
	e := new(echo)
	cfg := DefaultConfig()
	cfg.Logins = &users{roles: map[string][]string{"otto": {"admin"}}}
	cfg.Admin = e
	cfg.Access.Everyone = []string{"viewer"}
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	url := b.URLs()[0]
	const pair, list = `{"command":"pair","user":"anna","code":"x"}`, `{"command":"user list"}`
	if got := reply(t, dialURL(t, url), signIn("early", ""), 3); got != 0x87 {
		t.Fatalf("without a pairing: CONNACK %#x", got)
	}
	b.Pairing(true)
	lasting := packed(0x10, "\x00\x04MQTT\x05\x02\x00\x00\x05\x11\x00\x00\x00\x09"+text("lasting"))
	if got := reply(t, dialURL(t, url), lasting, 3); got != 0x87 {
		t.Errorf("with a session that lasts: CONNACK %#x", got)
	}
	c := dialURL(t, url)
	if got := reply(t, c, signIn("c", ""), 3); got != 0 {
		t.Fatalf("with a pairing: CONNACK %#x", got)
	}
	if got := reply(t, c, packed(0x82, "\x00\x01\x00"+text("home/#")+"\x00"), 5); got < 0x80 {
		t.Errorf("it may subscribe: %#x", got)
	}
	if got := reply(t, c, packed(0x32, text("home/x")+"\x00\x09\x00on"), 4); got != 0x87 {
		t.Errorf("it may publish: %#x", got)
	}
	if got := requested(t, c, list); !strings.Contains(got, errNotAdmin.Error()) {
		t.Errorf("it may ask: %q", got)
	}
	if got := requested(t, c, pair); !strings.Contains(got, `"ok":true,"result":"well"`) {
		t.Errorf("it may not pair: %q", got)
	}
	if r, n := e.last(); n != 1 || r.Who != "" || r.User != "anna" || r.Code.Reveal() != "x" || !strings.HasPrefix(r.From, "127.0.0.1:") {
		t.Errorf("%d requests, the last: %+v", n, r)
	}
	b.Pairing(false)
	ended(t, c)
}

// TestAdminAsks has an admin ask, and somebody else.
func TestAdminAsks(t *testing.T) {
	e := new(echo)
	cfg := DefaultConfig()
	cfg.Logins = &users{roles: map[string][]string{"anna": {"viewer"}, "otto": {"admin"}}}
	cfg.Admin = e
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	for _, tt := range []struct {
		user, want string
		reached    int
	}{
		{"otto", `"ok":true`, 1},
		{"anna", errNotAdmin.Error(), 1},
	} {
		c := dialURL(t, b.URLs()[0])
		if got := reply(t, c, signIn(tt.user, tt.user), 3); got != 0 {
			t.Fatalf("CONNACK %#x", got)
		}
		if got := requested(t, c, `{"command":"client list"}`); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", tt.user, got)
		}
		if r, n := e.last(); n != tt.reached || r.Who != "otto" {
			t.Errorf("%s: %d requests have arrived, the last %+v", tt.user, n, r)
		}
	}
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	took := func(n int) (ok int) {
		for range n {
			if p.take(now) {
				ok++
			}
		}
		return ok
	}
	for _, step := range []struct {
		wait time.Duration
		want int // of 100
	}{
		{0, requestBurst},
		{requestPause - 1, 0},
		{1, 1},
		{3 * requestPause, 3},
		{time.Hour, requestBurst},
	} {
		now = now.Add(step.wait)
		if got := took(100); got != step.want {
			t.Errorf("after %v: %d requests, want %d", step.wait, got, step.want)
		}
	}
}
