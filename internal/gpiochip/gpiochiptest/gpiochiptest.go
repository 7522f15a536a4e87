// Package gpiochiptest is the contract of package gpiochip as a test. The
// kernel's chips and the simulated one pass it alike, so that what holds on the
// one may be believed of the other.
package gpiochiptest

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"edge/internal/gpiochip"
)

// Wires are the far ends of a chip's lines.
type Wires interface {
	// Drive holds the line at offset high or low from outside, against its bias.
	Drive(offset uint32, high bool)

	// Level returns the physical level of the line at offset.
	Level(offset uint32) bool
}

// An Unplugger can take the chip away. Wires may be one.
type Unplugger interface{ Unplug() }

// Lines is how many lines the chip under test must have. Nobody may use them.
const Lines = 8

// patience is how long the suite waits for what must come.
const patience = 10 * time.Second

// TestChip checks that the chips which open returns keep the contract. Each call
// of open begins with a chip whose lines nobody drives or holds.
func TestChip(t *testing.T, open func(t *testing.T) (gpiochip.Chip, Wires)) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, gpiochip.Chip, Wires)
	}{
		{"info", testInfo},
		{"input", testInput},
		{"bias", testBias},
		{"output", testOutput},
		{"mixed", testMixed},
		{"as-is", testAsIs},
		{"found", testFound},
		{"busy", testBusy},
		{"invalid", testInvalid},
		{"release", testRelease},
		{"events", testEvents},
		{"edge filter", testEdgeFilter},
		{"event loss", testEventLoss},
		{"debounce", testDebounce},
		{"context", testContext},
		{"close", testClose},
		{"chip closed", testChipClosed},
		{"unplug", testUnplug},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chip, wires := open(t)
			tt.test(t, chip, wires)
		})
	}
}

func testInfo(t *testing.T, chip gpiochip.Chip, _ Wires) {
	info, err := chip.Info()
	if err != nil || info.Lines < Lines || info.Label == "" {
		t.Fatalf("Info() = %+v, %v, want a label and at least %d lines", info, err, Lines)
	}
	for o := range uint32(Lines) {
		if li := lineInfo(t, chip, o); li.Used || li.Offset != o {
			t.Errorf("LineInfo(%d) = %+v, want a free line of that offset", o, li)
		}
	}
	if li, err := chip.LineInfo(info.Lines); err == nil {
		t.Errorf("LineInfo(%d) of a chip with %d lines = %+v, want an error", info.Lines, info.Lines, li)
	}
}

func testInput(t *testing.T, chip gpiochip.Chip, w Wires) {
	for _, activeLow := range []bool{false, true} {
		lines := request(t, chip, gpiochip.LineConfig{Offset: 3, Direction: gpiochip.Input, ActiveLow: activeLow})
		for _, high := range []bool{true, false, true} {
			w.Drive(3, high)
			wantValues(t, lines, 1, bit(high != activeLow))
		}
		if err := lines.SetValues(1, 1); !errors.Is(err, syscall.EPERM) {
			t.Errorf("SetValues of an input = %v, want EPERM", err)
		}
		closeLines(t, lines)
	}
}

func testBias(t *testing.T, chip gpiochip.Chip, w Wires) {
	lines := request(t, chip,
		gpiochip.LineConfig{Offset: 0, Direction: gpiochip.Input, Bias: gpiochip.PullUp},
		gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Input, Bias: gpiochip.PullDown},
		gpiochip.LineConfig{Offset: 2, Direction: gpiochip.Input, Bias: gpiochip.PullUp, ActiveLow: true})
	wantValues(t, lines, 0b111, 0b001)
	for o, want := range []gpiochip.Bias{gpiochip.PullUp, gpiochip.PullDown, gpiochip.PullUp} {
		if got := lineInfo(t, chip, uint32(o)).Config.Bias; got != want {
			t.Errorf("bias of line %d is %v, want %v", o, got, want)
		}
	}
	w.Drive(2, false)
	wantValues(t, lines, 0b100, 0b100)
}

