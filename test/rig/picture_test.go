//go:build linux

package rig

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// A seenPin is what edge pins --json says of a pin.
type seenPin struct {
	Pin      int
	Used     bool
	Consumer string
	Holder   struct {
		PID     int
		Command string
	}
	Role     struct{ Entity string }
	Warnings []string
}

// pins runs edge pins and returns what it says of each pin.
func (h *hub) pins() map[int]seenPin {
	h.t.Helper()
	exit, err := h.agent.Run(h.ctx, agent.Command{Args: []string{program, "pins", "--json", "-c", settings}})
	h.ok(err)
	pins := make(map[int]seenPin)
	for line := range strings.Lines(exit.Output) {
		var p seenPin
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			h.t.Fatalf("edge pins says %q: %v", line, err)
		}
		pins[p.Pin] = p // The board is pin 0.
	}
	if len(pins) != 41 {
		h.t.Fatalf("edge pins ends with %d and says:\n%s", exit.Code, exit.Output)
	}
	return pins
}

// TestPicture looks at pins that edge holds, as root: the kernel tells who has them.
// Another edge that wants them says so. gpio-sim tells no levels where they are looked
// for, unlike the chips of boards.
func TestPicture(t *testing.T) {
	const pins = `
      pins:
        - {id: door, pin: GPIO17, direction: input}
        - {id: relay, pin: GPIO6, direction: output, active_low: true}
`
	h := newHub(t, pins)
	h.run()
	seen := h.pins()
	for pin, id := range map[int]string{11: "door", 31: "relay"} {
		got := seen[pin]
		if got.Consumer != "edge:"+id || got.Role.Entity != id || got.Holder.PID != h.pid || got.Holder.Command != "edge" || len(got.Warnings) > 0 {
			t.Errorf("pin %d is %+v, want %s of edge with pid %d", pin, got, id, h.pid)
		}
	}
	if seen[12].Used {
		t.Errorf("pin 12 is %+v, want it free", seen[12])
	}

	const other, otherLog = "/tmp/other.yaml", "/tmp/other.log"
	h.put(other, fmt.Appendf(nil, "data: /tmp/other\nbroker: {listeners: [{url: \"tcp://127.0.0.1:0\"}]}\nbridges:\n  gpio:\n    gpio:\n%s",
		strings.ReplaceAll(pins, "door", "gate")))
	pid, err := h.agent.Start(h.ctx, agent.Command{Args: []string{program, "run", "-c", other}, Log: otherLog})
	h.ok(err)
	log := ""
	for begin := time.Now(); !strings.Contains(log, "that is another edge") && time.Since(begin) < patience; {
		log, err = h.agent.Read(h.ctx, otherLog)
		h.ok(err)
	}
	if want := `line 17 of pinctrl-bcm2711 is held by \"edge:door\"`; !strings.Contains(log, want) {
		t.Errorf("the log of another edge lacks %s:\n%s", want, log)
	}
	h.ok(h.agent.Kill(h.ctx, agent.Kill{PID: pid, Signal: syscall.SIGTERM}))
	h.end(syscall.SIGTERM)
	if p := h.pins()[11]; p.Used {
		t.Errorf("pin 11 is %+v after edge has ended, want it free", p)
	}
}
