package modbus

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/config"
	"edge/internal/modbus"
	"edge/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testBase bridge.Base = "edge/test/bus"

// parse reads the section of a bus.
func parse(t testing.TB, text string) Config {
	t.Helper()
	return parseOver(t, DefaultConfig(), text)
}

// parseOver reads a section as a program does: what it does not say is as in cfg.
func parseOver[C interface{ Validate() error }](t testing.TB, cfg C, text string) C {
	t.Helper()
	tree, err := config.Parse("test.yaml", []byte(text))
	if err == nil {
		err = tree.Decode(&cfg)
	}
	if err == nil {
		err = tree.Locate(cfg.Validate())
	}
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A rig is a bridge on a simulated line with units, within a bubble.
type rig struct {
	*bridgetest.Client
	t     *testing.T
	units map[byte]*sim.Unit
	line  *sim.Bus
}

// connect runs a bridge on units until the test ends, and waits for it to be online.
func connect(t *testing.T, text string, memories map[byte]modbus.Handler, change func(*Bridge)) *rig {
	t.Helper()
	cfg := parse(t, "port: /dev/ttyS0\n"+text)
	line := sim.NewBus(cfg.Baud, 10)
	r := &rig{Client: new(bridgetest.Client), t: t, units: map[byte]*sim.Unit{}, line: line}
	var units []*sim.Unit
	for id, m := range memories {
		r.units[id] = sim.NewUnit(id, m)
		units = append(units, r.units[id])
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- line.Serve(ctx, cfg.framing(), cfg.timing(time.Second), units...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the simulated units: %v", err)
		}
	})
	b := New(testBase, cfg, slog.New(slog.DiscardHandler))
	b.open = func(context.Context, *Config, *slog.Logger) (port, error) {
		return line.Tie(), nil
	}
	if change != nil {
		change(b)
	}
	synctest.Wait() // the units listen
	bridgetest.Run(t, r.Client, b)
	bridgetest.Expect(t, r.Client, testBase.Status(), bridge.Online)
	return r
}

func (r *rig) expect(entity, state string) {
	r.t.Helper()
	bridgetest.Expect(r.t, r.Client, testBase.State(entity), state)
}

// command sends a command and returns its result.
func (r *rig) command(entity, payload string) bridge.Result {
	r.t.Helper()
	bridgetest.Send(r.t, r.Client, testBase.Set(entity), payload)
	return r.result(entity)
}

func (r *rig) result(entity string) bridge.Result {
	r.t.Helper()
	m := bridgetest.Await(r.t, r.Client, testBase.Result(entity), func(bridge.Message) bool { return true })
	var result bridge.Result
	if err := json.Unmarshal(m.Payload, &result); err != nil {
		r.t.Fatal(err)
	}
	return result
}

// attr waits for attributes that satisfy want.
func (r *rig) attr(entity string, want func(bridge.Attr) bool) bridge.Attr {
	r.t.Helper()
	var a bridge.Attr
	bridgetest.Await(r.t, r.Client, testBase.Attr(entity), func(m bridge.Message) bool {
		a = bridge.Attr{}
		if err := json.Unmarshal(m.Payload, &a); err != nil {
			r.t.Error(err)
		}
		return want(a)
	})
	return a
}

func isGood(a bridge.Attr) bool { return a.Quality == bridge.Good }

func says(text string) func(bridge.Attr) bool {
	return func(a bridge.Attr) bool { return a.Quality == bridge.Bad && strings.Contains(a.Error, text) }
}

// memory returns a unit with holding registers from 0.
func memory(values ...uint16) *modbus.Memory {
	m := new(modbus.Memory)
	m.Set(modbus.HoldingRegisters, 0, values...)
	return m
}

func TestPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(2301, 0xFFF6, 0x4366, 0x199A)
		m.Set(modbus.InputRegisters, 100, 0x8000)
		m.Set(modbus.Coils, 7, 1)
		r := connect(t, `
units:
  - id: meter
    unit: 5
    name: Meter
    period: 1s
    entities:
      - {id: voltage, name: Voltage, class: voltage, unit: V, state_class: measurement, address: 0, scale: 0.1}
      - {id: inside, address: 1, format: s16, offset: 0.5}
      - {id: mains, address: 2, format: f32}
      - {id: outside, table: input, address: 100, format: s16, error_values: [0x8000]}
      - {id: pump, kind: binary_sensor, table: coil, address: 7}
`, map[byte]modbus.Handler{5: m}, nil)
		r.expect("meter_voltage", "230.1")
		r.expect("meter_inside", "-9.5")
		r.expect("meter_mains", "230.1")
		r.expect("meter_pump", "ON")
		r.expect("meter_status", "online")
		r.attr("meter_voltage", isGood)
		r.attr("meter_outside", says("0x8000"))
		m.Set(modbus.HoldingRegisters, 0, 2299)
		r.expect("meter_voltage", "229.9")
		m.Set(modbus.InputRegisters, 100, 21)
		r.expect("meter_outside", "21")
		r.attr("meter_outside", isGood)
		// Three requests a second of 8 bytes, and answers of 6, 7 and 13, with 10 bits each.
		load := bridgetest.Await(t, r.Client, testBase.State("bus_load"), func(bridge.Message) bool { return true })
		if got := string(load.Payload); got != "7" && got != "6" {
			t.Errorf("bus_load is %s, want 6 or 7: 51 characters a second of 960, and silence", got)
		}
		a := r.attr("meter_status", func(a bridge.Attr) bool { return a.Counters["requests"] > 20 })
		if a.Counters["timeouts"]+a.Counters["garbage"]+a.Counters["missed"]+a.Counters["retries"] != 0 {
			t.Errorf("a healthy unit has the counters %v", a.Counters)
		}
		// 14 to 21 characters, and the silence before and after them.
		classes := a.Extra["latency_ms"].(map[string]any)["up_to"].(map[string]any)
		for class := range classes {
			if class != "20" && class != "50" {
				t.Errorf("the latencies are %v, want some up to 20 and the others up to 50 ms", classes)
			}
		}
	})
}

func TestAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := connect(t, `
units:
  - unit: 1
    name: Boiler
    entities:
      - {id: mode, name: Mode, kind: text, address: 0, write: true, enum: {0: "off", 1: heat}}
`, map[byte]modbus.Handler{1: memory(1)}, nil)
		r.expect("mode", "heat")
		r.expect("unit_status", "online")
		m, _ := r.Retained(testBase.Meta())
		for _, want := range []string{
			`"name":"Boiler"`, `"id":"mode","name":"Boiler Mode","kind":"text","options":["heat","off"]`,
			`"id":"unit_status"`, `"id":"bus_load","name":"Bus load","kind":"sensor","unit":"%"`, `bus/mode/set`,
		} {
			if !strings.Contains(string(m.Payload), want) {
				t.Errorf("the meta has no %s: %s", want, m.Payload)
			}
		}
	})
}

func TestScaleRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(2301, 0xFFFF, 5)
		r := connect(t, `
units:
  - unit: 1
    period: 1s
    hole: 0
    entities:
      - {id: v, address: 0, scale_address: 1}
      - {id: w, address: 2, scale_address: 1, kind: number, write: true}
`, map[byte]modbus.Handler{1: m}, nil)
		r.expect("v", "230.1")
		r.expect("w", "0.5")
		if got := r.command("w", "1.2"); got.Status != bridge.StatusOK || got.Value != "1.2" {
			t.Errorf("the result is %+v, want ok and 1.2", got)
		}
		m.Set(modbus.HoldingRegisters, 1, 1)
		r.expect("v", "23010")
		m.Set(modbus.HoldingRegisters, 1, 0x8000)
		r.attr("v", says("scale"))
		if got := r.command("w", "1"); got.Status != bridge.StatusRefused {
			t.Errorf("without a scale the result is %+v, want refused", got)
		}
	})
}

func TestTakesApartWhatIsIllegal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(1, 2)
		m.Set(modbus.HoldingRegisters, 4, 5)
		r := connect(t, `
units:
  - unit: 1
    period: 1s
    entities:
      - {id: a, address: 0}
      - {id: b, address: 1}
      - {id: c, address: 3}
      - {id: d, address: 4}
`, map[byte]modbus.Handler{1: m}, nil)
		r.expect("a", "1")
		r.expect("b", "2")
		r.expect("d", "5")
		r.attr("c", says("illegal data address"))
		before := r.units[1].Asked()
		time.Sleep(10 * time.Second) // of the bubble
		if asked := r.units[1].Asked() - before; asked > 20 {
			t.Errorf("the unit was asked %d times in 10 s, want 2 a second", asked)
		}
		m.Set(modbus.HoldingRegisters, 3, 4)
		time.Sleep(seldom)
		r.expect("c", "4")
	})
}

func TestUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := sim.NewBus(9600, 10)
		ends := make(chan *sim.BusEnd, 1)
		cfg := parse(t, "port: /dev/ttyS0\nunits: [{unit: 1, period: 1h, entities: [{id: a, kind: number, address: 0, write: true}]}]\n")
		b := New(testBase, cfg, slog.New(slog.DiscardHandler))
		b.open = func(context.Context, *Config, *slog.Logger) (port, error) {
			end := line.Tie()
			ends <- end
			return end, nil
		}
		ended := make(chan error, 1)
		go func() { ended <- b.Run(t.Context(), new(bridgetest.Client)) }()
		end := <-ends
		time.Sleep(time.Minute) // The unit is dead, and is asked every ten seconds.
		start := time.Now()
		end.Close()
		if err := <-ended; err == nil || time.Since(start) > 100*time.Millisecond {
			t.Errorf("Run returned %v after %v, want an error at once", err, time.Since(start))
		}
	})
}

// A doorman is a listener that hands out the connections that it has accepted.
type doorman struct {
	net.Listener
	conns chan net.Conn
}

func (d doorman) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err == nil {
		d.conns <- conn
	}
	return conn, err
}

// TestOverTCP is the bridge on a real connection, which the server closes now and
// then, as gateways do.
func TestOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, m := doorman{l, make(chan net.Conn, 8)}, memory(7, 8)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- modbus.ServeTCP(ctx, d, modbus.Units{1: m}, modbus.Limits{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	cfg := parse(t, fmt.Sprintf("port: tcp://%s\nunits: [{unit: 1, period: 50ms, entities: [{id: a, kind: number, address: 1, write: true}]}]\n", l.Addr()))
	c := new(bridgetest.Client)
	bridgetest.Run(t, c, New(testBase, cfg, slog.New(slog.DiscardHandler)))
	bridgetest.Expect(t, c, testBase.State("a"), "8")
	for _, value := range []string{"9", "10"} {
		(<-d.conns).Close()
		bridgetest.Send(t, c, testBase.Set("a"), value)
		bridgetest.Expect(t, c, testBase.State("a"), value)
	}
}
