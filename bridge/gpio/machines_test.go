package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/bridge"
	"edge/internal/gpiochip"
	"edge/internal/sim"
)

// TestStableModel checks the filter against its definition: at any time, level
// is the last one that the line had for a whole period without an edge.
func TestStableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		first := rapid.Bool().Draw(t, "first")
		f := stable{period: time.Duration(rapid.IntRange(0, 20).Draw(t, "period")), level: first, raw: first}
		want, raw, at := first, first, start.Add(-time.Hour)
		now := start
		for range rapid.IntRange(1, 50).Draw(t, "edges") {
			gap := time.Duration(rapid.IntRange(0, 30).Draw(t, "gap"))
			// What the owner does: it is woken when the filter is due.
			if wake := f.due; !wake.IsZero() && !wake.After(now.Add(gap)) {
				before := f.level
				if changed := f.settle(wake); changed != (f.level != before) {
					t.Fatalf("settle reports %t, level went from %t to %t", changed, before, f.level)
				}
			}
			now = now.Add(gap)
			if now.Sub(at) >= f.period {
				want = raw
			}
			if f.level != want {
				t.Fatalf("level %t at %v, %v after an edge to %t; want %t", f.level, now.Sub(start), now.Sub(at), raw, want)
			}
			raw, at = rapid.Bool().Draw(t, "raw"), now // also an edge whose counterpart was lost
			f.edge(now, raw)
			if f.period == 0 {
				want = raw
			}
		}
		f.settle(now.Add(f.period))
		if f.level != raw || !f.due.IsZero() {
			t.Fatalf("level %t after the storm, due %v; want %t and nothing due", f.level, f.due, raw)
		}
	})
}

// TestPulseModel checks timed commands against a list of what was commanded: at
// any time the last command alone decides.
func TestPulseModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pulse
		start := time.Unix(1000, 0)
		now, at, on, dur := start, start, false, time.Duration(0)
		is := func() bool { return on != (dur > 0 && now.Sub(at) >= dur) }
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "gap")))
			next, changed := p.expired(now)
			if changed != (next.on != p.on) || changed != !p.until.IsZero() && !now.Before(p.until) {
				t.Fatalf("expired(%v) of %+v = %+v, %t", now, p, next, changed)
			}
			if p = next; p.on != is() {
				t.Fatalf("output is %t %v after a command of %t for %v", p.on, now.Sub(at), on, dur)
			}
			if rapid.Bool().Draw(t, "idle") {
				continue
			}
			value := rapid.SampledFrom([]string{"ON", "OFF", "TOGGLE"}).Draw(t, "value")
			on = value == "ON" || value == "TOGGLE" && !is()
			at, dur = now, time.Duration(rapid.IntRange(0, 15).Draw(t, "for"))
			var err error
			if p, err = p.next(now, bridge.Command{Value: value, For: dur}); err != nil || p.on != on {
				t.Fatalf("next(%s) = %+v, %v, want %t", value, p, err, on)
			}
		}
		before := p
		if got, err := p.next(now, bridge.Command{Value: "UP"}); err == nil || got != before {
			t.Fatalf("next(UP) = %+v, %v, want an error and no change", got, err)
		}
	})
}

