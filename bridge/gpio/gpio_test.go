package gpio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = bridge.Base("edge/pi/porch")

var log = slog.New(slog.DiscardHandler)

// boardConfig has all that is on the simulated board.
func boardConfig() gpio.Config {
	cfg := gpio.DefaultConfig()
	for i := range 4 {
		cfg.Pins = append(cfg.Pins, gpio.Pin{
			ID:  fmt.Sprintf("relay%d", i+1),
			Pin: fmt.Sprintf("GPIO%d", sim.RelayLine(i)), Direction: gpio.Output, ActiveLow: true,
		})
	}
	for i := range 2 {
		cfg.Pins = append(cfg.Pins, gpio.Pin{
			ID:  fmt.Sprintf("button%d", i+1),
			Pin: fmt.Sprintf("GPIO%d", sim.ButtonLine(i)), Direction: gpio.Input, ActiveLow: true, Bias: "pull-up",
		})
	}
	door, motion := int(sim.Door), "GPIO27"
	cfg.Pins = append(cfg.Pins,
		gpio.Pin{ID: "door", Class: "door", Offset: &door, Direction: gpio.Input, Bias: "pull-up"},
		gpio.Pin{ID: "motion", Class: "motion", Line: motion, Direction: gpio.Input, Bias: "pull-down"})
	return cfg
}

// A rig is a bridge that runs on a board.
type rig struct {
	*testing.T
	board  *sim.Board
	client *bridgetest.Client
}

// bubble runs a test of a bridge with cfg in a bubble of its own time.
func bubble(t *testing.T, cfg gpio.Config, test func(rig)) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(r.board.Open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		test(r)
	})
}

func (r rig) expect(entity, payload string) {
	r.Helper()
	bridgetest.Expect(r, r.client, base.State(entity), payload)
}

func (r rig) send(entity, payload string) {
	r.Helper()
	bridgetest.Send(r, r.client, base.Set(entity), payload)
}

// result waits for the next answer of the entity, whatever it is.
func (r rig) result(entity string) (got bridge.Result) {
	r.Helper()
	m := bridgetest.Await(r, r.client, base.Result(entity), func(bridge.Message) bool { return true })
	if err := json.Unmarshal(m.Payload, &got); err != nil {
		r.Fatal(err)
	}
	return got
}

// attr waits for attributes of the entity that satisfy want.
func (r rig) attr(entity string, want func(bridge.Attr) bool) (got bridge.Attr) {
	r.Helper()
	bridgetest.Await(r, r.client, base.Attr(entity), func(m bridge.Message) bool {
		got = bridge.Attr{}
		if err := json.Unmarshal(m.Payload, &got); err != nil {
			r.Fatal(err)
		}
		return want(got)
	})
	return got
}

// wantRelay checks a relay itself, after everything has come to rest.
func (r rig) wantRelay(i int, on bool) {
	r.Helper()
	synctest.Wait()
	if got := r.board.Relay(i); got != on {
		r.Errorf("relay %d is energised: %t, want %t", i, got, on)
	}
}

func TestStart(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[1].Initial = gpio.On
	bubble(t, cfg, func(r rig) {
		for entity, want := range map[string]string{"relay1": "OFF", "relay2": "ON", "button1": "OFF", "door": "OFF", "motion": "OFF"} {
			r.expect(entity, want)
			if a := r.attr(entity, func(bridge.Attr) bool { return true }); a.Quality != bridge.Good || a.Cause != "start" || a.Since.IsZero() {
				r.Errorf("attr of %s is %+v, want good, since the start", entity, a)
			}
		}
		r.wantRelay(0, false)
		r.wantRelay(1, true)
		meta := bridgetest.Await(r, r.client, base.Meta(), func(bridge.Message) bool { return true })
		for _, want := range []string{`"relay1"`, `"switch"`, `"binary_sensor"`, `"class":"door"`} {
			if !strings.Contains(string(meta.Payload), want) {
				r.Errorf("meta has no %s: %s", want, meta.Payload)
			}
		}
		near, err := r.board.Open("")
		if err != nil {
			r.Fatal(err)
		}
		info, err := near.LineInfo(sim.RelayLine(0))
		if err != nil || info.Consumer != "edge:relay1" {
			r.Errorf("LineInfo of relay1 = %+v, %v, want edge:relay1 as its consumer", info, err)
		}
	})
}

