package gpio_test

import (
	"fmt"
	"slices"
	"testing"

	"edge/bridge/gpio"
)

func TestBootLines(t *testing.T) {
	out, in := gpio.Pin{Direction: gpio.Output}, gpio.Pin{Direction: gpio.Input}
	with := func(p gpio.Pin, change func(*gpio.Pin)) gpio.Pin { change(&p); return p }
	for _, tt := range []struct {
		name string
		pin  gpio.Pin
		want string
	}{
		{"active high", out, "gpio=17=op,pd,dl OFF is low"},
		{"active low", with(out, func(p *gpio.Pin) { p.ActiveLow = true }), "gpio=17=op,pu,dh OFF is high"},
		{"active low, on", with(out, func(p *gpio.Pin) { p.ActiveLow, p.Initial = true, "on" }), "gpio=17=op,pd,dl ON is low"},
		{"last", with(out, func(p *gpio.Pin) { p.Initial = "last" }), "gpio=17=op,pd,dl OFF is low"},
		{"safe", with(out, func(p *gpio.Pin) { p.Initial, p.Safe = "on", "off" }), "gpio=17=op,pd,dl OFF is low"},
		{"safe is on", with(out, func(p *gpio.Pin) { p.Safe = "on" }), "gpio=17=op,pu,dh ON is high"},
		{"own bias", with(out, func(p *gpio.Pin) { p.Bias = "disabled" }), "gpio=17=op,pn,dl OFF is low"},
		{
			"open drain, off", with(out, func(p *gpio.Pin) { p.ActiveLow, p.Drive, p.Bias = true, "open-drain", "pull-up" }),
			"gpio=17=ip,pu OFF is high, which nobody drives",
		},
		{
			"open drain, on", with(out, func(p *gpio.Pin) { p.ActiveLow, p.Drive, p.Safe = true, "open-drain", "on" }),
			"gpio=17=op,pd,dl ON is low",
		},
		{"open source, off", with(out, func(p *gpio.Pin) { p.Drive = "open-source" }), "gpio=17=ip OFF is low, which nobody drives"},
		{"pulled up", with(in, func(p *gpio.Pin) { p.Bias = "pull-up" }), "gpio=17=ip,pu input, pull-up"},
		{"pulled down", with(in, func(p *gpio.Pin) { p.Bias = "pull-down" }), "gpio=17=ip,pd input, pull-down, as from power-up"},
		{"not pulled", with(in, func(p *gpio.Pin) { p.Bias = "disabled" }), "gpio=17=ip,pn input without a pull"},
		{"as is", in, " input, bias as-is: it keeps the pull-down that it has from power-up"},
	} {
		tt.pin.ID, tt.pin.Pin = "x", "11"
		cfg := gpio.Config{Pins: []gpio.Pin{tt.pin}}
		if err := cfg.Validate(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		lines, others := gpio.BootLines(gpio.Board{}, cfg.Roles("b"))
		if len(lines) != 1 || len(others) != 0 || lines[0].Pin != 11 || lines[0].Offset != 17 {
			t.Fatalf("%s: BootLines = %+v, %v, want one line of pin 11", tt.name, lines, others)
		}
		if got := lines[0].Text + " " + lines[0].Comment; got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// TestBootLinesByBoard has lines in the order of their numbers, and those that the
// firmware of the board cannot reach.
func TestBootLinesByBoard(t *testing.T) {
	four, expander := 4, 4
	cfg := gpio.Config{Pins: []gpio.Pin{
		{ID: "a", Pin: "13", Direction: gpio.Output},
		{ID: "b", Offset: &four, Chip: "pinctrl-bcm2835", Direction: gpio.Output},
		{ID: "c", Pin: "40", Direction: gpio.Output},
		{ID: "d", Offset: &expander, Chip: "pcf8574", Direction: gpio.Output},
		{ID: "e", Line: "GPIO22", Direction: gpio.Output},
		{ID: "f", Line: "SDA1", Direction: gpio.Output},
	}}
	for board, want := range map[uint32]string{
		0xa02082: "[4 b 21 c 22 e 27 a] [d f]",
		0x2:      "[4 b 21 a 22 e] [c d f]", // 26 pins, of which 13 is GPIO21
	} {
		lines, others := gpio.BootLines(gpio.ReadBoard(tree("Raspberry Pi", "raspberrypi,model-b brcm,bcm2835", board)), cfg.Roles("x"))
		var got, left []string
		for _, l := range lines {
			got = append(got, fmt.Sprint(l.Offset, " ", l.Role.Entity))
		}
		for _, r := range others {
			left = append(left, r.Entity)
		}
		slices.Sort(left)
		if got := fmt.Sprint(got, " ", left); got != want {
			t.Errorf("revision %#x: %s, want %s", board, got, want)
		}
	}
}
