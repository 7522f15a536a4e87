package gate

import (
	"bytes"
	"errors"
	"testing"
)

// TestManyFilters has as many topic filters in a packet as may be there, and one
// more.
func TestManyFilters(t *testing.T) {
	lim := limits()
	for _, tt := range []struct {
		name   string
		check  func([]byte, byte, *Limits) error
		filter string
	}{
		{"SUBSCRIBE", checkSubscribe, "\x00\x01a\x01"},
		{"UNSUBSCRIBE", checkUnsubscribe, "\x00\x01a"},
	} {
		body := append([]byte{0, 1}, bytes.Repeat([]byte(tt.filter), maxFilters)...)
		if err := tt.check(body, 4, lim); err != nil {
			t.Errorf("%s with %d topic filters: %v", tt.name, maxFilters, err)
		}
		if err := tt.check(append(body, tt.filter...), 4, lim); !errors.Is(err, QuotaExceeded) {
			t.Errorf("%s with one more: %v, want 0x97", tt.name, err)
		}
	}
}
