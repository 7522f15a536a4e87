package journal_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestFullRests fills a journal with what is all needed. The cleaner, which finds
// no room to move anything to, must not try again and again.
func TestFullRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := journaltest.NewFS()
		d, err := journal.Open(fs, journal.Options{SegmentBytes: 4 << 10, MinBytes: 8 << 10, MaxBytes: 32 << 10}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Replay(func(*journal.Record) {}); err != nil {
			t.Fatal(err)
		}
		if err := d.Start(func(r *journal.Record) { _, _ = d.Append(r) }); err != nil {
			t.Fatal(err)
		}
		const tooMany = 10_000
		var reads atomic.Int64
		fs.Hook(func(op journaltest.Op) error {
			if op.Kind == journaltest.OpRead && reads.Add(1) == tooMany {
				go func() { _ = d.Close(context.Background()) }() // Or it would go on for ever.
			}
			return nil
		})
		fill(t, d, &journal.Record{Kind: journal.Published, Message: &journal.Message{Topic: "t", Payload: make([]byte, 100)}, Client: "c", PacketID: 1})
		fill(t, d, &journal.Record{Kind: journal.SessionBegun, Client: "c", Expiry: 1})
		synctest.Wait()
		if reads.Load() >= tooMany {
			t.Fatal("the cleaner reads the same records without end")
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// fill appends r until there is no room.
func fill(t *testing.T, d *journal.Disk, r *journal.Record) {
	t.Helper()
	for {
		r.Place = 0
		if _, err := d.Append(r); errors.Is(err, journal.ErrFull) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
}
