package journal_test

import (
	"context"
	"log/slog"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// start opens the store in fs and starts it; what is old is dropped.
func start(t testing.TB, fs journal.FS, o journal.Options) *journal.Disk {
	t.Helper()
	d, err := journal.Open(fs, o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Replay(func(*journal.Record) {}); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(func(*journal.Record) {}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDisk(t *testing.T) {
	journaltest.Test(t, func(t testing.TB) journal.Journal {
		return start(t, journal.OS(t.TempDir()), journal.Options{SegmentBytes: 64 << 10})
	})
}
