package gpio_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"edge/bridge/gpio"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

func TestLookAt(t *testing.T) {
	bubble(t, boardConfig(), func(r rig) {
		r.send("relay1", "ON")
		r.expect("relay1", "ON")
		h, err := gpio.LookAt(r.board.Open, gpio.Board{}, boardConfig().Roles("board"), nil)
		if err != nil || len(h.Pins) != 40 || h.Chip != "sim-header" || h.Lines != 28 || len(h.Elsewhere) != 0 {
			r.Fatalf("LookAt = %+v, %v, want 40 pins of 28 lines", h, err)
		}
		lines := make(map[int]bool)
		for i, p := range h.Pins {
			if p.Number != i+1 {
				r.Errorf("pin %d has the number %d", i+1, p.Number)
			}
			if p.GPIO {
				lines[p.Offset] = true
			}
		}
		if len(lines) != 28 {
			r.Errorf("the header has %d lines, want 28", len(lines))
		}
		for _, want := range []gpio.HeaderPin{
			{Number: 1, Name: "3V3", Offset: -1},
			{
				Number: 29, Name: "GPIO5", GPIO: true, Chip: "sim-header", Offset: 5, Line: "GPIO5", Used: true, Consumer: "edge:relay1",
				Direction: "output", ActiveLow: true, Level: "low", PowerUp: "pull-up", Alternates: []string{"GPCLK1"},
				Role: &gpio.Role{Bridge: "board", Entity: "relay1", Direction: "output"},
			},
			{
				Number: 16, Name: "GPIO23", GPIO: true, Chip: "sim-header", Offset: 23, Line: "GPIO23", Used: true, Consumer: "edge:button1",
				Direction: "input", ActiveLow: true, Bias: "pull-up", Level: "high", PowerUp: "pull-down",
				Role: &gpio.Role{Bridge: "board", Entity: "button1", Direction: "input"},
			},
		} {
			if d := cmp.Diff(want, h.Pins[want.Number-1], cmpopts.IgnoreUnexported(gpio.Role{})); d != "" {
				r.Errorf("pin %d (-want +got):\n%s", want.Number, d)
			}
		}
	})
}

