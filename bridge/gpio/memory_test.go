package gpio_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// A life is one run of a bridge on a board that outlives it.
type life struct {
	boot string
	use  func(rig)
}

// lives runs bridges with cfg, one after the other, with gap between them.
func lives(t *testing.T, cfg gpio.Config, gap time.Duration, all ...life) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c, board := new(bridgetest.Client), sim.NewBoard()
		for _, l := range all {
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error)
			b := gpio.New(base, cfg, log).WithChips(board.Open).WithBoot(l.boot)
			board.Header.Trace(sim.RelayLine(0))
			go func() { over <- b.Run(ctx, c) }()
			synctest.Wait()
			l.use(rig{t, board, c})
			cancel()
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			time.Sleep(gap)
		}
	})
}

// TestInitialLast has a relay be what it was, from the first moment on, and for
// what is left of its time.
func TestInitialLast(t *testing.T) {
	for _, tt := range []struct {
		name          string
		initial, warm gpio.Initial
		command       string
		boot          string // of the second life
		gap           time.Duration
		want          bool
		ends          time.Duration // after the start, by itself; 0 is never
	}{
		{"last", "last", "", "ON", "b", time.Minute, true, 0},
		{"last, off", "last", "", "OFF", "b", time.Minute, false, 0},
		{"off", "off", "", "ON", "a", time.Minute, false, 0},
		{"inverted", "inverted-last", "", "ON", "b", time.Minute, false, 0},
		{"inverted, off", "inverted-last", "", "OFF", "b", time.Minute, true, 0},
		{"warm", "off", "last", "ON", "a", time.Minute, true, 0},
		{"cold", "off", "last", "ON", "b", time.Minute, false, 0},
		{"time is left", "last", "", `{"value":"ON","for":"5m"}`, "b", time.Minute, true, 4 * time.Minute},
		{"time is over", "last", "", `{"value":"ON","for":"30s"}`, "b", time.Minute, false, 0},
		{"time of OFF is over", "last", "", `{"value":"OFF","for":"30s"}`, "b", time.Minute, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := boardConfig()
			cfg.Pins[0].Initial, cfg.Pins[0].Warm = tt.initial, tt.warm
			first := life{"a", func(r rig) {
				r.send("relay1", tt.command)
				if got := r.result("relay1"); got.Status != bridge.StatusOK {
					r.Fatalf("%+v", got)
				}
			}}
			lives(t, cfg, tt.gap, first, life{tt.boot, func(r rig) {
				r.wantRelay(0, tt.want)
				if got := r.board.Header.Trace(sim.RelayLine(0)); len(got) > 2 {
					r.Errorf("on the way the line was %t", got)
				}
				if tt.ends == 0 {
					time.Sleep(time.Hour)
					r.wantRelay(0, tt.want)
					return
				}
				time.Sleep(tt.ends - time.Second)
				r.wantRelay(0, tt.want)
				time.Sleep(time.Second)
				r.wantRelay(0, !tt.want)
			}})
		})
	}
}

// TestInitialHardware has relays be what they are found to be, without another level
// between, after a crash on a board whose driver leaves lines as they are.
func TestInitialHardware(t *testing.T) {
	for _, on := range []bool{true, false} {
		cfg := boardConfig()
		cfg.Pins[0].Initial = gpio.Hardware
		cfg.Pins[1].Initial, cfg.Pins[1].Warm = gpio.Off, gpio.Hardware
		for i := range 2 {
			cfg.Pins[i].OnExit = gpio.Keep
		}
		first := life{"a", func(r rig) {
			r.board.Header.Stick()
			for _, relay := range []string{"relay1", "relay2"} {
				r.send(relay, map[bool]string{true: "ON", false: "OFF"}[on])
				r.done(relay)
			}
		}}
		lives(t, cfg, time.Minute, first, life{"a", func(r rig) {
			r.wantRelay(0, on)
			r.wantRelay(1, on)
			if got := r.board.Header.Trace(sim.RelayLine(0)); len(got) != 1 {
				r.Errorf("on the way the line was %t", got)
			}
			if on {
				r.expect("relay1", "ON")
			}
		}}, life{"b", func(r rig) {
			r.wantRelay(0, on)
			r.wantRelay(1, false) // After a cold start.
		}})
	}
}

// mute is a chip that cannot tell what a line is before it is requested.
type mute struct{ gpiochip.Chip }

func (c mute) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	if r.Lines[0].Found {
		return nil, errors.ErrUnsupported
	}
	return c.Chip.Request(r)
}

// TestInitialUnknown has an output begin off on such a chip.
func TestInitialUnknown(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Initial = gpio.Hardware
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		r.board.Header.Drive(sim.RelayLine(0), false) // It would be on.
		open := func(label string) (gpiochip.Chip, error) {
			chip, err := r.board.Open(label)
			return mute{chip}, err
		}
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(open))
		r.expect("relay1", "OFF")
		r.wantRelay(0, false)
	})
}

// TestInitialLastOfInterlock has both of a motor saved as on, which an interlock
// that was configured since then does not let be.
func TestInitialLastOfInterlock(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Initial, cfg.Pins[1].Initial = "last", "last"
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: time.Second}}
	synctest.Test(t, func(t *testing.T) {
		c, board := new(bridgetest.Client), sim.NewBoard()
		for _, relay := range []string{"relay1", "relay2"} {
			m := bridge.Message{Topic: base.Saved(relay), Retain: true, Payload: []byte(`{"on":true,"at":"1999-12-31T00:00:00Z","boot":"a"}`)}
			if err := c.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		board.Header.Trace(sim.RelayLine(0))
		board.Header.Trace(sim.RelayLine(1))
		bridgetest.Run(t, c, gpio.New(base, cfg, log).WithChips(board.Open))
		bridgetest.Expect(t, c, base.Status(), "online")
		synctest.Wait()
		if a, b := board.Header.Trace(sim.RelayLine(0)), board.Header.Trace(sim.RelayLine(1)); slices.Contains(a, false) && slices.Contains(b, false) {
			t.Errorf("both were on: %t, %t", a, b)
		}
	})
}
