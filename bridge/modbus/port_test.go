package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/modbus"
	"edge/internal/sim"
	"edge/internal/uart"
)

// plugUnits makes a serial port with units behind it, on a line that takes no time.
func plugUnits(t *testing.T, link string, units ...*sim.Unit) *sim.PTY {
	t.Helper()
	far, err := sim.NewPTY(link)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	line := sim.NewBus(0, 0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- line.Serve(ctx, modbus.RTU, modbus.Timing{}, units...) }()
	go func() { done <- line.Bridge(ctx, far) }()
	t.Cleanup(func() {
		cancel()
		_, _ = <-done, <-done // One of them may have lost its port.
		far.Close()
	})
	return far
}

// awaken is a logger that tells where a tap listens.
type awaken struct {
	slog.Handler
	to chan string
}

func (a awaken) Enabled(context.Context, slog.Level) bool { return true }

func (a awaken) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(at slog.Attr) bool {
		if r.Message == "tap: listening" && at.Key == "address" {
			a.to <- at.Value.String()
		}
		return true
	})
	return nil
}

// TestTapSharesTheBus has a tool ask a unit between the requests of the bridge.
func TestTapSharesTheBus(t *testing.T) {
	link := filepath.Join(t.TempDir(), "usb-Test_1-if00")
	m := memory(7, 8, 9)
	plugUnits(t, link, sim.NewUnit(1, m))
	cfg := parse(t, fmt.Sprintf(`
port: %s
timeout: 5s
tap: {listen: "127.0.0.1:0", write: true, hold: 10ms}
units: [{unit: 1, period: 20ms, entities: [{id: a, address: 0}]}]
`, link))
	log := awaken{slog.DiscardHandler, make(chan string, 1)}
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, New(testBase, cfg, slog.New(log)))
	bridgetest.Expect(t, c, testBase.State("a"), "7")
	conn, err := net.Dial("tcp", <-log.to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tool := modbus.NewClient(conn, modbus.RTU, modbus.Timing{Timeout: 5 * time.Second})
	good := 0
	for i := 0; i < 200 && good < 3; i++ {
		// A tap shows all that is said: what the bridge hears is noise to a tool.
		got, err := tool.ReadRegisters(t.Context(), 1, modbus.ReadHoldingRegisters, 1, 2)
		if err == nil {
			good++
		}
		if err == nil && !slices.Equal(got, []uint16{8, 9}) {
			t.Errorf("the tool reads %v", got)
		}
		var garbled *modbus.FrameError
		if err != nil && !errors.As(err, &garbled) {
			t.Errorf("the tool gets %v", err)
		}
		m.Set(modbus.HoldingRegisters, 0, uint16(100+i))
		bridgetest.Expect(t, c, testBase.State("a"), fmt.Sprint(100+i))
	}
	if good < 3 {
		t.Errorf("in 200 tries the tool had %d answers", good)
	}
}

func TestTapConfigHasItsPlace(t *testing.T) {
	cfg := parse(t, "port: tcp://127.0.0.1:502\nunits: [{unit: 1, entities: [{id: a, address: 0}]}]")
	cfg.Tap = &uart.TapConfig{Listen: "0.0.0.0:1", Protocol: uart.TapRaw, Hold: time.Second}
	if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "tap: is for a line") {
		t.Errorf("Validate = %v, want that a gateway needs no tap", err)
	}
	cfg.Port = "ttyS0"
	if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "tap.allow: must say") {
		t.Errorf("Validate = %v, want that networks must be named", err)
	}
}

// TestReplugged unplugs the port of a bridge that is supervised and plugs it in again.
func TestReplugged(t *testing.T) {
	link := filepath.Join(t.TempDir(), "usb-Test_1-if00")
	unit := sim.NewUnit(1, memory(7))
	far := plugUnits(t, link, unit)
	cfg := parse(t, fmt.Sprintf("port: %s\nunits: [{unit: 1, period: 20ms, entities: [{id: a, address: 0}]}]", link))
	c := new(bridgetest.Client)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		bridge.Supervise(ctx, testBase, New(testBase, cfg, slog.New(slog.DiscardHandler)), c, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	bridgetest.Expect(t, c, testBase.State("a"), "7")
	far.Close()
	bridgetest.Expect(t, c, testBase.Status(), bridge.Offline)
	plugUnits(t, link, unit)
	bridgetest.Expect(t, c, testBase.Status(), bridge.Online)
	bridgetest.Expect(t, c, testBase.State("a"), "7")
}
