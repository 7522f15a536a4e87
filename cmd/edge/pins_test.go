package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"edge/bridge/gpio"
	"edge/internal/gpiochip"
)

// boardNamed is a board with a device tree.
func boardNamed(model, compatible string, revision uint32) gpio.Board {
	return gpio.ReadBoard(fstest.MapFS{
		"model":                 {Data: []byte(model + "\x00")},
		"compatible":            {Data: []byte(compatible + "\x00")},
		"system/linux,revision": {Data: binary.BigEndian.AppendUint32(nil, revision)},
	})
}

// TestPinsWithoutNames has a configuration that nobody asked for and that is wrong.
func TestPinsWithoutNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edge.yaml")
	if err := os.WriteFile(file, []byte("bridges: {porch: {gpio: {}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EDGE_CONFIG", file)
	var stderr bytes.Buffer
	a := &app{out: io.Discard, err: &stderr}
	v, err := a.pinsView("", false)
	want := "edge: without the names of " + file + ", which cannot be used: see edge check\n"
	if err != nil || v.file != "" || len(v.roles) != 0 || stderr.String() != want {
		t.Errorf("pinsView = %+v, %v, and says %q; want no roles, and %q", v, err, &stderr, want)
	}
	if _, err := a.pinsView(file, false); err == nil {
		t.Error("pinsView of that file succeeds when it is asked for")
	}
}

// TestBootConfigByBoard has a board whose firmware is another, and one that has
// none.
func TestBootConfigByBoard(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "boot"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "boot/config.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := gpio.Config{Pins: []gpio.Pin{{ID: "light", Pin: "11", Direction: gpio.Output, ActiveLow: true}}}
	boot := func(board gpio.Board) (string, error) {
		var out bytes.Buffer
		v := pinsView{board: board, roles: cfg.Roles("porch"), file: "edge.yaml"}
		err := (&app{out: &out, err: io.Discard}).printBootConfig(v, root)
		return out.String(), err
	}
	text, err := boot(boardNamed("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b\x00brcm,bcm2712", 0xc04170))
	for _, want := range []string{"# For /boot/config.txt, made", "Raspberry Pi 5 Model B Rev 1.0. ", "EEPROM", "\n[all]\n", "\ngpio=17=op,pu,dh\n"} {
		if !strings.Contains(text, want) || err != nil {
			t.Errorf("the lines for a Raspberry Pi 5 lack %q: %v\n%s", want, err, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(strings.TrimSuffix(line, "\n")) > minColumns {
			t.Errorf("line of %d bytes: %s", len(line), line)
		}
	}
	if _, err := boot(boardNamed("Xunlong Orange Pi Zero", "xunlong,orangepi-zero\x00allwinner,sun8i-h2-plus", 0)); err == nil || !strings.Contains(err.Error(), "this is a Xunlong Orange Pi Zero") {
		t.Errorf("lines for an Orange Pi: %v, want an error that names it", err)
	}
}

func TestBootStates(t *testing.T) {
	root := t.TempDir()
	var stderr bytes.Buffer
	a := &app{err: &stderr}
	if got := a.bootStates(root); got != nil || stderr.Len() > 0 {
		t.Errorf("without a config.txt: %v, %s; want nothing", got, &stderr)
	}
	if err := os.MkdirAll(filepath.Join(root, "boot/firmware"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, bootNow)
	if err := os.WriteFile(file, []byte("gpio=17=op,dh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := a.bootStates(root)[17]; got.Function != "op" || got.Drive != "dh" || stderr.Len() > 0 {
		t.Errorf("bootStates of GPIO17 = %+v, %s; want op, dh", got, &stderr)
	}
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<17), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := a.bootStates(root); got != nil || !strings.Contains(stderr.String(), "is not known") {
		t.Errorf("of a file that is none: %v, and says %q", got, &stderr)
	}
}

// TestDrawHeader draws four pins as they can be on a board: held by a program, held by
// a driver, left over, and not visible.
func TestDrawHeader(t *testing.T) {
	out := func(p gpio.HeaderPin) gpio.HeaderPin { p.GPIO, p.Direction = true, gpio.Output; return p }
	h := gpio.Header{
		Board: gpio.Board{Model: "Raspberry Pi Compute Module 4 Rev 1.1", Module: true}, Chip: "pinctrl-bcm2711", Name: "gpiochip0",
		Pins: []gpio.HeaderPin{
			out(gpio.HeaderPin{Number: 1, Name: "GPIO17", Used: true, Consumer: "gpioset", Holder: &gpiochip.Holder{PID: 812, Command: "gpioset"}, Level: "high", PowerUp: gpio.PullDown}),
			out(gpio.HeaderPin{Number: 2, Name: "GPIO8", Used: true, Consumer: "spi0 CS0", PowerUp: gpio.PullUp, Alternates: []string{"SPI0 CE0"}}),
			out(gpio.HeaderPin{Number: 3, Name: "GPIO4", PowerUp: gpio.PullUp, Level: "low"}),
			{Number: 4, Name: "GPIO2", GPIO: true, Direction: gpio.Input, Function: "alt0", Alternates: []string{"I2C1 SDA"}, PowerUp: gpio.PullUp},
			out(gpio.HeaderPin{Number: 5, Name: "GPIO27", Used: true, PowerUp: gpio.PullDown, Warnings: []string{"Beware."}}),
			out(gpio.HeaderPin{Number: 6, Name: "GPIO22", Used: true, Consumer: "a consumer with a long\x1bname", PowerUp: gpio.PullDown, Warnings: []string{"Beware."}}),
		},
		Elsewhere: gpio.Config{Pins: []gpio.Pin{{ID: "valve"}, {ID: "pump"}}}.Roles("tank"),
	}
	const want = `Raspberry Pi Compute Module 4 Rev 1.1, on an IO board
6 pins, lines of gpiochip0 (pinctrl-bcm2711)

output gpioset (pid 812)  GPIO17 ↓●  1 │ 2  ·↑ GPIO8   output spi0 CS0
        output of nobody   GPIO4 ↑○  3 │ 4  ·↑ GPIO2   alt0  I2C1 SDA
           output kernel !GPIO27 ↓·  5 │ 6  ·↓ GPIO22! output a consumer with …

       ● high  ○ low  · not visible   ↑ ↓ pull at power-up   ! see below

! pin 5 GPIO27, 6 GPIO22
  Beware.

On no pin of this header: tank/valve, tank/pump
`
	if got := (&app{out: io.Discard}).drawHeader(h, "", minColumns); got != want {
		t.Errorf("drawHeader:\n%s\nwant:\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "\n"},
		{"one", "> one\n"},
		{"one two", "> one two\n"},
		{"one  two three", "> one two\n> three\n"},
		{"a-word-that-is-too-long b", "> a-word-that-is-too-long\n> b\n"},
		{"ää ää ää b", "> ää ää ää\n> b\n"},
	} {
		if got := wrap(tt.text, "> ", 10); got != tt.want {
			t.Errorf("wrap(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