func TestCommands(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		r.expect("relay1", "OFF")
		for _, tt := range []struct {
			payload string
			on      bool
		}{{"ON", true}, {"TOGGLE", false}, {"toggle", true}, {"on", true}, {`{"value":false}`, false}, {`{"value":"ON","id":"x"}`, true}} {
			r.send("relay1", tt.payload)
			want := map[bool]string{true: "ON", false: "OFF"}[tt.on]
			r.expect("relay1", want)
			r.wantRelay(0, tt.on)
			if got := r.result("relay1"); got.Status != bridge.StatusOK || got.Value != want {
				r.Errorf("%s: result %+v, want ok with %s", tt.payload, got, want)
			}
		}
		r.wantRelay(1, false)
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		for _, tt := range []struct{ entity, payload, id, reason string }{
			{"relay1", "BANANA", "", `"BANANA" is not ON, OFF or TOGGLE`},
			{"relay1", `{"value":"50","id":"7"}`, "7", `"50" is not ON, OFF or TOGGLE`},
			{"relay1", `{"id":"8"}`, "8", `"" is not ON, OFF or TOGGLE`},
			{"relay1", `{"value":`, "", "JSON"},
			{"relay1", `{"value":"ON","for":"-5s"}`, "", "more than zero"},
			{"door", "ON", "", "no output of this name"},
			{"nothing", "ON", "", "no output of this name"},
		} {
			r.send(tt.entity, tt.payload)
			got := r.result(tt.entity)
			if got.Status != bridge.StatusRefused || got.ID != tt.id || !strings.Contains(got.Reason, tt.reason) {
				r.Errorf("%s to %s: result %+v, want it refused with %q", tt.payload, tt.entity, got, tt.reason)
			}
		}
		r.wantRelay(0, false)
	})
}

func TestTimedCommand(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		r.send("relay2", `{"value":"ON","for":"5s","id":"a"}`)
		if got := r.result("relay2"); got.ID != "a" || got.Status != bridge.StatusOK || got.Value != "ON" {
			r.Errorf("result %+v, want ok, ON", got)
		}
		start := time.Now()
		a := r.attr("relay2", func(a bridge.Attr) bool { return a.Cause == "command" })
		if got, want := a.Extra["until"], start.Add(5*time.Second).UTC().Format(time.RFC3339Nano); got != want {
			r.Errorf("until is %v, want %s", got, want)
		}
		r.expect("relay2", "ON")
		r.expect("relay2", "OFF")
		if got := time.Since(start); got != 5*time.Second {
			r.Errorf("the relay fell after %v, want 5s", got)
		}
		r.wantRelay(1, false)
		a = r.attr("relay2", func(a bridge.Attr) bool { return a.Cause == "timer" })
		if a.Extra["until"] != nil || a.Counters["switched"] != 2 {
			r.Errorf("attr %+v, want no until any more, and 2 switched", a)
		}
	})
}

func TestLaterCommandReplacesTimer(t *testing.T) {
	for _, tt := range []struct {
		name, second string
		after        time.Duration // from the second command to OFF; zero: never
	}{
		{"plain", "ON", 0},
		{"timed", `{"value":"ON","for":"20s"}`, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, boardConfig(), func(r rig) {
				r.send("relay1", `{"value":"ON","for":"5s"}`)
				r.expect("relay1", "ON")
				<-time.After(4 * time.Second)
				r.send("relay1", tt.second)
				r.expect("relay1", "ON")
				<-time.After(19 * time.Second)
				r.wantRelay(0, true)
				<-time.After(2 * time.Second)
				r.wantRelay(0, tt.after == 0)
			})
		})
	}
}

