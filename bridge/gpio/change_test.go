package gpio_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
)

// told waits for the next change that an output tells, in short.
func (r rig) told(entity string) string {
	r.Helper()
	var c bridge.Change
	m := bridgetest.Await(r, r.client, base.Log(entity), func(bridge.Message) bool { return true })
	if err := json.Unmarshal(m.Payload, &c); err != nil || m.Retain {
		r.Fatalf("%s, retained: %t, %v", m.Payload, m.Retain, err)
	}
	if since := time.Since(c.Time); since < 0 || since > 24*time.Hour {
		r.Errorf("%s has another time than now", m.Payload)
	}
	return fmt.Sprintf("%s %s [%s] %s/%s %s", c.Value, c.Cause, c.Why, c.User, c.Client, c.ID)
}

// TestChanges has outputs tell all that they become, and whose doing it was.
func TestChanges(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[2].Lease = gpio.Lease{Commander: true}
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: time.Second}}
	bubble(t, cfg, func(r rig) {
		want := func(entity, want string) {
			r.Helper()
			if got := r.told(entity); got != want {
				r.Errorf("%s tells %q, want %q", entity, got, want)
			}
		}
		for _, relay := range []string{"relay1", "relay2", "relay3"} {
			want(relay, "OFF start [] / ")
		}
		time.Sleep(time.Minute)
		r.say(anna, "relay1", `{"value":"ON","id":7}`)
		want("relay1", "ON command [] anna/phone 7")
		r.say(anna, "relay1", "ON") // No change.
		r.say(otto, "relay2", `{"value":"ON","id":8,"for":"5s"}`)
		want("relay1", "OFF interlock [relay2 is to go on, says otto] otto/phone 8")
		time.Sleep(time.Second)
		want("relay2", "ON command [] otto/phone 8")
		time.Sleep(5 * time.Second)
		want("relay2", "OFF timer [] / ")
		r.say(anna, "relay3", "ON")
		want("relay3", "ON command [] anna/phone ")
		r.leave(anna.Connection, 1)
		want("relay3", "OFF lease [anna has left] / ")
		r.say(anna, "relay2", `{"value":"OFF","lock":"1h"}`)
		want("relay2", "OFF command [locked by anna until 2000-01-01T01:01:06Z] anna/phone ")
		time.Sleep(time.Hour)
		want("relay2", "OFF unlock [] / ")
	})
}
