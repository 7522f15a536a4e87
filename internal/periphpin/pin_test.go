package periphpin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"

	"edge/internal/gpiochip"
	"edge/internal/periphpin"
	"edge/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The names of tests say which mistake of periph's gpioioctl they are about.

const line = 3

// newPin returns a pin of a chip on which nothing is connected to it.
func newPin(t *testing.T) (*periphpin.Pin, *sim.Chip) {
	t.Helper()
	chip := sim.NewChip("sim", "", "", "", "GPIO3")
	p := periphpin.New(chip.Open, "GPIO3", line, gpio.PullUp)
	t.Cleanup(func() { p.Close() })
	return p, chip
}

// do fails the test if a call that it depends on does not succeed.
func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAskingChangesNothing: Read, Func and Function of an output made it an input.
func TestAskingChangesNothing(t *testing.T) {
	for _, level := range []gpio.Level{gpio.Low, gpio.High} {
		p, chip := newPin(t)
		do(t, p.Out(level))
		chip.Trace(line)
		got := fmt.Sprintln(p.Read(), p.Func(), p.Function(), p, p.Pull(), p.DefaultPull(), p.Number(), p.Name())
		want := fmt.Sprintf("%s Out/%s Out/%s GPIO3(3) PullNoChange PullUp 3 GPIO3\n", level, level, level)
		if got != want {
			t.Errorf("an output that is %s says %s, want %s", level, got, want)
		}
		if trace := chip.Trace(line); !chip.Driven(line) || !slices.Equal(trace, []bool{bool(level)}) {
			t.Errorf("being asked made it %t, driven: %t; want it to stay %s", trace, chip.Driven(line), level)
		}
	}
}

// TestAskingBefore asks a pin that has not requested its line.
func TestAskingBefore(t *testing.T) {
	p, chip := newPin(t)
	chip.Drive(line, true)
	if p.Read() != gpio.Low || p.Func() != gpio.IN || p.Pull() != gpio.PullNoChange {
		t.Errorf("a free line is %s, %s, %s; want Low, IN, PullNoChange", p.Read(), p.Func(), p.Pull())
	}
	if _, err := request(chip, gpiochip.Output); err != nil {
		t.Errorf("the line is held by who only asked: %v", err)
	}
	if got := p.Func(); got != gpio.OUT {
		t.Errorf("an output of somebody else is %s, want OUT", got)
	}
}

func request(c *sim.Chip, d gpiochip.Direction) (gpiochip.Lines, error) {
	chip, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	return chip.Request(gpiochip.Request{Consumer: "other", Lines: []gpiochip.LineConfig{{Offset: line, Direction: d}}})
}

// TestFirstLevel: the first Out(High) drove low before.
func TestFirstLevel(t *testing.T) {
	p, chip := newPin(t)
	chip.Resistor(line, gpiochip.PullUp)
	chip.Trace(line)
	do(t, p.Out(gpio.High))
	for range 10 {
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		do(t, p.Out(gpio.High))
	}
	if got := chip.Trace(line); !slices.Equal(got, []bool{true}) {
		t.Errorf("a line that was only ever to be high was %t", got)
	}
}

// TestWaitForEver: WaitForEdge(-1) returned at once, and 0 waited for ever.
func TestWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, chip := newPin(t)
		do(t, p.In(gpio.PullDown, gpio.RisingEdge))
		start := time.Now()
		if p.WaitForEdge(0) || p.WaitForEdge(time.Hour) {
			t.Error("there was an edge")
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+time.Second {
			t.Errorf("waiting for 0 and for an hour took %v", took)
		}
		got := make(chan bool)
		go func() { got <- p.WaitForEdge(-1) }()
		time.Sleep(100 * time.Hour)
		chip.Drive(line, true)
		if !<-got || time.Since(start) < 101*time.Hour {
			t.Errorf("WaitForEdge(-1) ends after %v, want an edge after 101h", time.Since(start))
		}
		chip.Drive(line, false)
		chip.Drive(line, true)
		if !p.WaitForEdge(0) {
			t.Error("WaitForEdge(0) does not see an edge that has come before")
		}
	})
}

