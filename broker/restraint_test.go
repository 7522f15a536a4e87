package broker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRestraint writes more lines than there may be.
func TestRestraint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := restrained(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		count := func(word string) int { return strings.Count(out.String(), word) }
		for range 100 {
			log.Info("flood")
			log.With("client", "a").Warn("another")
			log.Debug("asked for")
			log.Error("must be seen")
		}
		log.Info("by itself")
		for word, want := range map[string]int{
			"flood": mostLines, "another": mostLines, "asked for": 100, "must be seen": 100, "by itself": 1, "are left out for up to 10s": 2,
		} {
			if n := count(word); n != want {
				t.Errorf("%d lines with %q, want %d", n, word, want)
			}
		}
		time.Sleep(linesTime)
		out.Reset()
		log.Info("flood")
		log.Info("flood")
		if n, told := count("flood"), count("left_out=80"); n != 2 || told != 1 {
			t.Errorf("later %d lines, of which %d say how many were left out; want 2 and 1:\n%s", n, told, &out)
		}
	})
}
