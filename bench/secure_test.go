package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTimes compares the best rounds, and has all messages.
func TestTimes(t *testing.T) {
	before := []Result{{Value: 1, Expected: 5}, {Value: 10, Expected: 5}, {Value: 2, Expected: 5}}
	after := []Result{{Value: 1.5, Expected: 7}, {Value: 10.2, Expected: 7}, {Value: 1.2, Expected: 7, Lost: 1}}
	want := Result{
		Value: 1.2, Low: 0.6, High: 1.5, Expected: 21, Lost: 1,
		More: []Figure{{"CPU", 1.2, "µs/message"}, {"without", 1, "µs/message"}},
	}
	if diff := cmp.Diff(want, times(before, after)); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}
