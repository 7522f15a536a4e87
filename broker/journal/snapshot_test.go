package journal_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// A copying is a snapshot that was taken and not read yet.
type copying struct {
	s      *journal.Snapshot
	b      *broker
	ticket journal.Ticket // was committed before
}

// check reads the snapshot, which must be a state since its ticket.
func (c *copying) check() error {
	fs, err := saved(c.s)
	if err != nil {
		return err
	}
	d, s, err := recovered(fs)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, journal.Dump(fs))
	}
	defer d.Close(context.Background())
	return c.b.check(s, c.ticket)
}

// saved returns a disk with the files of s, and closes it.
func saved(s *journal.Snapshot) (*journaltest.FS, error) {
	defer s.Close()
	fs := journaltest.NewFS()
	for i := range s.Files {
		f := &s.Files[i]
		b, err := io.ReadAll(f)
		if err != nil || int64(len(b)) != f.Size {
			return nil, fmt.Errorf("%s has %d bytes of %d: %w", f.Name, len(b), f.Size, err)
		}
		fs.SetBytes(f.Name, b)
	}
	return fs, nil
}

// TestSnapshots takes a snapshot at random moments and reads it later, while the
// journal goes on and frees what is in it: it is whole, and has what was committed
// when it was taken.
func TestSnapshots(t *testing.T) {
	var taken, cleaned atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		if taken.Load() >= 150 && cleaned.Load() >= 100 {
			return // Enough, on a machine that is busy.
		}
		fs := journaltest.NewFS()
		m := &machine{rt: rt, fs: fs, rand: rand.New(rand.NewPCG(1, 1)), states: new(atomic.Int64)}
		nobody := &broker{state: newState()}
		nobody.note(0)
		m.judges.Store(&judge{nobody, func() journal.Ticket { return 0 }})
		m.open()
		fs.Hook(nil) // TestCrashes cuts the power.
		var c *copying
		read := func() {
			if c == nil {
				return
			}
			if err := c.check(); err != nil {
				rt.Fatal(err)
			}
			c = nil
			taken.Add(1)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) { m.some() },
			"more":   func(*rapid.T) { m.some() },
			"commit": func(*rapid.T) { m.commit() },
			"clean":  func(*rapid.T) { m.b.j.AwaitTidy() },
			"snapshot": func(*rapid.T) {
				read()
				ticket := m.b.j.Committed()
				s, err := m.b.j.Snapshot()
				if err != nil {
					rt.Fatal(err)
				}
				c = &copying{s, m.b, ticket}
			},
			"read": func(*rapid.T) { read() },
			"restart": func(*rapid.T) {
				read()
				m.close()
				m.fs.Hook(nil)
				m.open()
				m.fs.Hook(nil)
			},
		})
		read()
		m.close()
		cleaned.Add(int64(m.cleaned))
	})
	t.Logf("%d snapshots, %d segments cleaned", taken.Load(), cleaned.Load())
	if taken.Load() < 100 || cleaned.Load() < 50 {
		t.Errorf("%d snapshots and %d segments cleaned are too few to show anything", taken.Load(), cleaned.Load())
	}
}

// TestSnapshotNeedsAJournal is refused by one that is closed.
func TestSnapshotNeedsAJournal(t *testing.T) {
	d := start(t, journaltest.NewFS(), journal.Options{})
	s, err := d.Snapshot()
	if err != nil || len(s.Files) > 0 {
		t.Errorf("snapshot of an empty journal: %+v, %v", s, err)
	}
	s.Close()
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Snapshot(); err == nil {
		t.Error("there is a snapshot of a journal that is closed")
	}
}

// TestSnapshotIsOfOneMoment leaves out what was not committed when it was taken,
// even if it is when it is read: what lies between might be missing.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	d := start(t, journaltest.NewFS(), journal.Options{SegmentBytes: size})
	add := func(topic string, within time.Duration) journal.Ticket {
		t.Helper()
		m := journal.Message{Topic: topic, Payload: []byte("x")}
		ticket, err := d.Append(&journal.Record{Kind: journal.Published, Message: &m, PacketID: 1, Client: "c", Within: within})
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	await := func(ticket journal.Ticket) {
		for d.Committed() < ticket {
			d.Hurry()
			runtime.Gosched()
		}
	}
	await(add("before", 0))
	late := add("after", time.Hour)
	s, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	await(late)
	fs, err := saved(s)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := journal.Open(fs, journal.Options{SegmentBytes: size}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close(context.Background())
	var topics []string
	if _, err := copied.Replay(func(r *journal.Record) { topics = append(topics, r.Message.Topic) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"before"}; !slices.Equal(topics, want) {
		t.Errorf("the snapshot has %q, want %q", topics, want)
	}
}
