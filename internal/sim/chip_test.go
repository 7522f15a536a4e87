package sim_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/gpiochip"
	"edge/internal/gpiochip/gpiochiptest"
	"edge/internal/sim"
)

func TestChip(t *testing.T) {
	gpiochiptest.TestChip(t, func(t *testing.T) (gpiochip.Chip, gpiochiptest.Wires) {
		c := sim.NewChip("sim", make([]string, gpiochiptest.Lines)...)
		return open(t, c), c
	})
}

// TestNoGlitch asks for outputs in all ways on lines that idle at either level:
// the level goes to the wanted one in at most one step.
func TestNoGlitch(t *testing.T) {
	for _, idle := range []gpiochip.Bias{gpiochip.PullUp, gpiochip.PullDown} {
		for _, cfg := range []gpiochip.LineConfig{
			{Value: false}, {Value: true}, {ActiveLow: true}, {ActiveLow: true, Value: true},
		} {
			c := sim.NewChip("sim", "")
			c.Resistor(0, idle)
			c.Trace(0)
			cfg.Direction = gpiochip.Output
			if _, err := open(t, c).Request(gpiochip.Request{Lines: []gpiochip.LineConfig{cfg}}); err != nil {
				t.Fatal(err)
			}
			want := slices.Compact([]bool{idle == gpiochip.PullUp, cfg.Value != cfg.ActiveLow})
			if got := c.Trace(0); !slices.Equal(got, want) {
				t.Errorf("idle %v, %+v: levels %t, want %t", idle, cfg, got, want)
			}
		}
	}
}

func TestDrives(t *testing.T) {
	for _, tt := range []struct {
		drive    gpiochip.Drive
		value    bool
		external bool
		want     bool
	}{
		{gpiochip.PushPull, true, false, true},
		{gpiochip.PushPull, false, true, false},
		{gpiochip.OpenDrain, false, true, false},
		{gpiochip.OpenDrain, true, true, true},
		{gpiochip.OpenDrain, true, false, false},
		{gpiochip.OpenSource, true, false, true},
		{gpiochip.OpenSource, false, true, true},
		{gpiochip.OpenSource, false, false, false},
	} {
		c := sim.NewChip("sim", "")
		c.Drive(0, tt.external)
		cfg := gpiochip.LineConfig{Direction: gpiochip.Output, Drive: tt.drive, Value: tt.value}
		if _, err := open(t, c).Request(gpiochip.Request{Lines: []gpiochip.LineConfig{cfg}}); err != nil {
			t.Fatal(err)
		}
		if got := c.Level(0); got != tt.want {
			t.Errorf("%v %t against %t outside: level %t, want %t", tt.drive, tt.value, tt.external, got, tt.want)
		}
	}
}

func TestHolderFloatAndReplug(t *testing.T) {
	c := sim.NewChip("sim", "BUTTON")
	c.Resistor(0, gpiochip.PullUp)
	c.Hold(0, "w1")
	near := open(t, c)
	ask := gpiochip.Request{Consumer: "edge:button", Lines: []gpiochip.LineConfig{{Direction: gpiochip.Input}}}
	_, err := near.Request(ask)
	var busy *gpiochip.BusyError
	if !errors.As(err, &busy) || busy.Line.Consumer != "w1" || busy.Line.Name != "BUTTON" {
		t.Errorf("Request of a line that w1 holds = %v, want a BusyError that names both", err)
	}
	c.Hold(0, "")
	c.Drive(0, false)
	if c.Level(0) {
		t.Error("a pressed button is high")
	}
	c.Float(0)
	if !c.Level(0) {
		t.Error("a button that was let go is low, against its resistor")
	}

	c.Unplug()
	if _, err := c.Open(); !errors.Is(err, gpiochip.ErrGone) {
		t.Errorf("Open of a chip that is not there = %v, want ErrGone", err)
	}
	c.Replug()
	if _, err := near.Request(ask); !errors.Is(err, gpiochip.ErrGone) {
		t.Errorf("Request on the handle of before = %v, want ErrGone", err)
	}
	if _, err := open(t, c).Request(ask); err != nil {
		t.Errorf("Request on a new handle = %v", err)
	}
}

// TestDebounceTime checks to the nanosecond what the contract cannot: the event
// comes when the line has been still for the whole period.
func TestDebounceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 10 * time.Millisecond
		c := sim.NewChip("sim", "")
		lines, err := open(t, c).Request(gpiochip.Request{Lines: []gpiochip.LineConfig{
			{Direction: gpiochip.Input, Edges: gpiochip.BothEdges, Debounce: period},
		}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range 5 {
			c.Drive(0, i%2 == 0)
			<-time.After(period - 1)
		}
		e, err := lines.ReadEvent(t.Context())
		if err != nil || e.Edge != gpiochip.Rising {
			t.Fatalf("ReadEvent = %+v, %v, want a rising edge", e, err)
		}
		if got, want := time.Since(start), 5*period-4; got != want {
			t.Errorf("the edge came after %v, want %v", got, want)
		}
	})
}

func open(t *testing.T, c *sim.Chip) gpiochip.Chip {
	t.Helper()
	near, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near
}
