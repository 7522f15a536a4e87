package gpio_test

import (
	"strings"
	"testing"
	"time"

	"edge/bridge/gpio"
	"edge/internal/config"
)

func TestDefaultConfig(t *testing.T) {
	if got := gpio.DefaultConfig().Debounce; got != 10*time.Millisecond {
		t.Errorf("debounce is %v by default, want 10ms", got)
	}
	if err := boardConfig().Validate(); err != nil {
		t.Errorf("the board's configuration is refused: %v", err)
	}
}

func TestValidate(t *testing.T) {
	in := func(change func(*gpio.Pin)) []gpio.Pin {
		p := gpio.Pin{ID: "x", Pin: "GPIO17", Direction: gpio.Input}
		change(&p)
		return []gpio.Pin{p}
	}
	pins := func(ps ...gpio.Pin) []gpio.Pin {
		for i := range ps {
			ps[i].Direction = gpio.Input
		}
		return ps
	}
	for _, tt := range []struct {
		name string
		pins []gpio.Pin
		want string // one line for each error
	}{
		{"no pins", nil, `pins: there are none; name at least one`},
		{"good", in(func(p *gpio.Pin) { p.Debounce = new(time.Duration(0)) }), ""},
		{"header pin", in(func(p *gpio.Pin) { p.Pin = "11" }), ""},
		{"no id", in(func(p *gpio.Pin) { p.ID = "" }), `pins[0].id: must be set`},
		{"bad id", in(func(p *gpio.Pin) { p.ID = "Relay 1" }), `pins[0].id: "Relay 1" may have a-z, 0-9, _ and - only`},
		{"reserved id", in(func(p *gpio.Pin) { p.ID = "meta" }), `pins[0].id: "meta" is the name of a topic of the bridge itself`},
		{"no line", in(func(p *gpio.Pin) { p.Pin = "" }), `pins[0].pin: which line is it? Set pin, line or offset`},
		{
			"name and offset", in(func(p *gpio.Pin) { p.Pin, p.Line, p.Offset = "", "SDA1", new(2) }),
			`pins[0].offset: the line is named by line already; keep one of line, offset`,
		},
		{
			"a supply", in(func(p *gpio.Pin) { p.Pin = "6" }),
			`pins[0].pin: "6" is no line of the header: GPIO0 to GPIO27, or a pin from 1 to 40 that is no supply`,
		},
		{
			"no such pin", in(func(p *gpio.Pin) { p.Pin = "GPIO28" }),
			`pins[0].pin: "GPIO28" is no line of the header: GPIO0 to GPIO27, or a pin from 1 to 40 that is no supply`,
		},
		{
			"pin of another chip", in(func(p *gpio.Pin) { p.Chip = "pcf8574" }),
			`pins[0].chip: pin is always on the chip of the header; leave chip out, or use offset`,
		},
		{
			"negative offset", in(func(p *gpio.Pin) { p.Pin, p.Offset = "", new(-1) }),
			`pins[0].offset: -1 is no line of a chip; lines count from 0`,
		},
		{"no direction", in(func(p *gpio.Pin) { p.Direction = "" }), `pins[0].direction: must be set: input or output`},
		{
			"unknown values", in(func(p *gpio.Pin) { p.Direction, p.Bias = "out", "pullup" }),
			"pins[0].bias: \"pullup\" is not one of as-is, pull-up, pull-down, disabled\n" +
				`pins[0].direction: "out" is not one of input, output`,
		},
		{
			"output's settings of an input", in(func(p *gpio.Pin) { p.Drive, p.Initial, p.OnExit = "open-drain", "on", "keep" }),
			"pins[0].drive: only an output has it\npins[0].initial: only an output has it\npins[0].on_exit: only an output has it",
		},
		{"safe of an input", in(func(p *gpio.Pin) { p.Safe = gpio.On }), `pins[0].safe: only an output has it`},
		{
			"debounce of an output", in(func(p *gpio.Pin) { p.Direction, p.Debounce = gpio.Output, new(time.Second) }),
			`pins[0].debounce: only an input has it`,
		},
		{
			"endless debounce", in(func(p *gpio.Pin) { p.Debounce = new(time.Hour) }),
			`pins[0].debounce: 1h0m0s is not between 0s and 1m0s`,
		},
		{"same id", pins(gpio.Pin{ID: "a", Pin: "11"}, gpio.Pin{ID: "a", Pin: "12"}), `pins[1].id: "a" is already pin 0`},
		{
			"same line", pins(gpio.Pin{ID: "a", Pin: "11"}, gpio.Pin{ID: "b", Pin: "gpio17"}),
			`pins[1].pin: line 17 is already pin 0, "a"`,
		},
		{
			"same line by offset", pins(gpio.Pin{ID: "a", Offset: new(17)}, gpio.Pin{ID: "b", Pin: "GPIO17"}),
			`pins[1].pin: line 17 is already pin 0, "a"`,
		},
		{"same offset of two chips", pins(gpio.Pin{ID: "a", Offset: new(1)}, gpio.Pin{ID: "b", Chip: "x", Offset: new(1)}), ""},
	} {
		err := gpio.Config{Pins: tt.pins}.Validate()
		if got := text(err); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	// The errors of one pin are joined before they are joined with others.
	return strings.Trim(err.Error(), "\n")
}

// TestPlaces checks that each error can be told its place in a file.
func TestPlaces(t *testing.T) {
	err := config.In("bridges.porch.gpio", gpio.Config{Debounce: -1, Pins: []gpio.Pin{{Direction: "up"}}}.Validate())
	for _, path := range []string{".debounce: ", ".pins[0].id: ", ".pins[0].pin: ", ".pins[0].direction: "} {
		if !strings.Contains(text(err), "bridges.porch.gpio"+path) {
			t.Errorf("no error at %s in\n%v", path, err)
		}
	}
}

func TestValidateBounds(t *testing.T) {
	out := func(id, pin string, change func(*gpio.Pin)) gpio.Pin {
		p := gpio.Pin{ID: id, Pin: pin, Direction: gpio.Output}
		change(&p)
		return p
	}
	plain := func(*gpio.Pin) {}
	motor := []gpio.Pin{out("up", "GPIO17", plain), out("down", "GPIO27", plain)}
	for _, tt := range []struct {
		name  string
		pins  []gpio.Pin
		locks []gpio.Interlock
		want  string
	}{
		{"a motor", motor, []gpio.Interlock{{Pins: []string{"up", "down"}, DeadTime: time.Second}}, ""},
		{"alone", motor, []gpio.Interlock{{Pins: []string{"up"}, DeadTime: time.Second}}, "interlocks[0].pins: name two outputs or more"},
		{
			"no dead time", motor,
			[]gpio.Interlock{{Pins: []string{"up", "down"}}},
			"interlocks[0].dead_time: must be 15ms to 1m0s, not 0s",
		},
		{
			"unknown", motor,
			[]gpio.Interlock{{Pins: []string{"up", "left"}, DeadTime: time.Second}},
			`interlocks[0].pins[1]: there is no output "left"`,
		},
		{
			"in two", motor,
			[]gpio.Interlock{{Pins: []string{"up", "down"}, DeadTime: time.Second}, {Pins: []string{"up", "down"}, DeadTime: time.Second}},
			"interlocks[1].pins[0]: up is in interlock 0 already\ninterlocks[1].pins[1]: down is in interlock 0 already",
		},
		{
			"both at the start",
			[]gpio.Pin{out("up", "GPIO17", func(p *gpio.Pin) { p.Initial = gpio.On }), out("down", "GPIO27", func(p *gpio.Pin) { p.OnExit = gpio.On })},
			[]gpio.Interlock{{Pins: []string{"up", "down"}, DeadTime: time.Second}},
			"interlocks[0].pins: up and down would be on together at the start or the end",
		},
		{
			"safe and on",
			[]gpio.Pin{motor[0], out("down", "GPIO27", func(p *gpio.Pin) { p.Safe = gpio.On })},
			[]gpio.Interlock{{Pins: []string{"up", "down"}, DeadTime: time.Second}},
			"interlocks[0].pins[1]: safe is on for down: nobody would wait for dead_time when the others are made safe, too",
		},
		{
			"as it is found",
			[]gpio.Pin{motor[0], out("down", "GPIO27", func(p *gpio.Pin) { p.Warm = gpio.Hardware })},
			[]gpio.Interlock{{Pins: []string{"up", "down"}, DeadTime: time.Second}},
			"interlocks[0].pins[1]: down begins as it is found, which may be on together with another one: an output with an interlock begins off, on or as it was",
		},
		{
			"safe and not for long",
			[]gpio.Pin{out("fan", "GPIO17", func(p *gpio.Pin) { p.Safe, p.MaxOn = gpio.On, time.Second })},
			nil,
			"pins[0].max_on: safe is on, and so it must be able to stay on; leave one of them out",
		},
		{
			"two chips",
			[]gpio.Pin{motor[0], {ID: "far", Chip: "pcf8574", Offset: new(1), Direction: gpio.Output}},
			[]gpio.Interlock{{Pins: []string{"up", "far"}, DeadTime: time.Second}},
			"interlocks[0].pins[1]: far is on another chip than up: two chips cannot be switched as one",
		},
		{
			"max_on",
			[]gpio.Pin{out("up", "GPIO17", func(p *gpio.Pin) { p.MaxOn, p.MinOn = time.Second, time.Minute })},
			nil,
			"pins[0].max_on: 1s is shorter than min_on, 1m0s",
		},
		{
			"numbers",
			[]gpio.Pin{out("up", "GPIO17", func(p *gpio.Pin) { p.MinOff, p.PerMinute, p.Retrigger = -1, 9999, "again" })},
			nil,
			"pins[0].min_off: -1ns is not between 0s and 168h0m0s\npins[0].per_minute: 9999 is not between 0 and 1000\n" +
				`pins[0].retrigger: "again" is not one of restart, extend, ignore`,
		},
		{
			"lease",
			[]gpio.Pin{out("up", "GPIO17", func(p *gpio.Pin) { p.Lease.Topic = "a/#/b" })},
			nil,
			"pins[0].lease.topic: topic filter \"a/#/b\": # must be the last level\npins[0].lease.time: must be set: how long may a/#/b be silent?",
		},
		{
			"a lease kept twice",
			[]gpio.Pin{out("up", "GPIO17", func(p *gpio.Pin) { p.Lease = gpio.Lease{Topic: "a", Commander: true} })},
			nil,
			"pins[0].lease.topic: commander keeps the lease already; leave one of them out",
		},
		{
			"of an input",
			[]gpio.Pin{{ID: "x", Pin: "GPIO17", Direction: gpio.Input, MaxOn: 1, PerMinute: 1, MaxAge: 1, Retrigger: gpio.Extend}},
			nil,
			"pins[0].max_on: only an output has it\npins[0].max_age: only an output has it\npins[0].per_minute: only an output has it\npins[0].retrigger: only an output has it",
		},
	} {
		err := gpio.Config{Pins: tt.pins, Interlocks: tt.locks}.Validate()
		if got := text(err); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestValidateCovers has what covers and PWM must not be.
func TestValidateCovers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*gpio.Config)
		want   string // one line for each error
	}{
		{"good", func(*gpio.Config) {}, ""},
		{"no outputs", func(c *gpio.Config) { c.Covers[0].Open, c.Covers[0].Close = "", "door" }, "covers[0].open: there is no output \"\"\ncovers[0].close: there is no output \"door\""},
		{"one output", func(c *gpio.Config) { c.Covers[0].Close = "relay1" }, "covers[0].close: relay1 is already of cover blind"},
		{"no times", func(c *gpio.Config) { c.Covers[0].OpenTime, c.Covers[0].DeadTime = 0, 0 }, "covers[0].dead_time: must be 15ms to 1m0s, not 0s\ncovers[0].open_time: must be 500ms to 30m0s, not 0s"},
		{"two switches and overrun", func(c *gpio.Config) { c.Covers[0].Overrun = time.Second }, "covers[0].overrun: both ends have a switch, which stops the cover: leave it out"},
		{"one switch", func(c *gpio.Config) { c.Covers[0].CloseSwitch = "button1" }, "covers[0].close_switch: button1 is at the other end already"},
		{"no switch", func(c *gpio.Config) { c.Covers[0].CloseSwitch = "relay3" }, `covers[0].close_switch: there is no input "relay3"`},
		{"class", func(c *gpio.Config) { c.Covers[0].Class = "roof" }, `covers[0].class: "roof" is not one of awning, blind, curtain, damper, door, garage, gate, shade, shutter, window`},
		{"name of a pin", func(c *gpio.Config) { c.Covers[0].ID = "door" }, `covers[0].id: "door" is already a pin`},
		{"name of a sensor", func(c *gpio.Config) {
			c.Pins[6].Counter, c.Covers[0].ID = &gpio.Counter{PerUnit: 1, Save: time.Minute}, "door_rate"
		}, `covers[0].id: "door_rate" is already a sensor of door`},
		{"begins on", func(c *gpio.Config) { c.Pins[0].Initial = gpio.On }, "covers[0].open: relay1 does not begin off: a cover does not move by itself"},
		{"ends on", func(c *gpio.Config) { c.Pins[1].OnExit = gpio.Keep }, "covers[0].close: relay2 is left on: a cover stops when nobody tends it"},
		{"does not stop", func(c *gpio.Config) { c.Pins[0].MinOn = time.Second }, "covers[0].open: relay1 has min_on: a cover must stop at any time"},
		{"max_on", func(c *gpio.Config) { c.Pins[0].MaxOn = 20 * time.Second }, "covers[0].open: relay1 may be on for 20s only (max_on); the cover may need 24s"},
		{
			"in an interlock", func(c *gpio.Config) {
				c.Interlocks = []gpio.Interlock{{Pins: []string{"relay1", "relay3"}, DeadTime: time.Second}}
			},
			"covers[0].open: relay1 is already in interlock 0; a cover has its own, with dead_time",
		},
		{
			"another chip", func(c *gpio.Config) {
				for i := range c.Pins {
					if c.Pins[i].ID == "relay2" || c.Pins[i].ID == "button2" {
						c.Pins[i].Pin, c.Pins[i].Chip, c.Pins[i].Offset = "", "pcf8574", new(i)
					}
				}
			},
			"covers[0].close: relay2 is on another chip than relay1: two chips cannot be switched as one\n" +
				"covers[0].close_switch: button2 is on another chip than the outputs: a lost chip would leave the motor without its switch",
		},
		{"soft", func(c *gpio.Config) { c.Pins[2].SoftPWM = &gpio.SoftPWM{Period: time.Second} }, ""},
		{"soft period", func(c *gpio.Config) { c.Pins[2].SoftPWM = new(gpio.SoftPWM) }, "pins[2].soft_pwm.period: must be 10ms to 1h0m0s, not 0s"},
		{
			"soft values", func(c *gpio.Config) {
				c.Pins[2].SoftPWM = &gpio.SoftPWM{Period: time.Second, Min: 50, Max: 40, Initial: new(101.0), Safe: -1}
			},
			"pins[2].soft_pwm.safe: -1 is not between 0 and 100\npins[2].soft_pwm.initial: 101 is not between 0 and 100\npins[2].soft_pwm.max: 40 is less than min, 50",
		},
		{
			"soft cover", func(c *gpio.Config) { c.Pins[0].SoftPWM = &gpio.SoftPWM{Period: time.Second} },
			"covers[0].open: relay1 has soft_pwm, which keeps no interlock",
		},
		{
			"soft input", func(c *gpio.Config) { c.Pins[4].SoftPWM = &gpio.SoftPWM{Period: time.Second} },
			"pins[4].soft_pwm: button1 is no output",
		},
		{
			"soft and the rest", func(c *gpio.Config) {
				c.Pins[2].SoftPWM = &gpio.SoftPWM{Period: time.Second}
				c.Pins[2].Initial, c.Pins[2].OnExit, c.Pins[2].MaxOn, c.Pins[2].Retrigger = gpio.Last, gpio.Keep, time.Hour, gpio.Extend
				c.Interlocks = []gpio.Interlock{{Pins: []string{"relay3", "relay4"}, DeadTime: time.Second}}
			},
			"pins[2].soft_pwm: relay3 begins with the initial of soft_pwm; leave that of the pin out\n" +
				"pins[2].soft_pwm: relay3 is off when nobody switches it: on_exit and safe of the pin must be off\n" +
				"pins[2].soft_pwm: relay3 is switched in each period: max_on, min_on, min_off, per_minute and max_age have no meaning\n" +
				"pins[2].soft_pwm: relay3 has a retrigger or a lease of outputs; soft_pwm has a lease of its own\n" +
				"pins[2].soft_pwm: relay3 is in interlock 0: software PWM keeps no interlock",
		},
		{
			"pwm", func(c *gpio.Config) {
				c.PWM = []gpio.PWM{{ID: "blind", Channel: -1, Lease: -1}, {ID: "fan", Channel: 1, Frequency: 1}, {ID: "lamp", Channel: 1, Frequency: 1}}
			},
			"pwm[0].lease: -1ns is not between 0s and 168h0m0s\npwm[0].channel: -1 is no channel of a chip; they count from 0\n" +
				"pwm[0].frequency: must be 0.1 to 10000000 Hz, not 0\npwm[2].channel: channel 1 is already PWM 1, \"fan\"\npwm[0].id: \"blind\" is already a cover",
		},
	} {
		cfg := coverConfig(true)
		tt.change(&cfg)
		got := ""
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
