package gpio_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/bridge/gpio"
	"edge/internal/sim"
)

func TestReadBootText(t *testing.T) {
	const text = `# For more options see
dtparam=i2c_arm=on
gpio=17=op,pu,dh   # the light
gpio=18,20=pu
gpio = 5=op
[pi5]
gpio=17=ip
[all]
gpio=22-24,27=ip,pn
gpio=23=a2
gpio=18=np
gpio=17=dl
gpio=9-7=op
gpio=54=op
gpio=-1,x,1-=op
gpio=3
gpio=
[none]
gpio=4=op
`
	got, err := gpio.ReadBootText(strings.NewReader(text))
	want := gpio.BootStates{
		17: {Function: "op", Drive: "dl", Pull: "pu"}, 18: {Pull: "np"}, 20: {Pull: "pu"},
		22: {Function: "ip", Pull: "np"}, 23: {Function: "a2", Pull: "np"}, 24: {Function: "ip", Pull: "np"}, 27: {Function: "ip", Pull: "np"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("ReadBootText (-want +got), %v:\n%s", err, d)
	}
	if _, err := gpio.ReadBootText(strings.NewReader(strings.Repeat("x", 1<<17))); err == nil {
		t.Error("a line of 128 KiB is read")
	}
}

func FuzzReadBootText(f *testing.F) {
	for _, text := range []string{"gpio=17=op,dh\n", "gpio=3-4,6,8=ip,pu\n[all]\n", "[pi4]\ngpio=0-27=a2\n", "gpio=0-255=op", "gpio=,,=,,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		states, _ := gpio.ReadBootText(strings.NewReader(text))
		for offset, s := range states {
			if offset > 53 {
				t.Errorf("line %d of %q", offset, text)
			}
			if !slices.Contains([]string{"", "ip", "op", "a0", "a1", "a2", "a3", "a4", "a5"}, s.Function) {
				t.Errorf("function %q of %q", s.Function, text)
			}
		}
	})
}

// TestBootLinesHelp has a config.txt of the lines that BootLines gives, or of others:
// the warnings that they are about go, or stay.
func TestBootLinesHelp(t *testing.T) {
	cfg := gpio.Config{Pins: []gpio.Pin{
		{ID: "low", Pin: "GPIO17", Direction: gpio.Output, ActiveLow: true},
		{ID: "high", Pin: "GPIO6", Direction: gpio.Output},
	}}
	roles := cfg.Roles("b")
	var all strings.Builder
	lines, _ := gpio.BootLines(gpio.Board{}, roles)
	for _, l := range lines {
		all.WriteString(l.Text + "\n")
	}
	for text, want := range map[string][]string{
		all.String():                   nil,
		"gpio=17=pu\ngpio=6=pd":        nil,
		"gpio=17=op\ngpio=6=pd\n":      {"It is ON from the start of the board"},
		"gpio=17=op,dh\n":              {"It is ON from power-up until edge runs, since ON is high"},
		"[pi3]\ngpio=17=pu\ngpio=6=pd": {"It is ON from power-up until edge runs, since ON is high", "It is ON from power-up until edge runs, since ON is low"},
	} {
		states, err := gpio.ReadBootText(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		h, err := gpio.LookAt(sim.NewBoard().Open, gpio.Board{}, roles, states)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range h.Pins {
			got = append(got, p.Warnings...)
		}
		slices.Sort(got)
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("with %q: warnings %q, want %q", text, got, want)
		}
	}
}

// TestLongNames has a holder whose name the kernel has cut: it is ours.
func TestLongNames(t *testing.T) {
	id := strings.Repeat("a-long-name", 4)
	board := sim.NewBoard()
	board.Header.Hold(22, ("edge:" + id)[:31])
	cfg := gpio.Config{Pins: []gpio.Pin{{ID: id, Pin: "GPIO22", Direction: gpio.Input}}}
	h, err := gpio.LookAt(board.Open, gpio.Board{}, cfg.Roles("b"), nil)
	if err != nil || len(h.Pins[14].Warnings) != 0 {
		t.Errorf("LookAt of a line that is ours warns: %q, %v", h.Pins[14].Warnings, err)
	}
}
