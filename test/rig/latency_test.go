//go:build linux

package rig

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// times are of the same thing, done again and again.
type times []time.Duration

// String returns the median and the 99th percentile.
func (t times) String() string {
	if len(t) == 0 {
		return "never"
	}
	sorted := slices.Sorted(slices.Values(t))
	at := func(percent int) time.Duration {
		return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v (%d times)", at(50), at(99), len(t))
}

// TestLatency measures both ways between a line and MQTT, as the host sees them: with the
// way through QEMU's network, which is given, too, so that one can take it off.
func TestLatency(t *testing.T) {
	h := newHub(t, `
      debounce: 0s
      pins:
        - {id: in, pin: GPIO17, direction: input}
        - {id: out, pin: GPIO5, direction: output}
`)
	const in, out = 17, 5
	h.run()
	var network, publish, set times
	for i := range number(t, "RIG_LATENCIES", 100) {
		on := i%2 == 0
		state := map[bool]string{true: "ON", false: "OFF"}[on]

		began := time.Now()
		h.level(in)
		network = append(network, time.Since(began))

		began = time.Now()
		h.pull(in, on)
		h.await(topic("in"), state)
		publish = append(publish, time.Since(began))

		arrived := make(chan error, 1)
		began = time.Now()
		go func() {
			a, err := h.agent.Await(h.ctx, agent.Await{Levels: map[int]bool{out: on}, Within: patience})
			if err == nil && len(a.Wrong) > 0 {
				err = fmt.Errorf("the output is not %s after %v", state, a.Took)
			}
			arrived <- err
		}()
		h.client.Publish(topic("out", "set"), 0, false, state)
		h.ok(<-arrived)
		set = append(set, time.Since(began))
	}
	t.Logf("there and back, without edge:           %v", network)
	t.Logf("pull of a line -> state at a subscriber: %v", publish)
	t.Logf("set by a publisher -> level of the line: %v", set)
	h.end(syscall.SIGTERM)
}
