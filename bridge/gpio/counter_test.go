package gpio_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// meterConfig has a meter at the line of the motion sensor.
func meterConfig(c gpio.Counter) gpio.Config {
	return gpio.Config{Pins: []gpio.Pin{{ID: "m", Name: "Mains", Pin: "GPIO27", Direction: gpio.Input, Counter: &c}}}
}

// pulse lets the meter of meterConfig give n pulses.
func (r rig) pulse(n int, width, pause time.Duration) {
	for range n {
		r.board.SetMotion(true)
		<-time.After(width)
		r.board.SetMotion(false)
		<-time.After(pause)
	}
}

// TestCounter has a meter with 1000 pulses per kWh and what disturbs it.
func TestCounter(t *testing.T) {
	cfg := meterConfig(gpio.Counter{PerUnit: 1000, Unit: "kWh", MinWidth: 30 * time.Millisecond, Save: 10 * time.Second})
	lives(t, cfg, time.Minute, life{"a", func(r rig) {
		r.expect("m_total", "0.000")
		r.expect("m_rate", "0")
		meta := bridgetest.Await(r, r.client, base.Meta(), func(m bridge.Message) bool { return strings.Contains(string(m.Payload), "m_total") })
		for _, want := range []string{
			`"name":"Mains total","kind":"sensor","class":"energy","unit":"kWh"`, `"state_class":"total_increasing"`,
			`"name":"Mains rate","kind":"sensor","class":"power","unit":"kW"`, `"state_class":"measurement"`,
		} {
			if !strings.Contains(string(meta.Payload), want) {
				r.Errorf("meta has no %s: %s", want, meta.Payload)
			}
		}
		r.pulse(1, 40*time.Millisecond, 3555*time.Millisecond)
		r.expect("m_total", "0.001") // at once: nothing was saved for long
		r.pulse(1, 5*time.Millisecond, 0)
		r.pulse(1, 40*time.Millisecond, 3555*time.Millisecond)
		r.expect("m_rate", "1") // a pulse in 3.6 s
		start := time.Now()
		r.expect("m_total", "0.002")
		if got := time.Since(start); got > 10*time.Second {
			r.Errorf("the total came %v later, want 10s at most", got)
		}
		a := r.attr("m_total", func(a bridge.Attr) bool { return a.Counters["pulses"] == 2 })
		if a.Counters["short"] != 1 || a.Counters["lost"] != 0 {
			r.Errorf("counters %v, want one too short", a.Counters)
		}
		<-time.After(6 * time.Minute) // a hundred times the time between pulses
		r.expect("m_rate", "0")
		r.send("m_total", `{"value":"1234.5","id":"7"}`)
		if got := r.result("m_total"); got.Status != bridge.StatusOK || got.ID != "7" || got.Value != "1234.500" {
			r.Errorf("result %+v, want ok, 1234.500", got)
		}
		r.expect("m_total", "1234.500")
		r.pulse(2, 40*time.Millisecond, time.Second) // saved at the end
	}}, life{"b", func(r rig) {
		r.expect("m_total", "1234.502")
	}})
}

func TestCounterRefuses(t *testing.T) {
	bubble(t, meterConfig(gpio.Counter{PerUnit: 1000, Save: time.Second}), func(r rig) {
		r.expect("m_total", "0.000")
		for _, payload := range []string{
			"-1", "ON", "1e3", "0x10", "NaN", "inf", "1,5", ".5", "9007199254741", "99999999999999999999",
			`{"value":"5","for":"5s"}`, `{"id":"x"}`,
		} {
			r.send("m_total", payload)
			if got := r.result("m_total"); got.Status != bridge.StatusRefused || got.Reason == "" {
				r.Errorf("%s: result %+v, want it refused", payload, got)
			}
		}
		r.send("m_rate", "5")
		if got := r.result("m_rate"); got.Status != bridge.StatusRefused {
			r.Errorf("a command to the rate: %+v, want it refused", got)
		}
		if m, _ := r.client.Retained(base.State("m_total")); string(m.Payload) != "0.000" {
			r.Errorf("the total is %s", m.Payload)
		}
	})
}

