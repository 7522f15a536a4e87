package serial_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/frame"
	"edge/internal/sim"
	"edge/internal/uart"
)

// asked returns a request that is made once, with the other defaults.
func asked(id, send string, expect *serial.Expect) (r serial.Request) {
	r.SetDefaults()
	r.ID, r.Send, r.Expect = id, send, expect
	r.Every, r.Timeout = time.Hour, 10*time.Second // longer than any machine is busy
	return r
}

// answer plays a stick that takes lines, until the port is closed. What f returns
// is written.
func answer(t *testing.T, far *sim.PTY, f func(line string) string) {
	t.Helper()
	// Until somebody has the near end open, reading from the far one is an error.
	near, err := os.OpenFile(far.Port(), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := bufio.NewReader(far)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if _, err := far.WriteString(f(strings.TrimSuffix(line, "\n"))); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { near.Close(); far.Close(); <-done })
}

func TestStickThatMustBeAsked(t *testing.T) {
	far, port := plug(t)
	seen := make(chan string, 100)
	answer(t, far, func(line string) string {
		seen <- line
		switch line {
		case "ATE0":
			return "OK\n"
		case "T?":
			return "hello\nT=21.5\n" // with a line that nobody has asked for
		case "H?":
			return "H=48\n"
		}
		return "ERR\n"
	})
	c := run(t, port, func(c *serial.Config) {
		c.Format, c.Pattern = serial.Regex, `^(?:T=(?P<t>[\d.]+)|H=(?P<h>\d+))$`
		once := serial.Exchange{Send: "ATE0\n"}
		once.SetDefaults()
		once.Expect, once.Timeout = &serial.Expect{Prefix: "OK"}, 10*time.Second
		c.Start = []serial.Exchange{once}
		c.Requests = []serial.Request{
			asked("t", "T?\n", &serial.Expect{Prefix: "T="}),
			asked("h", "H?\n", &serial.Expect{Regex: `^H=`}),
		}
		c.Entities = []serial.Entity{
			{ID: "t", Unit: "°C", Request: "t"},
			{ID: "h", Unit: "%", Request: "h"},
		}
	})
	bridgetest.Expect(t, c, base.State("t"), "21.5")
	bridgetest.Expect(t, c, base.State("h"), "48")
	for _, want := range []string{"ATE0", "T?", "H?"} {
		if got := <-seen; got != want {
			t.Errorf("the stick got %q, want %q", got, want)
		}
	}
	awaitAttr(t, c, "t", func(a bridge.Attr) bool {
		return a.Quality == bridge.Good && a.Counters["requests"] == 1 && a.Counters["unmatched"] == 1 &&
			a.Counters["timeouts"] == 0
	})
}

// Another's answer is not taken: an entity with a request reads only its own.
func TestEntityReadsItsRequestOnly(t *testing.T) {
	far, port := plug(t)
	answer(t, far, func(line string) string { return map[string]string{"a": "1\n", "b": "2\n"}[line] })
	c := run(t, port, func(c *serial.Config) {
		c.Requests = []serial.Request{asked("a", "a\n", nil), asked("b", "b\n", nil)}
		c.Format, c.Pattern = serial.Regex, `^(?P<v>\d+)$`
		c.Entities = []serial.Entity{
			{ID: "a", Key: "v", Request: "a"}, {ID: "b", Key: "v", Request: "b"}, {ID: "any", Key: "v"},
		}
	})
	bridgetest.Expect(t, c, base.State("b"), "2")
	bridgetest.Expect(t, c, base.State("any"), "2")
	if m, _ := c.Retained(base.State("a")); string(m.Payload) != "1" {
		t.Errorf("a is %q, want 1", m.Payload)
	}
}

func TestStickThatNeverAnswers(t *testing.T) {
	far, port := plug(t)
	lines := make(chan string, 100)
	answer(t, far, func(line string) string { lines <- line; return "" })
	c := run(t, port, func(c *serial.Config) {
		r := asked("t", "T?\n", nil)
		r.Timeout, r.Retries, r.Every = 20*time.Millisecond, 2, time.Hour
		c.Requests = []serial.Request{r}
		c.Entities = []serial.Entity{{ID: "t", Request: "t"}}
	})
	a := awaitAttr(t, c, "t", func(a bridge.Attr) bool { return a.Counters["timeouts"] == 1 })
	if a.Quality != bridge.Bad || a.Error != "the stick did not answer within 20ms, 3 times" {
		t.Errorf("quality %s, %q, want bad with the reason", a.Quality, a.Error)
	}
	if a.Counters["requests"] != 3 || a.Counters["retries"] != 2 {
		t.Errorf("counters %v, want 3 requests, 2 of them retries", a.Counters)
	}
	for range 3 {
		<-lines
	}
	select {
	case line := <-lines:
		t.Errorf("the stick is asked %q again before its time", line)
	default:
	}
}

// A request that cannot leave is no end of the session, and is told as it is.
func TestRequestThatIsNotTaken(t *testing.T) {
	_, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		r := asked("t", `{{printf "%4000s" "?"}}`, nil)
		r.Timeout, r.Retries, r.Every = time.Millisecond, 0, 10*time.Millisecond
		c.WriteTimeout = 50 * time.Millisecond
		c.Requests = []serial.Request{r}
		c.Entities = []serial.Entity{{ID: "t", Request: "t"}}
	})
	awaitAttr(t, c, "t", func(a bridge.Attr) bool {
		return a.Quality == bridge.Bad && strings.Contains(a.Error, "the stick did not take it within 50ms")
	})
}

