package serial_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/sim"
	"edge/internal/uart"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base bridge.Base = "edge/test/air"

// plug returns the far end of a port and its name.
func plug(t testing.TB) (*sim.PTY, string) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "by-id", "usb-Test_1-if00")
	return replug(t, link), link
}

func replug(t testing.TB, link string) *sim.PTY {
	t.Helper()
	far, err := sim.NewPTY(link)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { far.Close() })
	if err := far.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return far
}

// run runs a bridge for a port until the test ends, and waits for it to be online.
func run(t *testing.T, port string, change func(*serial.Config)) *bridgetest.Client {
	t.Helper()
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, newBridge(t, base, port, change))
	bridgetest.Expect(t, c, base.Status(), "online")
	return c
}

func newBridge(t testing.TB, base bridge.Base, port string, change func(*serial.Config)) *serial.Bridge {
	t.Helper()
	cfg := serial.DefaultConfig()
	cfg.Port = port
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return serial.New(base, cfg, slog.New(slog.DiscardHandler))
}

func say(t *testing.T, far *sim.PTY, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if _, err := far.WriteString(p); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitAttr waits for attributes that satisfy want.
func awaitAttr(t *testing.T, c *bridgetest.Client, entity string, want func(bridge.Attr) bool) bridge.Attr {
	t.Helper()
	var a bridge.Attr
	bridgetest.Await(t, c, base.Attr(entity), func(m bridge.Message) bool {
		a = bridge.Attr{}
		return json.Unmarshal(m.Payload, &a) == nil && want(a)
	})
	return a
}

// result waits for the next answer to a command.
func result(t *testing.T, c *bridgetest.Client, entity string) (r bridge.Result) {
	t.Helper()
	m := bridgetest.Await(t, c, base.Result(entity), func(bridge.Message) bool { return true })
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func stickConfig(c *serial.Config) {
	c.Entities = []serial.Entity{
		{ID: "temperature", Class: "temperature", Unit: "°C"},
		{ID: "humidity", Class: "humidity", Unit: "%"},
		{ID: "co2", Class: "carbon_dioxide", Unit: "ppm"},
		{ID: "led", Kind: bridge.Switch, Command: "led {{.Value}}\n"},
	}
}

func TestStick(t *testing.T) {
	stick := sim.NewStick(filepath.Join(t.TempDir(), "usb-edge_Stick_1-if00"))
	if err := stick.Plug(); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(stick.Unplug)
	c := run(t, stick.Link(), stickConfig)
	bridgetest.Expect(t, c, base.State("led"), "OFF")
	bridgetest.Expect(t, c, base.State("temperature"), "21.4")
	bridgetest.Expect(t, c, base.State("humidity"), "48.2")
	bridgetest.Expect(t, c, base.State("co2"), "612")
	awaitAttr(t, c, "co2", func(a bridge.Attr) bool {
		return a.Quality == bridge.Good && a.Counters["lines"] >= 2 && a.Counters["bad_lines"] == 0 && a.Counters["bytes"] > 50
	})

	bridgetest.Send(t, c, base.Set("led"), `{"value":"ON","id":"7"}`)
	bridgetest.Expect(t, c, base.State("led"), "ON")
	if r := result(t, c, "led"); r.Status != "ok" || r.ID != "7" || r.Latency <= 0 {
		t.Errorf("result = %+v, want ok with id 7 and a latency", r)
	}
	bridgetest.Send(t, c, base.Set("led"), "TOGGLE")
	bridgetest.Expect(t, c, base.State("led"), "OFF")
	result(t, c, "led")
	for payload, reason := range map[string]string{
		"dim":                       `"dim" is not ON, OFF or TOGGLE`,
		`{"value":"ON","for":"5s"}`: "for: a stick cannot do this for a time",
		`{"vlaue":"ON"}`:            "vlaue",
	} {
		bridgetest.Send(t, c, base.Set("led"), payload)
		if r := result(t, c, "led"); r.Status != "refused" || !strings.Contains(r.Reason, reason) {
			t.Errorf("result of %s = %+v, want refused, %q", payload, r, reason)
		}
	}
}

func TestValueAmongNoise(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		c.Format, c.MaxLine = serial.Value, 16
		c.Entities = []serial.Entity{{ID: "weight", Unit: "kg", Scale: 0.001}}
	})
	say(t, far, "214", "0", "0\r", "\n")
	bridgetest.Expect(t, c, base.State("weight"), "21.4")
	say(t, far, "\x00\xff~~\n", strings.Repeat("9", 5000), "\n", "\n\n", "ERR\n", "500\n")
	bridgetest.Expect(t, c, base.State("weight"), "0.5")
	a := awaitAttr(t, c, "weight", func(a bridge.Attr) bool { return a.Counters["lines"] == 5 })
	if want := `"ERR": weight: "ERR" is not a number`; a.Counters["bad_lines"] != 3 || a.Extra["last_bad_line"] != want {
		t.Errorf("attributes = %+v, want 3 bad lines, the last %s", a, want)
	}
	if a.Quality != bridge.Good || a.Error != "" {
		t.Errorf("quality %s, %q after a good line, want good", a.Quality, a.Error)
	}
}

