package gpio_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
)

// phone is somebody's connection.
func phone(connection uint64) bridge.Sender {
	return bridge.Sender{Client: "phone", User: "anna", Connection: connection}
}

// say sends a command of somebody.
func (r rig) say(from bridge.Sender, entity, payload string) {
	r.Helper()
	m := bridge.Message{Topic: base.Set(entity), Payload: []byte(payload), QoS: 1, From: from, Received: time.Now()}
	if err := r.client.Publish(r.Context(), m); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// leave has a connection end, as the departure with a count.
func (r rig) leave(connection, count uint64) {
	r.Helper()
	payload := fmt.Sprintf(`{"client":"phone","user":"anna","connection":%d,"count":%d}`, connection, count)
	bridgetest.Send(r, r.client, "$SYS/broker/clients/gone", payload)
	synctest.Wait()
}

// refused checks that the latest answer is a refusal with words.
func (r rig) refused(entity, words string) {
	r.Helper()
	if got := r.result(entity); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, words) {
		r.Errorf("result is %+v, want it refused: %s", got, words)
	}
}

// done checks that the latest answer is ok.
func (r rig) done(entity string) {
	r.Helper()
	if got := r.result(entity); got.Status != bridge.StatusOK {
		r.Errorf("result is %+v, want ok", got)
	}
}

// TestLeaseOfCommander has an output be on for as long as who has commanded it is
// connected, by that very connection.
func TestLeaseOfCommander(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Lease = gpio.Lease{Commander: true}
	cfg.Pins[1].Lease = gpio.Lease{Commander: true, Time: time.Minute}
	bubble(t, cfg, func(r rig) {
		r.say(phone(7), "relay1", "ON")
		r.done("relay1")
		r.say(phone(7), "relay2", "ON")
		r.done("relay2")
		time.Sleep(24 * time.Hour)
		r.leave(3, 1) // Somebody else.
		r.wantRelay(0, true)
		r.leave(7, 2)
		r.wantRelay(0, false)
		r.wantRelay(1, true)
		a := r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "lease" })
		if a.Counters["lease"] != 1 || a.Extra["why"] != "anna has left" {
			r.Errorf("attributes are %+v, want one lease, since anna has left", a)
		}
		time.Sleep(59 * time.Second)
		r.say(phone(9), "relay2", `{"lock":"1s"}`) // That holds nothing.
		r.done("relay2")
		time.Sleep(500 * time.Millisecond)
		r.say(phone(8), "relay2", "ON") // He is back.
		r.done("relay2")
		time.Sleep(time.Hour)
		r.wantRelay(1, true)
		r.leave(8, 3)
		time.Sleep(time.Minute)
		r.wantRelay(1, false)
		r.say(phone(8), "relay2", "ON")
		r.refused("relay2", "anna has left")
	})
}

// TestLeaseOfNobody has commands whose sender has left before they are looked at, or
// of whom that cannot be told.
func TestLeaseOfNobody(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Lease = gpio.Lease{Commander: true}
	bubble(t, cfg, func(r rig) {
		r.send("relay1", "ON")
		r.refused("relay1", "somebody unknown is not connected")
		r.say(bridge.Sender{Client: "phone", User: "anna"}, "relay1", "ON") // A will.
		r.refused("relay1", "anna is not connected")
		r.leave(7, 1)
		r.say(phone(7), "relay1", "ON") // Its departure was quicker.
		r.refused("relay1", "anna has left")
		r.say(phone(7), "relay1", "OFF")
		r.done("relay1")

		for i := range uint64(2000) { // More than are remembered.
			r.leave(100+i, 2+i)
		}
		r.say(phone(7), "relay1", "ON")
		r.refused("relay1", "it cannot be told")
		time.Sleep(time.Second)
		r.say(phone(5000), "relay1", "ON")
		r.done("relay1")
		r.leave(4000, 3000) // Others were missed, and anna may be one of them.
		r.wantRelay(0, false)
		r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "lease" })
	})
}

// TestLeaseOfClaim has who waits for an interlock leave while he does.
func TestLeaseOfClaim(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Lease = gpio.Lease{Commander: true}
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: time.Second}}
	bubble(t, cfg, func(r rig) {
		time.Sleep(time.Minute)
		r.say(phone(1), "relay2", "ON")
		r.done("relay2")
		r.say(phone(7), "relay1", "ON")
		r.leave(7, 1)
		time.Sleep(time.Minute)
		r.refused("relay1", "anna has left")
		r.wantRelay(0, false)
		r.wantRelay(1, false)
		a := r.attr("relay2", func(a bridge.Attr) bool { return a.Cause == "interlock" })
		if a.Extra["why"] != "relay1 is to go on, says anna" {
			r.Errorf("attributes are %+v", a)
		}
	})
}

// TestLeaseAtStart has an output that was on begin without a commander.
func TestLeaseAtStart(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		cfg := boardConfig()
		cfg.Pins[0].Initial, cfg.Pins[0].Lease = gpio.Last, gpio.Lease{Commander: true, Time: grace}
		lives(t, cfg, time.Second, life{"a", func(r rig) {
			r.say(phone(1), "relay1", "ON")
			r.done("relay1")
		}}, life{"a", func(r rig) {
			r.wantRelay(0, grace > 0)
			time.Sleep(grace)
			r.wantRelay(0, false)
			if m, ok := r.client.Retained(base.Attr("relay1")); ok && grace > 0 {
				var a bridge.Attr
				if err := json.Unmarshal(m.Payload, &a); err != nil || a.Extra["why"] != "nobody has commanded it since the start" {
					r.Errorf("attributes are %s", m.Payload)
				}
			}
		}})
	}
}
