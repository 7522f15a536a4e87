package delivery

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

// options has limits that no test meets by accident.
func options() Options {
	return Options{
		QoS0Bytes: 1 << 20, QueueMessages: 1 << 20, QueueBytes: 1 << 30, UnkeptBytes: 1 << 30, Window: 100, ReceiveMaximum: 100,
		Sessions: 1000, Subscriptions: 100, RetainedBytes: 1 << 20, MaxExpiry: math.MaxUint32 - 1,
		TopicBytes: 1024, TopicLevels: 32,
	}
}

func newEngine(t testing.TB, j journal.Journal, opts Options) *Engine {
	e := New(j, opts, slog.New(slog.DiscardHandler))
	t.Cleanup(e.Close)
	return e
}

// A peer is a connection of a test: a Link whose Next is called by hand.
type peer struct {
	t    testing.TB
	e    *Engine
	s    *Session
	pub  *Publisher
	woke atomic.Int32
	done chan struct{}
	left func(Leaving)
}

func (p *peer) Wake()                 { p.woke.Add(1) }
func (p *peer) Kick()                 { go p.left(Leaving{}) }
func (p *peer) Done() <-chan struct{} { return p.done }

// connect begins a session; zero fields of o get defaults.
func connect(t testing.TB, e *Engine, id string, o Opening) *peer {
	t.Helper()
	p := &peer{t: t, e: e, done: make(chan struct{})}
	o.ID, o.Link = id, p
	s, _, release, err := e.Begin(o)
	if err != nil {
		t.Fatal(err)
	}
	p.s, p.pub = s, e.Publisher(s)
	p.left = func(l Leaving) {
		e.Leave(s, p, l)
		close(p.done)
	}
	release()
	return p
}

func (p *peer) subscribe(filter string, qos byte) *peer {
	p.t.Helper()
	return p.subscribeTo(journal.Subscription{Filter: filter, QoS: qos})
}

func (p *peer) subscribeTo(sub journal.Subscription) *peer {
	p.t.Helper()
	existed, _, err := p.e.Subscribe(p.s, sub)
	if err != nil {
		p.t.Fatal(err)
	}
	p.e.SendRetained(p.s, sub, existed)
	return p
}

// publish publishes payload; a prefix "0:" to "2:" says the QoS, "r" before it
// asks to retain.
func (p *peer) publish(topic, payload string) Verdict {
	p.t.Helper()
	retain := strings.HasPrefix(payload, "r")
	m := &Message{Message: journal.Message{
		Topic: topic, QoS: strings.TrimPrefix(payload, "r")[0] - '0', Retain: retain,
		Payload: []byte(payload), Origin: p.s.id,
	}, Borrowed: true}
	_, v := p.send(m, 1)
	return v
}

func (p *peer) send(m *Message, id uint16) (journal.Ticket, Verdict) {
	p.t.Helper()
	r, err := p.pub.Route([]byte(m.Topic))
	if err != nil {
		p.t.Fatal(err)
	}
	m.Topic = r.Topic
	t, v := p.pub.Publish(r, m, id)
	p.pub.Flush()
	return t, v
}

// next returns what the session sends now, written like "a/b 1:x", with R, D
// and P before it for retain, DUP and PUBREL.
func (p *peer) next() []string {
	var got []string
	for _, o := range p.outs() {
		s := fmt.Sprintf("%s %s", o.Message.Topic, o.Message.Payload)
		for _, f := range []struct {
			on   bool
			mark string
		}{{o.Retain, "R"}, {o.Dup, "D"}, {o.Release, "P"}} {
			if f.on {
				s = f.mark + " " + s
			}
		}
		got = append(got, s)
	}
	return got
}

func (p *peer) outs() []Out {
	var all []Out
	for {
		outs, ok := p.s.Next(p, nil, 1000)
		if !ok || len(outs) == 0 {
			return all
		}
		all = append(all, outs...)
	}
}

func expect(t testing.TB, p *peer, want ...string) {
	t.Helper()
	if got := p.next(); !slices.Equal(got, want) {
		t.Errorf("%s gets %q, want %q", p.s.id, got, want)
	}
}