func testOutput(t *testing.T, chip gpiochip.Chip, w Wires) {
	for _, tt := range []struct{ activeLow, value bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		lines := request(t, chip, gpiochip.LineConfig{Offset: 5, Direction: gpiochip.Output, ActiveLow: tt.activeLow, Value: tt.value})
		level := func(value bool) {
			t.Helper()
			wantValues(t, lines, 1, bit(value))
			if got, want := w.Level(5), value != tt.activeLow; got != want {
				t.Errorf("level of value %t with active-low %t is %t, want %t", value, tt.activeLow, got, want)
			}
		}
		level(tt.value)
		info := lineInfo(t, chip, 5)
		if c := info.Config; c.Direction != gpiochip.Output || c.ActiveLow != tt.activeLow || !info.Used || info.Consumer != consumer {
			t.Errorf("LineInfo(5) = %+v, want a used output of %q with active-low %t", info, consumer, tt.activeLow)
		}
		for _, v := range []bool{!tt.value, tt.value} {
			if err := lines.SetValues(1, bit(v)); err != nil {
				t.Fatal(err)
			}
			level(v)
		}
		closeLines(t, lines)
	}
}

// testMixed has lines in one request that all differ, and sets only some.
func testMixed(t *testing.T, chip gpiochip.Chip, w Wires) {
	lines := request(t, chip,
		gpiochip.LineConfig{Offset: 7, Direction: gpiochip.Output, Value: true},
		gpiochip.LineConfig{Offset: 0, Direction: gpiochip.Input, Bias: gpiochip.PullUp},
		gpiochip.LineConfig{Offset: 2, Direction: gpiochip.Output, ActiveLow: true},
		gpiochip.LineConfig{Offset: 4, Direction: gpiochip.Output})
	wantValues(t, lines, 0b1111, 0b0011)
	wantValues(t, lines, 0b0010, 0b0010)
	if err := lines.SetValues(0b1001, 0b1100); err != nil { // 7 to 0, 4 to 1; 2 is not in the mask
		t.Fatal(err)
	}
	wantValues(t, lines, 0b1111, 0b1010)
	for o, want := range map[uint32]bool{7: false, 2: true, 4: true} {
		if got := w.Level(o); got != want {
			t.Errorf("level of line %d is %t, want %t", o, got, want)
		}
	}
	for _, mask := range []uint64{0, 1 << 4} {
		if _, err := lines.Values(mask); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Values(%#b) of four lines = %v, want EINVAL", mask, err)
		}
		if err := lines.SetValues(mask, 0); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("SetValues(%#b) of four lines = %v, want EINVAL", mask, err)
		}
	}
}

func testAsIs(t *testing.T, chip gpiochip.Chip, w Wires) {
	before := lineInfo(t, chip, 1)
	lines := request(t, chip, gpiochip.LineConfig{Offset: 1})
	w.Drive(1, true)
	wantValues(t, lines, 1, 1)
	if got := lineInfo(t, chip, 1).Config; got != before.Config {
		t.Errorf("config of a line that is left as it is: %+v, want %+v", got, before.Config)
	}
}

// testFound has outputs be what their lines are, next to one that is told and to an
// input.
func testFound(t *testing.T, chip gpiochip.Chip, w Wires) {
	out := gpiochip.Output
	w.Drive(1, true)
	w.Drive(2, true)
	w.Drive(3, false)
	lines := request(
		t, chip,
		gpiochip.LineConfig{Offset: 1, Direction: out, Found: true},
		gpiochip.LineConfig{Offset: 2, Direction: out, Found: true, ActiveLow: true},
		gpiochip.LineConfig{Offset: 3, Direction: out, Found: true, ActiveLow: true},
		gpiochip.LineConfig{Offset: 4, Direction: out, Value: true},
		gpiochip.LineConfig{Offset: 5, Direction: gpiochip.Input, Bias: gpiochip.PullUp},
	)
	wantValues(t, lines, 0b11111, 0b11101)
	for o, want := range map[uint32]bool{1: true, 2: true, 3: false} {
		w.Drive(o, !want) // They are driven now.
		if got := w.Level(o); got != want {
			t.Errorf("level of line %d is %t, want %t as it was found", o, got, want)
		}
		if got := lineInfo(t, chip, o).Config; got.Direction != out || got.ActiveLow != (o > 1) {
			t.Errorf("line %d is %+v, want an output as it was asked for", o, got)
		}
	}
	if err := lines.SetValues(0b111, 0b010); err != nil {
		t.Fatal(err)
	}
	for o, want := range map[uint32]bool{1: false, 2: false, 3: true} {
		if got := w.Level(o); got != want {
			t.Errorf("level of line %d is %t after it was set, want %t", o, got, want)
		}
	}
}

