package gpio_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/sim"
)

// coverConfig has a blind on the first two relays, with end switches or without.
func coverConfig(switches bool) gpio.Config {
	cfg := boardConfig()
	c := gpio.Cover{
		ID: "blind", Class: "blind", Open: "relay1", Close: "relay2", DeadTime: 500 * time.Millisecond,
		OpenTime: 20 * time.Second, CloseTime: 18 * time.Second,
	}
	if switches {
		c.OpenSwitch, c.CloseSwitch = "button1", "button2"
	}
	cfg.Covers = []gpio.Cover{c}
	return cfg
}

// covered runs a test of a cover that hangs at pos.
func covered(t *testing.T, cfg gpio.Config, pos float64, test func(rig, *blind)) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // A bubble begins in 2000, without a clock.
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		b := hang(t, r.board, cfg.Covers[0], pos)
		time.Sleep(time.Second)
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(b.Open))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		synctest.Wait()
		time.Sleep(time.Second)
		test(r, b)
	})
}

// says sends a command to the blind and wants this result.
func (r rig) says(command, status, text string) {
	r.Helper()
	r.send("blind", command)
	if got := r.result("blind"); got.Status != status || !strings.Contains(got.Reason+got.Value, text) {
		r.Errorf("%s: result %+v, want %s with %q", command, got, status, text)
	}
}

// wantCover checks what is retained of the blind; an empty position is none.
func (r rig) wantCover(state, position string) {
	r.Helper()
	synctest.Wait()
	s, _ := r.client.Retained(base.State("blind"))
	p, _ := r.client.Retained(base.Position("blind"))
	if string(s.Payload) != state || string(p.Payload) != position {
		r.Errorf("the blind is %q at %q, want %q at %q", s.Payload, p.Payload, state, position)
	}
}

// wantBlind checks where the blind itself hangs, and that it hangs still.
func (r rig) wantBlind(b *blind, pos float64) {
	r.Helper()
	synctest.Wait()
	if got, runs := b.is(); runs || math.Abs(got-pos) > 0.01 {
		r.Errorf("the blind is at %.3f, its motor runs: %t; want it still at %.2f", got, runs, pos)
	}
}

// TestCoverByTime finds the blind's place by an end, then goes to positions.
func TestCoverByTime(t *testing.T) {
	covered(t, coverConfig(false), 0.3, func(r rig, b *blind) {
		r.wantCover("stopped", "")
		r.says("50", "refused", "its position is not known")
		r.says("OPEN", "ok", "opening")
		r.wantCover("opening", "")
		time.Sleep(20 * time.Second)
		r.wantCover("open", "100")
		r.wantBlind(b, 1)
		r.says("25", "ok", "closing")
		time.Sleep(5 * time.Second)
		r.wantCover("closing", "72")
		r.says("75", "ok", "opening") // It has to turn round.
		time.Sleep(20 * time.Second)
		r.wantCover("stopped", "75")
		r.wantBlind(b, 0.75)
		r.says(`{"value":74.8}`, "ok", "stopped") // Near enough.
		r.says("CLOSE", "ok", "closing")
		time.Sleep(time.Second)
		r.says("STOP", "ok", "stopped")
		r.wantCover("stopped", "69")
		r.wantBlind(b, 0.75-1.0/18)
		r.says("stop", "ok", "stopped")
		r.says("0", "ok", "closing")
		time.Sleep(13 * time.Second)
		r.wantCover("closed", "0")
		r.says("CLOSE", "ok", "closed")
		r.wantBlind(b, 0)
	})
}

// TestCoverRefusals has what a cover does not do, and what its outputs do not.
func TestCoverRefusals(t *testing.T) {
	covered(t, coverConfig(false), 0, func(r rig, b *blind) {
		r.says("UP", "refused", `"UP" is not OPEN, CLOSE, STOP or a position from 0 to 100`)
		r.says("101", "refused", "from 0 to 100")
		r.says("NaN", "refused", "from 0 to 100")
		r.says(`{"value":"OPEN","for":"5s"}`, "refused", "takes no time")
		r.says(`{"value":"OPEN","lock":"5m"}`, "refused", "cannot be locked")
		r.send("relay1", "ON")
		if got := r.result("relay1"); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "belongs to the cover blind") {
			r.Errorf("result %+v, want it refused", got)
		}
		r.wantBlind(b, 0)
		meta, _ := r.client.Retained(base.Meta())
		for _, want := range []string{`"kind":"cover","class":"blind"`, `"position":"edge/pi/porch/blind/position"`} {
			if !strings.Contains(string(meta.Payload), want) {
				r.Errorf("meta has no %s: %s", want, meta.Payload)
			}
		}
		if strings.Contains(string(meta.Payload), `porch/relay1/set`) {
			r.Errorf("relay1 offers to take commands: %s", meta.Payload)
		}
	})
}