// TestHaltAndIn: Halt before a wait was lost, and In during one did not end it.
func TestHaltAndIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, chip := newPin(t)
		for name, end := range map[string]func() error{
			"Halt":  p.Halt,
			"In":    func() error { return p.In(gpio.PullUp, gpio.BothEdges) },
			"Out":   func() error { return p.Out(gpio.High) },
			"Close": p.Close,
		} {
			do(t, p.In(gpio.PullUp, gpio.BothEdges))
			got := make(chan bool)
			go func() { got <- p.WaitForEdge(-1) }()
			synctest.Wait()
			do(t, end())
			if <-got {
				t.Errorf("%s made a wait end with an edge", name)
			}
		}
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		do(t, p.Halt())
		chip.Drive(line, false)
		if p.WaitForEdge(-1) {
			t.Error("a pin that was halted before has an edge")
		}
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		chip.Drive(line, true)
		if !p.WaitForEdge(-1) {
			t.Error("In does not end what Halt began")
		}
		do(t, p.Out(gpio.High))
		do(t, p.Halt())
		if !chip.Driven(line) || !chip.Level(line) {
			t.Error("Halt let go of an output")
		}
	})
}

// TestNoStaleEdge: In delivered edges from before.
func TestNoStaleEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, chip := newPin(t)
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		for i := range 5 {
			chip.Drive(line, i%2 == 0)
		}
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		if p.WaitForEdge(time.Second) {
			t.Error("an edge from before In is delivered after it")
		}
	})
}

// TestManyEdges: 16 edges were kept, and nobody could know of others.
func TestManyEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, edges := range []int{40, 256, 1000} {
			p, chip := newPin(t)
			do(t, p.In(gpio.PullDown, gpio.BothEdges))
			for i := range edges {
				chip.Drive(line, i%2 == 0)
			}
			n := 0
			for p.WaitForEdge(0) {
				n++
			}
			if kept := min(edges, 256); n != kept || n+int(p.Lost()) != edges {
				t.Errorf("of %d edges %d come and %d are lost, want %d to come and all to be known", edges, n, p.Lost(), kept)
			}
		}
	})
}

// TestErrorsAreErrors: errors.Is did not know EBUSY.
func TestErrorsAreErrors(t *testing.T) {
	p, chip := newPin(t)
	chip.Hold(line, "gpioset")
	for name, err := range map[string]error{"In": p.In(gpio.PullUp, gpio.NoEdge), "Out": p.Out(gpio.High), "Err": p.Err()} {
		var busy *gpiochip.BusyError
		if !errors.Is(err, syscall.EBUSY) || !errors.As(err, &busy) || busy.Line.Consumer != "gpioset" {
			t.Errorf("%s of a line that is held = %v, want EBUSY and gpioset", name, err)
		}
	}
	if err := p.PWM(gpio.DutyHalf, physic.KiloHertz); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("PWM = %v, want ErrUnsupported", err)
	}
	for _, f := range []pin.Func{gpio.OUT, gpio.PWM, pin.FuncNone} {
		if p.SetFunc(f) == nil {
			t.Errorf("SetFunc(%q) succeeds, want an error", f)
		}
	}
	if p.In(gpio.Pull(9), gpio.NoEdge) == nil || p.In(gpio.PullUp, gpio.Edge(9)) == nil {
		t.Error("In takes a pull or an edge that there is not")
	}
}

// TestGone: after the chip was unplugged a loop around WaitForEdge spun.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, chip := newPin(t)
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		chip.Unplug()
		start, rounds := time.Now(), 0
		for time.Since(start) < 10*time.Second {
			rounds++
			if p.WaitForEdge(time.Second) {
				t.Error("a chip that is gone has an edge")
			}
		}
		if rounds != 10 || !errors.Is(p.Err(), gpiochip.ErrGone) {
			t.Errorf("%d waits of 1s in 10s, and the error %v; want 10 and ErrGone", rounds, p.Err())
		}
		if p.Read() != gpio.Low || !errors.Is(p.Out(gpio.High), gpiochip.ErrGone) {
			t.Errorf("Read or Out of a chip that is gone: %v, want ErrGone", p.Err())
		}
		chip.Replug()
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
		chip.Drive(line, false)
		if !p.WaitForEdge(-1) || p.Err() != nil {
			t.Errorf("no edge of a chip that is back: %v", p.Err())
		}
	})
}

