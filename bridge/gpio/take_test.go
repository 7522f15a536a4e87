package gpio_test

import (
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge/gpio"
	"edge/internal/sim"
)

// motor is a configuration whose first two relays exclude each other.
func motor() gpio.Config {
	cfg := boardConfig()
	cfg.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay2"}, DeadTime: time.Second}}
	return cfg
}

// TestInterlockAtStart begins after a crash that has left the other relay energised,
// as its driver does: it falls first, and the dead time is kept.
func TestInterlockAtStart(t *testing.T) {
	cfg := motor()
	cfg.Pins[0].Initial = gpio.On
	cfg.Pins[1].OnExit = gpio.Keep
	lives(t, cfg, time.Minute, life{"a", func(r rig) {
		r.board.Header.Stick()
		r.wantRelay(0, false)
		time.Sleep(time.Second)
		r.wantRelay(0, true)
		r.say(anna, "relay2", "ON")
		time.Sleep(time.Second)
		r.done("relay2")
	}}, life{"a", func(r rig) {
		r.wantRelay(0, false)
		r.wantRelay(1, false)
		time.Sleep(time.Second - time.Nanosecond)
		r.wantRelay(0, false)
		time.Sleep(time.Nanosecond)
		r.wantRelay(0, true)
		r.wantRelay(1, false)
	}})
}

// TestInterlockAtEnd leaves a relay on only if the other one has been off for long
// enough, or it was on before.
func TestInterlockAtEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  func(rig)
		want bool
	}{
		{"at rest", func(rig) { time.Sleep(time.Minute) }, true},
		{"the other is on", func(r rig) { time.Sleep(time.Minute); r.say(anna, "relay2", "ON") }, false},
		{"the other was on", func(r rig) {
			time.Sleep(time.Minute)
			r.say(anna, "relay2", `{"value":"ON","for":"1s"}`)
			time.Sleep(1500 * time.Millisecond)
		}, false},
		{"it is on", func(r rig) { time.Sleep(time.Minute); r.say(anna, "relay1", "ON") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := motor()
			cfg.Pins[0].OnExit = gpio.On
			var board *sim.Board
			lives(t, cfg, 0, life{"a", func(r rig) {
				board = r.board
				board.Header.Stick()
				tt.use(r)
				synctest.Wait()
			}})
			if board.Relay(0) != tt.want || board.Relay(1) {
				t.Errorf("relays are energised: %t, %t; want %t, false", board.Relay(0), board.Relay(1), tt.want)
			}
		})
	}
}

// TestStopAtStart ends a bridge that waits to begin: that is no error.
func TestStopAtStart(t *testing.T) {
	cfg := motor()
	cfg.Pins[0].Initial = gpio.On
	lives(t, cfg, 0, life{"a", func(r rig) { r.wantRelay(0, false) }})
}
