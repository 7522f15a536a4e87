package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// A bridgeFunc is a bridge made of its Run.
type bridgeFunc func(ctx context.Context, c bridge.Client) error

func (f bridgeFunc) Run(ctx context.Context, c bridge.Client) error { return f(ctx, c) }

// A supervised bridge runs until stop.
type supervised struct {
	*spy
	memory *bridgetest.Client
	logged *lines
	cancel context.CancelFunc
	done   chan struct{}
}

// supervise runs run in a bubble until the test ends. fail may be nil.
func supervise(t *testing.T, fail func(bridge.Message) error, run bridgeFunc) *supervised {
	t.Helper()
	memory := new(bridgetest.Client)
	s := &supervised{
		spy: &spy{Client: memory, fail: fail}, memory: memory, logged: new(lines), done: make(chan struct{}),
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(t.Context())
	go func() {
		defer close(s.done)
		bridge.Supervise(ctx, base, run, s.spy, s.logged.logger())
	}()
	t.Cleanup(func() { s.stop() })
	return s
}

// stop returns how long Supervise took to end.
func (s *supervised) stop() time.Duration {
	begin := time.Now()
	s.cancel()
	<-s.done
	return time.Since(begin)
}

// lines is a log without times.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) logger() *slog.Logger {
	omit := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "wait" {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: omit}))
}

var errUnplugged = errors.New("unplugged")

// lamp announces one entity and publishes its attributes.
func lamp(ctx context.Context, c bridge.Client) error {
	device := bridge.Device{Base: base, Entities: []bridge.Entity{{ID: "lamp", Kind: bridge.Switch}, {ID: "idle", Kind: bridge.Switch}}}
	if err := bridge.Announce(ctx, c, device); err != nil {
		return err
	}
	return errors.Join(
		bridge.PublishState(ctx, c, base, "lamp", "ON"),
		bridge.PublishAttr(ctx, c, base, "lamp", bridge.Attr{
			Cause: "command", Since: time.Now(), Counters: map[string]uint64{"edges": 7}, Extra: map[string]any{"line": 17},
		}))
}

// wantRetained compares what is retained; a payload is empty where nothing is.
func wantRetained(t *testing.T, c *bridgetest.Client, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name := range want {
		m, _ := c.Retained(name)
		got[name] = string(m.Payload)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("retained (-want +got):\n%s", diff)
	}
}

func TestSuperviseMarksOfflineAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock starts at 2000-01-01 00:00:00 UTC
		runs := 0
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			switch runs++; runs {
			case 1: // announces, and is lost after ten seconds
				if err := lamp(ctx, c); err != nil {
					return err
				}
				time.Sleep(10 * time.Second)
				return errUnplugged
			case 2, 3: // cannot be opened
				return errors.New("no such port")
			}
			if err := lamp(ctx, c); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		good := `{"quality":"good","cause":"command","since":"2000-01-01T00:00:00.000Z","counters":{"edges":7},"line":17}`
		wantRetained(t, s.memory, map[string]string{base.Status(): "online", base.Attr("lamp"): good, base.Attr("idle"): ""})

		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantRetained(t, s.memory, map[string]string{
			base.Status():      "offline",
			base.State("lamp"): "ON",
			base.Attr("lamp"): `{"quality":"offline","error":"unplugged","cause":"command","since":"2000-01-01T00:00:10.000Z",` +
				`"counters":{"edges":7},"line":17}`,
			base.Attr("idle"): `{"quality":"offline","error":"unplugged","since":"2000-01-01T00:00:10.000Z"}`,
		})

		time.Sleep(time.Second) // the second run has failed by now, and the third has not begun
		synctest.Wait()
		wantRetained(t, s.memory, map[string]string{
			base.Attr("idle"): `{"quality":"offline","error":"no such port","since":"2000-01-01T00:00:10.000Z"}`,
		})

		time.Sleep(time.Minute)
		wantRetained(t, s.memory, map[string]string{base.Status(): "online"})
		s.stop()
		wantRetained(t, s.memory, map[string]string{base.Status(): "offline"})
		bridgetest.Await(t, s.memory, base.Attr("idle"), func(m bridge.Message) bool {
			return bytes.Contains(m.Payload, []byte(`"error":"the bridge was stopped"`))
		})
		want := `level=WARN msg="bridge lost; trying again" err=unplugged
level=WARN msg="bridge lost; trying again" err="no such port"
level=INFO msg="bridge is back"
`
		if diff := cmp.Diff(want, s.logged.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

// A status that says online before the device was seen is a lie of the process before.
func TestSuperviseReplacesLeftover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(bridgetest.Client)
		if err := c.Publish(t.Context(), bridge.Message{Topic: base.Status(), Payload: []byte("online"), Retain: true}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		run := func(context.Context, bridge.Client) error {
			wantRetained(t, c, map[string]string{base.Status(): "offline"})
			cancel()
			return nil
		}
		bridge.Supervise(ctx, base, bridgeFunc(run), c, slog.New(slog.DiscardHandler))
		if ctx.Err() == nil {
			t.Error("Run was not called")
		}
	})
}

