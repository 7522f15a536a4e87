package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/broker/delivery"
)

// TestLoad compares with what mosquitto 2.0.11 published each two seconds after
// one CONNECT in the first two (load/sockets), and after 27 bytes
// (load/bytes/received).
func TestLoad(t *testing.T) {
	tests := []struct {
		span   int
		totals []uint64
		want   []string
	}{
		{0, []uint64{1, 1, 1, 1, 1, 1, 1}, strings.Fields("0.98 0.95 0.92 0.89 0.86 0.83 0.81")},
		{1, []uint64{1}, []string{"0.20"}},
		{2, []uint64{1}, []string{"0.07"}},
		{0, []uint64{27, 27, 27, 27}, strings.Fields("26.55 25.68 24.84 24.03")},
		{1, []uint64{27, 27, 27, 27}, strings.Fields("5.38 5.35 5.31 5.28")},
	}
	for _, tt := range tests {
		var l load
		for i, total := range tt.totals {
			l.update(total, 2*time.Second)
			if got := fmt.Sprintf("%.2f", l.averages[tt.span]); got != tt.want[i] {
				t.Errorf("averages over %s of %d: %s at place %d, want %s", spans[tt.span].name, tt.totals, got, i, tt.want[i])
			}
		}
	}
}

// TestLoadOfAnyInterval shows that the averages are of time, not of updates.
func TestLoadOfAnyInterval(t *testing.T) {
	var often, seldom load
	for i := range uint64(60) {
		often.update(100*(i+1), time.Second)
	}
	seldom.update(6000, time.Minute)
	for i := range spans {
		if a, b := often.averages[i], seldom.averages[i]; math.Abs(a-b) > 1e-6*b {
			t.Errorf("average over %s is %f by second and %f by minute", spans[i].name, a, b)
		}
	}
	before := seldom
	seldom.update(6000, 0)
	if seldom != before {
		t.Errorf("an update after no time makes %+v of %+v", seldom, before)
	}
}

// A watcher keeps what it was sent, by topic.
type watcher struct {
	mu  sync.Mutex
	got map[string][]string
}

func (w *watcher) take(m bridge.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	payload := string(m.Payload)
	if m.Retain {
		payload += " (retained)"
	}
	w.got[m.Topic] = append(w.got[m.Topic], payload)
}

// took returns what was published at $SYS/broker/NAME since it was asked last.
func (w *watcher) took(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer delete(w.got, sysPrefix+name)
	return strings.Join(w.got[sysPrefix+name], ", ")
}

// all returns everything that was published since it was asked last.
func (w *watcher) all() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.got
	w.got = make(map[string][]string)
	return got
}

// watch subscribes to everything below $SYS.
func watch(ctx context.Context, t *testing.T, b *Broker) *watcher {
	t.Helper()
	w := &watcher{got: make(map[string][]string)}
	if err := b.Client("watch").Subscribe(ctx, "$SYS/#", w.take); err != nil {
		t.Fatal(err)
	}
	return w
}

// withSys runs f with a broker whose interval is every, on time of synctest.
func withSys(t *testing.T, every time.Duration, f func(t *testing.T, b *Broker, cfg Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.SysInterval, cfg.Version = every, "1.2.3"
		b, err := Open(cfg, "edge", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, b)
		f(t, b, cfg)
	})
}

// pass lets time go by, and what happens then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestSysPublishesWhatChanged(t *testing.T) {
	withSys(t, 10*time.Second, func(t *testing.T, b *Broker, _ Config) {
		w := watch(t.Context(), t, b)
		synctest.Wait()
		expect(t, w, map[string]string{
			"version": "edge version 1.2.3 (retained)", "uptime": "0 seconds (retained)",
			"clients/maximum": "0 (retained)", "retained messages/count": "0 (retained)",
			"load/publish/sent/15min": "0.00 (retained)",
		})
		w.all()
		pass(9 * time.Second)
		if got := w.all(); len(got) > 0 {
			t.Errorf("published before its time: %v", got)
		}
		pass(21 * time.Second)
		expect(t, w, map[string]string{"uptime": "10 seconds, 20 seconds, 30 seconds", "version": "", "clients/total": ""})
		if n := w.took("retained messages/count"); n != fmt.Sprint(b.Stats().Held.Retained) {
			t.Errorf("%q retained were published, want what is there: %d", n, b.Stats().Held.Retained)
		}
	})
}

func expect(t *testing.T, w *watcher, want map[string]string) {
	t.Helper()
	for name, payloads := range want {
		if got := w.took(name); got != payloads {
			t.Errorf("%s%s was %q, want %q", sysPrefix, name, got, payloads)
		}
	}
}

// TestSysDoesNotMatchWildcards (MQTT 5.0, section 4.7.2).
func TestSysDoesNotMatchWildcards(t *testing.T) {
	withSys(t, time.Second, func(t *testing.T, b *Broker, _ Config) {
		w := &watcher{got: make(map[string][]string)}
		for _, filter := range []string{"#", "+/broker/uptime"} {
			if err := b.Client("watch").Subscribe(t.Context(), filter, w.take); err != nil {
				t.Fatal(err)
			}
		}
		pass(5 * time.Second)
		if got := w.all(); len(got) > 0 {
			t.Errorf("wildcards matched %v", got)
		}
	})
}

