package gpio_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"edge/bridge/gpio"
)

func TestValidateInputs(t *testing.T) {
	counter := func(change func(*gpio.Counter)) func(*gpio.Pin) {
		return func(p *gpio.Pin) {
			p.Counter = new(gpio.Counter)
			p.Counter.SetDefaults()
			change(p.Counter)
		}
	}
	clicks := func(change func(*gpio.Clicks)) func(*gpio.Pin) {
		return func(p *gpio.Pin) {
			p.Clicks = new(gpio.Clicks)
			p.Clicks.SetDefaults()
			change(p.Clicks)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*gpio.Pin)
		want   string // one line for each error, without pins[0].
	}{
		{"mode", func(p *gpio.Pin) { p.DebounceMode = "fast" }, `debounce_mode: "fast" is not one of stable, immediate`},
		{"clicks", clicks(func(*gpio.Clicks) {}), ""},
		{"no clicks", clicks(func(c *gpio.Clicks) { *c = gpio.Clicks{} }), ""},
		{
			"times of clicks", clicks(func(c *gpio.Clicks) { c.Double, c.Long, c.Hold = -1, time.Hour, time.Millisecond }),
			"clicks.double: -1ns is not between 0s and 1m0s\nclicks.long: 1h0m0s is not between 0s and 1m0s\n" +
				"clicks.hold: 1ms is too often; at least 50ms",
		},
		{
			"hold without long", clicks(func(c *gpio.Clicks) { c.Long, c.Hold = 0, time.Second }),
			"clicks.hold: it follows a long press, of which there is none; set long",
		},
		{"counter", counter(func(*gpio.Counter) {}), ""},
		{
			"all of a counter", counter(func(c *gpio.Counter) { *c = gpio.Counter{Edge: "up", MinWidth: -1} }),
			"counter.edge: \"up\" is not one of rising, falling, both\ncounter.per_unit: 0 is not between 1e-09 and 1e+09\n" +
				"counter.min_width: -1ns is not between 0s and 1m0s\ncounter.save: 0s is not between 1s and 1h0m0s",
		},
		{
			"no number", counter(func(c *gpio.Counter) { c.PerUnit = math.NaN() }),
			"counter.per_unit: NaN is not between 1e-09 and 1e+09",
		},
		{"measure", func(p *gpio.Pin) { p.Measure, p.Window = []gpio.Quantity{gpio.Duty, gpio.OnTime}, time.Second }, ""},
		{
			"measures", func(p *gpio.Pin) {
				p.Measure, p.Window = []gpio.Quantity{gpio.Duty, "speed", "", gpio.Duty}, time.Millisecond
			},
			"measure[1]: \"speed\" is not one of frequency, duty, on_time\nmeasure[2]: must be one of frequency, duty, on_time\n" +
				"measure[3]: \"duty\" is there already\nwindow: 1ms is not between 1s and 1h0m0s",
		},
		{"window of nothing", func(p *gpio.Pin) { p.Window = time.Second }, "window: nothing is measured; set measure"},
		{
			"an output", func(p *gpio.Pin) {
				p.Measure = []gpio.Quantity{gpio.Duty}
				p.Direction, p.DebounceMode = gpio.Output, gpio.Stable
				clicks(func(*gpio.Clicks) {})(p)
				counter(func(*gpio.Counter) {})(p)
			}, "debounce_mode: only an input has it\nclicks: only an input has it\ncounter: only an input has it\nmeasure: only an input has it",
		},
	} {
		p := gpio.Pin{ID: "x", Pin: "GPIO17", Direction: gpio.Input}
		tt.change(&p)
		wantErrors(t, tt.name, gpio.Config{Pins: []gpio.Pin{p}}, tt.want)
	}
}

// wantErrors checks what is wrong with cfg: one line for each error, without the
// path of the first pin.
func wantErrors(t *testing.T, name string, cfg gpio.Config, want string) {
	t.Helper()
	var got string
	if err := cfg.Validate(); err != nil {
		got = strings.ReplaceAll(err.Error(), "pins[0].", "")
	}
	if got != want {
		t.Errorf("%s: Validate() =\n%s\nwant\n%s", name, got, want)
	}
}

func TestValidateFlapping(t *testing.T) {
	for _, tt := range []struct {
		flapping gpio.Flapping
		want     string
	}{
		{gpio.Flapping{}, ""},
		{gpio.DefaultConfig().Flapping, ""},
		{gpio.Flapping{Changes: -1}, "flapping.changes: -1 is not between 0 and 1000000"},
		{gpio.Flapping{Changes: 5}, "flapping.window: 0s is not between 1s and 1h"},
	} {
		cfg := boardConfig()
		cfg.Flapping = tt.flapping
		wantErrors(t, "flapping", cfg, tt.want)
	}
}

// TestValidateSensors has a pin that is called like a sensor of another.
func TestValidateSensors(t *testing.T) {
	c := new(gpio.Counter)
	c.SetDefaults()
	wantErrors(t, "sensor", gpio.Config{Pins: []gpio.Pin{
		{ID: "x", Pin: "GPIO17", Direction: gpio.Input, Counter: c},
		{ID: "x_total", Pin: "GPIO18", Direction: gpio.Output},
	}}, `pins[1].id: "x_total" is a sensor of x`)
}
