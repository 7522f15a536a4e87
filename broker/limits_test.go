package broker

import (
	"strings"
	"testing"
)

const (
	// hello5 asks for response information, with a keep-alive of a minute.
	hello5   = "\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x02\x19\x01\x00\x01c"
	welcome5 = "\x21\x04\x00\x27\x00\x10\x00\x00\x22\x00\x0a" // The limits by default.
)

func TestResponseInformation(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous, cfg.ResponseInformation = true, "reply/%c"
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	talk(t, dialURL(t, b.URLs()[0]), hello5, "\x20\x18\x00\x00\x15"+welcome5+"\x1a\x00\x07reply/c")
	cfg.ResponseInformation = "other/%c"
	if err := b.Reload(cfg); err == nil || !strings.Contains(err.Error(), "response_information") {
		t.Errorf("a reload with another response_information: %v", err)
	}
}

// TestDeepFilter subscribes to more levels than there may be: SUBACK says no to
// that one only (MQTT 5.0, section 3.9.3), and an older client gets 0x80.
func TestDeepFilter(t *testing.T) {
	b := start(t, "tcp://127.0.0.1:0")
	deep := strings.Repeat("/", 32)
	c := dialURL(t, b.URLs()[0])
	talk(t, c, hello5, "\x20\x0e\x00\x00\x0b"+welcome5)
	talk(t, c, "\x82\x2a\x00\x01\x00\x00\x20"+deep+"\x00\x00\x01a\x01", "\x90\x05\x00\x01\x00\x8f\x01")
	talk(t, c, "\xa2\x25\x00\x02\x00\x00\x20"+deep, "\xb0\x04\x00\x02\x00\x11")
	old := dialURL(t, b.URLs()[0])
	talk(t, old, hello, welcome)
	talk(t, old, "\x82\x29\x00\x01\x00\x20"+deep+"\x00\x00\x01a\x01", "\x90\x04\x00\x01\x80\x01")
}

// TestRefusedFiltersAreForgotten subscribes beyond the limit: what was refused
// stays nowhere. Mochi indexes nothing at all.
func TestRefusedFiltersAreForgotten(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous, cfg.Limits.Subscriptions = true, 1
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	c := dialURL(t, b.URLs()[0])
	talk(t, c, hello5, "\x20\x0e\x00\x00\x0b"+welcome5)
	talk(t, c, "\x82\x0b\x00\x01\x00\x00\x01a\x01\x00\x01b\x01", "\x90\x05\x00\x01\x00\x01\x97")
	talk(t, c, "\xa2\x09\x00\x02\x00\x00\x01a\x00\x01b", "\xb0\x05\x00\x02\x00\x00\x11")
	for _, filter := range []string{"a", "b"} {
		if got := b.server.Topics.Subscribers(filter).Subscriptions; len(got) > 0 {
			t.Errorf("mochi remembers %v for %s", got, filter)
		}
	}
}