// TestCoverOverrun drives the blind on at an end, where it may be without our
// knowing.
func TestCoverOverrun(t *testing.T) {
	cfg := coverConfig(false)
	cfg.Covers[0].Overrun = 3 * time.Second
	covered(t, cfg, 0, func(r rig, b *blind) {
		r.says("OPEN", "ok", "opening")
		time.Sleep(22900 * time.Millisecond)
		r.wantCover("opening", "100")
		time.Sleep(time.Second)
		r.wantCover("open", "100")
		r.says("OPEN", "ok", "opening")
		time.Sleep(2900 * time.Millisecond)
		r.wantCover("opening", "100")
		time.Sleep(200 * time.Millisecond)
		r.wantCover("open", "100")
		r.wantBlind(b, 1)
	})
}

// TestCoverEndSwitches has the switches say where the ends are.
func TestCoverEndSwitches(t *testing.T) {
	covered(t, coverConfig(true), 1, func(r rig, b *blind) {
		r.wantCover("open", "100")
		r.says("OPEN", "ok", "open")
		b.whole = [2]time.Duration{22 * time.Second, 20 * time.Second} // Slower than configured.
		r.says("CLOSE", "ok", "closing")
		time.Sleep(19 * time.Second)
		r.wantCover("closing", "1")
		time.Sleep(time.Second)
		r.wantCover("closed", "0")
		r.wantBlind(b, 0)
		if a := r.attr("blind", func(a bridge.Attr) bool { return a.Cause == "end switch" }); a.Quality != bridge.Good || a.Counters["moves"] != 1 {
			r.Errorf("attr %+v, want it good, after one move", a)
		}
		b.hold(true) // The motor needs two seconds to take the slack out of its ropes.
		r.says("OPEN", "ok", "opening")
		time.Sleep(2 * time.Second)
		b.hold(false)
		time.Sleep(11100 * time.Millisecond)
		r.says("STOP", "ok", "stopped")
		r.wantCover("stopped", "55") // It believes in 20 s for the way, of which 22 ms went to the switch.
		r.says("CLOSE", "ok", "closing")
		time.Sleep(time.Minute)
		r.wantCover("closed", "0")
		r.wantBlind(b, 0)
	})
}

// TestCoverFault has a blind that does not come to its end, and one whose switches
// say what cannot be.
func TestCoverFault(t *testing.T) {
	covered(t, coverConfig(true), 0.5, func(r rig, b *blind) {
		b.hold(true)
		r.says("OPEN", "ok", "opening")
		time.Sleep(23 * time.Second)
		if _, runs := b.is(); !runs {
			r.Error("the motor has stopped before the time of the whole way and a fifth of it was over")
		}
		time.Sleep(2 * time.Second)
		r.wantCover("stopped", "")
		r.wantBlind(b, 0.5)
		a := r.attr("blind", func(a bridge.Attr) bool { return a.Quality == bridge.Bad })
		if want := "it was driven for 24s and has not come to its end switch button1: is it blocked?"; a.Error != want || a.Cause != "fault" {
			r.Errorf("attr %+v, want %q", a, want)
		}
		b.hold(false)
		r.says("CLOSE", "ok", "closing")
		time.Sleep(10 * time.Second)
		r.wantCover("closed", "0")
		r.attr("blind", func(a bridge.Attr) bool { return a.Quality == bridge.Good && a.Error == "" })
		b.hold(true)
		r.says("OPEN", "ok", "opening")
		time.Sleep(25 * time.Second)
		r.attr("blind", func(a bridge.Attr) bool { return strings.Contains(a.Error, "has not left its end switch") })
		r.board.Press(0)
		time.Sleep(time.Second)
		r.says("OPEN", "refused", "both of its end switches are on")
		r.wantBlind(b, 0)
	})
}