// TestElsewhere has roles on another chip and on lines without a pin.
func TestElsewhere(t *testing.T) {
	five, forty, line := 5, 40, 3
	cfg := gpio.Config{Pins: []gpio.Pin{
		{ID: "here", Offset: &five, Chip: "sim-header"},
		{ID: "eeprom", Offset: &forty},
		{ID: "valve", Offset: &line, Chip: "pcf8574"},
		{ID: "lost", Line: "NONE"},
	}}
	h, err := gpio.LookAt(sim.NewBoard().Open, gpio.Board{}, cfg.Roles("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range h.Elsewhere {
		got = append(got, r.String())
	}
	if want := []string{"x/eeprom", "x/valve", "x/lost"}; !slices.Equal(got, want) {
		t.Errorf("elsewhere are %v, want %v", got, want)
	}
	if r := h.Pins[28].Role; r == nil || r.Entity != "here" {
		t.Errorf("the role of pin 29 is %v, want here", r)
	}
}

func TestWarnings(t *testing.T) {
	low, high := gpio.Pin{Direction: gpio.Output, ActiveLow: true}, gpio.Pin{Direction: gpio.Output}
	with := func(p gpio.Pin, change func(*gpio.Pin)) gpio.Pin { change(&p); return p }
	for _, tt := range []struct {
		name, line string
		pin        gpio.Pin
		held       string
		want       []string // the beginning of each
	}{
		{"relay that clicks", "GPIO17", low, "", []string{"It is ON from power-up until edge runs, since ON is low"}},
		{"relay on a line that is pulled up", "GPIO5", low, "", nil},
		{"active high on a line that is pulled up", "GPIO6", high, "", []string{"It is ON from power-up until edge runs, since ON is high"}},
		{"active high", "GPIO17", high, "", nil},
		{"on at first", "GPIO17", with(low, func(p *gpio.Pin) { p.Initial = gpio.On }), "", nil},
		{"safe is off", "GPIO17", with(low, func(p *gpio.Pin) { p.Initial, p.Safe = gpio.On, gpio.Off }), "", []string{"It is ON"}},
		{"safe is on", "GPIO17", with(low, func(p *gpio.Pin) { p.Safe = gpio.On }), "", nil},
		{"input", "GPIO17", gpio.Pin{Direction: gpio.Input}, "", nil},
		{"board's pull-up", "GPIO2", gpio.Pin{Direction: gpio.Input}, "", []string{"The board pulls this line up with 1.8 kΩ"}},
		{"HAT", "GPIO0", gpio.Pin{Direction: gpio.Input}, "", []string{"The firmware looks here"}},
		{"1-Wire", "GPIO4", gpio.Pin{Direction: gpio.Input}, "", []string{"dtoverlay=w1-gpio"}},
		{"console", "GPIO14", high, "", []string{"The line toggles"}},
		{"console's input", "GPIO15", gpio.Pin{Direction: gpio.Input}, "", []string{"Linux takes"}},
		{"held", "GPIO22", gpio.Pin{Direction: gpio.Input}, "gpiomon", []string{`Line 22 (GPIO22) of sim-header is held by "gpiomon": stop that one`}},
		{"ours", "GPIO22", gpio.Pin{Direction: gpio.Input}, "edge:x", nil},
	} {
		board := sim.NewBoard()
		tt.pin.ID, tt.pin.Pin = "x", tt.line
		cfg := gpio.Config{Pins: []gpio.Pin{tt.pin}}
		if err := cfg.Validate(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		board.Header.Hold(22, tt.held)
		h, err := gpio.LookAt(board.Open, gpio.Board{}, cfg.Roles("b"), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range h.Pins {
			if p.Name != tt.line && len(p.Warnings) > 0 {
				t.Errorf("%s: %s, which nobody wants, has warnings %q", tt.name, p.Name, p.Warnings)
			}
			got = append(got, p.Warnings...)
		}
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s: warnings %q, want beginnings %q", tt.name, got, tt.want)
		}
	}
}

// muxed is a chip on which other hardware has some pins.
type muxed struct {
	gpiochip.Chip
	functions map[uint32]string
}

func (m muxed) Function(offset uint32) (string, error) {
	if f, ok := m.functions[offset]; ok {
		return f, nil
	}
	return "", os.ErrPermission
}

func TestFunction(t *testing.T) {
	open := func(label string) (gpiochip.Chip, error) {
		chip, err := sim.NewBoard().Open(label)
		return muxed{chip, map[uint32]string{2: "alt0", 3: "alt0", 22: "alt3", 17: "input"}}, err
	}
	cfg := gpio.Config{Pins: []gpio.Pin{
		{ID: "sda", Pin: "GPIO3", Direction: gpio.Input}, {ID: "x", Pin: "GPIO22", Direction: gpio.Input}, {ID: "y", Pin: "GPIO17", Direction: gpio.Input},
	}}
	h, err := gpio.LookAt(open, gpio.Board{}, cfg.Roles("b"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for pin, want := range map[int]struct{ function, warning string }{
		3:  {"alt0", ""}, // nobody wants it
		5:  {"alt0", "Other hardware has this pin now (alt0; commonly I2C1 SCL)"},
		15: {"alt3", "Other hardware has this pin now (alt3; commonly a function of the chip)"},
		11: {"", ""},
		12: {"", ""},
	} {
		p := h.Pins[pin-1]
		text := strings.Join(p.Warnings, "\n")
		if p.Function != want.function || !strings.Contains(text, want.warning) || strings.Contains(text, "Other hardware") != (want.warning != "") {
			t.Errorf("pin %d has the function %q and the warnings %q, want %+v", pin, p.Function, text, want)
		}
	}
}
