package sim_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/gpiochip"
	"edge/internal/sim"
)

func TestBoard(t *testing.T) {
	b := sim.NewBoard()
	if _, err := b.Open("pinctrl-rp1"); err == nil {
		t.Error("Open of a chip that the board does not have succeeds")
	}
	chip, err := b.Open("")
	if err != nil {
		t.Fatal(err)
	}
	relay := gpiochip.LineConfig{Offset: sim.RelayLine(2), Direction: gpiochip.Output, ActiveLow: true}
	pulled := func(o uint32) gpiochip.LineConfig {
		return gpiochip.LineConfig{Offset: o, Direction: gpiochip.Input, Bias: gpiochip.PullUp}
	}
	lines, err := chip.Request(gpiochip.Request{Lines: []gpiochip.LineConfig{
		relay, pulled(sim.ButtonLine(1)), pulled(sim.Door), {Offset: sim.Motion, Direction: gpiochip.Input},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func()
		want uint64
	}{
		{"at rest", func() {}, 0b0010},
		{"button down", func() { b.Press(1) }, 0b0000},
		{"button up", func() { b.Release(1) }, 0b0010},
		{"door open", func() { b.SetDoor(true) }, 0b0110},
		{"door shut", func() { b.SetDoor(false) }, 0b0010},
		{"motion", func() { b.SetMotion(true) }, 0b1010},
		{"relay on", func() { _ = lines.SetValues(1, 1) }, 0b1011},
	} {
		step.do()
		if got, err := lines.Values(0b1111); err != nil || got != step.want {
			t.Errorf("%s: motion, door, button, relay = %04b, %v, want %04b", step.name, got, err, step.want)
		}
	}
	if !b.Relay(2) || b.Relay(0) {
		t.Errorf("relays 2 and 0 are %t and %t, want true and false", b.Relay(2), b.Relay(0))
	}
}

// TestLive checks that a life is the same for the same seed, that everything
// happens in it, and that it ends with its context.
func TestLive(t *testing.T) {
	live := func(seed uint64) (trace []string) {
		synctest.Test(t, func(t *testing.T) {
			b := sim.NewBoard()
			b.Header.Resistor(sim.ButtonLine(0), gpiochip.PullUp)
			b.Header.Resistor(sim.ButtonLine(1), gpiochip.PullUp)
			b.Header.Resistor(sim.Door, gpiochip.PullUp)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			start := time.Now()
			b.Live(ctx, seed)
			if got := time.Since(start); got != 10*time.Minute {
				t.Errorf("a life of 10m lasted %v", got)
			}
			for _, o := range []uint32{sim.Door, sim.Motion, sim.ButtonLine(0), sim.ButtonLine(1)} {
				levels := b.Header.Trace(o)
				if len(levels) < 5 {
					t.Errorf("seed %d: GPIO%d changed %d times in 10 minutes", seed, o, len(levels)-1)
				}
				trace = append(trace, fmt.Sprint(o, levels))
			}
		})
		return trace
	}
	first := live(1)
	if again := live(1); !slices.Equal(first, again) {
		t.Errorf("two lives of seed 1 differ:\n%s\n%s", first, again)
	}
	if other := live(2); slices.Equal(first, other) {
		t.Error("the lives of seeds 1 and 2 are the same")
	}
}