func TestRoutes(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	a := connect(t, e, "a", Opening{}).subscribe("x/+", 1)
	b := connect(t, e, "b", Opening{}).subscribe("#", 0)
	p := connect(t, e, "p", Opening{})
	expect(t, a)
	expect(t, b)
	if v := p.publish("y", "1:y"); v != Accepted {
		t.Errorf("verdict %d, want Accepted", v)
	}
	p.publish("x/1", "1:x")
	p.publish("$SYS/x", "1:sys")
	expect(t, a, "x/1 1:x")
	expect(t, b, "y 1:y", "x/1 1:x")
	if a.woke.Load() != 1 || b.woke.Load() != 1 {
		t.Errorf("woken %d and %d times, want once each", a.woke.Load(), b.woke.Load())
	}
	e.Unsubscribe(b.s, "#")
	if v := p.publish("y", "1:y"); v != NoSubscribers {
		t.Errorf("verdict after Unsubscribe %d, want NoSubscribers", v)
	}
	expect(t, b)
	if existed, _ := e.Unsubscribe(b.s, "#"); existed {
		t.Error("Unsubscribe again reports that there was one")
	}
}

func TestOverlappingSubscriptions(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	s := connect(t, e, "s", Opening{})
	s.subscribeTo(journal.Subscription{Filter: "a/#", QoS: 0, ID: 9})
	s.subscribeTo(journal.Subscription{Filter: "a/b", QoS: 2, ID: 3, NoLocal: true})
	s.subscribeTo(journal.Subscription{Filter: "+/b", QoS: 1})
	connect(t, e, "p", Opening{}).publish("a/b", "2:other")
	s.publish("a/b", "2:own")
	outs := s.outs()
	if len(outs) != 2 {
		t.Fatalf("%d deliveries, want 2", len(outs))
	}
	if o := outs[0]; o.QoS != 2 || !slices.Equal(o.IDs, []uint32{3, 9}) {
		t.Errorf("of another: QoS %d, ids %v; want 2, [3 9]", o.QoS, o.IDs)
	}
	// What it publishes itself comes only through the subscriptions that want it.
	if o := outs[1]; o.QoS != 1 || !slices.Equal(o.IDs, []uint32{9}) {
		t.Errorf("its own: QoS %d, ids %v; want 1, [9]", o.QoS, o.IDs)
	}
}

// TestOverlappingSubscriptionsOfMany has more receivers than are looked through
// one by one.
func TestOverlappingSubscriptionsOfMany(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	var all []*peer
	for i := range 3 * few {
		all = append(all, connect(t, e, fmt.Sprint(i), Opening{}).subscribe("a/b", 0).subscribe("a/+", 1).subscribe("#", 0))
	}
	connect(t, e, "p", Opening{}).publish("a/b", "1:x")
	for _, p := range all {
		if outs := p.outs(); len(outs) != 1 || outs[0].QoS != 1 {
			t.Errorf("%s gets %+v, want it once, at QoS 1", p.s.id, outs)
		}
	}
}

func TestOverlappingSubscriptionsEach(t *testing.T) {
	opts := options()
	opts.Each = true
	e := newEngine(t, journal.Memory{}, opts)
	s := connect(t, e, "s", Opening{})
	s.subscribeTo(journal.Subscription{Filter: "a/#", QoS: 0, ID: 9})
	s.subscribeTo(journal.Subscription{Filter: "a/b", QoS: 2, ID: 3, NoLocal: true})
	s.subscribeTo(journal.Subscription{Filter: "+/b", QoS: 1})
	connect(t, e, "p", Opening{}).publish("a/b", "2:other")
	s.publish("a/b", "2:own")
	var got []string
	for _, o := range s.outs() {
		got = append(got, fmt.Sprintf("%s %d %v", o.Message.Payload, o.QoS, o.IDs))
	}
	slices.Sort(got)
	want := []string{"2:other 0 [9]", "2:other 1 []", "2:other 2 [3]", "2:own 0 [9]", "2:own 1 []"}
	if !slices.Equal(got, want) {
		t.Errorf("deliveries %q, want %q", got, want)
	}
}