// TestCoverTurns changes its mind within the dead time.
func TestCoverTurns(t *testing.T) {
	covered(t, coverConfig(false), 0, func(r rig, b *blind) {
		r.says("OPEN", "ok", "opening")
		time.Sleep(5 * time.Second)
		r.send("blind", `{"value":"CLOSE","id":"7"}`)
		time.Sleep(100 * time.Millisecond)
		r.wantCover("stopped", "")
		r.send("blind", `{"value":"STOP","id":"8"}`)
		if got := r.result("blind"); got.ID != "7" || got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "a later command") {
			r.Errorf("result %+v, want 7 refused", got)
		}
		if got := r.result("blind"); got.ID != "8" || got.Status != bridge.StatusOK {
			r.Errorf("result %+v, want 8 ok", got)
		}
		time.Sleep(time.Minute)
		r.wantBlind(b, 0.25)
	})
}

// TestCoverChanges has the cover and its outputs tell what they become, and whose
// doing it was.
func TestCoverChanges(t *testing.T) {
	covered(t, coverConfig(false), 0, func(r rig, _ *blind) {
		r.say(anna, "blind", `{"value":"OPEN","id":7}`)
		time.Sleep(time.Minute)
		r.say(otto, "blind", `{"value":"CLOSE","id":8}`)
		time.Sleep(2 * time.Second)
		r.say(anna, "blind", `{"value":"STOP","id":9}`)
		for entity, changes := range map[string][]string{
			"blind": {
				"stopped start [] / ", "opening command [] anna/phone 7", "open position [] / ",
				"closing command [] otto/phone 8", "stopped command [] anna/phone 9",
			},
			"relay1": {"OFF start [] / ", "ON command [] anna/phone 7", "OFF position [] / "},
			"relay2": {"OFF start [] / ", "ON command [] otto/phone 8", "OFF command [] anna/phone 9"},
		} {
			for _, want := range changes {
				if got := r.told(entity); got != want {
					r.Errorf("%s tells %q, want %q", entity, got, want)
				}
			}
		}
	})
}

// TestCoverBounds has what protects an output stop the cover, too.
func TestCoverBounds(t *testing.T) {
	cfg := coverConfig(false)
	cfg.Pins[0].Lease = gpio.Lease{Time: 10 * time.Second}
	cfg.Pins[1].PerMinute = 1
	covered(t, cfg, 0, func(r rig, b *blind) {
		r.says("OPEN", "ok", "opening")
		time.Sleep(8 * time.Second)
		r.says("OPEN", "ok", "opening") // keeps the lease
		time.Sleep(8 * time.Second)
		r.wantCover("opening", "")
		time.Sleep(3 * time.Second)
		r.wantCover("stopped", "")
		r.wantBlind(b, 0.9)
		r.attr("blind", func(a bridge.Attr) bool { return a.Cause == "lease" })
		r.says("CLOSE", "ok", "closing")
		time.Sleep(time.Second)
		r.says("OPEN", "ok", "opening")
		time.Sleep(time.Second)
		// It may not go on; it must not go the wrong way either.
		r.says("CLOSE", "refused", "per_minute")
		r.wantCover("stopped", "")
		if _, runs := b.is(); runs {
			r.Error("the motor runs on after a command to turn that was refused")
		}
	})
}

// TestCoverStale has a command to move that is too old, and one to stop that is, too.
func TestCoverStale(t *testing.T) {
	cfg := coverConfig(false)
	cfg.Pins[0].MaxAge = time.Minute
	cfg.Pins[1].MaxAge = time.Minute
	covered(t, cfg, 0, func(r rig, b *blind) {
		at := func(value string, age time.Duration) string {
			return fmt.Sprintf(`{"value":%q,"at":%d}`, value, time.Now().Add(-age).Unix())
		}
		r.says(at("OPEN", 2*time.Minute), "refused", "(max_age)")
		r.says(at("OPEN", 2*time.Second), "ok", "opening")
		time.Sleep(time.Second)
		r.says(at("STOP", 2*time.Minute), "ok", "stopped")
		r.wantBlind(b, 0.05)
	})
}

// TestCoverComesToEndWhileItWaits has an end switch come on before the cover begins to
// go there: it does not.
func TestCoverComesToEndWhileItWaits(t *testing.T) {
	covered(t, coverConfig(true), 0.5, func(r rig, b *blind) {
		r.says("OPEN", "ok", "opening")
		time.Sleep(time.Second)
		r.send("blind", "CLOSE")
		time.Sleep(100 * time.Millisecond)
		r.board.Press(1)
		if got := r.result("blind"); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "need not move") {
			r.Errorf("result %+v, want it refused", got)
		}
		time.Sleep(time.Minute)
		r.wantCover("closed", "0")
		if b.moves != 1 {
			r.Errorf("its motor has run %d times, want once", b.moves)
		}
	})
}