func TestUnreadableValueIsBad(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, stickConfig)
	say(t, far, `{"temperature":21.4,"humidity":"n/a"}`+"\n")
	bridgetest.Expect(t, c, base.State("temperature"), "21.4")
	a := awaitAttr(t, c, "humidity", func(a bridge.Attr) bool { return a.Counters["lines"] == 1 })
	if a.Quality != bridge.Bad || a.Error != `"n/a" is not a number` {
		t.Errorf("quality %s, %q, want bad with the reason", a.Quality, a.Error)
	}
	if m, ok := c.Retained(base.State("humidity")); ok {
		t.Errorf("the state %q was published of a value that cannot be read", m.Payload)
	}
}

func TestRegex(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		c.Format, c.Pattern, c.Delimiter = serial.Regex, `T=(?P<t>[-.\d]+) D=(?P<door>[CO])`, ";"
		c.Entities = []serial.Entity{
			{ID: "temperature", Key: "t", Unit: "°C"},
			{ID: "door", Kind: bridge.BinarySensor, OnValue: "O", OffValue: "C"},
		}
	})
	say(t, far, "boot;T=-3.5 D=C;")
	bridgetest.Expect(t, c, base.State("temperature"), "-3.5")
	bridgetest.Expect(t, c, base.State("door"), "OFF")
	say(t, far, "T=-3.5 D=O;")
	bridgetest.Expect(t, c, base.State("door"), "ON")
}

// The end of 21.4 is a number, too.
func TestValueHeardFromTheMiddleDoesNotCount(t *testing.T) {
	far, port := plug(t)
	near, err := uart.Open(t.Context(), uart.Config{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	say(t, far, "1.4\n") // kept by the kernel until somebody reads
	c := run(t, port, func(c *serial.Config) {
		c.Format, c.Entities = serial.Value, []serial.Entity{{ID: "t"}}
	})
	say(t, far, "21.5\n")
	m := bridgetest.Await(t, c, base.State("t"), func(bridge.Message) bool { return true })
	if string(m.Payload) != "21.5" {
		t.Errorf("first state %q, want 21.5", m.Payload)
	}
}

func TestStaleAfter(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		stickConfig(c)
		c.StaleAfter = 100 * time.Millisecond
	})
	say(t, far, `{"temperature":21.4}`+"\n")
	awaitAttr(t, c, "temperature", func(a bridge.Attr) bool {
		return a.Quality == bridge.Bad && a.Error == "no value for 100ms"
	})
}

func TestOptimisticAndButton(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		c.Entities = []serial.Entity{
			{ID: "fan", Kind: bridge.Number, Min: new(float64), Optimistic: true, Command: "F{{.Raw}};"},
			{ID: "reset", Kind: bridge.Button, Command: "R;"},
		}
	})
	in := bufio.NewReader(far)
	for _, tt := range []struct{ entity, payload, sent, state string }{
		{"fan", "3", "F3;", "3"},
		{"reset", "PRESS", "R;", ""},
	} {
		bridgetest.Send(t, c, base.Set(tt.entity), tt.payload)
		if got, err := in.ReadString(';'); got != tt.sent {
			t.Errorf("%s: the stick got %q, %v, want %q", tt.entity, got, err, tt.sent)
		}
		if r := result(t, c, tt.entity); r.Status != "ok" || r.Value != tt.state {
			t.Errorf("%s: result = %+v, want ok with value %q", tt.entity, r, tt.state)
		}
	}
	bridgetest.Expect(t, c, base.State("fan"), "3")
	awaitAttr(t, c, "fan", func(a bridge.Attr) bool { return a.Cause == "command" })
	if m, ok := c.Retained(base.State("reset")); ok {
		t.Errorf("a button has the state %q", m.Payload)
	}
}