func TestSuperviseBacksOff(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name     string
		announce bool
		lasts    time.Duration
		full     []time.Duration // the delays, of which half to all is waited
	}{
		{"fails at once", false, 0, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}},
		{"lasts without announcing", false, time.Hour, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"announces and is lost at once", true, 0, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"announces and lasts long", true, time.Minute, []time.Duration{s, s, s, s}},
		{"announces and lasts five seconds", true, 5 * s, []time.Duration{s, s, s, s}},
		{"announces and lasts less than a delay", true, s - 1, []time.Duration{s, 2 * s, 4 * s, 8 * s}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				starts, ends := make(chan time.Time), make(chan time.Time)
				supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
					select {
					case starts <- time.Now():
					case <-ctx.Done():
						return nil
					}
					if tt.announce {
						if err := lamp(ctx, c); err != nil {
							return err
						}
					}
					time.Sleep(tt.lasts)
					ends <- time.Now()
					return errUnplugged
				})
				<-starts
				for i, full := range tt.full {
					end := <-ends
					if wait := (<-starts).Sub(end); wait < full/2 || wait > full {
						t.Errorf("delay %d is %v, want %v to %v", i, wait, full/2, full)
					}
				}
				<-ends
			})
		})
	}
}

func TestSuperviseEndsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(t, nil, func(context.Context, bridge.Client) error { return nil })
		time.Sleep(time.Minute)
		if took := s.stop(); took != 0 {
			t.Errorf("Supervise took %v to end, want no time", took)
		}
		want := []string{base.Status() + "=offline"}
		if diff := cmp.Diff(want, s.published()); diff != "" {
			t.Errorf("published by a bridge that announced nothing (-want +got):\n%s", diff)
		}
		if got, want := s.logged.String(), "level=WARN msg=\"bridge lost; trying again\" err=\"the bridge ended by itself\"\n"; got != want {
			t.Errorf("log is %q, want %q, once", got, want)
		}
	})
}

func TestSuperviseNeedsNoRunAfterItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := func(context.Context, bridge.Client) error { t.Error("Run was called"); return nil }
	c := new(bridgetest.Client)
	bridge.Supervise(ctx, base, bridgeFunc(run), c, slog.New(slog.DiscardHandler))
	wantRetained(t, c, map[string]string{base.Status(): "offline"})
}

func TestSuperviseReportsAnUncleanEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(t, nil, func(ctx context.Context, _ bridge.Client) error {
			<-ctx.Done()
			return fmt.Errorf("close relay: %w", errUnplugged)
		})
		synctest.Wait()
		s.stop()
		want := "level=WARN msg=\"bridge did not stop cleanly\" err=\"close relay: unplugged\"\n"
		if got := s.logged.String(); got != want {
			t.Errorf("log is %q, want %q", got, want)
		}
	})
}

func TestSupervisePanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "a bug" {
			t.Errorf("recovered %v, want the panic of the bridge", p)
		}
	}()
	run := func(context.Context, bridge.Client) error { panic("a bug") }
	bridge.Supervise(t.Context(), base, bridgeFunc(run), new(bridgetest.Client), slog.New(slog.DiscardHandler))
}

// A relay that is driven off at the end must not stay ON in its topic.
func TestSuperviseLetsTheLastStateThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			if err := lamp(ctx, c); err != nil {
				return err
			}
			<-ctx.Done()
			return bridge.PublishState(context.WithoutCancel(ctx), c, base, "lamp", "OFF")
		})
		synctest.Wait()
		s.stop()
		wantRetained(t, s.memory, map[string]string{base.State("lamp"): "OFF", base.Status(): "offline"})
	})
}
