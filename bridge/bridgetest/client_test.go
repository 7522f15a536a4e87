package bridgetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"edge/bridge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClientInMemory(t *testing.T) {
	TestClient(t, func(*testing.T) bridge.Client { return new(Client) })
}

func TestClientInMemoryInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Client)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got []string
		handle := func(m bridge.Message) { got = append(got, string(m.Payload)) }
		if err := c.Subscribe(ctx, "a/+", handle); err != nil {
			t.Fatal(err)
		}
		Send(t, c, "a/b", "1")
		synctest.Wait()
		cancel()
		synctest.Wait()
		Send(t, c, "a/b", "2")
		synctest.Wait()
		if diff := cmp.Diff([]string{"1"}, got); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if len(c.subs) != 0 {
			t.Errorf("%d subscriptions are left after their context", len(c.subs))
		}
	})
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Client)
		publish := func(name string, expiry time.Duration) {
			t.Helper()
			m := bridge.Message{Topic: name, Payload: []byte("x"), Retain: true, Expiry: expiry}
			if err := c.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		publish("short", 5*time.Second)
		publish("long", 60*time.Second)
		publish("ever", 0)
		time.Sleep(10*time.Second + time.Millisecond)

		got := map[string]time.Duration{}
		if err := c.Subscribe(t.Context(), "#", func(m bridge.Message) { got[m.Topic] = m.Expiry }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := map[string]time.Duration{"ever": 0, "long": 50 * time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("retained after 10 s with what is left (-want +got):\n%s", diff)
		}
		if _, ok := c.Retained("short"); ok {
			t.Error("Retained returns a message that has expired")
		}
	})
}

func TestExpiredCommandIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Client)
		busy := make(chan struct{})
		var got []string
		err := c.Subscribe(t.Context(), "edge/host/gpio/lamp/set", func(m bridge.Message) {
			got = append(got, string(m.Payload))
			<-busy
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range []string{"ON", "OFF"} {
			m := bridge.Message{Topic: "edge/host/gpio/lamp/set", Payload: []byte(payload), Expiry: time.Second}
			if err := c.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		close(busy)
		Expect(t, c, "edge/host/gpio/lamp/result", `{"status":"refused","reason":"expired"}`)
		synctest.Wait()
		if diff := cmp.Diff([]string{"ON"}, got); diff != "" {
			t.Errorf("executed (-want +got):\n%s", diff)
		}
	})
}

func TestExpectReadsEachMessageOnce(t *testing.T) {
	c := new(Client)
	for _, payload := range []string{"OFF", "ON", "OFF"} {
		Send(t, c, "a", payload)
	}
	Expect(t, c, "a", "ON")
	Expect(t, c, "a", "OFF")
	fake := &recorder{TB: t}
	synctest.Test(t, func(*testing.T) {
		fake.try(func() { Expect(fake, c, "a", "ON") })
	})
	if diff := cmp.Diff([]string{`a: got nothing, want "ON"`}, fake.said); diff != "" {
		t.Errorf("Expect after all was read (-want +got):\n%s", diff)
	}
}

func TestExpectForgetsWhatIsLongAgo(t *testing.T) {
	c := new(Client)
	for range maxHistory + 1 {
		Send(t, c, "a", "old")
	}
	Send(t, c, "a", "new")
	Expect(t, c, "a", "new")
	if n := len(c.history["a"].messages); n > maxHistory {
		t.Errorf("%d messages are remembered, want at most %d", n, maxHistory)
	}
}

// A recorder is a test that fails without ending.
type recorder struct {
	testing.TB
	cleanup []func()

	mu   sync.Mutex
	said []string
}

// errFatal is what Fatalf of a recorder panics with.
var errFatal = errors.New("fatal")

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanup = append(r.cleanup, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(errFatal)
}

// try runs f as a test, with its cleanup.
func (r *recorder) try(f func()) {
	defer func() {
		if p := recover(); p != nil && p != errFatal { //nolint:errorlint // it is that value
			panic(p)
		}
		for _, c := range r.cleanup {
			c()
		}
	}()
	f()
}

// A bridgeFunc is a bridge made of its Run.
type bridgeFunc func(ctx context.Context, c bridge.Client) error

func (f bridgeFunc) Run(ctx context.Context, c bridge.Client) error { return f(ctx, c) }

func TestRunFails(t *testing.T) {
	wait := func(ctx context.Context, _ bridge.Client) error { <-ctx.Done(); return ctx.Err() }
	for _, tt := range []struct {
		name string
		run  bridgeFunc
		want []string
	}{
		{"good", wait, nil},
		{
			"ends early", func(context.Context, bridge.Client) error { return nil },
			[]string{"Run returned <nil> before its context ended"},
		},
		{
			"fails early", func(context.Context, bridge.Client) error { return errors.New("unplugged") },
			[]string{"Run returned unplugged before its context ended"},
		},
		{"fails late", func(ctx context.Context, c bridge.Client) error {
			_ = wait(ctx, c)
			return errors.New("stuck")
		}, []string{"Run returned stuck when its context ended, want nil"}},
		{"leaves a subscription", func(ctx context.Context, c bridge.Client) error {
			forever := context.WithoutCancel(ctx)
			forever, cancel := context.WithTimeout(forever, time.Hour) // so that the bubble ends
			context.AfterFunc(forever, cancel)
			if err := c.Subscribe(forever, "a/#", func(bridge.Message) {}); err != nil {
				return err
			}
			return wait(ctx, c)
		}, []string{"the subscription to a/# outlives Run; subscribe with its context"}},
		{"does not end", func(context.Context, bridge.Client) error {
			time.Sleep(time.Minute)
			return nil
		}, []string{"Run did not return within 10s of the end of its context"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &recorder{TB: t}
			synctest.Test(t, func(*testing.T) {
				fake.try(func() {
					Run(fake, new(Client), tt.run)
					synctest.Wait()
				})
				time.Sleep(2 * time.Hour) // what is left ends here
			})
			if diff := cmp.Diff(tt.want, fake.said); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunSeesWhoPublishesAfterwards(t *testing.T) {
	fake := &recorder{TB: t}
	synctest.Test(t, func(t *testing.T) {
		fake.try(func() {
			Run(fake, new(Client), bridgeFunc(func(_ context.Context, c bridge.Client) error {
				go func() {
					time.Sleep(time.Second)
					Send(t, c, "a", "late")
				}()
				return errors.New("unplugged")
			}))
			time.Sleep(2 * time.Second)
		})
	})
	want := []string{
		"Run returned unplugged before its context ended",
		"the bridge published to a after its Run had returned",
	}
	if diff := cmp.Diff(want, fake.said); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}