func TestOutboxOrder(t *testing.T) {
	o := newOutbox()
	var sent []string
	put := func(key, value string) {
		o.put(letter{key, func(context.Context) error { sent = append(sent, value); return nil }})
	}
	var want []string
	for i := range crowded {
		key := fmt.Sprintf("%d", i%10)
		put(key, fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	put("9", "newer") // crowded: it takes the place of the last one of its key
	want[crowded-1] = "newer"
	put("", "result")
	want = append(want, "result")
	if err := o.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
}

func TestOutboxWaitsForRoom(t *testing.T) {
	o := newOutbox()
	for range crowded {
		o.put(letter{"", func(context.Context) error { return nil }})
	}
	done := make(chan struct{})
	go func() { o.wait(t.Context()); close(done) }()
	select {
	case <-done:
		t.Error("wait returns while the outbox is crowded")
	default:
	}
	o.take()
	<-done
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.put(letter{})
	o.wait(ctx)
}

// TestOutboxInterrupted ends the bridge while a letter is on its way: it is the first
// one that is told in farewell.
func TestOutboxInterrupted(t *testing.T) {
	o := newOutbox()
	ctx, cancel := context.WithCancel(t.Context())
	var sent []string
	o.put(letter{"a", func(c context.Context) error {
		cancel()
		if c.Err() == nil {
			sent = append(sent, "a")
		}
		return c.Err()
	}})
	o.put(letter{"b", func(context.Context) error { sent = append(sent, "b"); return nil }})
	if err := o.run(ctx); err != nil || len(sent) > 0 {
		t.Errorf("run returned %v and has sent %q", err, sent)
	}
	if err := o.flush(t.Context()); err != nil || !slices.Equal(sent, []string{"a", "b"}) {
		t.Errorf("flush returned %v; %q were sent", err, sent)
	}
}

func TestOutboxError(t *testing.T) {
	o := newOutbox()
	want := errors.New("no broker")
	o.put(letter{"", func(context.Context) error { return want }})
	if err := o.run(t.Context()); !errors.Is(err, want) {
		t.Errorf("run = %v, want %v", err, want)
	}
}

// TestLostEdges gives an input events with gaps in their numbers.
func TestLostEdges(t *testing.T) {
	chip := sim.NewChip("sim", "")
	near, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	lines, err := near.Request(gpiochip.Request{Lines: []gpiochip.LineConfig{{Direction: gpiochip.Input}}})
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	in := &input{pin: pin{
		Pin: Pin{ID: "x"}, lines: lines, counters: map[string]uint64{},
		post: &post{"edge/pi/x", nil, newOutbox()},
	}}
	now := time.Unix(1000, 0)
	if err := in.start(now, causeStart); err != nil {
		t.Fatal(err)
	}
	chip.Drive(0, true)
	rise, fall := gpiochip.Rising, gpiochip.Falling
	for _, step := range []struct {
		seq   uint32
		edge  gpiochip.Edge
		level bool // of the line, when the event is read
		on    bool
		lost  uint64
		cause string
	}{
		{1, rise, true, true, 0, causeInput},
		{5, fall, true, true, 3, causeInput}, // the line is high again: what the queue held is old
		{6, fall, false, false, 3, causeInput},
		{9, fall, true, true, 5, causeAudit}, // only reading shows it
	} {
		chip.Drive(0, step.level)
		if err := in.event(now, gpiochip.Event{Edge: step.edge, LineSeq: step.seq}); err != nil {
			t.Fatal(err)
		}
		if in.on != step.on || in.counters["lost"] != step.lost || in.cause != step.cause {
			t.Errorf("event %d: on %t, lost %d, cause %s; want %+v", step.seq, in.on, in.counters["lost"], in.cause, step)
		}
	}
	chip.Drive(0, false) // an edge that nobody hears of
	if err := in.audit(now); err != nil || in.on {
		t.Errorf("after the audit: on %t, %v, want false", in.on, err)
	}
}

func TestAmbiguous(t *testing.T) {
	dir := t.TempDir()
	one, two, link := filepath.Join(dir, "gpiochip0"), filepath.Join(dir, "gpiochip1"), filepath.Join(dir, "gpiochip4")
	for _, path := range []string{one, two} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		paths []string
		want  bool
	}{{nil, false}, {[]string{one, two}, false}, {[]string{one, two, link}, true}, {[]string{two, filepath.Join(dir, "none")}, false}} {
		if got := ambiguous(tt.paths); got != tt.want {
			t.Errorf("ambiguous(%v) = %t, want %t", tt.paths, got, tt.want)
		}
	}
}

func TestNotFound(t *testing.T) {
	for _, tt := range []struct {
		label string
		board Board
		seen  []string
		errs  []error
		want  string
	}{
		{"pcf8574", Board{}, []string{"pinctrl-rp1", "brcmstb", "pinctrl-rp1"}, nil, `no GPIO chip is labelled "pcf8574": there are brcmstb, pinctrl-rp1`},
		{
			"",
			Board{Model: "Xunlong Orange Pi Zero", tree: true},
			[]string{"1c20800.pinctrl", "1f02c00.pinctrl"},
			nil,
			"this is a Xunlong Orange Pi Zero, whose header edge does not know; name lines by chip and offset: there are 1c20800.pinctrl, 1f02c00.pinctrl",
		},
		{"", Board{}, nil, nil, "no GPIO chip is that of a Raspberry Pi's header; name one by chip and offset: this machine has no /dev/gpiochip*"},
		{"x", Board{}, nil, []error{os.ErrPermission}, `no GPIO chip is labelled "x", but not all could be opened: permission denied`},
	} {
		if got := notFound(tt.label, tt.board, tt.seen, tt.errs).Error(); got != tt.want {
			t.Errorf("notFound = %s, want %s", got, tt.want)
		}
	}
}

// TestFindUnplugged has a path that was found before the chip was unplugged. It
// is no chip that could not be opened.
func TestFindUnplugged(t *testing.T) {
	_, err := find("pcf8574", []string{"pcf8574"}, []string{filepath.Join(t.TempDir(), "gpiochip1")})
	if err == nil || strings.Contains(err.Error(), "could be opened") {
		t.Errorf("find = %v, want that there is no chip", err)
	}
}

// TestOpenLeavesStdin opens a chip that no machine has; descriptor 0 survives.
func TestOpenLeavesStdin(t *testing.T) {
	before, _ := os.Readlink("/proc/self/fd/0")
	if chip, err := Open("no-such-chip"); err == nil {
		t.Errorf("Open = %v, want an error", chip)
	} else if !strings.Contains(err.Error(), "no-such-chip") {
		t.Errorf("Open = %v, want it to name the chip", err)
	}
	if after, _ := os.Readlink("/proc/self/fd/0"); after != before {
		t.Errorf("descriptor 0 was %s and is %s", before, after)
	}
}

// TestPlace finds pins by their numbers on headers of 40 and of 26 pins.
func TestPlace(t *testing.T) {
	old := Board{Model: "Raspberry Pi Model B Rev 1", layout: headerRev1[:]}
	for _, tt := range []struct {
		board  Board
		pin    string
		offset uint32
		want   string // error
	}{
		{Board{}, "13", 27, ""},
		{Board{}, "40", 21, ""},
		{Board{}, "gpio22", 22, ""},
		{old, "13", 21, ""},
		{old, "3", 0, ""},
		{old, "11", 17, ""},
		{old, "GPIO27", 27, ""},
		{old, "40", 0, "there is no pin 40 on the header of this board (Raspberry Pi Model B Rev 1), which has 26"},
	} {
		offset, err := tt.board.place(tt.pin)
		if text := fmt.Sprint(err); offset != tt.offset || (err != nil) != (tt.want != "") || err != nil && text != tt.want {
			t.Errorf("place(%s) on %q = %d, %s; want %d, %q", tt.pin, tt.board.Model, offset, text, tt.offset, tt.want)
		}
	}
}
