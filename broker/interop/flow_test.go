package interop

import (
	"fmt"
	"testing"
)

// each runs f as a subtest for each version of MQTT.
func each(t *testing.T, f func(t *testing.T, s *server, v version)) {
	t.Helper()
	t.Parallel()
	s := start(t)
	for _, v := range versions {
		t.Run("MQTT "+v.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s, v)
		})
	}
}

// TestQoS publishes at each QoS to subscriptions of each QoS; the lower holds
// (section 3.8.4).
func TestQoS(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		for published := range byte(3) {
			for granted := range byte(3) {
				topic := fmt.Sprintf("%v/%d/%d", v, published, granted)
				sub := s.connect(t, login{version: v, id: "s" + topic})
				if code := sub.subscribe(topic, granted); code != granted {
					t.Fatalf("SUBACK has %#x, want %d", code, granted)
				}
				pub := s.connect(t, login{version: v, id: "p" + topic})
				for i := range 5 {
					if code := pub.publish(message{topic: topic, qos: published, payload: fmt.Sprint(i)}); code != 0 {
						t.Errorf("publish with QoS %d has code %#x", published, code)
					}
					m := sub.receive()
					if m.topic != topic || m.payload != fmt.Sprint(i) || m.qos != min(published, granted) || m.dup || m.retain {
						t.Errorf("received %+v, want %d at QoS %d on %s", m, i, min(published, granted), topic)
					}
				}
				sub.disconnect()
				pub.disconnect()
			}
		}
	})
}

// TestPacketIDs takes a window of messages without an acknowledgement: the ids
// are different, DUP is not set; the session goes on with the same ids in the
// same order, with DUP, and nothing else.
func TestPacketIDs(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		for _, qos := range []byte{1, 2} {
			topic := fmt.Sprintf("ids/%v/%d", v, qos)
			subscriber := login{version: v, id: topic, keep: true}
			sub := s.connect(t, subscriber)
			sub.subscribe(topic, qos)
			pub := s.connect(t, login{version: v, id: "pub " + topic})
			const window = 10
			for i := range window {
				pub.publish(message{topic: topic, qos: qos, payload: fmt.Sprint(i)})
			}
			var first [window]message
			ids := map[uint16]bool{}
			for i := range first {
				first[i] = sub.take()
				if ids[first[i].id] || first[i].dup || first[i].payload != fmt.Sprint(i) {
					t.Errorf("first sending: %+v, want %d with a new id and without DUP", first[i], i)
				}
				ids[first[i].id] = true
			}
			sub.drop()
			sub, a := s.resume(t, subscriber)
			if !a.present && v > v31 { // MQTT 3.1 has no flag for it
				t.Fatal("no session present")
			}
			for _, want := range first {
				want.dup = true
				if m := sub.take(); fmt.Sprint(m) != fmt.Sprint(want) {
					t.Errorf("second sending: %+v, want %+v", m, want)
				}
			}
			sub.disconnect()
			pub.disconnect()
		}
	})
}

// TestAcknowledgedIsNotSentAgain acknowledges some of a window and finds only
// the rest after it came back.
func TestAcknowledgedIsNotSentAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		subscriber := login{version: v, id: "some " + v.String(), keep: true}
		topic := "some/" + v.String()
		sub := s.connect(t, subscriber)
		sub.subscribe(topic, 1)
		pub := s.connect(t, login{version: v, id: "pub " + v.String()})
		for i := range 6 {
			pub.publish(message{topic: topic, qos: 1, payload: fmt.Sprint(i)})
		}
		for i := range 6 {
			if m := sub.take(); i%2 == 0 {
				sub.ack(cPUBACK, m.id)
			}
		}
		sub.ping()
		sub.drop()
		sub = s.connect(t, subscriber)
		for _, want := range []string{"1", "3", "5"} {
			if m := sub.receive(); m.payload != want || !m.dup {
				t.Errorf("received %+v, want %s with DUP", m, want)
			}
		}
		pub.publish(message{topic: topic, qos: 1, payload: "new"})
		if m := sub.receive(); m.payload != "new" || m.dup {
			t.Errorf("received %+v, want new without DUP", m)
		}
	})
}

// TestQoS2DuplicatePublish sends a PUBLISH thrice and a PUBREL twice: one
// delivery.
func TestQoS2DuplicatePublish(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "once/" + v.String()
		sub := s.connect(t, login{version: v, id: "sub " + topic})
		sub.subscribe(topic, 2)
		publisher := login{version: v, id: "pub " + topic, keep: true}
		pub := s.connect(t, publisher)
		m := message{topic: topic, qos: 2, id: 7, payload: "one"}
		pub.post(m)
		pub.wantAck(cPUBREC, 7)
		m.dup = true
		pub.post(m)
		pub.wantAck(cPUBREC, 7)
		pub.drop()
		pub = s.connect(t, publisher)
		pub.post(m)
		pub.wantAck(cPUBREC, 7)
		pub.ack(cPUBREL, 7)
		pub.wantAck(cPUBCOMP, 7)
		pub.ack(cPUBREL, 7)
		if a := pub.answer(cPUBCOMP); a.id != 7 || a.code != 0 && a.code != 0x92 {
			t.Errorf("PUBCOMP is %+v, want id 7 and code 0 or 0x92", a)
		}
		m.dup, m.payload = false, "two" // the id is free again
		pub.publish(m)
		for _, want := range []string{"one", "two"} {
			if m := sub.receive(); m.payload != want || m.dup {
				t.Errorf("received %+v, want %s without DUP", m, want)
			}
		}
	})
}

