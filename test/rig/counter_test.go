//go:build linux

package rig

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// counters have every kind of edge that counts. The lines are in their order.
var counters = []string{"rising", "falling", "both"}

// saveTime is the shortest that a counter may have.
const saveTime = time.Second

func counterPins() (pins string) {
	pins = "      debounce: 0s\n      pins:\n"
	for i, edge := range counters {
		pins += fmt.Sprintf("        - {id: %s, pin: GPIO%d, direction: input, counter: {edge: %s, save: %v}}\n", edge, i, edge, saveTime)
	}
	return pins
}

// pulses is how many pulses of a kind so many edges are, from a level on.
func pulses(kind string, edges int, high bool) int {
	switch {
	case kind == "both":
		return edges
	case (kind == "rising") == high:
		return edges / 2
	}
	return (edges + 1) / 2
}

// TestCounters drives inputs with counters: the totals are exact, whatever the kernel had
// to drop on the way.
func TestCounters(t *testing.T) {
	h := newHub(t, counterPins())
	h.run()
	seconds := time.Duration(number(t, "RIG_SECONDS", 3)) * time.Second
	edges := 0
	for _, d := range []agent.Drive{{Rate: 100, For: seconds}, {Rate: 1000, For: seconds}, {Edges: 3000}} {
		d.Lines = []int{0, 1, 2}
		driven, err := h.agent.Drive(h.ctx, d)
		h.ok(err)
		edges += driven.Edges
		for _, kind := range counters {
			h.await(topic(kind+"_total"), strconv.Itoa(pulses(kind, edges, false)))
		}
		t.Logf("%d edges, %.0f/s on each of 3 lines: totals are exact", driven.Edges, rate(driven))
	}
	h.end(syscall.SIGTERM)
}

// TestCounterKilled kills edge again and again while it counts, at the last of some edges.
// A total never goes back, never has a pulse that was not there, and lacks those since the
// last save at most: of the time of save, and, since a busy machine and its disk may not
// keep up, as much again. What ends in order lacks none.
func TestCounterKilled(t *testing.T) {
	h := newHub(t, counterPins())
	c := &counting{hub: h, random: rand.New(rand.NewPCG(2, uint64(time.Now().UnixNano())))}
	rounds := number(t, "RIG_COUNTER_KILLS", 4)
	c.start()
	for n := range rounds {
		c.life(syscall.SIGKILL)
		c.start()
		if n%20 == 19 {
			t.Logf("%d of %d rounds, %d of %d pulses are lost", n+1, rounds, c.lost, c.all)
		}
	}
	lost := c.lost
	c.life(syscall.SIGTERM)
	c.start()
	if c.lost != lost {
		t.Errorf("%d pulses are lost after an end in order, want none", c.lost-lost)
	}
	t.Logf("killed %d times: of %d pulses %d are lost, %v of them at most at a time", rounds, c.all, lost, c.most.Round(time.Millisecond))
	h.end(syscall.SIGTERM)
}

// A counting is what counters must have.
type counting struct {
	*hub
	random    *rand.Rand
	driven    agent.Driven
	want      [3]int // of counters: what they have if nothing is lost
	told      [3]int // what they have said at last
	all, lost int
	most      time.Duration // of pulses that were lost at a time
}

// start starts edge, and looks at what its counters still know.
func (c *counting) start() {
	c.t.Helper()
	c.launch()
	for i, kind := range counters {
		c.refuses(kind + "_total")
		has := c.total(kind)
		missing := c.want[i] - has
		if has < c.told[i] || missing < 0 {
			c.t.Fatalf("%s has %d pulses; %d have come, and it has said %d", kind, has, c.want[i], c.told[i])
		}
		if missing > 0 {
			rate := float64(pulses(kind, c.driven.Edges, false)) / c.driven.Took.Seconds()
			took := time.Duration(float64(missing) / rate * float64(time.Second))
			if took > 2*saveTime {
				c.t.Fatalf("%s has %d pulses of %d: %v are lost, want %v at most", kind, has, c.want[i], took, saveTime)
			}
			c.lost += missing
			c.most = max(c.most, took)
		}
		c.want[i], c.told[i] = has, has
	}
}

// total is what a counter says of itself.
func (c *counting) total(kind string) int {
	c.t.Helper()
	payload := c.awaitThat(topic(kind+"_total"), "a total", func(string) bool { return true })
	n, err := strconv.Atoi(payload)
	c.ok(err)
	return n
}

// life drives edges, and ends edge: by SIGKILL at the last of them, or when it has read all.
func (c *counting) life(end syscall.Signal) {
	c.t.Helper()
	before := make([]bool, len(counters))
	var lines []int
	for i := range counters {
		before[i] = c.level(i)
		lines = append(lines, i)
	}
	d := agent.Drive{Lines: lines, Rate: 200, Edges: 1 + c.random.IntN(500)}
	if end == syscall.SIGKILL {
		d.Kill = agent.Kill{PID: c.pid, Signal: end}
	}
	var err error
	c.driven, err = c.agent.Drive(c.ctx, d)
	c.ok(err)
	if end != syscall.SIGKILL {
		for _, kind := range counters {
			c.counted(kind, c.driven.Edges) // What the kernel still has is not edge's to lose.
		}
		c.signal(end)
	}
	_, err = c.agent.Wait(c.ctx, c.pid)
	c.ok(err)
	for i, kind := range counters {
		n := pulses(kind, c.driven.Edges, before[i])
		c.want[i] += n
		c.all += n
		c.told[i] = max(c.told[i], c.total(kind))
	}
}

// refuses returns when edge has refused a command to an entity that it cannot carry out:
// from then on, who would carry it out does what he is there for.
func (h *hub) refuses(id string) {
	h.t.Helper()
	result := topic(id, "result")
	h.forget(result)
	for {
		h.client.Publish(topic(id, "set"), 0, false, "what")
		h.mu.Lock()
		_, heard := h.last[result]
		changed := h.changed
		h.mu.Unlock()
		if heard {
			return
		}
		select {
		case <-changed:
		case <-time.After(again):
		case <-h.ctx.Done():
			h.t.Fatal(h.ctx.Err())
		}
	}
}
