package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"edge/bench/peer"
)

// TestPinsRows measures a few changes of both bridges; they all must come.
func TestPinsRows(t *testing.T) {
	for _, row := range []string{"pins-input", "pins-set"} {
		for _, name := range []string{tested, loopName} {
			t.Run(row+" "+name, func(t *testing.T) {
				t.Parallel()
				r, err := rowNamed(row).Measure(t.Context(), peer.Peer{Name: name}, Timing{Changes: 4})
				if errors.Is(err, peer.ErrMissing) {
					t.Skip(err)
				}
				if err != nil || r.Expected != 4 || r.Delivered != 4 || r.Value <= 0 || r.figure("p50").Value <= 0 {
					t.Errorf("Measure = %+v, %v, want the times of 4 changes", r, err)
				}
			})
		}
	}
}

func TestWithRival(t *testing.T) {
	row, place := Row{Rival: "loop"}, peer.Placement{Broker: []int{1}}
	got := row.withRival([]peer.Peer{{Name: tested, Place: place}})
	if len(got) != 2 || got[1].Name != "loop" || got[1].Place.Broker[0] != 1 {
		t.Errorf("withRival = %+v, want edge and the rival at the same place", got)
	}
	if got := row.withRival(nil); len(got) != 0 {
		t.Errorf("withRival without edge = %+v, want nobody", got)
	}
}

// TestSample has a pin of which every third change is never told, and one that is
// told of twice.
func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan moment, unread)
		n := 0
		delays, err := sample(t.Context(), 6, told, func(on bool) error {
			if n++; n%3 != 0 {
				tell(told, moment{!on, time.Now()})
				tell(told, moment{on, time.Now().Add(time.Duration(n))})
			}
			return nil
		})
		if err != nil || len(delays) != 4 || delays[0] != 1 || delays[3] != 5 {
			t.Errorf("sample = %v, %v, want 1, 2, 4 and 5 ns", delays, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := sample(ctx, 1, told, func(bool) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("sample with a context that has ended = %v", err)
		}
	})
}

// TestPinsStorm measures a few echoes with and without a storm.
func TestPinsStorm(t *testing.T) {
	r, err := rowNamed("pins-storm").Measure(t.Context(), peer.Peer{Name: tested}, Timing{Changes: 1})
	if err != nil || r.Expected != echoes || r.Delivered != echoes || r.Value <= 0 || r.figure("p99 without").Value <= 0 || r.figure("changes of a line").Value <= 0 {
		t.Errorf("Measure = %+v, %v, want the times of %d echoes", r, err, echoes)
	}
}
