package gpio_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// TestInterlock drives a motor both ways: the relays are never energised together,
// and not within the dead time.
func TestInterlock(t *testing.T) {
	cfg := boardConfig()
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: 200 * time.Millisecond}}
	bubble(t, cfg, func(r rig) {
		r.expect("relay1", "OFF")
		time.Sleep(time.Second)
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		r.send("relay2", `{"value":"ON","id":"7"}`)
		r.expect("relay1", "OFF")
		r.wantRelay(0, false)
		r.wantRelay(1, false)
		if a := r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "interlock" }); a.Counters["interlock"] != 1 {
			r.Errorf("counters are %v, want one of interlock", a.Counters)
		}
		time.Sleep(199 * time.Millisecond)
		r.wantRelay(1, false)
		time.Sleep(time.Millisecond)
		r.wantRelay(1, true)
		r.expect("relay2", "ON")
		if got := r.result("relay2"); got.ID != "7" || got.Status != bridge.StatusOK || got.Latency < 200*time.Millisecond {
			r.Errorf("result is %+v, want ok after the dead time", got)
		}
		// Who changes his mind within the dead time has refused what waits.
		r.result("relay1")
		r.send("relay1", `{"value":"ON","id":"8"}`)
		synctest.Wait()
		r.send("relay2", `{"value":"OFF","id":"9"}`)
		if got := r.result("relay1"); got.ID != "8" || !strings.Contains(got.Reason, "a later command to relay2") {
			r.Errorf("result is %+v, want it refused", got)
		}
		time.Sleep(time.Second)
		r.wantRelay(0, false)
		r.wantRelay(1, false)
	})
}

// TestInterlockStuck has the one relay not fall: the other must not go on.
func TestInterlockStuck(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Drive = gpio.OpenDrain
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: 200 * time.Millisecond}}
	bubble(t, cfg, func(r rig) {
		r.expect("relay1", "OFF")
		time.Sleep(time.Second)
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		r.board.Header.Drive(sim.RelayLine(0), false) // A short to ground, which is on.
		r.send("relay2", `{"value":"ON","id":"7"}`)
		if got := r.result("relay2"); got.ID != "7" || got.Status != bridge.StatusError || !strings.Contains(got.Reason, "relay1 cannot be switched off (interlock)") {
			r.Errorf("result is %+v, want an error that names relay1", got)
		}
		time.Sleep(time.Minute)
		r.wantRelay(1, false)
	})
}

// TestMaxOn has a pump go off by itself, whatever is commanded.
func TestMaxOn(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].MaxOn = 10 * time.Minute
	bubble(t, cfg, func(r rig) {
		r.expect("relay1", "OFF")
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		time.Sleep(9 * time.Minute)
		r.send("relay1", `{"value":"ON","for":"1h"}`)
		r.wantRelay(0, true)
		time.Sleep(time.Minute)
		r.wantRelay(0, false)
		if a := r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "max_on" }); a.Counters["max_on"] != 1 {
			r.Errorf("counters are %v, want one of max_on", a.Counters)
		}
	})
}

// TestLease has an output go off when what must keep coming does not.
func TestLease(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Lease = gpio.Lease{Time: time.Minute}
	cfg.Pins[1].Lease = gpio.Lease{Time: time.Minute, Topic: "house/boiler/alive"}
	bubble(t, cfg, func(r rig) {
		for _, relay := range []string{"relay1", "relay2"} {
			r.expect(relay, "OFF")
			r.send(relay, "ON")
			r.expect(relay, "ON")
		}
		for range 3 {
			time.Sleep(50 * time.Second)
			r.send("relay1", "ON")
			bridgetest.Send(r, r.client, "house/boiler/alive", "x")
		}
		r.wantRelay(0, true)
		r.wantRelay(1, true)
		time.Sleep(time.Minute)
		r.wantRelay(0, false)
		r.wantRelay(1, false)
		for _, relay := range []string{"relay1", "relay2"} {
			if a := r.attr(relay, func(a bridge.Attr) bool { return a.Cause == "lease" }); a.Counters["lease"] != 1 {
				r.Errorf("counters of %s are %v, want one of lease", relay, a.Counters)
			}
		}
		if got := r.result("relay2"); got.Status != bridge.StatusOK { // Of the first command.
			r.Errorf("result is %+v, want ok", got)
		}
		r.send("relay2", "ON")
		if got := r.result("relay2"); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "nothing has come on house/boiler/alive") {
			r.Errorf("result is %+v, want it refused: nothing keeps the lease", got)
		}
	})
}

// TestLeaseToOn has a fan whose rest is to run: it may be off while somebody asks for
// that.
func TestLeaseToOn(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[0].Safe, cfg.Pins[0].Initial = gpio.On, gpio.On
	cfg.Pins[0].Lease, cfg.Pins[0].MinOff = gpio.Lease{Time: time.Minute}, 90*time.Second
	bubble(t, cfg, func(r rig) {
		r.expect("relay1", "ON")
		time.Sleep(time.Hour)
		r.wantRelay(0, true)
		r.send("relay1", "OFF")
		r.expect("relay1", "OFF")
		time.Sleep(89 * time.Second)
		r.wantRelay(0, false) // Its min_off holds.
		time.Sleep(time.Second)
		r.wantRelay(0, true)
		if a := r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "lease" }); a.Counters["lease"] != 1 {
			r.Errorf("counters are %v, want one of lease", a.Counters)
		}
		r.send("relay1", `{"value":"ON","for":"70s"}`) // What it would be then, nobody asks for any more.
		time.Sleep(2 * time.Minute)
		r.wantRelay(0, true)
	})
}

// TestSafeAfterUnplug has outputs be at rest when their chip is back, whatever they
// begin with and were before, be it the only chip or not.
func TestSafeAfterUnplug(t *testing.T) {
	for _, alone := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
			expander, lamp := sim.NewChip("pcf8574", ""), 0
			open := func(label string) (gpiochip.Chip, error) {
				if label == "pcf8574" {
					return expander.Open()
				}
				return r.board.Open(label)
			}
			cfg := boardConfig()
			cfg.Pins[0].Safe, cfg.Pins[1].Initial = gpio.On, gpio.On
			if !alone {
				cfg.Pins = append(cfg.Pins, gpio.Pin{ID: "lamp", Chip: "pcf8574", Offset: &lamp, Direction: gpio.Output})
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				bridge.Supervise(ctx, base, gpio.New(base, cfg, log).WithChips(open), r.client, log)
				close(done)
			}()
			r.expect("relay1", "OFF")
			r.wantRelay(1, true)
			r.board.Header.Unplug()
			r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
			time.Sleep(time.Minute) // It is tried again and again.
			r.board.Header.Replug()
			r.expect("relay1", "ON")
			r.wantRelay(0, true)
			r.wantRelay(1, false)
			cancel()
			<-done
		})
	}
}
