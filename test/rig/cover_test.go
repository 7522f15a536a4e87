//go:build linux

package rig

import (
	"cmp"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
)

// A shutter is a cover: the lines of its motor, and what they must be.
const (
	shutterUp   = 0 // active low
	shutterDown = 1
	deadTime    = 50 * time.Millisecond

	shutterPins = `
      pins:
        - {id: up, pin: GPIO0, direction: output, active_low: true}
        - {id: down, pin: GPIO1, direction: output}
      covers:
        - {id: shutter, open: up, close: down, dead_time: 50ms, open_time: 1s, close_time: 1s}
`
)

// TestCover commands a cover at random, and reloads, stops and kills edge on the way. By
// what the kernel says that it has given to the lines, the motor is never driven both ways,
// and never the other way before the dead time is over.
func TestCover(t *testing.T) {
	h := newHub(t, shutterPins)
	h.pull(shutterUp, true)
	s := &shutter{hub: h, random: rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))}
	for range number(t, "RIG_COVER_LIVES", 2) {
		s.life()
	}
	t.Logf("%d commands: driven %d times, turned round %d times, after %v at least", s.commands, s.driven, s.turned, s.soonest)
	if s.turned == 0 {
		t.Error("the cover has never turned round, so this has shown nothing")
	}
}

type shutter struct {
	*hub
	random                   *rand.Rand
	commands, driven, turned int
	soonest                  time.Duration // from off to on the other way
}

// life commands a cover from the start of edge to its end.
func (s *shutter) life() {
	s.t.Helper()
	s.ok(s.agent.Watch(s.ctx, agent.Watch{Lines: []int{shutterUp, shutterDown}}))
	s.launch()
	s.refuses("shutter")
	for range 12 {
		for range 1 + s.random.IntN(3) {
			words := []string{"OPEN", "CLOSE", "STOP", strconv.Itoa(s.random.IntN(101))}
			s.client.Publish(topic("shutter", "set"), 0, false, words[s.random.IntN(len(words))])
			s.commands++
		}
		s.pass(time.Duration(s.random.IntN(300)) * time.Millisecond)
	}
	s.end([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[s.random.IntN(2)])
	seen, err := s.agent.Seen(s.ctx)
	s.ok(err)
	s.judge(seen.Given)
}

// pass returns when so much of the guest's time has passed.
func (s *shutter) pass(d time.Duration) {
	s.t.Helper()
	_, err := s.agent.Await(s.ctx, agent.Await{Levels: map[int]bool{lines - 1: true}, Within: d}) // Nobody drives it.
	s.ok(err)
}

// judge goes through what the lines were given in a life, at the beginning of which the
// motor stands still.
func (s *shutter) judge(given []agent.Change) {
	s.t.Helper()
	way, off := -1, [2]time.Duration{} // -1: it stands still
	for _, c := range given {
		if c.Line != shutterUp && c.Line != shutterDown {
			continue
		}
		on := c.High != (c.Line == shutterUp)
		other := shutterUp + shutterDown - c.Line
		switch {
		case on && way == other:
			s.t.Fatalf("the motor is driven both ways after %v: %v", c.At, given)
		case on && way < 0:
			s.driven++
			if pause := c.At - off[other]; off[other] > 0 {
				s.turned++
				s.soonest = min(pause, cmp.Or(s.soonest, pause))
				if pause < deadTime-time.Microsecond { // of which the trace leaves parts out
					s.t.Fatalf("the motor turns round within %v, want %v at least: %v", pause, deadTime, given)
				}
				off[other] = 0
			}
			way = c.Line
		case !on && way == c.Line:
			way, off[c.Line] = -1, c.At
		}
	}
}
