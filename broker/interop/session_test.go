package interop

import (
	"fmt"
	"testing"
)

// TestOfflineQueue has 10 000 messages waiting for a session.
func TestOfflineQueue(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprintf("queue/%d", qos)
			subscriber := login{version: v311, id: topic, keep: true}
			sub := s.connect(t, subscriber)
			sub.subscribe(topic, qos)
			sub.disconnect()
			const count = 10_000
			pub := s.connect(t, login{version: v311, id: "pub " + topic})
			pub.publishAll(topic, count)
			sub, a := s.resume(t, subscriber)
			if !a.present {
				t.Fatal("no session present")
			}
			for i := range count {
				if m := sub.receive(); m.payload != fmt.Sprint(i) || m.dup || m.qos != qos {
					t.Fatalf("received %+v, want %d at QoS %d without DUP", m, i, qos)
				}
			}
			pub.publishAll(topic, 1)
			if m := sub.receive(); m.payload != "0" {
				t.Errorf("received %+v after the queue, want 0", m)
			}
		})
	}
}

// publishAll publishes the numbers below n at QoS 2 with a window of 20, which
// is the least that brokers allow by default.
func (c *client) publishAll(topic string, n int) {
	c.t.Helper()
	const window = 20
	for sent, done := 0, 0; done < n; {
		for ; sent < n && sent-done < window; sent++ {
			c.post(message{topic: topic, qos: 2, payload: fmt.Sprint(sent)})
		}
		switch p := c.control(); p.kind {
		case cPUBREC:
			c.ack(cPUBREL, uint16(p.body[0])<<8|uint16(p.body[1]))
		case cPUBCOMP:
			done++
		default:
			c.t.Fatalf("the broker sent %v % x, want PUBREC or PUBCOMP", p.kind, p.body)
		}
	}
}

// TestCleanSession shows that a clean session takes nothing over and leaves
// nothing behind.
func TestCleanSession(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "clean/" + v.String()
		kept, clean := login{version: v, id: topic, keep: true}, login{version: v, id: topic}
		c := s.connect(t, kept)
		c.subscribe(topic, 1)
		c.disconnect()
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		pub.publish(message{topic: topic, qos: 1, payload: "lost"})
		for _, l := range []login{clean, kept} {
			c, a := s.resume(t, l)
			if a.present {
				t.Errorf("session present after %+v", l)
			}
			pub.publish(message{topic: topic, qos: 1, payload: "lost"})
			if c.ping(); len(c.inbox) > 0 {
				t.Errorf("received %+v without a subscription", c.inbox)
			}
			c.disconnect()
		}
		if _, a := s.resume(t, kept); !a.present && v > v31 {
			t.Error("no session present after a session was kept")
		}
	})
}

// TestTakeover lets a second client in under the same id: the first is closed,
// the session goes over whole.
func TestTakeover(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "takeover/" + v.String()
		subscriber := login{version: v, id: topic, keep: true}
		first := s.connect(t, subscriber)
		first.subscribe(topic, 1)
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		pub.publish(message{topic: topic, qos: 1, payload: "in flight"})
		if m := first.take(); m.payload != "in flight" {
			t.Fatalf("received %+v, want in flight", m)
		}
		second, a := s.resume(t, subscriber)
		if !a.present && v > v31 {
			t.Error("no session present")
		}
		if reason := first.closed(); v == v5 && reason != 0x8E && !isMosquitto(t) {
			t.Errorf("the first client was told %#x, want 0x8E, session taken over", reason)
		}
		pub.publish(message{topic: topic, qos: 1, payload: "next"})
		for _, want := range []string{"in flight", "next"} {
			if m := second.receive(); m.payload != want || m.dup != (want == "in flight") {
				t.Errorf("received %+v, want %s", m, want)
			}
		}
	})
}