// A client of the tap that has the line has it for itself: no request comes into
// what it says and hears.
func TestRequestsWaitForTheTap(t *testing.T) {
	far, port := plug(t)
	answer(t, far, func(line string) string { return line + "\n" })
	cfg := serial.DefaultConfig()
	cfg.Port, cfg.Format = port, serial.Value
	r := asked("poll", "poll\n", &serial.Expect{Prefix: "poll"})
	r.Every = 10 * time.Millisecond
	cfg.Requests, cfg.Entities = []serial.Request{r}, []serial.Entity{{ID: "t", Request: "poll"}}
	cfg.Tap = &uart.TapConfig{Listen: "127.0.0.1:0", Protocol: uart.TapRaw, Write: true, Hold: 10 * time.Second}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	log := addresses{slog.DiscardHandler, make(chan string, 1)}
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, serial.New(base, cfg, slog.New(log)))
	bridgetest.Expect(t, c, base.State("t"), "poll")
	tool, err := net.Dial("tcp", <-log.to)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	_ = tool.SetDeadline(time.Now().Add(30 * time.Second))
	heard := bufio.NewReader(tool)
	for i, mine := 0, false; i < 300; i++ {
		if _, err := tool.Write([]byte("tool\n")); err != nil {
			t.Fatal(err)
		}
		for {
			line, err := heard.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "tool\n" {
				mine = true
				break
			}
			if mine { // before, it has come of what was on its way
				t.Fatalf("after %d answers the tool hears %q, which it has not asked", i, line)
			}
		}
	}
}

// A command is ok when it was answered, and not when it was sent.
func TestCommandWithReply(t *testing.T) {
	far, port := plug(t)
	answer(t, far, func(line string) string {
		if line == "led ON" {
			return "led is ON\n"
		}
		return "what?\n"
	})
	c := run(t, port, func(c *serial.Config) {
		c.Format, c.Pattern = serial.Regex, "led is (?P<led>ON|OFF)"
		reply := &serial.Reply{Expect: &serial.Expect{Prefix: "led is"}, Timeout: 10 * time.Second}
		short := &serial.Reply{Expect: reply.Expect, Timeout: 20 * time.Millisecond, Retries: 1}
		c.Entities = []serial.Entity{
			{ID: "led", Kind: bridge.Switch, Command: "led {{.Value}}\n", Reply: reply},
			{ID: "lamp", Kind: bridge.Switch, Command: "lamp {{.Value}}\n", Optimistic: true, Reply: short},
		}
	})
	bridgetest.Send(t, c, base.Set("led"), "ON")
	if r := result(t, c, "led"); r.Status != "ok" {
		t.Errorf("result = %+v, want ok", r)
	}
	bridgetest.Expect(t, c, base.State("led"), "ON")
	bridgetest.Send(t, c, base.Set("lamp"), "ON")
	if r := result(t, c, "lamp"); r.Status != "error" || r.Reason != "the stick did not answer within 20ms, 2 times" {
		t.Errorf("result = %+v, want error", r)
	}
	if m, ok := c.Retained(base.State("lamp")); ok {
		t.Errorf("the lamp is %q without an answer", m.Payload)
	}
}

// A command is framed as what is read is: here by SLIP with a CRC.
func TestFramedBothWays(t *testing.T) {
	far, port := plug(t)
	spec := frame.Spec{
		Kind: frame.SLIP, Check: &frame.Check{Algorithm: "CRC-16/XMODEM"}, Payload: frame.Part{To: new(-2)},
	}
	c := run(t, port, func(c *serial.Config) {
		c.Framing, c.CommandFraming, c.Format = &spec, true, serial.Value
		c.Entities = []serial.Entity{
			{ID: "level"},
			{ID: "go", Kind: bridge.Button, Command: `\xc0\x01go`},
		}
	})
	bridgetest.Send(t, c, base.Set("go"), "PRESS")
	want, err := frame.NewBuilder(spec).Frame([]byte("\xc0\x01go"))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the stick got %x, %v, want %x", got, err, want)
	}
	level, err := frame.NewBuilder(spec).Frame([]byte("42"))
	if err != nil {
		t.Fatal(err)
	}
	say(t, far, "\xc0noise", string(level))
	bridgetest.Expect(t, c, base.State("level"), "42")
	awaitAttr(t, c, "level", func(a bridge.Attr) bool {
		return a.Counters["bad_checksum"] == 1 && a.Counters["noise_bytes"] == 5 && a.Counters["bad_lines"] == 1
	})
}

// Silence ends a frame.
func TestFramesByGap(t *testing.T) {
	far, port := plug(t)
	c := run(t, port, func(c *serial.Config) {
		c.Framing, c.Format = &frame.Spec{Kind: frame.Gap, Gap: 50 * time.Millisecond}, serial.Value
		c.Entities = []serial.Entity{{ID: "v"}}
	})
	say(t, far, "42")
	bridgetest.Expect(t, c, base.State("v"), "42")
	say(t, far, "43")
	bridgetest.Expect(t, c, base.State("v"), "43")
}
