package serial

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/internal/uart"
)

// A driver has counters, or an error.
type driver struct {
	counters uart.Counters
	err      error
}

func (d driver) Counters() (uart.Counters, error) { return d.counters, d.err }

func TestCount(t *testing.T) {
	got := map[string]uint64{"lines": 7}
	count(got, driver{err: errors.ErrUnsupported})
	if diff := cmp.Diff(map[string]uint64{"lines": 7}, got); diff != "" {
		t.Errorf("counters of a port that does not count (-want +got):\n%s", diff)
	}
	count(got, driver{counters: uart.Counters{Frame: 1, Parity: 2, Overrun: 3, Buffer: 4, Break: 5}})
	want := map[string]uint64{"lines": 7, "frame_errors": 1, "parity_errors": 2, "overruns": 3, "buffer_overruns": 4, "breaks": 5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}
