package gpio_test

import (
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
)

// TestImmediate has a button that bounces: its press is told at once, its bounces
// are not, and neither is a press that is shorter than the debounce kept as ON.
func TestImmediate(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[4].DebounceMode = gpio.Immediate
	bubble(t, cfg, func(r rig) {
		r.expect("button1", "OFF")
		begin := time.Now()
		r.board.Press(0)
		r.expect("button1", "ON")
		if got := time.Since(begin); got != 0 {
			r.Errorf("the press was published after %v, want it at once", got)
		}
		for range 3 { // it bounces, and ends as it was before
			<-time.After(time.Millisecond)
			r.board.Release(0)
			<-time.After(time.Millisecond)
			r.board.Press(0)
		}
		<-time.After(time.Millisecond)
		r.board.Release(0)
		r.expect("button1", "OFF")
		if got := time.Since(begin); got != 17*time.Millisecond {
			r.Errorf("the release was published %v after the press, want 7ms and the debounce of 10ms", got)
		}
		a := r.attr("button1", func(a bridge.Attr) bool { return a.Counters["changes"] == 2 })
		if a.Counters["edges"] != 8 {
			r.Errorf("counters %v, want 8 edges", a.Counters)
		}
	})
}

// TestClicks has a hand on a button, and wants what is told of it.
func TestClicks(t *testing.T) {
	cfg := boardConfig()
	cfg.Pins[4].Clicks = &gpio.Clicks{Double: 400 * time.Millisecond, Long: time.Second, Hold: 300 * time.Millisecond}
	bubble(t, cfg, func(r rig) {
		r.expect("button1", "OFF")
		meta := bridgetest.Await(r, r.client, base.Meta(), func(bridge.Message) bool { return true })
		if want := `"events":["press","release","single","double","triple","long","hold"]`; !strings.Contains(string(meta.Payload), want) {
			r.Errorf("meta has no %s: %s", want, meta.Payload)
		}
		hold := func(d time.Duration) {
			r.board.Press(0)
			<-time.After(d)
			r.board.Release(0)
			<-time.After(200 * time.Millisecond)
		}
		hold(100 * time.Millisecond)
		hold(100 * time.Millisecond)
		<-time.After(time.Second)
		hold(1700 * time.Millisecond)
		for _, want := range []string{"press", "release", "press", "release", "double", "press", "long", "hold", "hold", "release"} {
			m := bridgetest.Await(r, r.client, base.Event("button1"), func(bridge.Message) bool { return true })
			if string(m.Payload) != want || m.Retain {
				r.Errorf("event %s, retained %t, want %s", m.Payload, m.Retain, want)
			}
		}
	})
}

// TestMeasure has a signal of 50 Hz that is on for a fifth of the time.
func TestMeasure(t *testing.T) {
	cfg := boardConfig()
	motion := &cfg.Pins[7]
	motion.Debounce, motion.Window = new(time.Duration(0)), 2*time.Second
	motion.Measure = []gpio.Quantity{gpio.Frequency, gpio.Duty, gpio.OnTime}
	bubble(t, cfg, func(r rig) {
		r.expect("motion", "OFF")
		r.pulse(200, 4*time.Millisecond, 16*time.Millisecond)
		r.expect("motion_frequency", "50")
		r.expect("motion_duty", "20.0")
		r.expect("motion_on_time", "0.400")
		r.expect("motion_frequency", "0")
		r.expect("motion_duty", "0")
		r.expect("motion_on_time", "0.000")
	})
}