// TestWaitWithoutEdges waits on lines from which none can come.
func TestWaitWithoutEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, chip := newPin(t)
		for name, begin := range map[string]func() error{
			"closed": p.Close,
			"output": func() error { return p.Out(gpio.Low) },
			"input":  func() error { return p.In(gpio.PullUp, gpio.NoEdge) },
		} {
			do(t, begin())
			start := time.Now()
			chip.Drive(line, true)
			if p.WaitForEdge(time.Minute) || time.Since(start) != time.Minute {
				t.Errorf("%s: WaitForEdge(1m) ends after %v", name, time.Since(start))
			}
			chip.Drive(line, false)
		}
	})
}

func TestPulls(t *testing.T) {
	p, chip := newPin(t)
	for pull, want := range map[gpio.Pull]gpiochip.Bias{
		gpio.PullUp: gpiochip.PullUp, gpio.PullDown: gpiochip.PullDown, gpio.Float: gpiochip.BiasDisabled,
	} {
		do(t, p.In(pull, gpio.NoEdge))
		near, err := chip.Open()
		do(t, err)
		info, err := near.LineInfo(line)
		if err != nil || info.Config.Bias != want || p.Pull() != pull {
			t.Errorf("after In(%s): bias %s, Pull() = %s, %v; want %s", pull, info.Config.Bias, p.Pull(), err, want)
		}
		if got := p.Read(); bool(got) != (pull == gpio.PullUp) {
			t.Errorf("a line with %s reads as %s", pull, got)
		}
	}
	chip.Drive(line, false)
	do(t, p.SetFunc(gpio.IN))
	if p.Pull() != gpio.PullNoChange || p.Func() != gpio.IN_LOW {
		t.Errorf("after SetFunc(IN): %s, %s, want PullNoChange and In/Low", p.Pull(), p.Func())
	}
	do(t, p.SetFunc(gpio.OUT_HIGH))
	if p.Pull() != gpio.PullNoChange || !chip.Driven(line) || !chip.Level(line) {
		t.Errorf("after SetFunc(OUT_HIGH): pull %s, driven %t, high %t", p.Pull(), chip.Driven(line), chip.Level(line))
	}
}

// TestTogether uses a pin from several goroutines at once: for the race detector.
func TestTogether(t *testing.T) {
	p, chip := newPin(t)
	do(t, p.In(gpio.PullUp, gpio.BothEdges))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range 2 {
		go func() {
			for ctx.Err() == nil {
				p.WaitForEdge(time.Hour)
			}
			done <- struct{}{}
		}()
	}
	for i := range 200 {
		chip.Drive(line, i%2 == 0)
		p.Read()
		_ = p.Func()
		do(t, p.In(gpio.PullUp, gpio.BothEdges))
	}
	cancel()
	for range 2 {
		do(t, p.Halt())
		<-done
	}
}

// other is a pin of another driver.
type other struct{ gpio.PinIO }

func (other) Name() string { return "GPIO3" }

func TestRegister(t *testing.T) {
	p, _ := newPin(t)
	do(t, gpioreg.Register(other{gpio.INVALID}))
	t.Cleanup(func() { _ = gpioreg.Unregister("GPIO3") })
	for range 2 {
		do(t, periphpin.Register(p))
		if got := gpioreg.ByName("GPIO3"); got != gpio.PinIO(p) {
			t.Errorf("GPIO3 is %v, want %v", got, p)
		}
	}
	if err := periphpin.Register(periphpin.New(nil, "", 0, gpio.PullUp)); err == nil {
		t.Error("a pin without a name is registered")
	}
}
