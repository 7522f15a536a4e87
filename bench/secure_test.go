package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTimes compares round by round: what the machine did at times is in both.
func TestTimes(t *testing.T) {
	before := []Result{{Value: 1, Expected: 5}, {Value: 10, Expected: 5}, {Value: 2, Expected: 5}}
	after := []Result{{Value: 1.1, Expected: 7}, {Value: 10.2, Expected: 7}, {Value: 3, Expected: 7, Lost: 1}}
	want := Result{
		Value: 1.1, Low: 1.02, High: 1.5, Expected: 21, Lost: 1,
		More: []Figure{{"CPU", 3, "µs/message"}, {"without", 2, "µs/message"}},
	}
	if diff := cmp.Diff(want, times(before, after)); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
}
