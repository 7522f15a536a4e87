package modbus

import (
	"testing"
	"time"
)

// begin returns a schedule of one unit with registers of which each is read every
// second, and its time.
func begin(addresses ...int) (*schedule, time.Time) {
	now := time.Unix(1e9, 0)
	var items []item
	for _, a := range addresses {
		items = append(items, item{table: Holding, from: a, count: 1, period: time.Second})
	}
	s, _ := newSchedule([]limits{{hole: 8, registers: 60, bits: 60, timeout: time.Second}}, items, now)
	return s, now
}

func TestScheduleCountsWhatItMissed(t *testing.T) {
	s, now := begin(0)
	for _, step := range []struct {
		took time.Duration
		due  time.Duration // the next time, since the beginning
		want uint64        // missed in all
	}{
		{100 * time.Millisecond, time.Second, 0},
		{1900 * time.Millisecond, 3 * time.Second, 1}, // due at 1, known at 2.0: that is too late
		{500 * time.Millisecond, 3 * time.Second, 1},  // nobody has asked for that
		{3 * time.Second, 6 * time.Second, 3},         // due at 3, known at 5.5
	} {
		now = now.Add(step.took)
		s.done(s.single(0), good, now)
		it := s.items[0]
		if got := it.due.Sub(time.Unix(1e9, 0)); got != step.due || it.missed != step.want {
			t.Errorf("known at %v: due at %v with %d missed, want %v and %d", now.Sub(time.Unix(1e9, 0)), got, it.missed, step.due, step.want)
		}
	}
}

// TestScheduleReadsAroundWhatIsNotThere: what is known not to be there is not read as
// a hole either.
func TestScheduleReadsAroundWhatIsNotThere(t *testing.T) {
	s, now := begin(0, 2, 4)
	s.done(s.single(1), illegal, now)
	for range 2 {
		a, ok, _ := s.next(now)
		if !ok || a.count != 1 || a.from == 2 {
			t.Errorf("next = %+v, %t, want 0 or 4 by itself", a, ok)
		}
		s.done(a, good, now)
	}
	if a, ok, wake := s.next(now); ok || !wake.Equal(now.Add(time.Second)) {
		t.Errorf("then next = %+v, %t, %v, want nothing for a second", a, ok, wake)
	}
	now = now.Add(seldom)
	s.items[0].due, s.items[2].due = now.Add(time.Hour), now.Add(time.Hour)
	if a, ok, _ := s.next(now); !ok || a.from != 2 || a.count != 1 {
		t.Errorf("after %v next = %+v, %t, want 2 once more", seldom, a, ok)
	}
}

func TestScheduleReadsSpareThingsLast(t *testing.T) {
	now := time.Unix(1e9, 0)
	s, _ := newSchedule([]limits{{registers: 60, timeout: time.Second}}, []item{
		{table: Holding, from: 0, count: 1},
		{table: Holding, from: 9, count: 1, period: time.Hour},
		{table: Holding, from: 18, count: 1, period: time.Minute},
	}, now)
	for _, want := range []int{18, 9, 0} {
		a, ok, _ := s.next(now)
		if !ok || a.from != want {
			t.Fatalf("next = %+v, %t, want %d", a, ok, want)
		}
		s.done(a, good, now)
	}
}