// TestOffForAWhile cuts the power of something and gives it back.
func TestOffForAWhile(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Initial = gpio.On
	bubble(t, cfg, func(r rig) {
		r.send("relay1", `{"value":"OFF","for":10}`)
		r.expect("relay1", "OFF")
		r.expect("relay1", "ON")
		r.wantRelay(0, true)
	})
}

func TestInputs(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		r.expect("button1", "OFF")
		r.expect("door", "OFF")
		pressed := time.Now()
		r.board.Press(0)
		r.expect("button1", "ON")
		if got := time.Since(pressed); got != 10*time.Millisecond {
			r.Errorf("the press was published after %v, want the debounce of 10ms", got)
		}
		a := r.attr("button1", func(a bridge.Attr) bool { return a.Cause == "input" })
		if a.Counters["changes"] != 1 || a.Counters["edges"] != 1 || a.Counters["lost"] != 0 {
			r.Errorf("counters %v, want one change, one edge, none lost", a.Counters)
		}
		r.board.Release(0)
		r.expect("button1", "OFF")
		r.board.SetDoor(true)
		r.expect("door", "ON")
		r.board.SetMotion(true)
		r.expect("motion", "ON")
	})
}

// TestStorm lets a contact bounce for long, with kernel and with own debounce,
// and wants the last level and nothing else.
func TestStorm(t *testing.T) {
	for _, kernel := range []bool{true, false} {
		t.Run(fmt.Sprintf("kernel %t", kernel), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
				open := r.board.Open
				if !kernel {
					open = func(label string) (gpiochip.Chip, error) {
						chip, err := r.board.Open(label)
						return noDebounce{chip}, err
					}
				}
				bridgetest.Run(t, r.client, gpio.New(base, boardConfig(), log).WithChips(open))
				r.expect("button2", "OFF")
				for i := range 1001 {
					if i%2 == 0 {
						r.board.Press(1)
					} else {
						r.board.Release(1)
					}
					<-time.After(100 * time.Microsecond)
				}
				r.expect("button2", "ON")
				a := r.attr("button2", func(a bridge.Attr) bool { return a.Cause == "input" })
				if a.Counters["changes"] != 1 {
					t.Errorf("counters %v, want one change", a.Counters)
				}
				if edges := a.Counters["edges"]; (edges == 1) != kernel {
					t.Errorf("%d edges came to us with kernel debounce: %t", edges, kernel)
				}
			})
		})
	}
}

// noDebounce is a chip whose driver cannot debounce.
type noDebounce struct{ gpiochip.Chip }

func (c noDebounce) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	if r.Lines[0].Debounce > 0 {
		return nil, errors.ErrUnsupported
	}
	return c.Chip.Request(r)
}

// TestNoGlitch looks at the relays' lines from before the start until after the
// end: each level follows the one before it for a reason.
func TestNoGlitch(t *testing.T) {
	for _, tt := range []struct {
		initial gpio.Initial
		exit    gpio.Exit
		want    []bool // levels from the idle one on; low is ON
	}{
		{"", "", []bool{true}},
		{gpio.On, "", []bool{true, false, true}},
		{gpio.On, gpio.Off, []bool{true, false, true}},
		{gpio.On, gpio.On, []bool{true, false, true}}, // given back, the resistor pulls
		{gpio.Off, gpio.Keep, []bool{true}},
		{gpio.Off, gpio.On, []bool{true, false, true}},
	} {
		board := sim.NewBoard()
		line := sim.RelayLine(0)
		board.Header.Trace(line)
		cfg := boardConfig()
		cfg.Pins[0].Initial, cfg.Pins[0].OnExit = tt.initial, tt.exit
		runUntilOnline(t, gpio.New(base, cfg, log).WithChips(board.Open))
		if got := board.Header.Trace(line); !slices.Equal(got, tt.want) {
			t.Errorf("initial %q, on_exit %q: levels %t, want %t", tt.initial, tt.exit, got, tt.want)
		}
	}
}

func runUntilOnline(t *testing.T, b *gpio.Bridge) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := new(bridgetest.Client)
		done := make(chan error)
		go func() { done <- b.Run(ctx, client) }()
		bridgetest.Expect(t, client, base.Status(), "online")
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}
