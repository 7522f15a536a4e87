package serial_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/uart"
)

// addresses is a logger that tells where a tap listens.
type addresses struct {
	slog.Handler
	to chan string
}

func (a addresses) Enabled(context.Context, slog.Level) bool { return true }

func (a addresses) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(at slog.Attr) bool {
		if r.Message == "tap: listening" && at.Key == "address" {
			a.to <- at.Value.String()
		}
		return true
	})
	return nil
}

// TestTapSharesTheStick: a tool reads what the stick says and asks it, and so does
// the hub.
func TestTapSharesTheStick(t *testing.T) {
	far, port := plug(t)
	cfg := serial.DefaultConfig()
	cfg.Port = port
	cfg.Entities = []serial.Entity{{ID: "led", Kind: bridge.Switch, Command: "led {{.Value}}\n"}}
	cfg.Tap = &uart.TapConfig{Listen: "127.0.0.1:0", Protocol: uart.TapRaw, Write: true, Both: true, Hold: 100 * time.Millisecond}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	log := addresses{slog.DiscardHandler, make(chan string, 1)}
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, serial.New(base, cfg, slog.New(log)))
	bridgetest.Expect(t, c, base.Status(), "online")

	tool, err := net.Dial("tcp", <-log.to)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	_ = tool.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := tool.Write([]byte("who\n")); err != nil {
		t.Fatal(err)
	}
	stick, ears := bufio.NewReader(far), bufio.NewReader(tool)
	if got, err := stick.ReadString('\n'); got != "who\n" || err != nil {
		t.Fatalf("the stick got %q, %v, want who", got, err)
	}
	say(t, far, `{"led":"off"}`+"\n")
	if got, err := ears.ReadString('\n'); !strings.Contains(got, "off") || err != nil {
		t.Errorf("the tool got %q, %v, want what the stick said", got, err)
	}
	bridgetest.Expect(t, c, base.State("led"), "OFF")
	if err := c.Publish(t.Context(), bridge.Message{Topic: base.Set("led"), Payload: []byte("ON")}); err != nil {
		t.Fatal(err)
	}
	if got, err := stick.ReadString('\n'); got != "led ON\n" || err != nil {
		t.Errorf("the stick got %q, %v, want the command", got, err)
	}
	if got, err := ears.ReadString('\n'); got != "led ON\n" || err != nil {
		t.Errorf("the tool got %q, %v, want to see the command", got, err)
	}
	say(t, far, `{"led":"on"}`+"\n")
	awaitAttr(t, c, "led", func(a bridge.Attr) bool { return a.Counters["tap_clients"] == 1 })
}

func TestTapConfigHasItsPlace(t *testing.T) {
	cfg := serial.DefaultConfig()
	cfg.Port = "x"
	cfg.Entities = []serial.Entity{{ID: "t"}}
	cfg.Tap = &uart.TapConfig{Listen: "0.0.0.0:1", Protocol: "telnet", Hold: time.Second}
	err := cfg.Validate()
	for _, want := range []string{"tap.allow: must say which networks", "tap.protocol: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want %q within", err, want)
		}
	}
}

// TestTapThatCannotListen: the stick is on the air all the same.
func TestTapThatCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	far, port := plug(t)
	c := run(t, port, func(cfg *serial.Config) {
		cfg.Entities = []serial.Entity{{ID: "t"}}
		cfg.Tap = &uart.TapConfig{Listen: taken.Addr().String(), Protocol: uart.TapRaw, Hold: time.Second}
	})
	say(t, far, `{"t":1}`+"\n")
	bridgetest.Expect(t, c, base.State("t"), "1")
}

// TestStickOnTheNetwork: a port need not be a device. One whose connection ends
// is an error of Run, as an unplugged one is.
func TestStickOnTheNetwork(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := newBridge(t, base, "tcp://"+l.Addr().String(), func(cfg *serial.Config) { cfg.Entities = []serial.Entity{{ID: "t"}} })
	c := new(bridgetest.Client)
	done := make(chan error)
	go func() { done <- b.Run(t.Context(), c) }()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = far.Write([]byte(`{"t":21.5}` + "\n"))
	bridgetest.Expect(t, c, base.State("t"), "21.5")
	far.Close()
	if err := <-done; !errors.Is(err, uart.ErrGone) {
		t.Errorf("Run = %v, want %v", err, uart.ErrGone)
	}
}