func testBusy(t *testing.T, chip gpiochip.Chip, _ Wires) {
	request(t, chip, gpiochip.LineConfig{Offset: 6, Direction: gpiochip.Input})
	_, err := chip.Request(gpiochip.Request{Consumer: "second", Lines: []gpiochip.LineConfig{
		{Offset: 4, Direction: gpiochip.Input}, {Offset: 6, Direction: gpiochip.Output},
	}})
	var busy *gpiochip.BusyError
	if !errors.As(err, &busy) || !errors.Is(err, syscall.EBUSY) || busy.Line.Offset != 6 || busy.Line.Consumer != consumer {
		t.Fatalf("Request of a line that is held = %v, want a BusyError that names line 6 and %q", err, consumer)
	}
	if lineInfo(t, chip, 4).Used {
		t.Error("a request that was refused holds line 4 all the same")
	}
	if got := lineInfo(t, chip, 6).Config.Direction; got != gpiochip.Input {
		t.Errorf("a request that was refused made line 6 an %v", got)
	}
}

func testInvalid(t *testing.T, chip gpiochip.Chip, _ Wires) {
	info, err := chip.Info()
	if err != nil {
		t.Fatal(err)
	}
	in, out := gpiochip.Input, gpiochip.Output
	for name, lines := range map[string][]gpiochip.LineConfig{
		"no line":            {},
		"no such line":       {{Offset: info.Lines, Direction: in}},
		"twice":              {{Offset: 1, Direction: in}, {Offset: 1, Direction: in}},
		"edges of an output": {{Direction: out, Edges: gpiochip.BothEdges}},
		"drive of an input":  {{Direction: in, Drive: gpiochip.OpenDrain}},
		"value of an input":  {{Direction: in, Value: true}},
		"negative debounce":  {{Direction: in, Debounce: -1}},
		"endless debounce":   {{Direction: in, Debounce: 5000 * time.Second}},
		"bias as-is":         {{Bias: gpiochip.PullUp}},
	} {
		if lines, err := chip.Request(gpiochip.Request{Consumer: consumer, Lines: lines}); err == nil {
			t.Errorf("%s: Request accepts it", name)
			lines.Close()
		}
	}
}

func testRelease(t *testing.T, chip gpiochip.Chip, _ Wires) {
	cfg := gpiochip.LineConfig{Offset: 2, Direction: gpiochip.Input}
	closeLines(t, request(t, chip, cfg))
	if info := lineInfo(t, chip, 2); info.Used || info.Consumer != "" {
		t.Errorf("a line that was given back is %+v, want it free", info)
	}
	request(t, chip, cfg)
}

func testChipClosed(t *testing.T, chip gpiochip.Chip, w Wires) {
	lines := request(t, chip, gpiochip.LineConfig{Offset: 2, Direction: gpiochip.Input})
	if err := chip.Close(); err != nil {
		t.Fatal(err)
	}
	w.Drive(2, true)
	wantValues(t, lines, 1, 1)
	if _, err := chip.Info(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Info of a closed chip = %v, want os.ErrClosed", err)
	}
}

func testUnplug(t *testing.T, chip gpiochip.Chip, w Wires) {
	unplugger, ok := w.(Unplugger)
	if !ok {
		t.Fatalf("%T cannot unplug its chip", w)
	}
	in := request(t, chip, gpiochip.LineConfig{Offset: 0, Direction: gpiochip.Input, Edges: gpiochip.BothEdges})
	out := request(t, chip, gpiochip.LineConfig{Offset: 1, Direction: gpiochip.Output})
	waits := []<-chan error{waiting(context.Background(), in), waiting(context.Background(), out)}
	unplugger.Unplug()
	for i, wait := range waits {
		if err := await(t, wait); !errors.Is(err, gpiochip.ErrGone) {
			t.Errorf("ReadEvent %d of a chip that was unplugged = %v, want ErrGone", i, err)
		}
	}
	for name, err := range map[string]error{
		"Values":    second(in.Values(1)),
		"SetValues": out.SetValues(1, 1),
		"LineInfo":  second(chip.LineInfo(0)),
		"Request":   second(chip.Request(gpiochip.Request{Lines: []gpiochip.LineConfig{{Offset: 3}}})),
	} {
		if !errors.Is(err, gpiochip.ErrGone) {
			t.Errorf("%s of a chip that was unplugged = %v, want ErrGone", name, err)
		}
	}
	closeLines(t, in)
}

func second[T any](_ T, err error) error { return err }
