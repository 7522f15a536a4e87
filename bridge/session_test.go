package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"edge/bridge"
	"edge/bridge/bridgetest"
)

// What a bridge leaves behind must neither publish after offline nor be called.
func TestRunLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu      sync.Mutex
			calls   int
			strayed = make(chan error, 2)
			runs    int
		)
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			if runs++; runs > 1 {
				<-ctx.Done()
				return nil
			}
			forever := context.WithoutCancel(ctx)
			err := c.Subscribe(forever, "in/#", func(bridge.Message) {
				mu.Lock()
				defer mu.Unlock()
				calls++
			})
			if err != nil {
				return err
			}
			if err := lamp(ctx, c); err != nil {
				return err
			}
			go func() {
				time.Sleep(100 * time.Millisecond)
				strayed <- bridge.PublishState(forever, c, base, "lamp", "OFF")
				strayed <- c.Subscribe(forever, "in/#", func(bridge.Message) {})
			}()
			bridgetest.Send(t, c, "in/x", "")
			synctest.Wait()
			return errUnplugged
		})
		time.Sleep(200 * time.Millisecond)
		bridgetest.Send(t, s.memory, "in/x", "")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if calls != 1 {
			t.Errorf("the handler was called %d times, want once, while Run ran", calls)
		}
		for _, what := range []string{"Publish", "Subscribe"} {
			if err := <-strayed; err == nil || !strings.Contains(err.Error(), "this run of the bridge is over") {
				t.Errorf("%s after the end of Run returned %v, want that it is over", what, err)
			}
		}
		wantRetained(t, s.memory, map[string]string{base.State("lamp"): "ON", base.Status(): "offline"})
	})
}

// A handler that never returns costs a warning, not the supervision.
func TestHandlerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		runs := make(chan time.Time, 10)
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			runs <- time.Now()
			if err := c.Subscribe(ctx, "in/x", func(bridge.Message) { <-release }); err != nil {
				return err
			}
			bridgetest.Send(t, c, "in/x", "")
			synctest.Wait()
			return errUnplugged
		})
		first := <-runs
		if took := (<-runs).Sub(first); took > 1500*time.Millisecond {
			t.Errorf("Run was called again after %v, want at most half a second and the delay of one", took)
		}
		s.stop()
		want := "level=WARN msg=\"a handler or a publish of the bridge outlives its run\" waited=500ms\n"
		if !strings.HasPrefix(s.logged.String(), want) {
			t.Errorf("log is %q, want it to begin with %q", s.logged.String(), want)
		}
	})
}

// The run's end reaches a Publish of the bridge that the broker does not answer.
func TestPublishThatHangsEndsWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		run := func(ctx context.Context, c bridge.Client) error {
			go func() { hung <- bridge.PublishState(context.WithoutCancel(ctx), c, base, "x", "1") }()
			synctest.Wait()
			cancel()
			return nil
		}
		begin := time.Now()
		bridge.Supervise(ctx, base, bridgeFunc(run), hanging{}, new(lines).logger())
		if err := <-hung; !errors.Is(err, context.Canceled) {
			t.Errorf("Publish returned %v, want %v", err, context.Canceled)
		}
		// Once before the first run, and once after it.
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("Supervise took %v beside a broker that hangs, want 2s", took)
		}
	})
}

// hanging is a broker that answers nothing.
type hanging struct{ bridge.Client }

func (hanging) Publish(ctx context.Context, _ bridge.Message) error {
	<-ctx.Done()
	return ctx.Err()
}

// Offline that the broker did not take is said again.
func TestOfflineIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		runs := 0
		s := supervise(t, func(m bridge.Message) error {
			if full.Load() && strings.Contains(string(m.Payload), "offline") {
				return errors.New("broker is full")
			}
			return nil
		}, func(ctx context.Context, c bridge.Client) error {
			if runs++; runs > 1 {
				<-ctx.Done()
				return nil
			}
			full.Store(true)
			if err := lamp(ctx, c); err != nil {
				return err
			}
			return errUnplugged
		})
		synctest.Wait()
		wantRetained(t, s.memory, map[string]string{base.Status(): "online"})
		full.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantRetained(t, s.memory, map[string]string{
			base.Status():     "offline",
			base.Attr("idle"): `{"quality":"offline","error":"unplugged","since":"2000-01-01T00:00:00.000Z"}`,
		})
	})
}

// A device that was withdrawn, or that never was ours, is not spoken for.
func TestOfflineOnlyOfWhatIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			if err := lamp(ctx, c); err != nil {
				return err
			}
			second := bridge.Device{Base: "edge/host/porch2", Entities: []bridge.Entity{{ID: "x", Kind: bridge.Sensor}}}
			if err := bridge.Announce(ctx, c, second); err != nil {
				return err
			}
			for _, m := range []bridge.Message{
				{Topic: base.Meta(), Retain: true},       // withdrawn
				{Topic: base.Attr("lamp"), Retain: true}, // withdrawn
				{Topic: "flat", Retain: true},            // no base
				{Topic: "a/c/meta", Payload: []byte(`{"status":"a/c/status","entities":[{"id":"x"}]}`)},               // not retained
				{Topic: "a/b/meta", Payload: []byte(`{"status":"c/d/status","entities":[{"id":"x"}]}`), Retain: true}, // foreign
			} {
				if err := c.Publish(ctx, m); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil
		})
		synctest.Wait()
		s.stop()
		wantRetained(t, s.memory, map[string]string{
			base.Status():             "offline",
			base.Attr("lamp"):         "",
			base.Attr("idle"):         "",
			"edge/host/porch2/status": "offline",
			"edge/host/porch2/x/attr": `{"quality":"offline","error":"the bridge was stopped","since":"2000-01-01T00:00:00.000Z"}`,
			"a/b/x/attr":              "",
			"a/c/x/attr":              "",
		})
	})
}

