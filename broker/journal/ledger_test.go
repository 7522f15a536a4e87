package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// reread returns what a store says of itself.
func reread(t *testing.T, fs journal.FS) journal.Report {
	t.Helper()
	d, err := journal.Open(fs, journal.Options{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close(context.Background())
	r, err := d.Replay(func(*journal.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write has a journal write some segments, and returns its stats.
func write(t *testing.T, fs journal.FS) journal.Stats {
	t.Helper()
	d := start(t, fs, journal.Options{SegmentBytes: size})
	for i := range 100 {
		r := journal.Record{Kind: journal.Published, Message: &journal.Message{Topic: "t", Payload: make([]byte, 500), Retain: true}}
		ticket, err := d.Append(&r)
		if err != nil {
			t.Fatal(err)
		}
		for i%10 == 0 && d.Committed() < ticket {
			synctest.Wait()
		}
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d.Stats()
}

const size = 16 << 10

// TestLifeGoesOn counts what was written over the lives of several processes.
func TestLifeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour) // The bubble begins in 2000.
		fs := journaltest.NewFS()
		var before journal.Life
		for process := range 3 {
			st := write(t, fs)
			now := reread(t, fs).Life
			if now.Since.IsZero() || process > 0 && !now.Since.Equal(before.Since) {
				t.Errorf("process %d: counted since %v, want %v", process, now.Since, before.Since)
			}
			if now.Appended != st.Life.Appended || now.Appended <= before.Appended {
				t.Errorf("process %d: %d bytes appended after %d, the process said %d", process, now.Appended, before.Appended, st.Life.Appended)
			}
			// Files that were made ready after the newest label are forgotten.
			if now.Written > st.Life.Written || now.Written < st.Life.Written-4*size || now.Written <= before.Written {
				t.Errorf("process %d: %d bytes written after %d, the process said %d", process, now.Written, before.Written, st.Life.Written)
			}
			if st.Blocks < st.Disk || st.Blocks%4096 != 0 {
				t.Errorf("process %d: %d bytes in blocks of 4 KiB, for %d", process, st.Blocks, st.Disk)
			}
			before = now
			time.Sleep(time.Hour)
		}
	})
}

// TestLifeNeedsAClock does not count from 2000.
func TestLifeNeedsAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := journaltest.NewFS()
		if st := write(t, fs); !st.Life.Since.IsZero() {
			t.Errorf("counted since %v", st.Life.Since)
		}
		if r := reread(t, fs); r.Life != (journal.Life{}) {
			t.Errorf("the store says %+v", r.Life)
		}
	})
}

// TestDamageIsNamed says what can still be read of a damaged record.
func TestDamageIsNamed(t *testing.T) {
	fs := journaltest.NewFS()
	d := start(t, fs, journal.Options{SegmentBytes: size})
	var last journal.Ticket
	for i := range 3 {
		r := journal.Record{
			Kind: journal.Published, Client: "p", PacketID: 7,
			Message: &journal.Message{Topic: "t", Payload: fmt.Appendf(nil, "payload %d", i), QoS: 2},
			Targets: []journal.Target{{Client: "a", Sequence: uint64(i)}, {Client: "b\x00", Sequence: 1}},
		}
		last, _ = d.Append(&r)
	}
	if err := d.Close(t.Context()); err != nil || d.Committed() < last {
		t.Fatalf("close: %v", err)
	}
	flip(t, fs, "payload 1")
	r := reread(t, fs)
	if len(r.Damages) != 1 || r.Lost != 1 {
		t.Fatalf("%d records lost, %+v", r.Lost, r.Damages)
	}
	got := fmt.Sprint(r.Damages[0].Kind, " ", r.Damages[0].Topic, " ", r.Damages[0].Clients)
	if want := "message t [p a]"; got != want {
		t.Errorf("the damaged record looks like %q, want %q", got, want)
	}
}

// flip damages the last byte of text where it lies in a file of fs.
func flip(t *testing.T, fs *journaltest.FS, text string) {
	t.Helper()
	for _, name := range fs.Names() {
		b := fs.Bytes(name)
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i+len(text)-1] ^= 1
			fs.SetBytes(name, b)
			return
		}
	}
	t.Fatalf("no file has %q", text)
}
