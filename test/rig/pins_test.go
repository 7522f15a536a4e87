//go:build linux

package rig

import (
	"strings"
	"syscall"
	"testing"

	"edge/test/rig/agent"
)

// TestPins is a day of a board: what is pressed is published, what is commanded is
// switched, the chip goes and comes back.
func TestPins(t *testing.T) {
	h := newHub(t, `
      pins:
        - {id: door, pin: GPIO17, direction: input}
        - {id: button, pin: GPIO27, direction: input, active_low: true, bias: pull-up}
        - {id: lamp, pin: GPIO5, direction: output}
        - {id: relay, pin: GPIO6, direction: output, active_low: true}
        - {id: valve, pin: GPIO13, direction: output, initial: "on", safe: "on", on_exit: keep}
`)
	const door, button, lamp, relay, valve = 17, 27, 5, 6, 13
	h.pull(door, true)
	h.run()

	h.await(topic("door"), "ON")
	h.await(topic("button"), "OFF")
	h.pull(door, false)
	h.await(topic("door"), "OFF")
	h.pull(button, false)
	h.await(topic("button"), "ON")

	levels := func(when string, want map[int]bool) {
		t.Helper()
		for line, high := range want {
			if got := h.level(line); got != high {
				t.Errorf("%s line %d is high: %t, want %t", when, line, got, high)
			}
		}
	}
	levels("after the start", map[int]bool{lamp: false, relay: true, valve: true})
	for id, state := range map[string]string{"lamp": "ON", "relay": "ON", "valve": "OFF"} {
		if r := h.command(id, state); !strings.Contains(r, `"ok"`) {
			t.Errorf("%s %s is answered %s", id, state, r)
		}
		h.await(topic(id), state)
	}
	levels("when commanded", map[int]bool{lamp: true, relay: false, valve: false})

	h.ok(h.agent.Plug(h.ctx, false))
	h.await(topic("status"), "offline")
	h.ok(h.agent.Plug(h.ctx, true))
	h.ok(h.agent.Watch(h.ctx, agent.Watch{Lines: []int{lamp}}))
	h.await(topic("status"), "online")
	for id, state := range map[string]string{"lamp": "OFF", "relay": "OFF", "valve": "ON"} {
		h.await(topic(id), state)
	}
	levels("when the chip is back", map[int]bool{lamp: false, relay: true, valve: true})
	seen, err := h.agent.Seen(h.ctx)
	h.ok(err)
	if seen.First[lamp] || len(seen.Changes) > 0 {
		t.Errorf("the lamp's line was high: %t, %v, when the chip came back; want never", seen.First[lamp], seen.Changes)
	}
	t.Logf("the lamp's line was looked at %d times while the chip was taken again", seen.Rounds)

	if exit := h.end(syscall.SIGTERM); exit.Code != 0 {
		t.Errorf("edge ended with %+v, want 0", exit)
	}
}
