package gpio_test

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/pwm/pwmtest"
	"edge/internal/sim"
)

// fanConfig has a fan on a channel of the only PWM chip, and no pins.
func fanConfig() gpio.Config {
	return gpio.Config{PWM: []gpio.PWM{{ID: "fan", Channel: 1, Frequency: 25000, Min: 20}}}
}

func raspberry() *pwmtest.Kernel {
	k := new(pwmtest.Kernel)
	k.Add("pwmchip0", "fe20c000.pwm", 2)
	return k
}

// fanned runs a test of PWM channels.
func fanned(t *testing.T, cfg gpio.Config, k *pwmtest.Kernel, test func(rig)) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := rig{t, sim.NewBoard(), new(bridgetest.Client)}
		bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(r.board.Open).WithPWM(k))
		bridgetest.Expect(t, r.client, base.Status(), "online")
		synctest.Wait()
		test(r)
	})
}

func wantLevels(t *testing.T, k *pwmtest.Kernel, want ...float64) {
	t.Helper()
	if got := k.Levels("pwmchip0", 1); !slices.Equal(got, want) {
		t.Errorf("the pin was high for %v of the time, want %v", got, want)
	}
}

func TestPWM(t *testing.T) {
	k := raspberry()
	fanned(t, fanConfig(), k, func(r rig) {
		r.expect("fan", "0")
		for _, tt := range []struct{ command, state string }{{"50", "50"}, {"100", "100"}, {`{"value":12.5}`, "12.5"}, {"0", "0"}} {
			r.send("fan", tt.command)
			r.expect("fan", tt.state)
			if got := r.result("fan"); got.Status != bridge.StatusOK || got.Value != tt.state {
				r.Errorf("%s: result %+v, want ok, %s", tt.command, got, tt.state)
			}
		}
		for _, command := range []string{"ON", "101", "-1", "NaN", `{"value":1,"lock":"5m"}`} {
			r.send("fan", command)
			if got := r.result("fan"); got.Status != bridge.StatusRefused {
				r.Errorf("%s: result %+v, want it refused", command, got)
			}
		}
		r.send("fan", `{"value":100,"for":"1m"}`)
		time.Sleep(59 * time.Second)
		r.expect("fan", "100")
		time.Sleep(time.Second)
		r.expect("fan", "0")
		r.attr("fan", func(a bridge.Attr) bool { return a.Cause == "timer" })
		for _, want := range []string{"0 start [] / ", "50 command [] / ", "100 command [] / ", "12.5 command [] / ", "0 command [] / ", "100 command [] / ", "0 timer [] / "} {
			if got := r.told("fan"); got != want {
				r.Errorf("it tells %q, want %q", got, want)
			}
		}
		meta, _ := r.client.Retained(base.Meta())
		if want := `"kind":"number","unit":"%","min":0,"max":100`; !strings.Contains(string(meta.Payload), want) {
			r.Errorf("meta has no %s: %s", want, meta.Payload)
		}
	})
	wantLevels(t, k, 0, 0.6, 1, 0.3, 0, 1, 0)
}

// TestPWMSafe has a value that is not commanded again, and the end of edge.
func TestPWMSafe(t *testing.T) {
	for _, tt := range []struct {
		exit gpio.PWMExit
		safe float64
		want []float64
	}{
		{"", 50, []float64{0, 0.25, 0.5, 0.75, 0.5}},
		{"", 0, []float64{0, 0.25, 0, 0.75, 0}},
		{gpio.Keep, 0, []float64{0, 0.25, 0, 0.75}},
	} {
		cfg, k := fanConfig(), raspberry()
		p := &cfg.PWM[0]
		p.Min, p.Initial, p.Safe, p.OnExit, p.Lease = 0, new(25.0), tt.safe, tt.exit, time.Minute
		fanned(t, cfg, k, func(r rig) {
			r.expect("fan", "25") // Nobody has commanded it, so nobody has to again.
			r.send("fan", "25")
			time.Sleep(30 * time.Second)
			r.send("fan", "25")
			time.Sleep(59 * time.Second)
			r.send("fan", "25")
			time.Sleep(61 * time.Second)
			if a := r.attr("fan", func(a bridge.Attr) bool { return a.Cause == "lease" }); a.Counters["lease"] != 1 {
				r.Errorf("counters %v, want one lease", a.Counters)
			}
			r.send("fan", "75")
			synctest.Wait()
		})
		wantLevels(t, k, tt.want...)
	}
}

