//go:build linux

package rig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// A ward is an output that the guard answers for.
type ward struct {
	id        string
	activeLow bool
	initial   string
	safe      string
	commanded bool // others stay as they are all the time
}

var wards = []ward{
	{"pump", false, "off", "off", true},
	{"heater", true, "off", "off", true},
	{"fan", false, "on", "off", true},
	{"siren", true, "on", "off", true},
	{"valve", false, "off", "on", true},
	{"lock", true, "off", "on", true},
	{"quiet", false, "off", "off", false},
	{"still", true, "off", "off", false},
}

// wardPins have the lines in the order of wards.
func wardPins() string {
	var b strings.Builder
	b.WriteString("      pins:\n")
	for i, w := range wards {
		fmt.Fprintf(&b, "        - {id: %s, pin: GPIO%d, direction: output, active_low: %t, initial: %q, safe: %q}\n",
			w.id, i, w.activeLow, w.initial, w.safe)
	}
	return b.String()
}

// safeLevel is that of the output's safe state.
func (w ward) safeLevel() bool { return (w.safe == "on") != w.activeLow }

// unsafe is the command to be what is not safe.
func (w ward) unsafe() string { return map[string]string{"on": "OFF", "off": "ON"}[w.safe] }

// safeWithin is what is promised of the guard.
const safeWithin = 500 * time.Millisecond

// A death is a way to end.
type death struct {
	signal syscall.Signal
	memory bool // by the kernel, for want of memory
}

// deaths are the ways in which edge ends. A program that aborts does so as by a panic. Of
// edge and its guard, which are in one cgroup, the kernel must kill edge.
var deaths = []death{{signal: syscall.SIGKILL}, {signal: syscall.SIGSTOP}, {signal: syscall.SIGABRT}, {memory: true}}

func (d death) String() string {
	if d.memory {
		return "want of memory"
	}
	return d.signal.String()
}

// TestGuard ends edge at random points, in one of the deaths. Each time all outputs must
// become safe, though the board's resistors pull them the other way, and stay so; and those
// that nobody has commanded must never change, not even when the next edge takes
// them over.
//
// The guest's CPU is kept busy, so that a host that has other things to do does not count:
// its time then is a number of instructions. As no test fails on a time, it takes ten times
// what is promised to fail this one, but for RIG_STRICT, which make proof sets.
func TestGuard(t *testing.T) {
	h := newHub(t, wardPins())
	d := &danger{hub: h, levels: make(map[int]bool), died: make(map[death]int), random: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))}
	var still []int
	for line, w := range wards {
		d.levels[line] = w.safeLevel()
		h.pull(line, !w.safeLevel())
		if !w.commanded {
			still = append(still, line)
		}
	}
	_, err := h.agent.Start(h.ctx, agent.Command{Args: []string{agent.Init, agent.Burn}, Log: "/dev/null"})
	h.ok(err)
	h.run("--guard")
	h.ok(h.agent.Watch(h.ctx, agent.Watch{Lines: still}))
	kills := number(t, "RIG_KILLS", 12)
	for n := range kills {
		d.once()
		if t.Failed() {
			t.FailNow()
		}
		if n%20 == 19 {
			t.Logf("%d of %d rounds, at most %v until all outputs were safe", n+1, kills, d.slowest)
		}
	}
	d.revive()
	seen, err := h.agent.Seen(h.ctx)
	h.ok(err)
	if len(seen.Changes) > 0 {
		t.Errorf("outputs that nobody commanded changed: %v", seen.Changes)
	}
	for _, g := range seen.Given {
		if !wards[g.Line].commanded && g.High != wards[g.Line].safeLevel() {
			t.Errorf("%s was given the level that it is not to have", wards[g.Line].id)
		}
	}
	t.Logf("edge ended %d times (%v); until all outputs were safe: %v, at most %v; %d times more than %v",
		len(d.took), d.died, d.took, d.slowest, d.late, safeWithin)
	h.end(syscall.SIGTERM)
}

// A danger ends edge, and measures how long outputs are not safe.
type danger struct {
	*hub
	random  *rand.Rand
	levels  map[int]bool // that are safe, by line
	took    times
	died    map[death]int
	slowest time.Duration
	late    int
}

// revive has edge be there and serve commands. The first time, it does.
func (d *danger) revive() {
	if d.pid == 0 {
		d.launch("--guard")
	}
	d.await(topic("status"), "online")
}

