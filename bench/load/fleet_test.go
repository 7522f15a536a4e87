package load

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"edge/bench/wire"
)

// quiet ends the wait for messages that a test has taken away.
const quiet = 50 * time.Millisecond

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func spec(qos byte) Spec {
	return Spec{
		QoS: qos, Payload: 64, Fanout: 1, Topics: [][]string{{"t/0"}}, Filters: []string{"t/0"},
		Batch: 10, Window: 20, Outstanding: 50, Count: 500,
	}
}

func drive(t *testing.T, addr string, s Spec) (Tally, error) {
	t.Helper()
	f, err := Start(t.Context(), addr, s)
	if err != nil {
		t.Fatal(err)
	}
	f.Published(t.Context())
	return f.Stop(t.Context(), quiet)
}

func TestFleetCountsAll(t *testing.T) {
	three := spec(1)
	three.Topics = [][]string{{"t/0"}, {"t/1"}, {"t/2"}}
	pairs := three
	pairs.Filters = []string{"t/0", "t/1", "t/2"}
	fanIn := three
	fanIn.Filters = []string{"t/+"}
	fanOut := spec(0)
	fanOut.Fanout, fanOut.Filters = 3, []string{"t/0", "t/0", "#"}
	sparse := spec(0)
	sparse.Sparse, sparse.Topics, sparse.Filters = true, [][]string{{"t/0", "t/1"}}, []string{"t/0", "t/1"}
	lasting := spec(1)
	lasting.Lasting = true
	for _, tt := range []struct {
		name       string
		spec       Spec
		deliveries int64
	}{
		{"QoS 0", spec(0), 500},
		{"lasting", lasting, 500},
		{"QoS 1", spec(1), 500},
		{"QoS 2", spec(2), 500},
		{"pairs", pairs, 1500},
		{"fan-in", fanIn, 1500},
		{"fan-out", fanOut, 1500},
		{"sparse", sparse, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := drive(t, startBroker(t, nil).addr, tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Lost != 0 || got.Late != 0 || got.Delivered != tt.deliveries || got.Expected != tt.deliveries {
				t.Errorf("tally = %+v, want all of %d", got, tt.deliveries)
			}
		})
	}
}

// TestLastingBeginsAnew looks at the sessions that a fleet asks for: one that ends at
// once takes what an older one has with it, and then one that lasts.
func TestLastingBeginsAnew(t *testing.T) {
	b := startBroker(t, nil)
	s := spec(1)
	s.Lasting = true
	if _, err := drive(t, b.addr, s); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff([]bool{true, false}, b.clean["sub0"]); diff != "" {
		t.Errorf("clean sessions of sub0 (-want +got):\n%s", diff)
	}
}

func TestFleetSeesFaults(t *testing.T) {
	var held []wire.Message
	for _, tt := range []struct {
		name       string
		spoil      func(int, wire.Message) []wire.Message
		lost, late int64
	}{
		{"one lost", func(n int, m wire.Message) []wire.Message {
			if n == 100 {
				return nil
			}
			return []wire.Message{m}
		}, 1, 0},
		{"the last ten lost", func(n int, m wire.Message) []wire.Message {
			if n >= 490 {
				return nil
			}
			return []wire.Message{m}
		}, 10, 0},
		{"one twice", func(n int, m wire.Message) []wire.Message {
			if n == 100 {
				return []wire.Message{m, m}
			}
			return []wire.Message{m}
		}, 0, 1},
		{"two swapped", func(n int, m wire.Message) []wire.Message {
			if n == 100 {
				m.Payload = bytes.Clone(m.Payload)
				m.Topic = bytes.Clone(m.Topic)
				held = []wire.Message{m}
				return nil
			}
			out := append([]wire.Message{m}, held...)
			held = nil
			return out
		}, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := drive(t, startBroker(t, tt.spoil).addr, spec(1))
			if err != nil {
				t.Fatal(err)
			}
			if got.Lost != tt.lost || got.Late != tt.late {
				t.Errorf("lost %d, late %d; want %d, %d", got.Lost, got.Late, tt.lost, tt.late)
			}
		})
	}
}

func TestFleetReportsNonsense(t *testing.T) {
	b := startBroker(t, func(_ int, m wire.Message) []wire.Message {
		m.Payload = m.Payload[:3]
		return []wire.Message{m}
	})
	f, err := Start(t.Context(), b.addr, spec(0))
	if err != nil {
		t.Fatal(err)
	}
	<-f.Failed()
	if _, err := f.Stop(t.Context(), quiet); err == nil || !strings.Contains(err.Error(), "not one of ours") {
		t.Errorf("Stop = %v, want the reason", err)
	}
}

func TestFleetPacesAndTimes(t *testing.T) {
	s := spec(1)
	s.Count, s.Every = 5, time.Millisecond
	got, err := drive(t, startBroker(t, nil).addr, s)
	if err != nil || int64(len(got.Delays)) != got.Delivered || got.Delivered < 5 || got.Lost != 0 {
		t.Errorf("%d delays of %d messages, %d lost, %v", len(got.Delays), got.Delivered, got.Lost, err)
	}
	for _, d := range got.Delays {
		if d <= 0 {
			t.Errorf("a message took %v", d)
		}
	}
}

func TestSlowSubscriberHurriesUp(t *testing.T) {
	s := spec(1)
	s.Rate, s.Outstanding = 1, s.Count // ten minutes, but for HurryUp
	f, err := Start(t.Context(), startBroker(t, nil).addr, s)
	if err != nil {
		t.Fatal(err)
	}
	f.Published(t.Context())
	f.HurryUp()
	if got, err := f.Stop(t.Context(), 5*time.Second); got.Delivered != 500 || err != nil {
		t.Errorf("delivered %d, %v, want 500", got.Delivered, err)
	}
}

func TestCollect(t *testing.T) {
	b := startBroker(t, nil)
	s := spec(1)
	s.Retain, s.Fanout, s.Filters = true, 0, nil
	if _, err := drive(t, b.addr, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{500, 501} { // the second waits in vain for one more
		got, err := Collect(t.Context(), b.addr, "#", want, quiet)
		if got != 500 || err != nil {
			t.Errorf("Collect of %d = %d, %v, want 500", want, got, err)
		}
	}
}

func TestChurn(t *testing.T) {
	b := startBroker(t, nil)
	c, err := StartChurn(t.Context(), b.addr, []string{"t/+", "t/#"}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-b.unsubscribed
	}
	if n, err := c.Stop(); n < 3 || err != nil {
		t.Errorf("Stop = %d, %v, want at least 3 changes", n, err)
	}
}

func TestDialRefused(t *testing.T) {
	if c, err := Dial(t.Context(), "127.0.0.1:1", "nobody"); err == nil {
		t.Errorf("Dial of a closed port = %v", c)
	}
}
