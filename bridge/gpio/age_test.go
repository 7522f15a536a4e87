package gpio

import (
	"testing"
	"time"

	"edge/bridge"
)

func TestFresh(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{now, ""},
		{now.Add(-time.Minute), ""},
		{now.Add(-time.Minute - time.Millisecond), "it is 1m0s old (max_age)"},
		{now.Add(-48 * time.Hour), "it is 48h0m0s old (max_age)"},
		{now.Add(time.Minute), ""}, // Clocks differ.
		{now.Add(2 * time.Minute), "it is from 2m0s in the future: is the clock right? (max_age)"},
	} {
		cmd := command{Command: bridge.Command{At: tt.at}, at: now}
		note, err := Pin{MaxAge: time.Minute}.fresh(now, cmd)
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want || note != "" {
			t.Errorf("sent %v: %v, %q; want %q", tt.at, err, note, tt.want)
		}
		if _, err := (Pin{}).fresh(now, cmd); err != nil {
			t.Errorf("without max_age: %v", err)
		}
	}
}
