package gpio_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/sim"
)

// TestCoverRemembers runs the bridge again: after an orderly end the position is
// known, also if it ended in between; after a crash on the way it is not.
func TestCoverRemembers(t *testing.T) {
	cfg := coverConfig(false)
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		b := hang(t, r.board, cfg.Covers[0], 0)
		run := func(use func()) {
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error)
			go func() { over <- gpio.New(base, cfg, log).WithChips(b.Open).Run(ctx, r.client) }()
			bridgetest.Expect(t, r.client, base.Status(), "online")
			synctest.Wait()
			time.Sleep(time.Second)
			use()
			cancel()
			if err := <-over; err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		var crashed bridge.Message
		run(func() {
			r.says("OPEN", "ok", "opening")
			time.Sleep(30 * time.Second)
			r.says("40", "ok", "closing")
			time.Sleep(3 * time.Second)
			crashed, _ = r.client.Retained(base.Saved("blind"))
			time.Sleep(27 * time.Second)
			r.wantCover("stopped", "40")
		})
		run(func() {
			r.wantCover("stopped", "40")
			r.says("60", "ok", "opening")
			time.Sleep(2 * time.Second)
		})
		r.wantBlind(b, 0.5)
		run(func() { r.wantCover("stopped", "50") })
		if err := r.client.Publish(t.Context(), crashed); err != nil {
			t.Fatal(err)
		}
		moves := b.moves
		run(func() {
			r.wantCover("stopped", "")
			time.Sleep(time.Hour)
			r.says("50", "refused", "its position is not known")
		})
		if b.moves != moves {
			t.Errorf("the blind moved %d times by itself", b.moves-moves)
		}
	})
}

// TestCoverWaitsForDisk has a broker that does not take what is saved: the cover
// moves all the same, but later.
func TestCoverWaitsForDisk(t *testing.T) {
	cfg := coverConfig(false)
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		b := hang(t, r.board, cfg.Covers[0], 0)
		slow := slowDisk{Client: r.client, after: 300 * time.Millisecond}
		bridgetest.Run(t, r.client, wrapped{gpio.New(base, cfg, log).WithChips(b.Open), slow})
		bridgetest.Expect(t, r.client, base.Status(), "online")
		time.Sleep(time.Second)
		r.send("blind", "OPEN")
		time.Sleep(290 * time.Millisecond)
		if _, runs := b.is(); runs {
			t.Error("the motor runs before it is saved that it does")
		}
		time.Sleep(20 * time.Millisecond)
		if _, runs := b.is(); !runs {
			t.Error("the motor does not run though it is saved that it does")
		}
		if got := r.result("blind"); got.Status != bridge.StatusOK || got.Latency < 300*time.Millisecond {
			t.Errorf("result %+v, want ok after the disk", got)
		}
	})
}

// A slowDisk is a client whose lasting messages take a while.
type slowDisk struct {
	bridge.Client
	after time.Duration
}

func (c slowDisk) Publish(ctx context.Context, m bridge.Message) error {
	if m.Lasting {
		time.Sleep(c.after)
	}
	return c.Client.Publish(ctx, m)
}

// A wrapped bridge runs with another client than it is given.
type wrapped struct {
	bridge.Bridge
	client bridge.Client
}

func (w wrapped) Run(ctx context.Context, _ bridge.Client) error { return w.Bridge.Run(ctx, w.client) }
