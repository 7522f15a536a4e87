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

// inputs is how many lines are driven at once: as many as the header has.
const inputs = 28

func inputPins(debounce time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "      debounce: %v\n      pins:\n", debounce)
	for i := range inputs {
		fmt.Fprintf(&b, "        - {id: %s, pin: GPIO%d, direction: input}\n", input(i), i)
	}
	return b.String()
}

func input(line int) string { return fmt.Sprintf("in%d", line) }

func inputLines() []int {
	lines := make([]int, inputs)
	for i := range lines {
		lines[i] = i
	}
	return lines
}

// TestEveryEdge drives all inputs at once, as far as the emulated processor can at 1,000
// edges a second each; then again while edge is stopped, so that the kernel's buffers
// run over. Each edge must have been counted, or counted as lost.
func TestEveryEdge(t *testing.T) {
	h := newHub(t, inputPins(0))
	h.run()
	seconds := time.Duration(number(t, "RIG_SECONDS", 3)) * time.Second
	driven, err := h.agent.Drive(h.ctx, agent.Drive{Lines: inputLines(), Rate: 1000, For: seconds})
	h.ok(err)
	lost := h.accounts(driven.Edges + 1)
	t.Logf("%d lines, %.0f edges/s each for %v: all %d edges are accounted for, %d as lost",
		inputs, rate(driven), driven.Took.Round(time.Millisecond), inputs*(driven.Edges+1), lost)

	h.signal(syscall.SIGSTOP)
	deaf, err := h.agent.Drive(h.ctx, agent.Drive{Lines: inputLines(), Edges: 300})
	h.ok(err)
	h.signal(syscall.SIGCONT)
	lost = h.accounts(driven.Edges+deaf.Edges+2) - lost
	t.Logf("%.0f edges/s each for %v while edge was stopped: all %d are accounted for, %d as lost",
		rate(deaf), deaf.Took.Round(time.Millisecond), inputs*(deaf.Edges+1), lost)
	if lost == 0 {
		t.Error("none was lost, though the kernel's buffers have no room for as many")
	}
	h.end(syscall.SIGTERM)
}

func rate(d agent.Driven) float64 { return float64(d.Edges) / d.Took.Seconds() }

// accounts toggles each input once more, by which all edges before are told, and waits
// until they add up to want for each; and for the last state.
// It returns how many edges were lost.
func (h *hub) accounts(want int) (lost int) {
	h.t.Helper()
	for _, line := range inputLines() {
		high := !h.level(line)
		h.pull(line, high)
		lost += h.counted(input(line), want)
		h.await(topic(input(line)), map[bool]string{true: "ON", false: "OFF"}[high])
	}
	return lost
}

// counted waits until the counters of an input account for so many edges, and returns
// how many of them were lost.
func (h *hub) counted(id string, want int) (lost int) {
	h.t.Helper()
	h.awaitThat(topic(id, "attr"), fmt.Sprintf("%d edges, counted or lost", want), func(payload string) bool {
		var attr struct{ Counters struct{ Edges, Lost int } }
		if err := json.Unmarshal([]byte(payload), &attr); err != nil {
			h.t.Fatalf("attr is %q: %v", payload, err)
		}
		edges := attr.Counters.Edges
		lost = attr.Counters.Lost
		if edges+lost > want {
			h.t.Fatalf("%s: %d edges are counted and %d are said to be lost, of %d", id, edges, lost, want)
		}
		return edges+lost == want
	})
	return lost
}

// TestStorm has all inputs bounce as fast as the emulated processor can. At the
// end each must have the right state. What it costs others is measured and not judged.
func TestStorm(t *testing.T) {
	h := newHub(t, inputPins(10*time.Millisecond))
	h.run()
	quiet := h.echoes(100, nil)
	var driven agent.Driven
	over := make(chan error, 1)
	go func() {
		var err error
		driven, err = h.agent.Drive(h.ctx, agent.Drive{Lines: inputLines(), For: time.Duration(number(t, "RIG_SECONDS", 3)) * time.Second})
		over <- err
	}()
	during := h.echoes(1<<20, over)
	for _, line := range inputLines() {
		if line%3 == 0 {
			h.pull(line, !h.level(line))
		}
	}
	for _, line := range inputLines() {
		h.await(topic(input(line)), map[bool]string{true: "ON", false: "OFF"}[h.level(line)])
	}
	t.Logf("%d lines, %.0f edges/s in all: final states right", inputs, inputs*rate(driven))
	t.Logf("another topic, there and back, when it is quiet: %v; in the storm: %v", quiet, during)
	h.end(syscall.SIGTERM)
}

// echoes publishes a message and waits for it, n times or until over has something,
// which must not be an error.
func (h *hub) echoes(n int, over <-chan error) times {
	h.t.Helper()
	var times times
	for i := range n {
		select {
		case err := <-over:
			h.ok(err)
			return times
		default:
		}
		began := time.Now()
		text := fmt.Sprint(i, began.UnixNano())
		h.send("edge/echo", text)
		h.await("edge/echo", text)
		times = append(times, time.Since(began))
	}
	return times
}