// TestCleanTakeovers has 300 clients take over from each other; each keeps the
// subscription that it makes, whenever the one before it is cleared away.
func TestCleanTakeovers(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub := s.connect(t, login{id: "pub"})
	var last *client
	for i := range 300 {
		next, a := s.resume(t, login{id: "one seat"})
		if a.present {
			t.Fatalf("takeover %d: session present", i)
		}
		next.subscribe("seat", 1)
		pub.publish(message{topic: "seat", qos: 1, payload: fmt.Sprint(i)})
		if m := next.receive(); m.payload != fmt.Sprint(i) {
			t.Fatalf("takeover %d: received %+v", i, m)
		}
		if last != nil {
			last.closed()
			pub.publish(message{topic: "seat", qos: 1, payload: "still"})
			if m := next.receive(); m.payload != "still" {
				t.Fatalf("takeover %d: received %+v", i, m)
			}
		}
		last = next
	}
}

// TestConcurrentTakeovers has eight clients fight for one id; whoever is in at
// the end has the session, and it works.
func TestConcurrentTakeovers(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, keep := range []bool{true, false} {
		l := login{version: v5, id: fmt.Sprint("fought for, kept ", keep), keep: keep}
		var waits []func()
		for range 8 {
			waits = append(waits, beside(t, func(t testing.TB) {
				for range 25 {
					c := s.dial(t)
					c.v = l.version
					c.send(l.packet())
					_, _ = c.refusal() // CONNACK, or the end because the next was faster
				}
			}))
		}
		for _, wait := range waits {
			wait()
		}
		c := s.connect(t, l)
		c.subscribe("prize", 1)
		c.publish(message{topic: "prize", qos: 1, payload: "mine"})
		if m := c.receive(); m.payload != "mine" {
			t.Errorf("received %+v, want mine", m)
		}
		c.disconnect()
	}
}

// TestReconnectsUnderTraffic breaks the subscriber's connection 700 times while
// messages flow: nothing is lost, each connection receives numbers
// that follow each other, and only what was sent before carries DUP.
func TestReconnectsUnderTraffic(t *testing.T) {
	t.Parallel()
	s := start(t)
	const rounds, perRound = 700, 25
	subscriber := login{version: v311, id: "restless", keep: true}
	sub := s.connect(t, subscriber)
	sub.subscribe("flow", 1)
	sub.drop()

	allowed := make(chan int, rounds) // how many more may be published
	wait := beside(t, func(t testing.TB) {
		pub := s.connect(t, login{id: "pub"})
		next := 0
		for n := range allowed {
			for range n {
				if code := pub.publish(message{topic: "flow", qos: 1, payload: fmt.Sprint(next)}); code != 0 {
					t.Fatalf("publish %d: code %#x", next, code)
				}
				next++
			}
		}
	})
	seen := 0 // numbers below it were received
	for round := range rounds {
		allowed <- perRound
		sub := s.connect(t, subscriber)
		seen = sub.follow(seen, round%perRound+1, round%3 != 0)
		if round%2 == 0 {
			sub.drop()
		}
	}
	close(allowed)
	wait()
	sub = s.connect(t, subscriber)
	for seen < rounds*perRound {
		seen = sub.follow(seen, 1, true)
	}
}

// follow receives at least one message and up to n new ones, which count on
// from seen, and returns the number after the last.
func (c *client) follow(seen, n int, ack bool) int {
	c.t.Helper()
	previous := -1
	for fresh := 0; fresh < n; {
		m := c.take()
		var number int
		if _, err := fmt.Sscan(m.payload, &number); err != nil {
			c.t.Fatal(err)
		}
		switch {
		case previous >= 0 && number != previous+1:
			c.t.Fatalf("received %d after %d on one connection", number, previous)
		case number > seen:
			c.t.Fatalf("received %d, %d is missing", number, seen)
		case number < seen && !m.dup:
			c.t.Fatalf("received %d again without DUP", number)
		case number == seen:
			seen++
			fresh++
		}
		previous = number
		if ack {
			c.ack(cPUBACK, m.id)
		}
		if !ack && fresh > 0 {
			return seen
		}
	}
	return seen
}
