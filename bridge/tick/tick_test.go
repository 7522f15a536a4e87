package tick

import (
	"encoding/json"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

const base = bridge.Base("edge/host/tick")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *bridgetest.Client {
	t.Helper()
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, New(base, DefaultConfig(), slog.New(slog.DiscardHandler)))
	bridgetest.Expect(t, c, "edge/host/tick/status", "online")
	return c
}

func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		begin := time.Now()
		for _, want := range []string{"0", "1", "2"} {
			bridgetest.Expect(t, c, "edge/host/tick/counter", want)
		}
		if got, want := time.Since(begin), 20*time.Second; got != want {
			t.Errorf("two ticks took %v, want %v", got, want)
		}
	})
}

func TestObeys(t *testing.T) {
	for _, tt := range []struct{ payload, state, want string }{
		{"41", "41", `{"status":"ok","value":"41"}`},
		{`{"value":-1,"id":"a"}`, "-1", `{"id":"a","status":"ok","value":"-1"}`},
		{"ON", "0", `{"status":"refused","reason":"\"ON\" is not a whole number; want one such as 42"}`},
		{`{"value":1,"id":7,"for":"5s"}`, "0", `{"id":"7","status":"refused","reason":"for: a counter cannot be set for a time; leave it out"}`},
	} {
		t.Run(tt.payload, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := start(t)
				bridgetest.Send(t, c, "edge/host/tick/counter/set", tt.payload)
				bridgetest.Expect(t, c, "edge/host/tick/counter/result", tt.want)
				if m, _ := c.Retained("edge/host/tick/counter"); string(m.Payload) != tt.state {
					t.Errorf("state is %q, want %q", m.Payload, tt.state)
				}
			})
		})
	}
}

func TestTellsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t)
		bridgetest.Send(t, c, "edge/host/tick/counter/set", "7")
		for _, want := range []string{"start", "command", "clock"} {
			m := bridgetest.Await(t, c, "edge/host/tick/counter/attr", func(bridge.Message) bool { return true })
			var a bridge.Attr
			if err := json.Unmarshal(m.Payload, &a); err != nil {
				t.Fatal(err)
			}
			if a.Cause != want || a.Quality != bridge.Good {
				t.Errorf("attributes %s, want cause %q and quality good", m.Payload, want)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	err := Config{}.Validate()
	if want := "interval: is 0s; want at least 10ms"; err == nil || err.Error() != want {
		t.Errorf("Validate() = %v, want %s", err, want)
	}
}
