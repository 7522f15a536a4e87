package modbus

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/modbus"
	"edge/internal/sim"
	"edge/internal/uart"
)

// An adapter that is unplugged is waited for, not for a time.
func TestAdapterComesBack(t *testing.T) {
	link := filepath.Join(t.TempDir(), "usb-Test_1-if00")
	far, err := sim.NewPTY(link)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer far.Close()
	cfg := parse(t, "port: "+link+"\nlow_latency: true\nunits: [{unit: 1, entities: [{id: a, address: 0}]}]\n")
	c := new(bridgetest.Client)
	ended := make(chan error, 1)
	go func() { ended <- New(testBase, cfg, slog.New(slog.DiscardHandler)).Run(t.Context(), c) }()
	bridgetest.Expect(t, c, testBase.Status(), "online")
	far.Close()
	err = <-ended
	gone, ok := errors.AsType[*bridge.Lost](err)
	if !ok || !errors.Is(err, uart.ErrGone) {
		t.Fatalf("Run: %v, want bridge.Lost with %v", err, uart.ErrGone)
	}
	again, err := sim.NewPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := gone.Back(t.Context()); err != nil {
		t.Errorf("Back: %v, want the adapter", err)
	}
}

func TestLineIsChecked(t *testing.T) {
	cfg := parse(t, "port: /dev/ttyAMA0\nunits: [{unit: 1, entities: [{id: a, address: 0}]}]\n")
	cfg.RS485 = uart.RS485{Enabled: true, RTSOnSend: "maybe", DelayBefore: 150 * time.Millisecond}
	err := cfg.Validate()
	for _, want := range []string{"rs485.rts_on_send", "rs485.delay_before"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: %v, want a mistake at %s", err, want)
		}
	}
}

// A counted port is one whose driver counts.
type counted struct{ port }

func (counted) Counters() (uart.Counters, error) { return uart.Counters{Frame: 3, Break: 1}, nil }

// What the driver has counted is beside the load of the bus.
func TestBusTellsItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "units: [{unit: 1, period: 1s, entities: [{id: a, address: 0}]}]\n"
		r := connect(t, text, map[byte]modbus.Handler{1: memory(7)}, func(b *Bridge) {
			open := b.open
			b.open = func(ctx context.Context, c *Config, log *slog.Logger) (port, error) {
				p, err := open(ctx, c, log)
				return counted{p}, err
			}
		})
		a := r.attr("bus_load", func(a bridge.Attr) bool { return len(a.Counters) > 0 })
		if a.Counters["frame_errors"] != 3 || a.Counters["breaks"] != 1 || len(a.Counters) != 5 {
			t.Errorf("counters of the bus are %v, want those of its driver", a.Counters)
		}
	})
}