func TestSysInterval(t *testing.T) {
	withSys(t, 0, func(t *testing.T, b *Broker, cfg Config) {
		w := watch(t.Context(), t, b)
		pass(time.Hour)
		expect(t, w, map[string]string{"uptime": ""})
		for _, every := range []time.Duration{time.Minute, time.Second} {
			cfg.SysInterval = every
			if err := b.Reload(cfg); err != nil {
				t.Fatal(err)
			}
		}
		pass(2500 * time.Millisecond)
		if got, want := w.took("uptime"), "3600 seconds, 3601 seconds, 3602 seconds"; got != want && got != "3600 seconds, "+want {
			t.Errorf("uptime after a reload with 1s was %q, want %q", got, want)
		}
		cfg.SysInterval = 0
		if err := b.Reload(cfg); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if got := w.took("uptime"); got != "" || b.Stats().Held.Retained != 0 {
			t.Errorf("uptime after it was turned off was %q with %d retained, want an empty message and nothing", got, b.Stats().Held.Retained)
		}
	})
}

// TestSysThatIsNotAllowed warns once and goes on: the averages have six levels.
func TestSysThatIsNotAllowed(t *testing.T) {
	var log strings.Builder
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Limits.TopicLevels = 5
		b, err := Open(cfg, "edge", slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		w := watch(t.Context(), t, b)
		pass(time.Minute)
		if got, want := w.took("uptime"), "60 seconds"; !strings.HasSuffix(got, want) {
			t.Errorf("uptime was %q, want it up to %s", got, want)
		}
		shut(t, b)
	})
	if n := strings.Count(log.String(), "counts of the broker are not published"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, log.String())
	}
}

// TestSysWhenTheStoreIsFull says that it is.
func TestSysWhenTheStoreIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Limits.RetainedBytes = 1024
		b, err := Open(cfg, "edge", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, b)
		w := watch(t.Context(), t, b)
		c := b.Client("c")
		if err := c.Publish(t.Context(), bridge.Message{Topic: "a", Payload: make([]byte, 900), Retain: true}); err != nil {
			t.Errorf("the broker's own messages take the room of others: %v", err)
		}
		if err := c.Publish(t.Context(), bridge.Message{Topic: "b", Payload: []byte("x"), Retain: true}); err == nil {
			t.Error("a message beyond the limit was retained")
		}
		pass(10 * time.Second)
		if got := w.took("uptime"); got != "0 seconds (retained), 10 seconds" {
			t.Errorf("uptime was %q, want it at once and after 10 s", got)
		}
	})
}

// nowhere is a connection that never reads.
type nowhere struct{ done chan struct{} }

func (nowhere) Wake()                   {}
func (nowhere) Kick()                   {}
func (n nowhere) Done() <-chan struct{} { return n.done }

// TestSysTellsLosses names who lost messages, at most once in ten seconds, and
// does not keep it.
func TestSysTellsLosses(t *testing.T) {
	withSys(t, time.Second, func(t *testing.T, b *Broker, _ Config) {
		w := watch(t.Context(), t, b)
		s, _, release, err := b.engine.Begin(delivery.Opening{ID: `slow "one"`, Link: nowhere{}})
		if err != nil {
			t.Fatal(err)
		}
		release()
		for range 15 {
			s.Discard(nowhere{}, 0)
			pass(time.Second)
		}
		var l loss
		got := w.took("clients/dropped")
		if err := json.Unmarshal([]byte(got), &l); err != nil || l.Client != `slow "one"` || l.Reason != "large" || l.Count < 8 || l.Count > 10 {
			t.Errorf("clients/dropped in 15 s was %s (%v), want one event about 8 to 10 messages", got, err)
		}
		first := l.Count
		pass(10 * time.Second)
		if err := json.Unmarshal([]byte(w.took("clients/dropped")), &l); err != nil || l.Count+first != 15 {
			t.Errorf("the second event is %+v, want the rest of 15 after %d", l, first)
		}
		pass(time.Minute)
		expect(t, w, map[string]string{"clients/dropped": ""})
		if got := watchDropped(t, b); got != "" {
			t.Errorf("clients/dropped is retained: %s", got)
		}
	})
}

func watchDropped(t *testing.T, b *Broker) string {
	t.Helper()
	w := watch(t.Context(), t, b)
	synctest.Wait()
	if w.took("dropped/large") != "15 (retained)" {
		t.Error("dropped/large is not 15")
	}
	return w.took("clients/dropped")
}

func TestReasons(t *testing.T) {
	got := reasons(delivery.Loss{Client: "c", Dropped: delivery.Dropped{Slow: 1, Expired: 2, Full: 3, Large: 4}})
	if want := "[{c slow 1} {c expired 2} {c full 3} {c large 4}]"; fmt.Sprint(got) != want {
		t.Errorf("reasons are %v, want %s", got, want)
	}
}

func TestStatsOfConnections(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous, cfg.Limits.Connections = true, 1
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	c := dialURL(t, b.URLs()[0])
	talk(t, c, hello, welcome)
	one := dialURL(t, b.URLs()[0])
	ended(t, one)
	if _, err := io.WriteString(c, "\xe0\x00"); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	n := b.Stats().Traffic
	if n.Sockets != 2 || n.Accepted != 1 || n.Refused != 1 || n.Connected != 0 || n.Maximum != 1 {
		t.Errorf("counts are %+v, want 2 sockets, 1 accepted, 1 refused, 0 connected, 1 at most", n)
	}
}

func TestSysIntervalIsChecked(t *testing.T) {
	for every, fine := range map[time.Duration]bool{
		0: true, time.Second: true, time.Hour: true, time.Second - 1: false, time.Hour + 1: false, -1: false,
	} {
		cfg := DefaultConfig()
		cfg.SysInterval = every
		if err := cfg.Validate(); (err == nil) != fine || err != nil && !strings.Contains(err.Error(), "sys_interval: must be") {
			t.Errorf("an interval of %v: %v, want fine %t", every, err, fine)
		}
	}
}
