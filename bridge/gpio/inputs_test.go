package gpio_test

import (
	"testing"
	"time"

	"edge/bridge"
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
