package delivery

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

var crashes = flag.Int("crashes", 2000, "power cuts that TestPowerCuts tries at least")

// TestPowerCuts drives an engine with sessions that come and go, cuts the power
// at random moments, and looks at what the next engine finds on any disk that may
// be left: what was acknowledged is there, once and in order; nothing else is.
func TestPowerCuts(t *testing.T) {
	states := 0
	for seed := uint64(1); states < *crashes; seed++ {
		w := newWorld(t, seed)
		for range 300 {
			w.step()
			if w.rand.IntN(20) == 0 {
				states += w.cut(4)
			}
			if t.Failed() {
				t.Fatalf("with seed %d", seed)
			}
		}
		w.close()
	}
	t.Logf("%d states", states)
}

// A world is an engine on a disk that can be cut off, and what its clients know.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	fs      *journaltest.FS
	j       *journal.Disk
	e       *Engine
	pub     *peer
	clients []*fake
	posts   []*post
	kept    []*post // retained ones, all on the topic "r"
	lastID  uint16
}

// A post is a message that was published.
type post struct {
	payload string
	qos     byte
	ticket  journal.Ticket
}

// A fake is a client with a session that lasts.
type fake struct {
	id     string
	qos    byte
	peer   *peer // nil while it is away
	mine   []*post
	gotten map[string]bool           // acknowledged, or received at QoS 2
	once   map[string]journal.Ticket // PUBREC was sent at QoS 2: never again, once that is safe
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 7)), fs: journaltest.NewFS()}
	w.j, w.e = powerUp(t, w.fs)
	w.pub = connect(t, w.e, "p", lasting())
	for i := range 3 {
		f := &fake{id: fmt.Sprint("c", i), qos: byte(1 + i%2), gotten: map[string]bool{}, once: map[string]journal.Ticket{}}
		f.peer = connect(t, w.e, f.id, lasting()).subscribe("a", f.qos)
		w.clients = append(w.clients, f)
	}
	// All of it is acknowledged to clients only when it is safe.
	ticket, _ := w.pub.send(&Message{Message: journal.Message{Topic: "r", Payload: []byte("begin"), Retain: true}}, 0)
	w.kept = append(w.kept, &post{"begin", 0, ticket})
	w.e.Wait(nil, ticket)
	return w
}