// TestCounterGarbage finds nonsense where the total was: it counts when somebody
// has said what the meter says, and not before.
func TestCounterGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		garbage := bridge.Message{Topic: base.Saved("m_total"), Payload: []byte(`{"pulses":-3}`), Retain: true}
		if err := r.client.Publish(t.Context(), garbage); err != nil {
			t.Fatal(err)
		}
		cfg := meterConfig(gpio.Counter{PerUnit: 1, Save: time.Second})
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(r.board.Open))
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Bad && strings.Contains(a.Error, "set the total") })
		r.pulse(3, time.Second, time.Second)
		if m, _ := r.client.Retained(garbage.Topic); string(m.Payload) != string(garbage.Payload) {
			t.Errorf("what was saved was overwritten with %s", m.Payload)
		}
		r.send("m_total", "100")
		r.expect("m_total", "100")
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Good })
		r.pulse(1, time.Second, time.Second)
		r.expect("m_total", "101")
	})
}

// TestCounterLost has the kernel drop edges, since nobody reads them for a while.
func TestCounterLost(t *testing.T) {
	bubble(t, meterConfig(gpio.Counter{PerUnit: 1, Save: time.Second}), func(r rig) {
		r.expect("m_total", "0")
		for range 2000 { // in no time
			r.board.SetMotion(true)
			r.board.SetMotion(false)
		}
		r.expect("m_total", "2000")
		a := r.attr("m", func(a bridge.Attr) bool { return a.Counters["edges"]+a.Counters["lost"] == 4000 })
		if a.Counters["lost"] == 0 {
			r.Errorf("counters %v: nothing was lost, so nothing is shown", a.Counters)
		}
	})
}

// TestCounterChipGone counts on when the chip is back.
func TestCounterChipGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		cfg := meterConfig(gpio.Counter{PerUnit: 1, Save: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			bridge.Supervise(ctx, base, gpio.New(base, cfg, log).WithChips(r.board.Open), r.client, log)
			close(over)
		}()
		r.expect("m_total", "0")
		r.pulse(5, time.Second, time.Second)
		r.board.Header.Unplug()
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
		r.board.Header.Replug()
		r.expect("m_total", "5")
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Good })
		r.pulse(1, time.Second, time.Second)
		cancel()
		<-over
		r.expect("m_total", "6")
	})
}

// fullDisk is a broker that cannot save for a while.
type fullDisk struct {
	bridge.Client
	full *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (d fullDisk) Publish(ctx context.Context, m bridge.Message) error {
	if m.Topic == base.Saved("m_total") && d.full.Load() {
		return errFull
	}
	return d.Client.Publish(ctx, m)
}

// TestCounterNotSaved has a disk that is full for a while: what is not saved is
// not published, and the bridge goes on.
func TestCounterNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		d := fullDisk{r.client, new(atomic.Bool)}
		cfg := meterConfig(gpio.Counter{PerUnit: 1, Save: 10 * time.Second})
		bridgetest.Run(t, d, gpio.New(base, cfg, log).WithChips(r.board.Open))
		r.expect("m_total", "0")
		d.full.Store(true)
		r.send("m_total", "500")
		if got := r.result("m_total"); got.Status != bridge.StatusError || !strings.Contains(got.Reason, "no space") {
			t.Errorf("result %+v, want an error with its reason", got)
		}
		r.pulse(3, time.Second, time.Second)
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Bad && strings.Contains(a.Error, "no space") })
		r.expect("m", "ON") // the line is watched all the same
		if m, _ := r.client.Retained(base.State("m_total")); string(m.Payload) != "0" {
			t.Errorf("%s is published, and 0 are saved", m.Payload)
		}
		d.full.Store(false)
		r.expect("m_total", "503")
		r.attr("m_total", func(a bridge.Attr) bool { return a.Quality == bridge.Good })
	})
}

