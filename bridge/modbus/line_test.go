package modbus

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
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