// TestPWMComesAndGoes has the chip come late, be changed by somebody else, and go.
func TestPWMComesAndGoes(t *testing.T) {
	k := new(pwmtest.Kernel)
	fanned(t, fanConfig(), k, func(r rig) {
		a := r.attr("fan", func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
		if !strings.Contains(a.Error, "dtoverlay=pwm-2chan") {
			r.Errorf("attr %+v, want advice", a)
		}
		r.send("fan", "50")
		if got := r.result("fan"); got.Status != bridge.StatusRefused || !strings.Contains(got.Reason, "dtoverlay") {
			r.Errorf("result %+v, want it refused", got)
		}
		k.Add("pwmchip0", "fe20c000.pwm", 2)
		r.expect("fan", "0")
		r.send("fan", "100")
		r.expect("fan", "100")
		if err := k.Write("pwmchip0/pwm1/enable", "0"); err != nil {
			r.Fatal(err)
		}
		r.attr("fan", func(a bridge.Attr) bool { return a.Counters["foreign"] == 1 })
		wantLevels(r.T, k, 0, 1, 0, 1)
		k.Remove("pwmchip0")
		r.attr("fan", func(a bridge.Attr) bool { return a.Quality == bridge.Offline })
	})
}

// heaterConfig has the first relay switch a heater in periods of ten seconds.
func heaterConfig() gpio.Config {
	cfg := boardConfig()
	cfg.Pins[0].SoftPWM = &gpio.SoftPWM{Period: 10 * time.Second}
	return cfg
}

// A meter counts for how long the line of the first relay was on, and how often.
type meter struct {
	gpiochip.Lines

	mu    sync.Mutex
	on    bool
	since time.Time
	sum   time.Duration
	rises int
}

func (m *meter) SetValues(mask, values uint64) error {
	m.read()
	m.mu.Lock()
	defer m.mu.Unlock()
	if values == 1 && !m.on {
		m.rises++
	}
	m.on = values == 1
	return m.Lines.SetValues(mask, values)
}

// read returns for how long the line was on since it was read last, and how often it
// went on.
func (m *meter) read() (sum time.Duration, rises int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on {
		m.sum += time.Since(m.since)
	}
	m.since = time.Now()
	return m.sum, m.rises
}

type metered struct {
	gpiochip.Chip
	m *meter
}

func (c metered) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	lines, err := c.Chip.Request(r)
	if err == nil && r.Lines[0].Offset == sim.RelayLine(0) {
		c.m.Lines = lines
		return c.m, nil
	}
	return lines, err
}

// TestSoftPWM compares for how long a relay is on with what was commanded.
func TestSoftPWM(t *testing.T) {
	for _, period := range []time.Duration{10 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			cfg := heaterConfig()
			cfg.Pins[0].SoftPWM.Period = period
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			r, m := rig{t, sim.NewBoard(), new(bridgetest.Client)}, new(meter)
			open := func(label string) (gpiochip.Chip, error) {
				chip, err := r.board.Open(label)
				return metered{chip, m}, err
			}
			bridgetest.Run(t, r.client, gpio.New(base, cfg, log).WithChips(open))
			r.expect("relay1", "0")
			for _, percent := range []string{"25", "0", "90", "100", "50", "0.5"} {
				r.send("relay1", percent)
				r.expect("relay1", percent)
				synctest.Wait()
				time.Sleep(period) // The last one ends.
				sum, rises := m.read()
				time.Sleep(100 * period)
				after, more := m.read()
				want := map[string]float64{"25": 0.25, "0": 0, "90": 0.9, "100": 1, "50": 0.5, "0.5": 0.005}[percent]
				if got := float64(after-sum) / float64(100*period); math.Abs(got-want) > 0.001 {
					t.Errorf("%v: it was on for %.4f of the time, want %.4f", period, got, want)
				}
				// The first and the last rise may be at the very moment of reading.
				if steady, n := want == 0 || want == 1, more-rises; steady && n != 0 || !steady && (n < 99 || n > 101) {
					t.Errorf("%v: it went on %d times in 100 periods at %s", period, n, percent)
				}
			}
		})
	}
}

// TestSoftPWMChanges commands again and again within a period: it goes on and off
// once in each all the same.
func TestSoftPWMChanges(t *testing.T) {
	bubble(t, heaterConfig(), func(r rig) {
		r.board.Header.Trace(sim.RelayLine(0))
		for range 10 {
			for _, percent := range []string{"10", "50", "20", "60", "30"} {
				r.send("relay1", percent)
				time.Sleep(2 * time.Second)
			}
		}
		if n := len(r.board.Header.Trace(sim.RelayLine(0))); n > 22 {
			r.Errorf("the line changed %d times in 10 periods", n-1)
		}
		r.send("relay1", "0")
		r.wantRelay(0, false)
		r.send("relay1", "100")
		r.wantRelay(0, true)
	})
}

// TestSoftPWMSafe has a lease run out, edge end, and somebody else drive the line.
func TestSoftPWMSafe(t *testing.T) {
	cfg := heaterConfig()
	cfg.Pins[0].SoftPWM.Lease = time.Minute
	cfg.Pins[0].Drive = gpio.OpenDrain
	bubble(t, cfg, func(r rig) {
		r.send("relay1", "100")
		time.Sleep(59 * time.Second)
		r.wantRelay(0, true)
		time.Sleep(time.Second)
		r.wantRelay(0, false)
		r.attr("relay1", func(a bridge.Attr) bool { return a.Cause == "lease" && a.Counters["lease"] == 1 })
		r.board.Header.Drive(sim.RelayLine(0), false) // A short to ground, which is on.
		a := r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Bad })
		if !strings.Contains(a.Error, "something else driving it") {
			r.Errorf("attr %+v, want the fault", a)
		}
		r.board.Header.Float(sim.RelayLine(0))
		r.attr("relay1", func(a bridge.Attr) bool { return a.Quality == bridge.Good })
		r.send("relay1", "ON")
		if got := r.result("relay1"); got.Status != bridge.StatusOK {
			r.Errorf("result %+v, want ok of 100", got)
		}
		if got := r.result("relay1"); got.Status != bridge.StatusRefused {
			r.Errorf("result %+v, want ON refused", got)
		}
		r.send("relay1", "100")
		r.wantRelay(0, true)
	})
	board := sim.NewBoard()
	board.Header.Trace(sim.RelayLine(0))
	cfg.Pins[0].SoftPWM.Initial = new(100.0)
	runUntilOnline(t, gpio.New(base, cfg, log).WithChips(board.Open))
	if got := board.Header.Trace(sim.RelayLine(0)); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("levels %t, want on at the start and off at the end", got)
	}
}
