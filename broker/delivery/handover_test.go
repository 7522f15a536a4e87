package delivery

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// TestShareMemberLeaves is what happens to messages of a member who goes.
func TestShareMemberLeaves(t *testing.T) {
	durable := Opening{Expiry: 100, Window: 2}
	for _, tt := range []struct {
		name  string
		o     Opening
		leave func(a *peer)
		a     []string // what it gets when it is back
		b     []string
	}{
		{"for ever", Opening{Window: 2}, func(a *peer) { a.left(Leaving{}) }, nil, []string{"work 1:2", "work 2:3"}},
		{"for a while", durable, func(a *peer) { a.left(Leaving{}) }, []string{"D work 2:1"}, []string{"work 1:2", "work 2:3"}},
		{"taken over", durable, func(a *peer) {
			connect(a.t, a.e, "a", durable).left(Leaving{Normal: true})
		}, []string{"D work 2:1"}, []string{"work 1:2", "work 2:3"}},
		{"taken over without its session", durable, func(a *peer) {
			connect(a.t, a.e, "a", Opening{Clean: true})
		}, nil, []string{"work 1:2", "work 2:3"}},
		{"unsubscribes", durable, func(a *peer) { a.e.Unsubscribe(a.s, work) }, []string{"D work 2:1", "D work 1:2"}, []string{"work 2:3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEngine(t, journal.Memory{}, options())
			p := connect(t, e, "p", Opening{})
			a := connect(t, e, "a", tt.o).subscribe(work, 2)
			p.publishAll("2:1", "1:2", "2:3")
			expect(t, a, "work 2:1", "work 1:2")
			b := connect(t, e, "b", Opening{}).subscribe(work, 2)
			expect(t, b)
			tt.leave(a)
			expect(t, b, tt.b...)
			e.Unsubscribe(b.s, work)
			expect(t, connect(t, e, "a", durable), tt.a...)
			if d := e.Dropped().Orphaned; d != 0 {
				t.Errorf("%d dropped, want none", d)
			}
		})
	}
}

// TestShareTakenOver keeps what is in flight with a session that is resumed at
// once.
func TestShareTakenOver(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	o := Opening{Expiry: 100, Window: 1}
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", o)
	p.publishAll("1:1", "1:2")
	expect(t, a, "work 1:1")
	b := worker(t, e, "b", Opening{})
	a = connect(t, e, "a", o)
	expect(t, a, "D work 1:1")
	expect(t, b)
	a.s.Acknowledge(1, 1)
	expect(t, a, "work 1:2")
}

func TestShareLastMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, journal.Memory{}, options())
		p := connect(t, e, "p", Opening{})
		a := worker(t, e, "a", Opening{Expiry: 10, Window: 1})
		p.publishAll("1:1", "1:2", "0:3")
		expect(t, a, "work 1:1")
		a.left(Leaving{})
		p.publishAll("1:4")
		a = connect(t, e, "a", Opening{Expiry: 10, Window: 2})
		expect(t, a, "D work 1:1", "work 1:2") // Nobody else was there.
		a.left(Leaving{})
		if d := e.Dropped(); d != (Dropped{}) {
			t.Errorf("dropped %+v while the session lives", d)
		}
		time.Sleep(11 * time.Second)
		if d := e.Dropped(); d != (Dropped{Orphaned: 3}) {
			t.Errorf("dropped %+v after the last session ended, want 3 orphaned", d)
		}
		b := worker(t, e, "b", Opening{})
		p.publishAll("1:5")
		expect(t, b, "work 1:5")
	})
}