// wantAck waits for an acknowledgement without an error.
func (c *client) wantAck(k kind, id uint16) {
	c.t.Helper()
	if a := c.answer(k); a.id != id || a.code >= 0x80 {
		c.t.Fatalf("%v has id %d and code %#x, want id %d", k, a.id, a.code, id)
	}
}

// TestQoS2SubscriberKilled cuts the subscriber at each step of a delivery at
// QoS 2; it goes on where it was (section 4.4).
func TestQoS2SubscriberKilled(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "killed/" + v.String()
		subscriber := login{version: v, id: topic, keep: true}
		sub := s.connect(t, subscriber)
		sub.subscribe(topic, 2)
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		pub.publish(message{topic: topic, qos: 2, payload: "one"})

		first := sub.take()
		sub.drop() // before PUBREC
		sub = s.connect(t, subscriber)
		if m := sub.take(); m.id != first.id || !m.dup {
			t.Fatalf("received %+v, want %+v with DUP", m, first)
		}
		sub.ack(cPUBREC, first.id)
		sub.wantAck(cPUBREL, first.id)
		for range 2 {
			sub.drop() // between PUBREC and PUBCOMP
			sub = s.connect(t, subscriber)
			sub.wantAck(cPUBREL, first.id)
		}
		pub.publish(message{topic: topic, qos: 2, payload: "two"})
		second := sub.take()
		if second.payload != "two" || second.dup || second.id == first.id {
			t.Errorf("received %+v while %d waits for PUBCOMP, want two with another id", second, first.id)
		}
		sub.ack(cPUBCOMP, first.id)
		sub.ack(cPUBREC, second.id)
		sub.wantAck(cPUBREL, second.id)
		sub.ack(cPUBCOMP, second.id)
		sub.ping()
		sub.drop()
		sub = s.connect(t, subscriber)
		sub.ping()
		if len(sub.inbox) > 0 {
			t.Errorf("received %+v again", sub.inbox)
		}
	})
}

// TestSameIDInBothDirections publishes with the packet id of a message that
// waits for its acknowledgement in the other direction (MQTT 5.0, section
// 2.2.1, non-normative note at its end).
func TestSameIDInBothDirections(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		for _, qos := range []byte{1, 2} {
			topic := fmt.Sprintf("both/%v/%d", v, qos)
			subscriber := login{version: v, id: topic, keep: true}
			c := s.connect(t, subscriber)
			c.subscribe(topic, qos)
			other := s.connect(t, login{version: v, id: "other " + topic})
			other.subscribe("out/"+topic, 2)
			other.publish(message{topic: topic, qos: qos, payload: "in"})
			in := c.take()

			for _, out := range []byte{1, 2} {
				if code := c.publish(message{topic: "out/" + topic, qos: out, id: in.id, payload: fmt.Sprint(out)}); code != 0 {
					t.Errorf("publish with id %d at QoS %d: code %#x", in.id, out, code)
				}
				if m := other.receive(); m.payload != fmt.Sprint(out) {
					t.Errorf("received %+v, want %d", m, out)
				}
			}
			c.lastID = in.id - 1
			if code := c.subscribe("unused", 0); code != 0 {
				t.Errorf("SUBSCRIBE with id %d: code %#x", in.id, code)
			}
			c.drop()
			c = s.connect(t, subscriber)
			if m := c.receive(); m.id != in.id || m.payload != "in" || !m.dup {
				t.Errorf("received %+v, want %+v with DUP", m, in)
			}
			c.disconnect()
		}
	})
}

// TestReceiveMaximum has a window of 10 for 200 messages that wait for it.
func TestReceiveMaximum(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprintf("window/%d", qos)
			subscriber := login{version: v5, id: topic, keep: true, props: properties{number[uint16](receiveMaximum, 10)}}
			sub := s.connect(t, subscriber)
			sub.subscribe(topic, qos)
			pub := s.connect(t, login{version: v5, id: "pub " + topic})
			for i := range 200 {
				pub.publish(message{topic: topic, qos: qos, payload: fmt.Sprint(i)})
			}
			for i := range 10 {
				if m := sub.take(); m.payload != fmt.Sprint(i) {
					t.Fatalf("received %+v, want %d", m, i)
				}
			}
			sub.ping() // a message beyond the window would come before its answer
			if len(sub.inbox) > 0 {
				t.Fatalf("received %d messages more than the receive maximum", len(sub.inbox))
			}
			sub.drop()
			sub = s.connect(t, subscriber)
			for i := range 200 {
				if m := sub.receive(); m.payload != fmt.Sprint(i) || m.dup != (i < 10) {
					t.Fatalf("received %+v, want %d, with DUP only for the first ten", m, i)
				}
			}
		})
	}
}

// TestReceiveMaximumOfBroker sends more at QoS 2 without PUBREL than the broker
// allows: DISCONNECT with 0x93 (section 3.3.4).
func TestReceiveMaximumOfBroker(t *testing.T) {
	t.Parallel()
	stricter(t, "it closes without a DISCONNECT")
	s := start(t)
	c, a := s.resume(t, login{version: v5, id: "greedy"})
	limit := 65535
	if v := a.props.all(receiveMaximum); len(v) > 0 {
		limit = int(v[0][0])<<8 | int(v[0][1])
	}
	if limit > 5000 {
		t.Skipf("receive maximum is %d", limit)
	}
	for range limit {
		c.post(message{topic: "a", qos: 2})
	}
	for range limit {
		c.answer(cPUBREC)
	}
	c.post(message{topic: "a", qos: 2})
	if reason := c.closed(); reason != 0x93 {
		t.Errorf("DISCONNECT has reason %#x, want 0x93", reason)
	}
}
