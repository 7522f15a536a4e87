package delivery

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestBitRot damages a byte of a store at a time, or cuts a file off, and has the
// clients come for what is left. Nobody gets a wrong payload; what is missing is one
// record, or was behind the cut, and is reported.
func TestBitRot(t *testing.T) {
	fs := antiqueStore(t)
	whole := look(t, fs.Clone())
	if whole.told || len(whole.things) < 150 {
		t.Fatalf("the store has %d things", len(whole.things))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		name := fs.Names()[r.IntN(len(fs.Names()))]
		b := fs.Bytes(name)
		off, cut := r.IntN(len(b)), r.IntN(5) == 0
		if cut {
			off = max(off, 1024) // Without its label a file is moved aside, and that is told.
			b = b[:off]
		} else {
			b[off] ^= 1 << r.IntN(8)
		}
		rotten := fs.Clone()
		rotten.SetBytes(name, b)
		found := look(t, rotten)
		lost := found.without(whole)
		// Nothing tells how much there was behind a cut in the newest file.
		newest := bytes.Contains(fs.Bytes(name), []byte("about r, 59 "))
		told := found.told || cut && newest
		if n := len(lost); n > 0 && !told || n > 4 && !cut { // One record has three targets, and may be retained.
			t.Fatalf("byte %d of %s, cut %t: %q are lost; logged:\n%s", off, name, cut, lost, &found.log)
		}
	}
}

// TestRotWhileRunning damages what lies on the disk while the engine runs: that
// message is lost, and counted.
func TestRotWhileRunning(t *testing.T) {
	fs := antiqueStore(t)
	j, e := powerUp(t, fs, slog.New(slog.DiscardHandler))
	defer powerDown(t, j, e)
	hit := 0
	for _, name := range fs.Names() { // Which file has which segment is not always the same.
		if at := bytes.Index(fs.Bytes(name), []byte("about a, 3 ")); at >= 0 {
			fs.Rot(name, int64(at), 0x40)
			hit++
		}
	}
	if hit != 1 {
		t.Fatalf("the message is in %d files", hit)
	}
	c := connect(t, e, "c0", lasting())
	outs := c.outs()
	if d := e.Dropped().Damaged; d != 1 || j.Stats().Damaged == 0 {
		t.Errorf("%d messages are damaged, and %d records, of %d", d, j.Stats().Damaged, len(outs))
	}
	for _, o := range outs {
		if !o.Release && !bytes.Equal(o.Message.Payload, antique(o.Message)) {
			t.Errorf("c0 gets %.20q", o.Message.Payload)
		}
	}
}

// antiqueStore returns the store of an engine with sessions, subscriptions, queues,
// exchanges that have begun, retained messages and wills.
func antiqueStore(t *testing.T) *journaltest.FS {
	t.Helper()
	fs := journaltest.NewFS()
	j, e := powerUp(t, fs, slog.New(slog.DiscardHandler))
	defer powerDown(t, j, e)
	p := connect(t, e, "p", lasting())
	var clients []*peer
	for i := range 3 {
		o := lasting()
		will := &Message{Message: journal.Message{Topic: "will", QoS: 1}}
		will.Payload = antique(will)
		o.Will = &Will{Message: will, Delay: 3600}
		clients = append(clients, connect(t, e, fmt.Sprint("c", i), o).subscribe("+", 2))
	}
	for n := range 60 {
		m := &Message{Message: journal.Message{Topic: []string{"a", "b", "r"}[n%3], QoS: byte(1 + n/3%2), Expires: int64(1e12) + int64(n)}}
		m.Payload, m.Retain = antique(m), n%3 == 2
		id := uint16(n + 1)
		if m.QoS == 2 {
			p.s.Own(id)
		}
		ticket, _ := p.send(m, id)
		e.Wait(nil, ticket)
		if m.QoS == 2 && n < 50 {
			p.s.Release(id)
		}
	}
	for _, o := range clients[1].outs() {
		if o.QoS == 2 {
			clients[1].s.Receive(o.ID)
		}
	}
	return fs
}

// antique returns the payload of m, which says which message it is.
func antique(m *Message) []byte {
	return fmt.Appendf(nil, "about %s, %d %s", m.Topic, max(0, m.Expires-1e12), bytes.Repeat([]byte{'x'}, int(max(0, m.Expires-1e12)*5)))
}

func powerUp(t testing.TB, fs journal.FS, log *slog.Logger) (*journal.Disk, *Engine) {
	t.Helper()
	j, err := journal.Open(fs, journal.Options{SegmentBytes: 16 << 10, MinBytes: 1 << 20}, log)
	if err != nil {
		t.Fatal(err)
	}
	opts := options()
	opts.MaxExpiry = Forever
	e := New(j, opts, log)
	if _, err = j.Replay(e.Restore); err != nil {
		t.Fatal(err)
	}
	e.Restored()
	if err := j.Start(e.Keep); err != nil {
		t.Fatal(err)
	}
	e.Continue()
	return j, e
}

func powerDown(t testing.TB, j *journal.Disk, e *Engine) {
	t.Helper()
	e.Close()
	if err := j.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A finding is what clients find in a store.
type finding struct {
	things map[string]bool // sessions, subscriptions and messages
	told   bool            // that something is damaged
	log    bytes.Buffer
}

// look starts an engine with the store in fs, and has all clients come.
func look(t testing.TB, fs *journaltest.FS) *finding {
	t.Helper()
	f := &finding{things: make(map[string]bool)}
	j, e := powerUp(t, fs, slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelError})))
	for i := range 3 {
		id := fmt.Sprint("c", i)
		if s := e.session(id); s != nil {
			f.add(t, id, s, connect(t, e, id, lasting()))
		}
	}
	probe := connect(t, e, "probe", Opening{})
	f.add(t, "retained", probe.s, probe.subscribe("+", 0))
	f.told = j.Stats().Damaged+e.Dropped().Damaged > 0 || f.log.Len() > 0
	powerDown(t, j, e)
	return f
}

// add notes what c has and gets.
func (f *finding) add(t testing.TB, id string, s *Session, c *peer) {
	t.Helper()
	f.things[id] = true
	for _, sub := range s.Subscriptions() {
		f.things[fmt.Sprint(id, " subscribes to ", sub)] = true
	}
	for outs := c.outs(); len(outs) > 0; outs = c.outs() {
		for _, o := range outs {
			if o.Message != nil && !o.Release {
				if !bytes.Equal(o.Message.Payload, antique(o.Message)) {
					t.Fatalf("%s gets %q on %s", id, o.Message.Payload, o.Message.Topic)
				}
				f.things[fmt.Sprintf("%s gets %.14s", id, o.Message.Payload)] = true
			}
			c.s.Acknowledge(o.ID, o.QoS)
		}
	}
}

// without returns what whole has and f has not.
func (f *finding) without(whole *finding) (lost []string) {
	for thing := range whole.things {
		if !f.things[thing] {
			lost = append(lost, thing)
		}
	}
	return lost
}
