package serial

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/bridge"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }

func testBook(t *testing.T, change func(*Config)) *book {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Port = "x"
	cfg.Entities = []Entity{{ID: "t", Unit: "°C"}, {ID: "led", Kind: bridge.Switch, Command: "x", Optimistic: true}}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := newBook(cfg, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBookPublishesChangesAndHeartbeats(t *testing.T) {
	b := testBook(t, nil)
	for _, tt := range []struct {
		at   float64
		line string
		want []int
	}{
		{0, `{"t":1}`, []int{0}},
		{1, `{"t":1}`, nil},
		{2, `{"t":2}`, []int{0}},
		{61, `{"t":2}`, nil},
		{62, `{"t":2}`, []int{0}}, // a minute after it was published
		{63, `{"t":"?"}`, nil},
		{64, `{"other":1}`, nil},
		{65, `{"t":2}`, nil}, // as it was
		{66, `{"led":"on"}`, nil},
	} {
		if diff := cmp.Diff(tt.want, b.line([]byte(tt.line), at(tt.at))); diff != "" {
			t.Errorf("%s at %v s publishes (-want +got):\n%s", tt.line, tt.at, diff)
		}
	}
	want := bridge.Attr{
		Quality: bridge.Good, Cause: "input", Since: at(2),
		Counters: map[string]uint64{"lines": 9, "bad_lines": 1, "bytes": 0},
		Extra:    map[string]any{"last_bad_line": `"{\"t\":\"?\"}": t: "?" is not a number`},
	}
	if diff := cmp.Diff(want, b.attr(0)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}

	always := testBook(t, func(c *Config) { c.Heartbeat = 0 })
	for range 3 {
		if got := always.line([]byte(`{"t":1}`), epoch); len(got) != 1 {
			t.Errorf("without heartbeat a value publishes %v, want it always", got)
		}
	}
}

func TestBookSparesTheBroker(t *testing.T) {
	b := testBook(t, nil)
	if got := b.due(epoch); len(got) != 2 {
		t.Errorf("due at the start: %v, want both", got)
	}
	if next := b.next(); !next.IsZero() {
		t.Errorf("next = %v, want never: an idle port costs nothing", next)
	}
	told := 0
	for ms := range 3000 { // noise, a line every millisecond
		now := epoch.Add(time.Duration(ms) * time.Millisecond)
		b.line([]byte("~#~"), now)
		told += len(b.due(now))
	}
	if told != 2*5 {
		t.Errorf("attributes went out %d times in 3 s of noise, want at 0, 1, 1, 2 and 2 s for each of 2", told)
	}
	if b.bad != 3000 || b.lines != 3000 {
		t.Errorf("%d of %d lines bad, want 3000 of 3000", b.bad, b.lines)
	}
	if next := b.next(); !next.Equal(at(3)) {
		t.Errorf("next = %v, want %v", next, at(3))
	}
}

func TestBookGoesStaleAndRecovers(t *testing.T) {
	b := testBook(t, func(c *Config) { c.StaleAfter = 30 * time.Second })
	quality := func(now float64, want bridge.Quality, trouble string) {
		t.Helper()
		b.expire(at(now))
		b.due(at(now))
		if a := b.attr(0); a.Quality != want || a.Error != trouble {
			t.Errorf("at %v s: %s, %q, want %s, %q", now, a.Quality, a.Error, want, trouble)
		}
	}
	quality(100, bridge.Bad, "nothing received yet")
	b.line([]byte(`{"t":1}`), at(100))
	quality(101, bridge.Good, "")
	if next := b.next(); !next.Equal(at(130)) {
		t.Errorf("next = %v, want %v", next, at(130))
	}
	quality(129, bridge.Good, "")
	quality(130, bridge.Bad, "no value for 30s")
	if next := b.next(); !next.IsZero() {
		t.Errorf("next = %v, want never", next)
	}
	if got := b.line([]byte(`{"t":1}`), at(150)); got != nil {
		t.Errorf("the same value again publishes %v, want nothing", got)
	}
	quality(151, bridge.Good, "")
	if a := b.attr(1); a.Quality != bridge.Good {
		t.Errorf("what the stick never tells is %s, want good", a.Quality)
	}
}

func TestBookAssumes(t *testing.T) {
	b := testBook(t, nil)
	b.due(epoch)
	b.assume(1, "ON", at(5))
	if got := b.due(at(5)); len(got) != 1 || got[0] != 1 {
		t.Errorf("due = %v, want the second", got)
	}
	a := b.attr(1)
	if b.state(1) != "ON" || a.Cause != "command" || !a.Since.Equal(at(5)) {
		t.Errorf("state %q, cause %q, since %v, want ON, command, %v", b.state(1), a.Cause, a.Since, at(5))
	}
}