// A stick that does not take commands gets neither the rest of one nor, when it
// wakes up, those that were reported as failed.
func TestStickThatTakesNothing(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		c.WriteTimeout = 50 * time.Millisecond
		c.Entities = []serial.Entity{{ID: "say", Kind: bridge.Text, Command: "{{printf \"%3000s\" .Value}}\n"}}
	})
	r := bridge.Result{Status: "ok"}
	failed := ""
	for i := 0; r.Status == "ok"; i++ {
		failed = fmt.Sprint(i)
		bridgetest.Send(t, c, base.Set("say"), failed)
		r = result(t, c, "say")
	}
	if r.Status != "error" || r.Reason != "the stick did not take the command within 50ms" {
		t.Errorf("result = %+v, want error", r)
	}
	bridgetest.Send(t, c, base.Set("say"), "last")
	if r := result(t, c, "say"); r.Status != "ok" {
		t.Errorf("result after waking up = %+v, want ok", r)
	}
	if err := far.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(far)
	for lines.Scan() {
		switch text := strings.TrimSpace(lines.Text()); text {
		case "last":
			return
		case failed:
			t.Errorf("the stick got the command %s, which was reported as failed", text)
		}
	}
	t.Errorf("the stick did not get the last command: %v", lines.Err())
}

func TestPortInUseIsNamed(t *testing.T) {
	_, port := plug(t)
	run(t, port, stickConfig)
	second := newBridge(t, "edge/test/second", port, stickConfig)
	err := second.Run(t.Context(), new(bridgetest.Client))
	if !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("second bridge on a port: %v, want %v by this process", err, uart.ErrBusy)
	}
}

func TestNothingIsAnnouncedBeforeThePortIsThere(t *testing.T) {
	link := filepath.Join(t.TempDir(), "usb-Late_1-if00")
	c := new(bridgetest.Client)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := newBridge(t, base, link, stickConfig).Run(ctx, c); err != nil {
		t.Errorf("Run = %v when its context ended, want nil", err)
	}
	if m, ok := c.Retained(base.Status()); ok {
		t.Errorf("status %q without a port, want none", m.Payload)
	}
}

func TestReplug(t *testing.T) {
	far, port := plug(t)
	c := new(bridgetest.Client)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		bridge.Supervise(ctx, base, newBridge(t, base, port, stickConfig), c, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { cancel(); <-done })
	bridgetest.Expect(t, c, base.Status(), "online")
	say(t, far, `{"co2":400}`+"\n")
	bridgetest.Expect(t, c, base.State("co2"), "400")
	awaitAttr(t, c, "co2", func(a bridge.Attr) bool { return a.Quality == bridge.Good })

	far.Close()
	bridgetest.Expect(t, c, base.Status(), "offline")
	awaitAttr(t, c, "co2", func(a bridge.Attr) bool {
		return a.Quality == bridge.Offline && strings.Contains(a.Error, uart.ErrGone.Error())
	})

	start := time.Now()
	far = replug(t, port)
	bridgetest.Expect(t, c, base.Status(), "online")
	if late := time.Since(start); late > 10*time.Second {
		t.Errorf("online %v after it was plugged in, want at most 1s on a machine that is not busy", late)
	}
	bridgetest.Send(t, c, base.Set("led"), "ON")
	if got, err := bufio.NewReader(far).ReadString('\n'); got != "led ON\n" {
		t.Errorf("the stick got %q, %v, want the command", got, err)
	}
	say(t, far, `{"co2":400}`+"\n") // unchanged, but the first of this run
	bridgetest.Expect(t, c, base.State("co2"), "400")
	awaitAttr(t, c, "co2", func(a bridge.Attr) bool { return a.Quality == bridge.Good })
}
