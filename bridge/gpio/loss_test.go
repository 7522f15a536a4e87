package gpio_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

func TestBusyLine(t *testing.T) {
	board := sim.NewBoard()
	board.Header.Hold(sim.ButtonLine(0), "gpiomon")
	board.Header.Trace(sim.RelayLine(0))
	cfg := boardConfig()
	cfg.Pins[0].Initial = gpio.On
	err := gpio.New(base, cfg, log).WithChips(board.Open).Run(t.Context(), new(bridgetest.Client))
	want := `pin "button1": line 23 (GPIO23) of sim-header is held by "gpiomon"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run = %v, want %s", err, want)
	}
	if got := board.Header.Trace(sim.RelayLine(0)); board.Header.Driven(sim.RelayLine(0)) || len(got) != 1 {
		t.Errorf("a bridge that could not take all its lines made relay1 %t, want it left alone", got)
	}
}

// TestRefusedInput has a chip that refuses to watch a line, which only the
// request can find out.
func TestRefusedInput(t *testing.T) {
	board := sim.NewBoard()
	board.Header.Trace(sim.RelayLine(0))
	cfg := boardConfig()
	cfg.Pins[0].Initial = gpio.On
	deaf := func(label string) (gpiochip.Chip, error) {
		chip, err := board.Open(label)
		return noEdges{chip}, err
	}
	err := gpio.New(base, cfg, log).WithChips(deaf).Run(t.Context(), new(bridgetest.Client))
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Run = %v, want the refusal", err)
	}
	if got := board.Header.Trace(sim.RelayLine(0)); len(got) != 1 {
		t.Errorf("a bridge whose input was refused made relay1 %t, want it left alone", got)
	}
}

// noEdges is a chip without interrupts.
type noEdges struct{ gpiochip.Chip }

func (c noEdges) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	if r.Lines[0].Edges != 0 {
		return nil, errors.ErrUnsupported
	}
	return c.Chip.Request(r)
}

func TestNoSuchLine(t *testing.T) {
	far := 28
	for name, tt := range map[string]struct {
		pin  gpio.Pin
		want string
	}{
		"name":   {gpio.Pin{Line: "PIN3"}, `sim-header has no line that is called "PIN3"`},
		"offset": {gpio.Pin{Offset: &far}, "sim-header has lines 0 to 27, not 28"},
		"chip":   {gpio.Pin{Chip: "pcf8574", Offset: new(int)}, `no chip "pcf8574"`},
	} {
		tt.pin.ID, tt.pin.Direction = "x", gpio.Input
		cfg := gpio.Config{Pins: []gpio.Pin{tt.pin}}
		err := gpio.New(base, cfg, log).WithChips(sim.NewBoard().Open).Run(t.Context(), new(bridgetest.Client))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Run = %v, want %s", name, err, tt.want)
		}
	}
}

// TestUnplug takes the only chip away from a bridge that is supervised, and
// brings it back.
func TestUnplug(t *testing.T) {
	for _, outputsOnly := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
			cfg := boardConfig()
			if outputsOnly {
				cfg.Pins = cfg.Pins[:4]
			}
			b := gpio.New(base, cfg, log).WithChips(r.board.Open)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				bridge.Supervise(ctx, base, b, r.client, log)
				close(done)
			}()
			bridgetest.Expect(t, r.client, base.Status(), "online")
			r.send("relay1", "ON")
			r.expect("relay1", "ON")

			unplugged := time.Now()
			r.board.Header.Unplug()
			bridgetest.Expect(t, r.client, base.Status(), "offline")
			if got := time.Since(unplugged); got > 0 {
				t.Errorf("offline came after %v, want it at once", got)
			}
			r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
			r.board.Header.Replug()
			bridgetest.Expect(t, r.client, base.Status(), "online")
			r.expect("relay1", "OFF")
			r.wantRelay(0, false)
			cancel()
			<-done
		})
	}
}

// TestExpander takes one of two chips away: the other's relay must not notice.
func TestExpander(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		expander := sim.NewChip("pcf8574", make([]string, 8)...)
		open := func(label string) (gpiochip.Chip, error) {
			if label == "pcf8574" {
				return expander.Open()
			}
			return r.board.Open(label)
		}
		lamp := 3
		cfg := boardConfig()
		cfg.Pins = append(cfg.Pins, gpio.Pin{ID: "lamp", Chip: "pcf8574", Offset: &lamp, Direction: gpio.Output})
		expander.Unplug() // It is not there at the start, either.
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		r.board.Header.Trace(sim.RelayLine(0))

		for range 2 {
			r.attr("lamp", func(a bridge.Attr) bool { return a.Quality == bridge.Offline && a.Error != "" })
			r.send("lamp", "ON")
			if got := r.result("lamp"); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "gone") {
				t.Errorf("a command to an output whose chip is gone: %+v, want it refused", got)
			}
			expander.Replug()
			r.expect("lamp", "OFF")
			r.send("lamp", "ON")
			r.expect("lamp", "ON")
			if got := r.result("lamp"); got.Status != bridge.StatusOK || !expander.Level(3) {
				t.Errorf("result %+v with the lamp on: %t, want ok and true", got, expander.Level(3))
			}
			expander.Unplug()
		}
		if got := r.board.Header.Trace(sim.RelayLine(0)); len(got) != 1 {
			t.Errorf("relay1 had the levels %t while the expander came and went", got)
		}
	})
}

// TestExitStates checks that the retained state is what the relay is after the
// bridge has ended.
func TestExitStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- gpio.New(base, boardConfig(), log).WithChips(r.board.Open).Run(ctx, r.client)
		}()
		bridgetest.Expect(t, r.client, base.Status(), "online")
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		r.expect("relay1", "OFF")
		if a := r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "exit" }); a.Counters["switched"] != 2 {
			t.Errorf("attr %+v, want 2 switched", a)
		}
	})
}

// deaf is a broker that takes nothing while it is stuck.
type deaf struct {
	bridge.Client
	stuck chan struct{} // closed when it takes messages again
}

func (d deaf) Publish(ctx context.Context, m bridge.Message) error {
	if strings.HasSuffix(m.Topic, "relay1") {
		select {
		case <-d.stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return d.Client.Publish(ctx, m)
}

// TestTimerDoesNotWaitForBroker lets the broker hang while a timed command runs.
func TestTimerDoesNotWaitForBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		d := deaf{r.client, make(chan struct{})}
		bridgetest.Run(t, d, gpio.New(base, boardConfig(), log).WithChips(r.board.Open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		synctest.Wait()
		r.send("relay1", `{"value":"ON","for":"5s"}`)
		r.wantRelay(0, true)
		<-time.After(5 * time.Second)
		r.wantRelay(0, false)
		close(d.stuck)
		r.expect("relay1", "ON")
		r.expect("relay1", "OFF")
	})
}

// broken is a chip whose outputs cannot be set for a while.
type broken struct {
	gpiochip.Chip
	fault *atomic.Pointer[error]
}

func (c broken) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	lines, err := c.Chip.Request(r)
	return brokenLines{lines, c.fault}, err
}

type brokenLines struct {
	gpiochip.Lines
	fault *atomic.Pointer[error]
}

func (l brokenLines) SetValues(mask, values uint64) error {
	if err := l.fault.Load(); err != nil {
		return *err
	}
	return l.Lines.SetValues(mask, values)
}

// TestFault lets an output fail for a while: commands say so, attr says so, and
// the end of a timed command is tried until it is done.
func TestFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		var fault atomic.Pointer[error]
		open := func(label string) (gpiochip.Chip, error) {
			chip, err := r.board.Open(label)
			return broken{chip, &fault}, err
		}
		bridgetest.Run(t, r.client, gpio.New(base, boardConfig(), log).WithChips(open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		r.send("relay1", `{"value":"ON","for":"5s"}`)
		r.expect("relay1", "ON")
		r.result("relay1")
		synctest.Wait()
		remote := errors.New("remote I/O error")
		fault.Store(&remote)
		r.send("relay1", "OFF")
		if got := r.result("relay1"); got.Status != bridge.StatusError || got.Value != "ON" || !strings.Contains(got.Reason, "remote I/O") {
			t.Errorf("result %+v, want an error and ON", got)
		}
		r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Bad && strings.Contains(a.Error, "remote I/O") })
		<-time.After(7*time.Second + time.Millisecond)
		r.wantRelay(0, true)
		fault.Store(nil)
		<-time.After(time.Second)
		r.wantRelay(0, false)
		r.expect("relay1", "OFF")
		r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Good && a.Cause == "timer" })
	})
}

// TestContendedOutput has something stronger outside on an open drain.
func TestContendedOutput(t *testing.T) {
	cfg := gpio.Config{Pins: []gpio.Pin{{ID: "bus", Pin: "GPIO5", Direction: gpio.Output, Drive: "open-drain"}}}
	bubble(t, cfg, func(r rig) {
		r.board.Header.Drive(5, false)
		r.send("bus", "ON")
		if got := r.result("bus"); got.Status != bridge.StatusError || got.Value != "OFF" || !strings.Contains(got.Reason, "something else") {
			r.Errorf("result %+v, want an error, and OFF as read back", got)
		}
		r.attr("bus", func(a bridge.Attr) bool { return a.Quality == bridge.Bad })
		r.board.Header.Float(5) // the pull-up of the board lets it rise: seen by the audit
		r.expect("bus", "ON")
		r.attr("bus", func(a bridge.Attr) bool { return a.Quality == bridge.Good && a.Cause == "re-read" })
	})
}