// TestShareRecords checks that a crash at any time finds a message at one of
// the members at least.
func TestShareRecords(t *testing.T) {
	j := new(journaltest.Held)
	j.Flow()
	e := newEngine(t, j, options())
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", Opening{Expiry: 9, Window: 1})
	p.publishAll("1:1", "1:2")
	expect(t, a, "work 1:1")
	worker(t, e, "b", Opening{Expiry: 9})
	before := len(j.Records())
	a.left(Leaving{})
	var got []string
	for _, r := range j.Records()[before:] {
		switch r.Kind {
		case journal.Published:
			got = append(got, fmt.Sprintf("%s for %s %d", r.Message.Payload, r.Targets[0].Client, r.Targets[0].Sequence))
		case journal.Acknowledged:
			got = append(got, fmt.Sprintf("%s has done %d", r.Client, r.Sequence))
		}
	}
	want := []string{"1:1 for b 0", "a has done 0", "1:2 for b 1", "a has done 1"}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

// TestShareWaitsForTheDisk hands a QoS 2 message over before it is committed.
func TestShareWaitsForTheDisk(t *testing.T) {
	j := new(journaltest.Held)
	e := newEngine(t, j, options())
	p := connect(t, e, "p", Opening{Expiry: 9})
	a := connect(t, e, "a", Opening{Expiry: 9}).subscribe(work, 2)
	p.publishAll("2:1")
	expect(t, a)
	b := connect(t, e, "b", Opening{}).subscribe(work, 2)
	expect(t, b)
	a.left(Leaving{})
	expect(t, b)
	j.Commit()
	expect(t, b, "work 2:1")
}

// TestShareTicket gives the publisher the ticket of the first member's record,
// wherever the message is by then.
func TestShareTicket(t *testing.T) {
	j := new(journaltest.Held)
	e := newEngine(t, j, options())
	p := connect(t, e, "p", Opening{})
	a := worker(t, e, "a", Opening{Expiry: 9})
	worker(t, e, "b", Opening{})
	before := len(j.Records())
	ticket, v := p.send(&Message{Message: journal.Message{Topic: "work", QoS: 1}}, 1)
	if v != Accepted || int(ticket) != before+1 || j.Records()[before].Targets[0].Client != "a" {
		t.Errorf("ticket %d, verdict %d after %d records; want that of the record for a", ticket, v, before)
	}
	a.left(Leaving{})
	if ticket <= j.Committed() {
		t.Error("the ticket is committed since the message was handed over")
	}
}

// A meddler is a journal that lets something happen while a message is being
// published.
type meddler struct {
	journal.Memory
	meanwhile func()
}

func (j *meddler) Append(r *journal.Record) (journal.Ticket, error) {
	if f := j.meanwhile; f != nil && r.Kind == journal.Published {
		j.meanwhile = nil
		f()
	}
	return j.Memory.Append(r)
}

// TestShareMemberLeavesMeanwhile hands a message over before its publisher knows
// whether it is safe, and wakes the member who looked in vain.
func TestShareMemberLeavesMeanwhile(t *testing.T) {
	j := new(meddler)
	e := newEngine(t, j, options())
	p := connect(t, e, "p", Opening{Expiry: 9})
	a := connect(t, e, "a", Opening{Expiry: 9}).subscribe(work, 2)
	b := connect(t, e, "b", Opening{}).subscribe(work, 2)
	woke := int32(0)
	j.meanwhile = func() {
		a.left(Leaving{})
		expect(t, b)
		woke = b.woke.Load()
	}
	p.publishAll("2:1")
	if b.woke.Load() == woke {
		t.Error("the member that the message was handed over to sleeps on")
	}
	expect(t, b, "work 2:1")
}

// TestShareRace lets members come and go while others publish; run with -race.
// Each message must be acknowledged by somebody.
func TestShareRace(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	const members, publishers, each = 3, 2, 300
	stop := make(chan struct{})
	done := make(chan map[string]bool)
	for i := range members {
		go func() {
			seen := make(map[string]bool)
			for n := 0; ; n++ {
				visit(t, e, fmt.Sprint("member ", i), uint32(n+i)%2, seen)
				select {
				case <-stop:
					done <- seen
					return
				default:
				}
			}
		}()
	}
	visit(t, e, "sleeper", 100, make(map[string]bool)) // Always one is left.
	published := make(chan bool)
	for i := range publishers {
		go func() {
			p := connect(t, e, fmt.Sprint("publisher ", i), Opening{})
			for n := range each {
				p.publish("work", fmt.Sprintf("1:%d/%d", i, n))
			}
			published <- true
		}()
	}
	for range publishers {
		<-published
	}
	close(stop)
	all := make(map[string]bool)
	for range members {
		for payload := range <-done {
			all[payload] = true
		}
	}
	for range 2 { // Twice: what is taken, then what was handed over.
		for _, id := range []string{"member 0", "member 1", "member 2", "sleeper"} {
			visit(t, e, id, 100, all)
		}
	}
	if d := e.Dropped(); len(all) != publishers*each || d != (Dropped{}) {
		t.Errorf("%d of %d messages arrived, dropped %+v", len(all), publishers*each, d)
	}
}

// visit connects a member, lets it acknowledge most of what it gets, and takes
// it away.
func visit(t *testing.T, e *Engine, id string, expiry uint32, seen map[string]bool) {
	link := &watcher{fire: func() {}}
	s, _, release, err := e.Begin(Opening{ID: id, Expiry: expiry * 100, Window: 10, Link: link})
	if err != nil {
		t.Error(err)
		return
	}
	release()
	if _, _, err := e.Subscribe(s, journal.Subscription{Filter: work, QoS: 1}); err != nil {
		t.Error(err)
	}
	for range 100 {
		outs, _ := s.Next(link, nil, 1000)
		for _, o := range outs {
			seen[string(o.Message.Payload)] = true
			s.Acknowledge(o.ID, 1)
		}
	}
	s.Next(link, nil, 1000) // On their way when the connection is lost.
	e.Leave(s, link, Leaving{})
}
