package gpio

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/bridge"
	"edge/internal/gpiochip"
)

// A disk keeps what is saved, and shows what is published. Its power is cut after
// so many messages.
type disk struct {
	saved     reading
	published []uint64
	left      int // messages until the power is cut
	full      bool
}

type powerCut struct{}

func (powerCut) Error() string { return "power cut" }

func (d *disk) Subscribe(context.Context, string, func(bridge.Message)) error { return nil }

func (d *disk) Publish(_ context.Context, m bridge.Message) error {
	if d.left--; d.left < 0 {
		return powerCut{}
	}
	switch m.Topic {
	case "edge/pi/x/m_total/saved":
		if d.full {
			return context.DeadlineExceeded
		}
		return json.Unmarshal(m.Payload, &d.saved)
	case "edge/pi/x/m_total":
		n, err := strconv.ParseUint(string(m.Payload), 10, 64)
		d.published = append(d.published, n)
		return err
	}
	return nil
}

// TestMeterCrashes kills a meter between any two messages, and starts it again.
func TestMeterCrashes(t *testing.T) {
	const save = 10 * time.Second
	rapid.Check(t, func(t *rapid.T) {
		d := &disk{left: 1 << 30}
		var (
			m     *meter
			box   *outbox
			now   = time.Unix(1000, 0)
			truth uint64 // what was counted, less what was lost by crashes
			since []time.Time
			seq   time.Duration
		)
		begin := func() {
			box = newOutbox()
			p := Pin{ID: "m", Counter: &Counter{PerUnit: 1, Save: save}}
			m = newMeter(p, &post{"edge/pi/x", d, box}, d.saved)
			m.start(false)
		}
		crash := func() {
			lost := truth - m.pulses
			if m.pulses != truth {
				t.Fatalf("the meter is at %d, %d off", m.pulses, lost)
			}
			for _, at := range since[len(since)-int(truth-d.saved.Pulses):] {
				if box.len() == 0 && !m.depot.failed.Load() && now.Sub(at) > save {
					t.Fatalf("a pulse of %v before the crash is lost", now.Sub(at))
				}
			}
			truth, d.left = d.saved.Pulses, 1<<30
			since = since[:truth]
			begin()
		}
		begin()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"pulse", "pulse", "wait", "send", "send", "crash", "cut", "full", "leave"}).Draw(t, "step") {
			case "pulse":
				for _, e := range []gpiochip.Edge{gpiochip.Rising, gpiochip.Falling} {
					seq++
					if e == gpiochip.Rising {
						truth, since = truth+1, append(since, now)
					}
					m.event(now, gpiochip.Event{Edge: e, Time: seq}, 0)
				}
			case "wait":
				end := now.Add(time.Duration(rapid.IntRange(0, 15_000).Draw(t, "ms")) * time.Millisecond)
				for due := m.due(); !due.IsZero() && !due.After(end); due = m.due() {
					if due.After(now) {
						now = due
					}
					m.expire(now)
				}
				now = end
			case "send":
				if err := box.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			case "full":
				d.full = !d.full
			case "leave":
				m.leave(now)
			case "cut": // while the letters go out
				d.left = rapid.IntRange(0, 5).Draw(t, "left")
				if box.flush(t.Context()) != nil || box.len() > 0 {
					crash()
				}
				d.left = 1 << 30
			case "crash":
				crash()
			}
			if n := len(d.published); n > 0 && d.published[n-1] > d.saved.Pulses {
				t.Fatalf("%d is published, and %d saved", d.published[n-1], d.saved.Pulses)
			}
			for i := 1; i < len(d.published); i++ {
				if d.published[i] < d.published[i-1] {
					t.Fatalf("the total went back: %v", d.published)
				}
			}
		}
		d.full = false
		now = now.Add(save)
		for range 3 { // what failed is tried again
			m.expire(now)
			if err := box.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(save)
		}
		if d.saved.Pulses != truth || d.published[len(d.published)-1] != truth {
			t.Fatalf("in the end %d are saved and %d published, want %d", d.saved.Pulses, d.published[len(d.published)-1], truth)
		}
	})
}

// TestMeterCrowded has so much to be said that later saves overtake earlier ones:
// neither what is saved nor what is published goes back.
func TestMeterCrowded(t *testing.T) {
	d, box := &disk{left: 1 << 30}, newOutbox()
	m := newMeter(Pin{ID: "m", Counter: &Counter{PerUnit: 1, Save: time.Second}}, &post{"edge/pi/x", d, box}, reading{})
	now := time.Unix(1000, 0)
	m.pulses = 5
	m.save(now, nil)
	m.execute(command{Command: bridge.Command{Value: "100"}, entity: "m_total", at: now})
	m.depot.repeat(m.deposit())
	for box.len() < crowded {
		box.put(letter{"", func(context.Context) error { return nil }})
	}
	m.pulses = 103
	m.save(now.Add(time.Second), nil)
	if err := box.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{103}; d.saved.Pulses != 103 || !slices.Equal(d.published, want) {
		t.Errorf("%d are saved and %v published, want 103 and %v", d.saved.Pulses, d.published, want)
	}
}

// TestMeterPerUnitChanged corrects how many pulses make a unit: the total stays.
func TestMeterPerUnitChanged(t *testing.T) {
	p := Pin{ID: "m", Counter: &Counter{PerUnit: 1000, Save: time.Second}}
	m := newMeter(p, &post{"edge/pi/x", &disk{}, newOutbox()}, reading{Pulses: 150, PerUnit: 100})
	if got := m.total(m.pulses); got != "1.500" {
		t.Errorf("1.50 is %s after per_unit went from 100 to 1000", got)
	}
}

// FuzzReading reads anything that may be retained as what was saved.
func FuzzReading(f *testing.F) {
	f.Add([]byte(`{"pulses":12,"per_unit":1000}`))
	f.Add([]byte(`{"pulses":-1}`))
	f.Add([]byte(`{"pulses":1e99,"per_unit":1e-300}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReading(b)
		if err != nil {
			if r != (reading{}) {
				t.Errorf("%+v with error %v", r, err)
			}
			return
		}
		m := newMeter(Pin{Counter: &Counter{PerUnit: 3.5}}, nil, r)
		if m.pulses > maxPulses || m.saved != m.pulses {
			t.Errorf("%q makes the total %d", b, m.pulses)
		}
	})
}