func powerUp(t testing.TB, fs journal.FS) (*journal.Disk, *Engine) {
	t.Helper()
	j, err := journal.Open(fs, journal.Options{SegmentBytes: 1 << 14, MinBytes: 1 << 15}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opts := options()
	opts.MaxExpiry, opts.QueueMessages, opts.QueueBytes = Forever, 1<<20, 1<<30
	e := New(j, opts, slog.New(slog.DiscardHandler))
	if _, err := j.Replay(e.Restore); err != nil {
		t.Fatal(err)
	}
	e.Restored()
	if err := j.Start(e.Keep); err != nil {
		t.Fatal(err)
	}
	e.Continue()
	return j, e
}

func (w *world) close() {
	w.e.Close()
	if err := w.j.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) step() {
	f := w.clients[w.rand.IntN(len(w.clients))]
	switch n := w.rand.IntN(10); {
	case n < 5:
		w.publish()
	case n < 6:
		p := &post{payload: fmt.Sprint("r", len(w.kept))}
		p.ticket, _ = w.pub.send(&Message{Message: journal.Message{Topic: "r", Payload: []byte(p.payload), Retain: true}}, 0)
		w.kept = append(w.kept, p)
	case n < 9:
		w.receive(f)
	case f.peer == nil:
		f.peer = connect(w.t, w.e, f.id, lasting())
	default:
		f.peer.left(Leaving{})
		f.peer = nil
	}
}

func (w *world) publish() {
	p := &post{payload: fmt.Sprintf("%05d%0*d", len(w.posts), w.rand.IntN(300), 0), qos: byte(1 + w.rand.IntN(2))}
	m := &Message{Message: journal.Message{Topic: "a", Payload: []byte(p.payload), QoS: p.qos}}
	if p.qos == 2 {
		w.lastID++
		w.pub.s.Own(w.lastID)
		p.ticket, _ = w.pub.send(m, w.lastID)
		w.pub.s.Owned(w.lastID, p.ticket)
		w.pub.s.Release(w.lastID)
	} else {
		p.ticket, _ = w.pub.send(m, 0)
	}
	w.posts = append(w.posts, p)
	for _, f := range w.clients {
		f.mine = append(f.mine, p)
	}
}

// receive has f take some messages and answer some of those.
func (w *world) receive(f *fake) {
	if f.peer == nil {
		return
	}
	outs, _ := f.peer.s.Next(f.peer, nil, 500)
	for _, o := range outs {
		if o.Release {
			f.peer.s.Acknowledge(o.ID, 2)
			continue
		}
		payload := string(o.Message.Payload)
		if w.rand.IntN(4) == 0 {
			continue // It leaves the answer for later.
		}
		f.gotten[payload] = true
		if o.QoS == 1 {
			f.peer.s.Acknowledge(o.ID, 1)
			continue
		}
		ticket, _ := f.peer.s.Receive(o.ID)
		f.once[payload] = ticket
		if w.rand.IntN(2) == 0 {
			w.e.Wait(nil, ticket)
			f.peer.s.Acknowledge(o.ID, 2)
		}
	}
}

// cut cuts the power, and looks at n disks that may be left. The world goes on as
// if nothing had been.
func (w *world) cut(n int) int {
	safe := w.j.Committed()
	for fs := range w.fs.Crashes(w.rand, n) {
		j, e := powerUp(w.t, fs)
		for _, f := range w.clients {
			w.judge(e, f, safe)
		}
		w.judgeRetained(e, safe)
		e.Close()
		_ = j.Close(context.Background())
	}
	return n
}

// judge lets f come back to a new engine.
func (w *world) judge(e *Engine, f *fake, safe journal.Ticket) {
	c := connect(w.t, e, f.id, lasting())
	var got []string
	for {
		outs, _ := c.s.Next(c, nil, 1<<20)
		if len(outs) == 0 {
			break
		}
		for _, o := range outs {
			if !o.Release {
				got = append(got, string(o.Message.Payload))
			}
			c.s.Acknowledge(o.ID, o.QoS)
		}
	}
	if !slices.IsSorted(got) {
		w.t.Errorf("%s gets %.5q, out of order", f.id, got)
	}
	had := map[string]bool{}
	for _, p := range got {
		if had[p] {
			w.t.Errorf("%s gets %.5s twice", f.id, p)
		}
		had[p] = true
		if ticket, ok := f.once[p]; ok && ticket <= safe {
			w.t.Errorf("%s gets %.5s of QoS 2 again", f.id, p)
		}
	}
	for _, p := range f.mine {
		if p.ticket <= safe && !f.gotten[p.payload] && !had[p.payload] {
			w.t.Errorf("%s does not get %.5s, whose ticket %d was safe (%d)", f.id, p.payload, p.ticket, safe)
		}
		delete(had, p.payload)
	}
	for p := range had {
		w.t.Errorf("%s gets %.5q, which nobody has published", f.id, p)
	}
}

// judgeRetained accepts the newest value that was safe, and any later one.
func (w *world) judgeRetained(e *Engine, safe journal.Ticket) {
	c := connect(w.t, e, "r", Opening{}).subscribe("r", 0)
	outs := c.outs()
	if len(outs) != 1 {
		w.t.Errorf("%d retained messages, want 1", len(outs))
		return
	}
	for _, p := range slices.Backward(w.kept) {
		if p.payload == string(outs[0].Message.Payload) {
			return
		}
		if p.ticket <= safe {
			break
		}
	}
	w.t.Errorf("%q is retained, but a newer one was safe", outs[0].Message.Payload)
}