func TestNoLocal(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	s := connect(t, e, "s", Opening{}).subscribeTo(journal.Subscription{Filter: "a", NoLocal: true})
	s.publish("a", "0:own")
	connect(t, e, "p", Opening{}).publish("a", "0:other")
	expect(t, s, "a 0:other")
}

func TestResumeInOrder(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	o := Opening{Expiry: 100, Window: 2}
	s := connect(t, e, "s", o).subscribe("a", 2)
	p := connect(t, e, "p", Opening{})
	for _, m := range []string{"1:1", "2:2", "1:3", "0:gone", "2:4"} {
		p.publish("a", m)
	}
	first := s.outs()
	if len(first) != 2 {
		t.Fatalf("%d messages in a window of 2", len(first))
	}
	s.s.Receive(first[1].ID) // PUBREC: "2:2" must not be sent again.
	s.left(Leaving{})
	p.publish("a", "0:lost")
	p.publish("a", "1:5")

	s = connect(t, e, "s", o)
	again := s.outs()
	if len(again) != 2 || again[0].ID != first[0].ID || again[1].ID != first[1].ID {
		t.Fatalf("sent again: %+v, want the ids of %+v", again, first)
	}
	if !again[0].Dup || again[0].Release || !again[1].Release {
		t.Errorf("again: %+v; want DUP, then PUBREL", again)
	}
	s.s.Acknowledge(again[1].ID, 2)
	expect(t, s, "a 1:3")
	s.s.Acknowledge(again[0].ID, 1)
	expect(t, s, "a 2:4")
}

func TestAcknowledgeWrongly(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	s := connect(t, e, "s", Opening{Window: 1}).subscribe("a", 2)
	p := connect(t, e, "p", Opening{})
	p.publish("a", "2:1")
	p.publish("a", "1:2")
	id := s.outs()[0].ID
	s.s.Acknowledge(id, 1)   // PUBACK for QoS 2.
	s.s.Acknowledge(id+1, 1) // Not sent yet.
	s.s.Acknowledge(0, 1)
	expect(t, s)
	if _, found, _ := s.s.Receive(id + 1); found {
		t.Error("PUBREC for a message that was not sent is accepted")
	}
	s.s.Acknowledge(id, 2)
	expect(t, s, "a 1:2")
}

func TestSlowReader(t *testing.T) {
	opts := options()
	opts.QoS0Bytes = 1000
	e := newEngine(t, journal.Memory{}, opts)
	p := connect(t, e, "p", Opening{})
	p.publish("r/1", "r0:kept")
	s := connect(t, e, "s", Opening{}).subscribe("r/+", 0).subscribe("a", 1)
	p.publish("a", "1:safe")
	for i := range 5000 {
		p.publish("a", fmt.Sprintf("0:%04d", i))
	}
	got := s.next()
	if len(got) < 4 || got[0] != "R r/1 r0:kept" || got[1] != "a 1:safe" || got[len(got)-1] != "a 0:4999" {
		t.Errorf("a slow reader gets %q; want the retained, the QoS 1 and the newest message", got)
	}
	if d := s.s.Dropped().Slow; d != uint64(5000-(len(got)-2)) || d != e.Dropped().Slow {
		t.Errorf("%d and %d counted as dropped, %d of 5000 delivered", d, e.Dropped().Slow, len(got)-2)
	}
	if s.s.queue.len() != 0 || s.s.bytes0 != 0 || len(s.s.queue.buf) > 2048 {
		t.Errorf("the queue keeps %d items, %d bytes, room for %d", s.s.queue.len(), s.s.bytes0, len(s.s.queue.buf))
	}
}