// TestInputBack has the chip of an input go and come back, beside another one.
func TestInputBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		expander := sim.NewChip("pcf8574", make([]string, 8)...)
		open := func(label string) (gpiochip.Chip, error) {
			if label == "pcf8574" {
				return expander.Open()
			}
			return r.board.Open(label)
		}
		cfg := boardConfig()
		cfg.Pins = append(cfg.Pins, gpio.Pin{
			ID: "tank", Chip: "pcf8574", Offset: new(2), Direction: gpio.Input,
			Counter: &gpio.Counter{PerUnit: 1, Save: time.Second}, Measure: []gpio.Quantity{gpio.Duty},
		})
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(open).WithBoot("b-1"))
		r.attr("tank", func(a bridge.Attr) bool { return a.Cause == "start" })
		expander.Drive(2, true)
		r.expect("tank_total", "1")
		expander.Unplug()
		for _, id := range []string{"tank", "tank_total", "tank_rate", "tank_duty"} {
			r.attr(id, func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
		}
		expander.Replug()
		for _, id := range []string{"tank", "tank_total", "tank_rate", "tank_duty"} {
			a := r.attr(id, func(a bridge.Attr) bool { return a.Quality == bridge.Good })
			if want := map[bool]string{true: "back"}[id == "tank"]; a.Cause != want {
				t.Errorf("%s is back because of %q, want %q", id, a.Cause, want)
			}
		}
		expander.Drive(2, false)
		expander.Drive(2, true)
		<-time.After(time.Second)
		expander.Drive(2, false)
		<-time.After(time.Second)
		expander.Drive(2, true)
		r.expect("tank_total", "2")
	})
}

// killable is a client of a process that is killed: from then on, nothing of what
// it says comes through.
type killable struct {
	bridge.Client
	left *atomic.Int64 // messages until it is
	died *atomic.Int64 // when, in ns
}

var errKilled = errors.New("killed")

func (m killable) Publish(ctx context.Context, msg bridge.Message) error {
	if m.left.Add(-1) < 0 {
		m.died.CompareAndSwap(0, time.Now().UnixNano())
		return errKilled
	}
	return m.Client.Publish(ctx, msg)
}

// TestCounterKilled kills the bridge 200 times, between any two messages. Its
// total never goes back and is never more than was counted; what is lost is not
// older than the time of save.
func TestCounterKilled(t *testing.T) {
	const save = 10 * time.Second
	cfg := meterConfig(gpio.Counter{PerUnit: 1, Save: save})
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		dice := rand.New(rand.NewPCG(6, 6))
		var total, saved uint64 // what was heard last
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := r.client.Subscribe(ctx, base.State("m_total")+"/#", func(m bridge.Message) {
			switch m.Topic {
			case base.Saved("m_total"):
				var s struct{ Pulses uint64 }
				if err := json.Unmarshal(m.Payload, &s); err != nil {
					t.Error(err)
				}
				saved = s.Pulses
			case base.State("m_total"):
				n, err := strconv.ParseUint(string(m.Payload), 10, 64)
				if err != nil || n < total || n > saved {
					t.Errorf("total %s after %d, of which %d are saved: %v", m.Payload, total, saved, err)
				}
				total = n
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var lost int
		for range 200 {
			begin := saved
			pulses, died := r.lifeOfMeter(cfg, dice)
			synctest.Wait()
			var old uint64
			for _, at := range pulses {
				if died.Sub(at) > save {
					old++
				}
			}
			if saved < begin+old || saved > begin+uint64(len(pulses)) {
				t.Fatalf("%d saved after a life that began with %d and had %d pulses, of which %d were old", saved, begin, len(pulses), old)
			}
			lost += int(begin) + len(pulses) - int(saved)
		}
		if total == 0 || lost == 0 {
			t.Errorf("in 200 lives %d were counted and %d lost: nothing is shown", total, lost)
		}
		t.Logf("in 200 lives %d were counted and %d lost", total, lost)
	})
}

// lifeOfMeter runs a bridge until it is killed, and returns when there were
// pulses and when it was.
func (r rig) lifeOfMeter(cfg gpio.Config, dice *rand.Rand) (pulses []time.Time, died time.Time) {
	c := killable{r.client, new(atomic.Int64), new(atomic.Int64)}
	c.left.Store(dice.Int64N(60))
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- gpio.New(base, cfg, log).WithChips(r.board.Open).Run(ctx, c) }()
	for {
		synctest.Wait()
		select {
		case err := <-over:
			if !errors.Is(err, errKilled) {
				r.Errorf("Run = %v, want that it was killed", err)
			}
			return pulses, time.Unix(0, c.died.Load())
		default:
		}
		pulses = append(pulses, time.Now())
		r.board.SetMotion(true)
		synctest.Wait()
		r.board.SetMotion(false)
		<-time.After(time.Duration(dice.IntN(6000)) * time.Millisecond)
	}
}
