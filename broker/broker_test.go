package broker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// start opens a broker that everybody on this machine may use, at urls.
func start(t *testing.T, urls ...string) *Broker {
	t.Helper()
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	for _, u := range urls {
		cfg.Listeners = append(cfg.Listeners, Listener{URL: u})
	}
	b, err := Open(cfg, "edge", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestClient(t *testing.T) {
	bridgetest.TestClient(t, func(t *testing.T) bridge.Client { return start(t).Client("test") })
}
