package gpio_test

import (
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/gpio"
)

var (
	anna = bridge.Sender{Client: "phone", User: "anna", Connection: 1}
	otto = bridge.Sender{Client: "phone", User: "otto", Connection: 2} // He may call himself as he likes.
	hub  = bridge.Sender{Client: "admin", User: bridge.Hub, Connection: 3}
)

// TestLock keeps others from an output while somebody works on what it switches.
func TestLock(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].MaxOn = time.Hour
	bubble(t, cfg, func(r rig) {
		r.say(anna, "relay1", `{"value":"ON","lock":"2h","owner":"maintenance"}`)
		r.done("relay1")
		a := r.attr("relay1", func(a bridge.Attr) bool { return a.Extra["lock"] != nil })
		if k := a.Extra["lock"].(map[string]any); k["owner"] != "maintenance" || k["user"] != "anna" || k["until"] == nil {
			r.Errorf("attributes are %+v, want the lock of anna", a)
		}
		for _, command := range []string{"OFF", `{"unlock":true,"owner":"maintenance"}`, `{"lock":"5h"}`} {
			r.say(otto, "relay1", command)
			r.refused("relay1", "it is locked by maintenance (anna) until ")
		}
		r.say(bridge.Sender{Client: "anna"}, "relay1", "OFF") // Who has shown no password.
		r.refused("relay1", "it is locked")
		r.say(anna, "relay1", "ON") // Not to extend it.
		r.done("relay1")
		time.Sleep(time.Hour) // What protects the output still does.
		r.wantRelay(0, false)
		time.Sleep(time.Hour)
		r.attr("relay1", func(a bridge.Attr) bool { return a.Extra["lock"] == nil })
		r.say(otto, "relay1", "ON")
		r.done("relay1")
	})
}

// TestUnlock has a lock end early, by its owner and by an admin.
func TestUnlock(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		for _, who := range []bridge.Sender{anna, hub} {
			r.say(anna, "relay2", `{"lock":"2h"}`)
			r.done("relay2")
			r.say(otto, "relay2", "ON")
			r.refused("relay2", "it is locked by anna until ")
			r.say(who, "relay2", `{"unlock":true,"value":"OFF"}`)
			r.done("relay2")
			r.say(otto, "relay2", "ON")
			r.done("relay2")
		}
		r.say(anna, "relay2", `{"lock":"200h"}`)
		r.refused("relay2", "at most 168h0m0s")
		r.say(bridge.Sender{}, "relay2", `{"lock":"2h"}`)
		r.refused("relay2", "nobody knows who")
		r.say(anna, "relay2", `{"value":"UP","lock":"2h"}`)
		r.refused("relay2", "is not ON")
		r.say(otto, "relay2", "OFF") // What was refused has locked nothing.
		r.done("relay2")
	})
}

// TestLockOfInterlock has a lock hold against who would switch its output off by
// another one, and come into force while its own command waits.
func TestLockOfInterlock(t *testing.T) {
	cfg := boardConfig()
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: time.Second}}
	bubble(t, cfg, func(r rig) {
		time.Sleep(time.Minute)
		r.say(otto, "relay2", "ON")
		r.done("relay2")
		r.say(anna, "relay1", `{"value":"ON","lock":"2h"}`)
		r.say(otto, "relay1", "ON")
		r.refused("relay1", "it is locked by anna")
		time.Sleep(time.Second)
		r.done("relay1")
		r.wantRelay(0, true)
		r.say(otto, "relay2", "ON")
		r.refused("relay2", "relay1 must go off, but it is locked by anna")
		r.wantRelay(0, true)
	})
}

// TestLockSurvives has a lock be there after a restart, without any policy that
// remembers, for as long as it is to last.
func TestLockSurvives(t *testing.T) {
	cfg := boardConfig()
	lives(t, cfg, time.Minute, life{"a", func(r rig) {
		r.say(anna, "relay1", `{"value":"ON","lock":"1h"}`)
		r.done("relay1")
	}}, life{"b", func(r rig) {
		r.wantRelay(0, false)
		r.say(otto, "relay1", "ON")
		r.refused("relay1", "it is locked by anna")
		time.Sleep(59 * time.Minute)
		r.say(otto, "relay1", "ON")
		r.done("relay1")
	}}, life{"b", func(r rig) {
		if m, ok := r.client.Retained(base.Saved("relay1")); !ok || strings.Contains(string(m.Payload), "lock") {
			r.Errorf("saved is %s, want no lock", m.Payload)
		}
	}})
}

// TestMaxAge wants commands to say when they were sent. In a bubble the clock is not
// set, as on a board without network.
func TestMaxAge(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].MaxAge = time.Minute
	bubble(t, cfg, func(r rig) {
		r.say(anna, "relay1", "ON")
		r.refused("relay1", "it does not say when it was sent")
		r.say(anna, "relay1", `{"value":"ON","at":"2026-01-31T12:00:00Z"}`)
		if got := r.result("relay1"); got.Status != bridge.StatusOK || !strings.Contains(got.Reason, "clock of the hub is not set") {
			r.Errorf("result is %+v, want ok, and that the age is not known", got)
		}
		m := bridge.Message{Topic: base.Set("relay1"), Payload: []byte("OFF"), Received: time.Now(), User: []bridge.UserProperty{{Name: "at", Value: "1769857200"}}}
		publish := func() {
			if err := r.client.Publish(r.Context(), m); err != nil {
				r.Fatal(err)
			}
		}
		publish()
		r.done("relay1")
		m.Received = m.Received.Add(-2 * time.Minute)
		publish()
		r.refused("relay1", "it has waited in the hub for 2m0s")
		m.User[0].Value = "noon"
		publish()
		r.refused("relay1", `user property at: "noon" is no time`)
	})
}