func TestFullQueueRejects(t *testing.T) {
	opts := options()
	opts.QueueMessages = 10
	e := newEngine(t, journal.Memory{}, opts)
	s := connect(t, e, "s", Opening{Expiry: 100}).subscribe("a", 1)
	p := connect(t, e, "p", Opening{})
	s.left(Leaving{})
	accepted := 0
	for p.publish("a", "1:x") == Accepted {
		accepted++
	}
	if v := p.publish("a", "1:x"); v != Full || accepted != 10 {
		t.Errorf("verdict %d after %d messages; want Full after 10", v, accepted)
	}
	if v := p.publish("a", "0:x"); v != Accepted {
		t.Errorf("QoS 0 verdict %d, want Accepted: nobody promised anything", v)
	}
	s = connect(t, e, "s", Opening{Expiry: 100})
	if got := len(s.next()); got != accepted {
		t.Errorf("%d delivered, %d accepted", got, accepted)
	}
	if v := p.publish("a", "1:x"); v != Accepted {
		t.Errorf("verdict %d when there is room again, want Accepted", v)
	}
}

func TestFullQueueDropsOldest(t *testing.T) {
	opts := options()
	opts.QueueMessages, opts.DropOldest = 3, true
	e := newEngine(t, journal.Memory{}, opts)
	s := connect(t, e, "s", Opening{Expiry: 100}).subscribe("a", 1)
	s.left(Leaving{})
	p := connect(t, e, "p", Opening{})
	for i := range 5000 {
		if v := p.publish("a", fmt.Sprintf("1:%d", i)); v != Accepted {
			t.Fatalf("message %d: verdict %d", i, v)
		}
	}
	s = connect(t, e, "s", Opening{Expiry: 100})
	expect(t, s, "a 1:4997", "a 1:4998", "a 1:4999")
	if d := s.s.Dropped().Full; d != 4997 {
		t.Errorf("%d counted as dropped, want 4997", d)
	}
	p.publish("a", "1:next")
	for _, id := range []uint16{s.s.packetID(4998), s.s.packetID(4997), s.s.packetID(4999)} {
		s.s.Acknowledge(id, 1)
	}
	expect(t, s, "a 1:next")
	if s.s.sent.len() != 1 {
		t.Errorf("%d on their way, want 1", s.s.sent.len())
	}
}

func TestPacketIDsGoRound(t *testing.T) {
	e := newEngine(t, journal.Memory{}, options())
	s := connect(t, e, "s", Opening{Window: 3}).subscribe("a", 1)
	p := connect(t, e, "p", Opening{})
	for i := range 70000 {
		p.publish("a", "1:x")
		outs := s.outs()
		if len(outs) != 1 || outs[0].ID == 0 {
			t.Fatalf("message %d: %+v", i, outs)
		}
		s.s.Acknowledge(outs[0].ID, 1)
	}
	if s.s.sent.len() != 0 || s.s.open != 0 {
		t.Errorf("%d on their way, %d open, want none", s.s.sent.len(), s.s.open)
	}
}

func TestCommandIsRefused(t *testing.T) {
	opts := options()
	var refused []string
	opts.Command = func(topic string) bool { return topic == "relay/set" }
	opts.Refused = func(m *Message, why Refusal) { refused = append(refused, string(why)+" "+m.Topic) }
	e := newEngine(t, journal.Memory{}, opts)
	s := connect(t, e, "s", Opening{}).subscribe("#", 1)
	p := connect(t, e, "p", Opening{})
	if v := p.publish("relay/set", "r1:ON"); v != Refused {
		t.Errorf("verdict %d for a retained command, want Refused", v)
	}
	p.send(&Message{Message: journal.Message{Topic: "relay/set", QoS: 1, Expires: 1}}, 0)
	p.send(&Message{Message: journal.Message{Topic: "relay", QoS: 1, Expires: 1}}, 0)
	p.publish("relay/set", "1:OFF")
	expect(t, s, "relay/set 1:OFF")
	if want := []string{"retained relay/set", "expired relay/set"}; !slices.Equal(refused, want) {
		t.Errorf("refused %q, want %q", refused, want)
	}
	if e.Stats().Retained != 0 {
		t.Error("the command was retained")
	}
	if d := s.s.Dropped().Expired; d != 2 {
		t.Errorf("%d counted as expired, want 2", d)
	}
}

