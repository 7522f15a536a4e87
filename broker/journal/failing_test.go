package journal_test

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestFailingDisk has the disk refuse everything for a while. What can be refused
// is; what has happened already waits, and is safe when the disk is back.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := journaltest.NewFS()
		var broken atomic.Bool
		fs.Hook(func(op journaltest.Op) error {
			if broken.Load() && op.Kind == journaltest.OpSync {
				return syscall.EIO
			}
			return nil
		})
		d := start(t, fs, journal.Options{SegmentBytes: 64 << 10})
		message := func() *journal.Record {
			return &journal.Record{
				Kind: journal.Published, Message: &journal.Message{Topic: "t", Payload: []byte("x"), QoS: 1},
				Targets: []journal.Target{{Client: "c", Sequence: 1, QoS: 1}},
			}
		}
		if _, err := d.Append(message()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		broken.Store(true)
		if _, err := d.Append(message()); err != nil {
			t.Fatal(err) // Nobody knows yet.
		}
		synctest.Wait()
		if st := d.Stats(); st.State != journal.Failing {
			t.Fatalf("the journal is %v", st.State)
		}
		for _, r := range []*journal.Record{message(), {Kind: journal.Subscribed, Client: "c"}} {
			if _, err := d.Append(r); !errors.Is(err, journal.ErrUnavailable) || !errors.Is(err, syscall.EIO) {
				t.Errorf("append kind %d: %v, want that it is refused with the reason", r.Kind, err)
			}
		}
		var last journal.Ticket
		for _, r := range []*journal.Record{
			{Kind: journal.Acknowledged, Client: "c", Sequence: 1},
			{Kind: journal.Received, Client: "c", Sequence: 1},
			{Kind: journal.Unsubscribed, Client: "c"},
		} {
			ticket, err := d.Append(r)
			if err != nil || ticket <= d.Committed() {
				t.Errorf("append kind %d: ticket %d, %v; want one that waits", r.Kind, ticket, err)
			}
			last = ticket
		}
		broken.Store(false)
		time.Sleep(time.Minute) // It tries again.
		synctest.Wait()
		if d.Committed() < last {
			t.Errorf("%d is safe, want %d", d.Committed(), last)
		}
		if st := d.Stats(); st.State != journal.OK {
			t.Errorf("the journal is %v after the disk is back", st.State)
		}
		left := fs.Clone()
		if got := kinds(t, left); got[journal.Acknowledged] != 1 || got[journal.Received] != 1 || got[journal.Published] != 2 {
			t.Errorf("on disk are %v", got)
		}
	})
}

// kinds counts the records of the store in fs.
func kinds(t *testing.T, fs journal.FS) map[journal.Kind]int {
	t.Helper()
	d, err := journal.Open(fs, journal.Options{SegmentBytes: 64 << 10}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n := map[journal.Kind]int{}
	if _, err := d.Replay(func(r *journal.Record) { n[r.Kind]++ }); err != nil {
		t.Fatal(err)
	}
	return n
}
