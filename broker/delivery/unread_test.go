package delivery

import (
	"fmt"
	"syscall"
	"testing"

	"edge/broker/journal"
)

// A dark disk gives and takes nothing while it is dark, and never gives what lies
// at bad.
type dark struct {
	*journal.Disk
	dark  bool
	since journal.Ticket
	bad   journal.Place
}

func (d *dark) Committed() journal.Ticket {
	if d.dark {
		return d.since
	}
	return d.Disk.Committed()
}

func (d *dark) Load(p journal.Place) (*journal.Message, error) {
	if d.dark || p == d.bad {
		return nil, syscall.EIO
	}
	return d.Disk.Load(p)
}

// spilled returns an engine with a session c away, most of whose messages are on
// the disk alone.
func spilled(t *testing.T) (*Engine, *dark) {
	t.Helper()
	opts := options()
	opts.MaxExpiry, opts.QueueMessages = Forever, 1<<20
	s := openStore(t, t.TempDir(), opts, journal.Options{})
	t.Cleanup(s.close)
	d := &dark{Disk: s.j}
	s.e.journal = d
	connect(t, s.e, "c", lasting()).subscribe("a", 1).left(Leaving{})
	p := connect(t, s.e, "p", lasting())
	for i := range 2 * inMemory {
		before := s.j.Committed()
		p.publish("a", fmt.Sprintf("1:%d", i))
		s.e.Wait(nil, before+1)
	}
	if q := &s.e.session("c").queue; q.at(q.head+ahead).m != nil {
		t.Fatal("all is in memory")
	}
	return s.e, d
}

// TestDarkDisk lets the disk give nothing for a while: the connection must end, and
// nothing is lost.
func TestDarkDisk(t *testing.T) {
	e, d := spilled(t)
	d.dark, d.since = true, d.Committed()
	next := 0
	for range 3 {
		c := connect(t, e, "c", lasting())
		outs, ok := []Out(nil), true
		for ok {
			if outs, ok = c.s.Next(c, outs[:0], 1); len(outs) == 0 && ok {
				t.Fatal("the connection waits for more, want its end")
			}
			for _, o := range outs {
				if want := fmt.Sprint("1:", next); string(o.Message.Payload) != want {
					t.Fatalf("%q is sent, want %q", o.Message.Payload, want)
				}
				c.s.Acknowledge(o.ID, 1)
				next++
			}
		}
		c.left(Leaving{})
	}
	if next == 0 || next > inMemory {
		t.Fatalf("%d messages are sent while the disk gives nothing, want those in memory", next)
	}
	d.dark = false
	c := connect(t, e, "c", lasting())
	for ; next < 2*inMemory; next++ {
		outs, _ := c.s.Next(c, nil, 1)
		if want := fmt.Sprint("1:", next); len(outs) != 1 || string(outs[0].Message.Payload) != want {
			t.Fatalf("%+v is sent, want %q", outs, want)
		}
		c.s.Acknowledge(outs[0].ID, 1)
	}
	if n := e.session("c").Dropped().Total(); n != 0 {
		t.Errorf("%d messages are counted as lost", n)
	}
}

// TestBadBlock has a message that can never be read, on a disk that takes what is
// written: it is dropped when the next connection asks for it, and no other.
func TestBadBlock(t *testing.T) {
	e, d := spilled(t)
	q := &e.session("c").queue
	d.bad = q.at(q.head + 2*ahead).where()
	lost := 2 * ahead
	next := 0
	for range 2 {
		c := connect(t, e, "c", lasting())
		for ok := true; ok && next < 2*inMemory; {
			var outs []Out
			outs, ok = c.s.Next(c, nil, 1)
			for _, o := range outs {
				if next == lost {
					next++
				}
				if want := fmt.Sprint("1:", next); string(o.Message.Payload) != want {
					t.Fatalf("%q is sent, want %q", o.Message.Payload, want)
				}
				c.s.Acknowledge(o.ID, 1)
				next++
			}
		}
		c.left(Leaving{})
		e.Wait(nil, e.session("c").refused)
	}
	if n := e.session("c").Dropped(); next != 2*inMemory || n.Damaged != 1 || n.Total() != 1 {
		t.Errorf("%d messages are sent, %+v are lost; want all but one", next-1, n)
	}
}
