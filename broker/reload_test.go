package broker

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReloadInPlace changes listeners whose address stays: the old one must go
// before the new one can be opened.
func TestReloadInPlace(t *testing.T) {
	b := startListeners(t, unchanged, Listener{URL: "tcp://127.0.0.1:0"})
	port := strings.TrimPrefix(b.URLs()[0], "tcp://127.0.0.1")
	sock := "unix://" + filepath.Join(t.TempDir(), "edge.sock")
	off := false
	cfg := b.cfg
	cfg.AllowAnonymous = true
	for _, ls := range [][]Listener{
		{{URL: "tcp://127.0.0.1" + port}, {URL: sock}},
		{{URL: "tcp://127.0.0.1" + port, NoDelay: &off}, {URL: sock}},
		{{URL: "tcp://127.0.0.1" + port, NoDelay: &off, Backlog: 3}, {URL: sock}},
		{{URL: "tcp://127.0.0.1" + port, Interface: "lo"}, {URL: sock}},
		{{URL: "tcp://" + port}, {URL: sock}},
		{{URL: "ws://127.0.0.1" + port}, {URL: sock}},
		{{URL: "ws://127.0.0.1" + port, Origins: []string{"https://home.example"}}, {URL: sock}},
	} {
		cfg.Listeners = ls
		if err := b.Reload(cfg); err != nil {
			t.Fatalf("%+v: %v", ls, err)
		}
		for _, u := range b.URLs() {
			say := hello
			if u == sock {
				say = strings.TrimSuffix(hello, "c") + "u" // Root is somebody there.
			}
			talk(t, dialURL(t, u), say, welcome)
		}
		if n := len(b.URLs()); n != len(ls) {
			t.Fatalf("%d listeners, want %d", n, len(ls))
		}
	}
	cfg.Listeners = []Listener{{URL: sock, Proxy: true}, {URL: "tcp://127.0.0.1" + port, Interface: "eth77"}}
	if err := b.Reload(cfg); err == nil {
		t.Error("an interface that does not exist is no error")
	}
	talk(t, dialURL(t, "ws://127.0.0.1"+port), hello, welcome) // As before.
	talk(t, dialURL(t, sock), strings.TrimSuffix(hello, "c")+"u", welcome)
}

func TestEqual(t *testing.T) {
	on, off := true, false
	base := Listener{URL: "tcp://a"}
	if !base.equal(Listener{URL: "tcp://a", NoDelay: &on}) {
		t.Error("a default that is written out is a change")
	}
	for _, l := range []Listener{
		{URL: "tcp://b"},
		{URL: "tcp://a", Cert: "c"},
		{URL: "tcp://a", Key: "k"},
		{URL: "tcp://a", ClientCA: "ca"},
		{URL: "tcp://a", Origins: []string{"o"}},
		{URL: "tcp://a", Proxy: true},
		{URL: "tcp://a", ProxyFrom: []string{"::1"}},
		{URL: "tcp://a", NoDelay: &off},
		{URL: "tcp://a", Backlog: 1},
		{URL: "tcp://a", Connections: 1},
		{URL: "tcp://a", Interface: "lo"},
	} {
		if base.equal(l) {
			t.Errorf("%+v is no change of %+v", l, base)
		}
	}
	if n := reflect.TypeFor[Listener]().NumField(); n != 12 { // One changes in place: AllowAnonymous.
		t.Errorf("a Listener has %d fields: equal and this test must know them", n)
	}
}
