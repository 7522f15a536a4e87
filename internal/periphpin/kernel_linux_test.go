package periphpin_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"edge/internal/gpiochip"
	"edge/internal/gpiochip/gpiochiptest"
	"edge/internal/periphpin"
	"edge/internal/sim"
)

// TestKernelPin has a pin of a chip of the kernel. It needs what TestKernelChip of
// package gpiochip needs.
func TestKernelPin(t *testing.T) {
	w := gpiochiptest.NewKernelSim(t)
	testPin(t, func() (gpiochip.Chip, error) { return gpiochip.Open(w.Path()) }, w)
}

// TestSimPin has the same pin of a simulated chip.
func TestSimPin(t *testing.T) {
	chip := sim.NewChip("sim", make([]string, gpiochiptest.Lines)...)
	testPin(t, chip.Open, chip)
}

// testPin is what must hold of a pin on any chip. What needs time of its own or a
// record of levels is tested on the simulated one alone.
func testPin(t *testing.T, open func() (gpiochip.Chip, error), w gpiochiptest.Wires) {
	p := periphpin.New(open, "GPIO3", line, gpio.PullUp)
	defer p.Close()
	for _, level := range []gpio.Level{gpio.High, gpio.Low, gpio.High} {
		do(t, p.Out(level))
		if got := p.Read(); got != level || p.Function() != "Out/"+level.String() || w.Level(line) != bool(level) {
			t.Errorf("an output that was set %s is %s, %s, and its line high: %t", level, got, p.Function(), w.Level(line))
		}
	}

	do(t, p.In(gpio.PullDown, gpio.BothEdges))
	for i := range 5 {
		w.Drive(line, i%2 == 0)
	}
	do(t, p.In(gpio.PullNoChange, gpio.BothEdges))
	if p.WaitForEdge(20 * time.Millisecond) {
		t.Error("an edge from before In is delivered after it")
	}
	w.Drive(line, false)
	if !p.WaitForEdge(-1) || p.Read() != gpio.Low {
		t.Errorf("no edge to low, but %s: %v", p.Read(), p.Err())
	}
	ended := make(chan bool)
	go func() { ended <- p.WaitForEdge(-1) }()
	do(t, p.Halt())
	if <-ended {
		t.Error("Halt made a wait end with an edge")
	}

	do(t, p.In(gpio.PullUp, gpio.NoEdge))
	second := periphpin.New(open, "SECOND", line, gpio.PullUp)
	if err := second.Out(gpio.Low); !errors.Is(err, syscall.EBUSY) || !strings.HasPrefix(p.Function(), "In/") {
		t.Errorf("Out of a line that is held = %v, and it is %s; want EBUSY, and an input", err, p.Function())
	}

	w.(gpiochiptest.Unplugger).Unplug()
	if got := p.Read(); got != gpio.Low || !errors.Is(p.Err(), gpiochip.ErrGone) {
		t.Errorf("a pin whose chip is gone is %s, %v; want ErrGone", got, p.Err())
	}
	if p.In(gpio.PullUp, gpio.BothEdges) == nil {
		t.Error("In of a pin whose chip is gone succeeds")
	}
}
