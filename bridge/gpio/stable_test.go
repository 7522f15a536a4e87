package gpio

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/internal/gpiochip"
)

// A probe is a line whose level a test sets. It has no events: the test hands
// them over, or loses them.
type probe struct {
	gpiochip.Lines
	level bool
}

func (w *probe) Values(uint64) (uint64, error) {
	if w.level {
		return 1, nil
	}
	return 0, nil
}

// A glimpse is what the input saw of its line: an event, or a reading that differs
// from what it saw before.
type glimpse struct {
	at    time.Time
	level bool
	check bool // read at the end of the period: what was seen before has not lasted
}

// A witness drives an input as its owner does, and remembers what it saw.
type witness struct {
	*rapid.T
	in   *input
	line *probe
	now  time.Time
	seq  uint32
	seen []glimpse
}

func newWitness(t *rapid.T, filter stable, level bool) *witness {
	w := &witness{T: t, line: &probe{level: level}, now: time.Unix(1000, 0)}
	w.in = &input{filter: filter, pin: pin{
		Pin: Pin{ID: "x"}, lines: w.line, counters: map[string]uint64{},
		post: &post{"edge/pi/x", nil, newOutbox()},
	}}
	w.must(w.in.start(w.now, causeStart))
	w.seen = []glimpse{{at: w.now.Add(-time.Hour), level: level}}
	return w
}

func (w *witness) must(err error) {
	if err != nil {
		w.Fatal(err)
	}
}

func (w *witness) see(level, check bool) {
	w.seen = append(w.seen, glimpse{w.now, level, check})
}

// reads tells that the input read the line.
func (w *witness) reads(check bool) {
	if w.line.level != w.seen[len(w.seen)-1].level {
		w.see(w.line.level, check)
	}
}

// pass lets time go by; the owner is woken when the filter is due.
func (w *witness) pass(d time.Duration, checked func()) {
	end := w.now.Add(d)
	for due := w.in.filter.due; !due.IsZero() && !due.After(end); due = w.in.filter.due {
		w.now = due
		w.reads(true)
		w.must(w.in.settle(due))
		checked()
	}
	w.now = end
	checked()
}

// change flips the line; lost says that nobody hears of it until the next event.
func (w *witness) change(lost bool) {
	w.line.level = !w.line.level
	w.seq++
	if lost {
		return
	}
	gap := w.seq != w.in.seq+1
	edge := gpiochip.Falling
	if w.line.level {
		edge = gpiochip.Rising
	}
	w.see(w.line.level, false)
	if gap {
		w.reads(false)
	}
	w.must(w.in.event(w.now, gpiochip.Event{Edge: edge, LineSeq: w.seq}))
}

// stableLevel is the definition of stable: the last level that was seen to last
// for a period, and that the line still had at its end.
func (w *witness) stableLevel(period time.Duration) bool {
	for i := len(w.seen) - 1; i > 0; i-- {
		end, broken := w.now, false
		if i+1 < len(w.seen) {
			end, broken = w.seen[i+1].at, w.seen[i+1].check
		}
		if end.Sub(w.seen[i].at) >= period && !broken {
			return w.seen[i].level
		}
	}
	return w.seen[0].level
}

// immediateLevel is the definition of immediate. What was seen falls into storms,
// with a period or more between one and the next: the level is the first one of
// the last storm, and the last one when that storm is over.
func (w *witness) immediateLevel(period time.Duration) bool {
	last := len(w.seen) - 1
	if w.now.Sub(w.seen[last].at) >= period {
		return w.seen[last].level
	}
	for last > 0 && w.seen[last].at.Sub(w.seen[last-1].at) < period {
		last--
	}
	return w.seen[last].level
}

// TestDebounceModels holds both modes to their definitions, with edges that the
// kernel loses and with lines that are read.
func TestDebounceModels(t *testing.T) {
	for _, immediate := range []bool{false, true} {
		t.Run(fmt.Sprintf("immediate %t", immediate), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				period := time.Duration(rapid.IntRange(0, 20).Draw(t, "period"))
				w := newWitness(t, stable{period: period, immediate: immediate}, rapid.Bool().Draw(t, "level"))
				check := func() {
					want := w.stableLevel(period)
					if immediate {
						want = w.immediateLevel(period)
					}
					if w.in.on != want || w.in.filter.level != want {
						t.Fatalf("at %d: state %t, filter %t, want %t of %v", w.now.UnixNano(), w.in.on, w.in.filter.level, want, w.seen)
					}
				}
				for range rapid.IntRange(1, 40).Draw(t, "steps") {
					w.pass(time.Duration(rapid.IntRange(0, 30).Draw(t, "gap")), check)
					switch rapid.SampledFrom([]string{"edge", "edge", "edge", "lost", "audit"}).Draw(t, "step") {
					case "edge":
						w.change(false)
					case "lost":
						w.change(true)
					case "audit":
						w.reads(false)
						w.must(w.in.audit(w.now))
					}
					check()
				}
				w.reads(false)
				w.must(w.in.audit(w.now))
				w.pass(period, check)
				if w.in.on != w.line.level || !w.in.filter.due.IsZero() {
					t.Fatalf("after all: state %t, line %t, due %v", w.in.on, w.line.level, w.in.filter.due)
				}
			})
		})
	}
}

// TestKernelDebounce has the kernel debounce where its way is the one wanted.
func TestKernelDebounce(t *testing.T) {
	five := 5 * time.Millisecond
	for _, tt := range []struct {
		pin  Pin
		want time.Duration
	}{
		{Pin{}, 10 * time.Millisecond},
		{Pin{Debounce: &five}, five},
		{Pin{Debounce: &five, DebounceMode: Stable}, five},
		{Pin{Debounce: &five, DebounceMode: Immediate}, 0},
	} {
		if got := tt.pin.lineConfig(10 * time.Millisecond).Debounce; got != tt.want {
			t.Errorf("%+v: the kernel is asked for %v, want %v", tt.pin, got, tt.want)
		}
	}
}