// What was withdrawn is not brought back, and what was said is not said again.
func TestOfflineIsBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		s := supervise(t, nil, func(ctx context.Context, c bridge.Client) error {
			if runs++; runs > 1 {
				return errUnplugged
			}
			return errors.Join(lamp(ctx, c),
				c.Publish(ctx, bridge.Message{Topic: base.Attr("lamp"), Retain: true}),
				errUnplugged)
		})
		time.Sleep(time.Minute)
		s.stop()
		var got []string
		for _, line := range s.published() {
			if strings.Contains(line, "offline") {
				got = append(got, line)
			}
		}
		const offline = `{"quality":"offline","error":"unplugged","since":"2000-01-01T00:00:00.000Z"}`
		want := []string{
			base.Status() + "=offline", // before the first run
			base.Status() + "=offline", base.Attr("lamp") + "=" + offline, base.Attr("idle") + "=" + offline,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("published (-want +got):\n%s", diff)
		}
	})
}

// An act is what a bridge does in one run.
type act struct {
	announce bool
	cause    string // in the attributes that it publishes
	lasts    time.Duration
	fails    bool
}

var anyAct = rapid.Custom(func(t *rapid.T) act {
	return act{
		announce: rapid.Bool().Draw(t, "announce"),
		cause:    rapid.SampledFrom([]string{"timer", "input", "command"}).Draw(t, "cause"),
		lasts:    time.Duration(rapid.IntRange(0, 40_000).Draw(t, "lasts")) * time.Millisecond,
		fails:    rapid.Bool().Draw(t, "fails"),
	}
})

// TestSuperviseModel compares what is retained before, in and after random runs
// with what a person would expect, and the delays with their bounds.
func TestSuperviseModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &play{memory: new(bridgetest.Client), acts: rapid.SliceOfN(anyAct, 1, 12).Draw(rt, "acts")}
		synctest.Test(t, p.perform)
		if p.err != nil {
			rt.Fatal(p.err)
		}
	})
}

// A play is a bridge with one act for each run, and the model of its supervision.
type play struct {
	memory *bridgetest.Client
	acts   []act

	run    int           // the next one
	cause  string        // published last; empty: nothing was announced so far
	delay  time.Duration // the longest before the next run
	over   time.Time     // the end of the last run
	cancel context.CancelFunc
	err    error // the first difference
}

func (p *play) perform(t *testing.T) {
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(t.Context())
	p.over = time.Now()
	bridge.Supervise(ctx, base, p, p.memory, slog.New(slog.DiscardHandler))
	p.compare("at the end", bridge.Offline)
	if p.run <= len(p.acts) {
		p.fail("Run was called %d times, want once more than %d", p.run, len(p.acts))
	}
}

// Run implements bridge.Bridge.
func (p *play) Run(ctx context.Context, c bridge.Client) error {
	if wait := time.Since(p.over); wait < p.delay/2 || wait > p.delay {
		p.fail("waited %v, want %v to %v", wait, p.delay/2, p.delay)
	}
	p.compare("before Run", bridge.Offline)
	if p.run++; p.run > len(p.acts) {
		p.cancel()
		return nil
	}
	a := p.acts[p.run-1]
	if a.announce {
		p.announce(ctx, c, a.cause)
	}
	time.Sleep(a.lasts)
	p.over = time.Now()
	if p.delay = min(max(2*p.delay, time.Second), 30*time.Second); a.announce && a.lasts >= p.delay {
		p.delay = time.Second
	}
	if a.fails {
		return errUnplugged
	}
	return nil
}

func (p *play) announce(ctx context.Context, c bridge.Client, cause string) {
	device := bridge.Device{Base: base, Entities: []bridge.Entity{{ID: "x", Kind: bridge.Sensor}}}
	p.cause = cause
	err := errors.Join(
		bridge.Announce(ctx, c, device),
		bridge.PublishAttr(ctx, c, base, "x", bridge.Attr{Cause: cause}))
	if err != nil {
		p.fail("announce: %v", err)
	}
	p.compare("in Run", bridge.Online)
}

// compare looks at what is retained.
func (p *play) compare(when, status string) {
	if m, _ := p.memory.Retained(base.Status()); string(m.Payload) != status {
		p.fail("%s: status is %q, want %q", when, m.Payload, status)
	}
	if p.cause == "" {
		return
	}
	var a bridge.Attr
	m, _ := p.memory.Retained(base.Attr("x"))
	if err := json.Unmarshal(m.Payload, &a); err != nil {
		p.fail("%s: attributes %q: %v", when, m.Payload, err)
	}
	if (a.Quality == bridge.Offline) != (status == bridge.Offline) || a.Cause != p.cause {
		p.fail("%s: attributes are %s, want those of status %s with cause %q", when, m.Payload, status, p.cause)
	}
}

func (p *play) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("run %d: %w", p.run, fmt.Errorf(format, args...))
	}
	p.cancel()
}
