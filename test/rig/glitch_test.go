//go:build linux

package rig

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// A relay is an output under watch, and what its line may be.
type relay struct {
	id        string
	line      int
	initial   string
	onExit    string
	activeLow bool
}

// relays have every combination of what decides about levels at the start and at the end.
func relays() []relay {
	var all []relay
	for _, initial := range []string{"off", "on", "last", "inverted-last"} {
		for _, onExit := range []string{"off", "on", "keep"} {
			for _, activeLow := range []bool{false, true} {
				id := fmt.Sprintf("%s-%s-%t", initial, onExit, activeLow)
				all = append(all, relay{id, len(all), initial, onExit, activeLow})
			}
		}
	}
	return all
}

func relayPins(all []relay, debounce string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "      debounce: %s\n      pins:\n", debounce)
	for _, r := range all {
		fmt.Fprintf(&b, "        - {id: %s, chip: %s, offset: %d, direction: output, active_low: %t, initial: %q, on_exit: %q}\n",
			r.id, label, r.line, r.activeLow, r.initial, r.onExit)
	}
	return b.String()
}

// level is that of a state.
func (r relay) level(on bool) bool { return on != r.activeLow }

// rest is the level of the line when nobody holds it: the board's resistor makes it that
// which is safe, as on a good relay board.
func (r relay) rest() bool { return r.level(r.onExit == "on") }

// leaving is the levels that the line is given at the end.
func (r relay) leaving() []bool {
	if r.onExit == "keep" {
		return nil
	}
	return []bool{r.level(r.onExit == "on")}
}

// number is what a variable of the environment says, or what CI has time for.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestNoGlitch watches the lines of relays while edge starts, reloads, stops and
// is killed. A line must never have a level that its configuration does not ask
// for at that time: not in any sample, and not in the kernel's own record of what
// lines were given, which misses none however short.
func TestNoGlitch(t *testing.T) {
	all := relays()
	h := newHub(t, relayPins(all, "1ms"))
	w := &glitches{hub: h, relays: all}
	for _, r := range all {
		h.pull(r.line, r.rest())
	}
	const reloads = 7 // of one process, which is quicker than to start another
	n := 0
	for life := 0; n < number(t, "RIG_CYCLES", 60); life++ {
		w.start()
		if life == 0 {
			w.remember()
		}
		for i := range reloads {
			w.reload(fmt.Sprintf("%dms", 2+i))
		}
		w.end([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[life%2])
		n += 1 + reloads
		if life%10 == 9 {
			t.Logf("%d rounds, no glitch", n)
		}
	}
	t.Logf("%d cycles of %d outputs: %d samples of each, %v apart at most; %d levels given",
		n, len(all), w.rounds, w.longest, w.given)
}

// A glitches looks for them.
type glitches struct {
	*hub
	relays  []relay
	on      map[string]bool // the relays' states
	rounds  int
	longest time.Duration
	given   int
}

func (w *glitches) watch() {
	w.t.Helper()
	var lines []int
	for _, r := range w.relays {
		lines = append(lines, r.line)
	}
	w.ok(w.agent.Watch(w.ctx, agent.Watch{Lines: lines}))
}

// states waits for the states that all relays have after a start, and checks those that
// are known.
func (w *glitches) states() {
	w.t.Helper()
	before := w.on
	w.on = make(map[string]bool)
	for _, r := range w.relays {
		w.on[r.id] = w.awaitThat(topic(r.id), "a state", func(string) bool { return true }) == "ON"
		switch {
		case r.initial == "off" || r.initial == "on":
			if w.on[r.id] != (r.initial == "on") {
				w.t.Errorf("%s begins on: %t", r.id, w.on[r.id])
			}
		case before == nil:
			if w.on[r.id] {
				w.t.Errorf("%s begins on: %t without anything to remember", r.id, w.on[r.id])
			}
		case r.initial == "last" && w.on[r.id] != before[r.id]:
			w.t.Errorf("%s begins on: %t, and was on: %t", r.id, w.on[r.id], before[r.id])
		case r.initial == "inverted-last" && w.on[r.id] == before[r.id]:
			w.t.Errorf("%s begins as it was, on: %t", r.id, w.on[r.id])
		}
	}
}

// start starts edge: from rest to what initial says.
func (w *glitches) start() {
	w.t.Helper()
	w.watch()
	w.run()
	w.states()
	w.check("start", func(r relay) (given, after []bool) {
		return []bool{r.level(w.on[r.id])}, []bool{r.level(w.on[r.id])}
	}, func(r relay) bool { return r.rest() })
}

// remember has some of the outputs remember that they were on.
func (w *glitches) remember() {
	w.t.Helper()
	for _, r := range w.relays {
		if r.initial == "last" {
			w.command(r.id, "ON")
			w.on[r.id] = true
		}
	}
}

// reload has edge give the lines back and take them again: what on_exit says, rest, and
// what initial says.
func (w *glitches) reload(debounce string) {
	w.t.Helper()
	w.watch()
	w.configure(relayPins(w.relays, debounce))
	before := w.on
	w.forget()
	w.signal(syscall.SIGHUP)
	w.await(topic("status"), "online")
	w.states()
	w.check("reload", func(r relay) (given, after []bool) {
		begin := r.level(w.on[r.id])
		given = append(r.leaving(), begin)
		return given, append(r.leaving(), r.rest(), begin)
	}, func(r relay) bool { return r.level(before[r.id]) })
}

// end ends edge. If it is killed, nothing is given, and the line goes to rest at once.
func (w *glitches) end(s syscall.Signal) {
	w.t.Helper()
	w.watch()
	w.hub.end(s)
	w.check(s.String(), func(r relay) (given, after []bool) {
		if s != syscall.SIGKILL {
			given = r.leaving()
		}
		return given, append(slices.Clone(given), r.rest())
	}, func(r relay) bool { return r.level(w.on[r.id]) })
}

// check ends the watch. path says what a line should have been given, and the
// levels that it may then have had, in their order, of which those that were short may
// have been missed; before is its level at the beginning.
func (w *glitches) check(phase string, path func(relay) (given, levels []bool), before func(relay) bool) {
	w.t.Helper()
	seen, err := w.agent.Seen(w.ctx)
	w.ok(err)
	w.rounds += seen.Rounds
	w.given += len(seen.Given)
	w.longest = max(w.longest, seen.Longest)
	for _, r := range w.relays {
		want, levels := path(r)
		if given := of(r.line, seen.Given); !slices.Equal(given, want) {
			w.t.Errorf("%s: the line of %s is given %v, want %v", phase, r.id, given, want)
		}
		allowed := append([]bool{before(r)}, levels...)
		got := []bool{seen.First[r.line]}
		for _, c := range seen.Changes {
			if c.Line == r.line {
				got = append(got, c.High)
			}
		}
		if got[0] != allowed[0] || got[len(got)-1] != allowed[len(allowed)-1] || !within(got, allowed) {
			w.t.Errorf("%s: the line of %s is seen as %v, want %v or less of it", phase, r.id, got, allowed)
		}
	}
	if w.t.Failed() {
		w.t.FailNow() // The next would fail the same.
	}
}

func of(line int, given []agent.Change) []bool {
	var of []bool
	for _, l := range given {
		if l.Line == line {
			of = append(of, l.High)
		}
	}
	return of
}

// within reports whether got is what is left of levels when some are taken out.
func within(got, levels []bool) bool {
	for _, l := range levels {
		if len(got) > 0 && got[0] == l {
			got = got[1:]
		}
	}
	return len(got) == 0
}
