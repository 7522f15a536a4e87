package broker

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestHeld has a listener that others can reach be on this machine only until
// there is a user, and again when there is none.
func TestHeld(t *testing.T) {
	u := &users{roles: map[string][]string{}}
	cfg := DefaultConfig()
	cfg.Logins, cfg.AllowAnonymous = u, true
	sock := "unix://" + filepath.Join(t.TempDir(), "edge.sock")
	cfg.Listeners = []Listener{
		{URL: "tcp://0.0.0.0:0"}, {URL: "ws://[::]:0"}, {URL: sock}, {URL: "tcp://127.0.0.1:0", Proxy: true}, {URL: "tcp://0.0.0.0:0", Interface: "lo"},
	}
	b := startWith(t, cfg)
	held := []string{"tcp://127.0.0.1:", "ws://[::1]:", sock}
	begin(t, b, held)
	here := dialURL(t, b.URLs()[0])
	talk(t, here, hello, welcome)
	u.set("eva", []string{"admin"})
	b.UsersChanged()
	begin(t, b, []string{sock, "tcp://0.0.0.0:", "ws://[::]:", "tcp://127.0.0.1:", "tcp://0.0.0.0:"})
	talk(t, here, ping, pong) // Who is here may stay.
	u.set("eva", nil)
	b.UsersChanged()
	begin(t, b, []string{sock, "tcp://127.0.0.1:", "ws://[::1]:"})
}

// begin expects listeners at addresses that begin like that.
func begin(t *testing.T, b *Broker, want []string) {
	t.Helper()
	urls := b.URLs()
	if len(urls) != len(want) {
		t.Fatalf("it listens at %v, want %v", urls, want)
	}
	for i, u := range urls {
		u = strings.Replace(u, "tcp://[::]", "tcp://0.0.0.0", 1) // Go prints both alike.
		if !strings.HasPrefix(u, want[i]) {
			t.Errorf("listener %d is at %s, want %s…", i, u, want[i])
		}
	}
}

// TestHeldNeedsAWayIn has listeners that are open without users: those with a way
// to show who one is, and those that say that it does not matter.
func TestHeldNeedsAWayIn(t *testing.T) {
	b := &Broker{guard: &guard{logins: &users{roles: map[string][]string{}}}}
	for _, tt := range []struct {
		l    Listener
		want bool
	}{
		{Listener{URL: "tcp://:1883"}, true},
		{Listener{URL: "tls://:8883"}, true},
		{Listener{URL: "tcp://192.0.2.1:1883", AllowAnonymous: new(false)}, true},
		{Listener{URL: "tcp://192.0.2.1:1883", AllowAnonymous: new(true)}, false},
		{Listener{URL: "tls://:8883", ClientCA: "ca.pem"}, false},
		{Listener{URL: "tcp://127.0.0.1:1883"}, false},
		{Listener{URL: "tcp://localhost:1883"}, false},
		{Listener{URL: "unix:///run/edge.sock"}, false},
		{Listener{URL: "unix:///run/edge.sock", Proxy: true}, true},
	} {
		if got := b.held(tt.l); got != tt.want {
			t.Errorf("%+v: held is %t, want %t", tt.l, got, tt.want)
		}
	}
}

// TestNobody lets clients in that show no credentials: those of this machine where
// the broker allows it, or as their listener says, which a reload changes for
// clients that are there, too.
func TestNobody(t *testing.T) {
	u := &users{roles: map[string][]string{"anna": nil}}
	cfg := DefaultConfig()
	cfg.Logins, cfg.AllowAnonymous = u, true
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0", Proxy: true}}
	b := startWith(t, cfg)
	const ok, no = welcome, "\x20\x02\x00\x05"
	from := func(client, want string) {
		t.Helper()
		c := dialRaw(t, b.URLs()[0])
		defer c.Close()
		talk(t, c, string(proxyBytes(proxied{tcp(client), tcp("127.0.0.1:1883")}))+hello, want)
	}
	from("192.0.2.7:50000", no)
	from("127.0.0.7:50000", ok)
	open := cfg
	open.Listeners = []Listener{{URL: "tcp://127.0.0.1:0", Proxy: true, AllowAnonymous: new(true)}}
	if err := b.Reload(open); err != nil {
		t.Fatal(err)
	}
	from("192.0.2.7:50000", ok)
	c := dialRaw(t, b.URLs()[0])
	talk(t, c, string(proxyBytes(proxied{tcp("192.0.2.7:50000"), tcp("127.0.0.1:1883")}))+hello, welcome)
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	from("192.0.2.7:50000", no)
}