// once ends edge: when outputs are not safe, while they are commanded not to be, or
// while it starts; and checks what comes of it.
func (d *danger) once() {
	d.t.Helper()
	after := time.Duration(d.random.IntN(200)) * time.Millisecond
	unsafe := false
	switch d.random.IntN(3) {
	case 0:
		d.revive()
		d.tempt()
		for _, w := range wards {
			if w.commanded {
				d.await(topic(w.id), w.unsafe())
			}
		}
		unsafe = true
	case 1:
		d.revive()
		d.tempt()
	case 2:
		if d.pid == 0 {
			d.launch("--guard")
			after *= 4
		}
	}
	end := deaths[d.random.IntN(len(deaths))]
	kill := agent.Kill{PID: d.pid, Signal: end.signal}
	if end.memory {
		kill.Group = group
		defer d.feed()()
	}
	a, err := d.agent.Await(d.ctx, agent.Await{
		Levels: d.levels, Within: patience, Kill: kill, After: after,
		// A program that aborts works on while it writes down what all its goroutines did.
		Ended: end.signal == syscall.SIGABRT,
	})
	d.ok(err)
	for _, line := range a.Wrong {
		d.t.Errorf("%s is not safe %v after %v", wards[line].id, a.Took, end)
	}
	d.judge(a, end)
	if end.signal == syscall.SIGSTOP && unsafe && d.random.IntN(2) == 0 {
		d.resume()
		return
	}
	d.bury(end)
	for line, want := range d.levels {
		if d.level(line) != want {
			d.t.Errorf("%s was safe after %v, and is not any more", wards[line].id, end)
		}
	}
}

// feed has edge want more and more memory until stop is called.
func (d *danger) feed() (stop func()) {
	const topics, size = 16, 32 << 10
	ctx, cancel := context.WithCancel(d.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			payload := strings.Repeat(fmt.Sprintf("%8d", n), size/8)
			d.client.Publish(fmt.Sprintf("edge/food/%d", n%topics), 0, true, payload).WaitTimeout(again)
			select {
			case <-time.After(again / 10): // edge may not be there yet.
			case <-ctx.Done():
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// tempt commands what is not safe.
func (d *danger) tempt() {
	for _, w := range wards {
		if w.commanded {
			d.client.Publish(topic(w.id, "set"), 0, false, w.unsafe())
		}
	}
}

// judge keeps how long it took.
func (d *danger) judge(a agent.Awaited, end death) {
	d.t.Helper()
	d.took = append(d.took, a.Took)
	d.slowest = max(d.slowest, a.Took)
	bound := 10 * safeWithin
	if os.Getenv("RIG_STRICT") != "" {
		bound = safeWithin
	}
	if a.Took > safeWithin {
		d.late++
	}
	if a.Took > bound {
		d.t.Errorf("outputs were safe %v after %v, want %v", a.Took, end, safeWithin)
	}
}

// resume has a process go on that was stopped, and that the guard has given up: it
// finds out, and takes the outputs again.
func (d *danger) resume() {
	d.t.Helper()
	attr := topic(wards[0].id, "attr")
	d.forget(attr)
	d.signal(syscall.SIGCONT)
	d.awaitThat(attr, "good by the guard", func(payload string) bool {
		return strings.Contains(payload, `"quality":"good"`) && strings.Contains(payload, `"cause":"guard"`)
	})
}

// bury has what is left of the process go. One that was stopped is gone, too: it
// must not be heard of again.
func (d *danger) bury(end death) {
	d.t.Helper()
	if end.signal == syscall.SIGSTOP {
		d.signal(syscall.SIGKILL)
	}
	exit, err := d.agent.Wait(d.ctx, d.pid)
	d.ok(err)
	d.pid = 0
	d.died[end]++
	if killed := d.outOfMemory(); killed != d.died[death{memory: true}] || end.memory && exit.Signal != syscall.SIGKILL {
		d.t.Errorf("edge ended by %v as %+v; the kernel has killed %d for want of memory, want %d", end, exit, killed, d.died[death{memory: true}])
	}
}

// outOfMemory is how many processes the kernel has killed for want of memory.
func (d *danger) outOfMemory() (killed int) {
	d.t.Helper()
	events, err := d.agent.Read(d.ctx, agent.Groups+"/"+group+"/memory.events")
	d.ok(err)
	for line := range strings.Lines(events) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			killed, err = strconv.Atoi(strings.TrimSpace(n))
			d.ok(err)
		}
	}
	return killed
}