func TestQoS2WaitsForTheDisk(t *testing.T) {
	j := new(journaltest.Held)
	e := newEngine(t, j, options())
	s := connect(t, e, "s", Opening{Expiry: 100}).subscribe("a", 2)
	p := connect(t, e, "p", Opening{Expiry: 100})
	p.publish("a", "1:1")
	expect(t, s, "a 1:1") // Readers who are there do not wait at QoS 1.
	woke := s.woke.Load()
	p.publish("a", "2:2")
	p.publish("a", "1:3")
	expect(t, s) // Order is kept: 3 waits behind 2.
	j.Commit()
	if s.woke.Load() <= woke {
		t.Error("the commit wakes nobody")
	}
	expect(t, s, "a 2:2", "a 1:3")
}

func TestWhatCannotBeKept(t *testing.T) {
	j := new(journaltest.Held)
	j.Flow()
	e := newEngine(t, j, options())
	s := connect(t, e, "s", Opening{Expiry: 100}).subscribe("a", 2)
	p := connect(t, e, "p", Opening{})
	j.Break()
	for _, payload := range []string{"1:x", "2:x"} {
		if v := p.publish("a", payload); v != Unavailable {
			t.Errorf("publish %s on a broken disk: verdict %d, want Unavailable", payload, v)
		}
	}
	if v := p.publish("a", "0:y"); v != Accepted {
		t.Errorf("QoS 0 on a broken disk: verdict %d, want Accepted", v)
	}
	expect(t, s, "a 0:y")
}

// TestRecords checks what is handed to the journal, and what not.
func TestRecords(t *testing.T) {
	j := new(journaltest.Held)
	j.Flow()
	e := newEngine(t, j, options())
	p := connect(t, e, "p", Opening{})
	before := len(j.Records())
	connect(t, e, "clean", Opening{}).subscribe("a", 2)
	p.publish("a", "1:nobody durable")
	p.publish("a", "0:x")
	for _, r := range j.Records()[before:] {
		if r.Kind == journal.Published || r.Kind == journal.Subscribed {
			t.Errorf("kept without need: %+v", r)
		}
	}
	s := connect(t, e, "s", Opening{Expiry: 5}).subscribe("a", 1)
	before = len(j.Records())
	p.publish("a", "2:x")
	p.publish("b", "r0:retained")
	id := s.outs()[0].ID
	s.s.Acknowledge(id, 1)
	q := connect(t, e, "q", Opening{Expiry: 5})
	q.s.Own(77)
	q.send(&Message{Message: journal.Message{Topic: "c", QoS: 2}}, 77)
	q.s.Release(77)
	var got []string
	for _, r := range j.Records()[before:] {
		got = append(got, fmt.Sprintf("%d %s %d %d", r.Kind, r.Client, r.PacketID, len(r.Targets)))
	}
	want := []string{
		fmt.Sprintf("%d  0 1", journal.Published), fmt.Sprintf("%d  0 0", journal.Published),
		fmt.Sprintf("%d s 0 0", journal.Acknowledged), fmt.Sprintf("%d q 0 0", journal.SessionBegun),
		fmt.Sprintf("%d q 77 0", journal.Published), fmt.Sprintf("%d q 77 0", journal.Released),
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestOwn(t *testing.T) {
	opts := options()
	opts.ReceiveMaximum = 2
	e := newEngine(t, journal.Memory{}, opts)
	s := connect(t, e, "s", Opening{Expiry: 9}).s
	for _, tt := range []struct {
		id        uint16
		fresh, ok bool
	}{{1, true, true}, {1, false, true}, {2, true, true}, {3, false, false}} {
		if fresh, _, ok := s.Own(tt.id); fresh != tt.fresh || ok != tt.ok {
			t.Errorf("Own(%d) = %t, %t, want %t, %t", tt.id, fresh, ok, tt.fresh, tt.ok)
		}
	}
	if _, found := s.Release(1); !found {
		t.Error("Release(1) knows no such id")
	}
	if _, found := s.Release(1); found {
		t.Error("Release(1) again finds it")
	}
	if fresh, _, ok := s.Own(3); !fresh || !ok {
		t.Error("no room after Release")
	}
	s.Disown(3)
	if fresh, _, _ := s.Own(3); !fresh {
		t.Error("Own(3) after Disown is no fresh one")
	}
}
