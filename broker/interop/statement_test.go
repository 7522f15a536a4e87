package interop

import (
	"bytes"
	"testing"
)

// The tests of this file show statements of the specifications that no other
// test needs. conformance_test.go has the list of all.

// TestRefusedConnectIsAllThatIsRead sends a message right behind a CONNECT that
// is refused: it is not published.
func TestRefusedConnectIsAllThatIsRead(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "refused/" + v.String()
		bad := login{version: v, keep: true}
		if v == v5 {
			bad = login{version: v, id: "bad", props: properties{text(authentication, "SCRAM")}}
		}
		c := s.dial(t)
		c.v = v
		m := message{topic: topic, retain: true, payload: "smuggled"}
		c.write(append(bad.packet().bytes(), m.packet(v).bytes()...))
		a := c.answer(cCONNACK)
		if a.code == 0 || a.present {
			t.Errorf("CONNACK is %+v, want a refusal without session present", a)
		}
		c.closed()
		sub := s.connect(t, login{version: v, id: "sub " + topic})
		sub.subscribe(topic, 1)
		sub.nothing()
	})
}

// TestTextIsNotChanged has topics that look the same: with and without U+FEFF
// before them, one character or two for the same letter.
func TestTextIsNotChanged(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		names := []string{"text/\u00c4", "text/A\u0308", "text/\ufeffa", "text/a", "text/a "}
		pub := s.connect(t, login{version: v, id: "pub " + v.String()})
		for i, name := range names {
			names[i] = v.String() + "/" + name
		}
		names = append(names, "\ufeff"+names[3])
		for _, name := range names {
			sub := s.connect(t, login{version: v, id: "sub " + v.String()})
			sub.subscribe(name, 1)
			for _, other := range names {
				pub.publish(message{topic: other, qos: 1, payload: other})
			}
			if m := sub.receive(); m.topic != name || m.payload != name {
				t.Errorf("a subscription to %q received %q", name, m.topic)
			}
			sub.nothing()
			sub.disconnect()
		}
	})
}

// TestUnsubscribeFinishesWhatHasBegun unsubscribes in the middle of a delivery
// at QoS 2.
func TestUnsubscribeFinishesWhatHasBegun(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "begun/" + v.String()
		c := s.connect(t, login{version: v, id: "c " + topic})
		c.subscribe(topic, 2)
		c.post(message{topic: topic, qos: 1, payload: "begun"})
		c.answer(cPUBACK)
		c.post(message{topic: topic, qos: 2, payload: "begun"})
		c.answer(cPUBREC)
		first, second := c.take(), c.take()
		c.unsubscribe(topic)
		c.ack(cPUBACK, first.id)
		c.ack(cPUBREC, second.id)
		c.wantAck(cPUBREL, second.id)
		c.ack(cPUBCOMP, second.id)
		c.publish(message{topic: topic, qos: 1, payload: "too late"})
		c.nothing()
	})
}

// TestIDsAreFreeAfterwards publishes twice with the same packet id, the second
// time after the first is finished: two messages.
func TestIDsAreFreeAfterwards(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "free/" + v.String()
		sub := s.connect(t, login{version: v, id: "sub " + topic})
		sub.subscribe(topic, 0)
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		for _, qos := range []byte{1, 2} {
			for _, dup := range []bool{false, true} {
				pub.publish(message{topic: topic, qos: qos, id: 7, dup: dup, payload: "x"})
			}
		}
		if got := sub.payloads(4); len(got) != 4 {
			t.Errorf("received %q, want 4 messages", got)
		}
		sub.nothing()
	})
}

// TestFullWindowStopsMessagesOnly leaves a window of one message unacknowledged:
// the answers to all else come.
func TestFullWindowStopsMessagesOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c", props: properties{number[uint16](receiveMaximum, 1)}})
	c.subscribe("a", 2)
	for range 3 {
		c.publish(message{topic: "a", qos: 1, payload: "x"})
	}
	m := c.take()
	c.subscribe("b", 1)
	c.unsubscribe("b")
	c.publish(message{topic: "b", qos: 2})
	c.nothing()
	c.ack(cPUBACK, m.id)
	if next := c.take(); next.dup || next.id == 0 {
		t.Errorf("received %+v after the acknowledgement, want the next message", next)
	}
	c.nothing()
}

// TestRefusedDelivery has subscribers that refuse a message: it is finished, for
// themselves after they came back and for the others of their group.
func TestRefusedDelivery(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		qos    byte
		answer kind
	}{{1, cPUBACK}, {2, cPUBREC}} {
		refuser := login{version: v5, id: "refuser", keep: true}
		c := s.connect(t, refuser)
		c.subscribe("$share/g/work", tt.qos)
		other := s.connect(t, login{version: v5, id: "other"})
		pub := s.connect(t, login{version: v5, id: "pub"})
		pub.publish(message{topic: "work", qos: tt.qos, payload: "refused"})
		m := c.take()
		other.subscribe("$share/g/work", tt.qos)
		c.send(packet{kind: tt.answer, body: []byte{byte(m.id >> 8), byte(m.id), 0x83}})
		c.nothing()
		c.drop()
		again, _ := s.resume(t, refuser)
		again.nothing()
		other.nothing()
		again.unsubscribe("$share/g/work")
		other.disconnect()
	}
}

// TestSubscribedAgainRetained subscribes a second time: the retained message
// comes again, and none is lost.
func TestSubscribedAgainRetained(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "again/" + v.String()
		c := s.connect(t, login{version: v, id: topic})
		c.publish(message{topic: topic, qos: 1, retain: true, payload: "kept"})
		for range 2 {
			c.subscribe(topic, 1)
			if m := c.receive(); m.payload != "kept" || !m.retain {
				t.Errorf("received %+v, want the retained message", m)
			}
		}
		c.publish(message{topic: topic, qos: 1, retain: true})
	})
}

// TestConnackFlags looks at the bits of CONNACK that must be 0.
func TestConnackFlags(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		for _, want := range []byte{0, 1} {
			c := s.dial(t)
			c.v = v
			c.send(login{version: v, id: "flags " + v.String(), keep: true}.packet())
			if v == v31 {
				want = 0 // It has no session present.
			}
			if p := c.next(cCONNACK); p.flags != 0 || p.body[0] != want || p.body[1] != 0 {
				t.Errorf("CONNACK has flags %#x and body % x, want flags 0 and %02x 00", p.flags, p.body, want)
			}
			c.nothing()
			c.disconnect()
		}
	})
}

// TestUnsubscribeMany has several filters in one packet, of which one is known:
// one answer, and in MQTT 5 a code for each.
func TestUnsubscribeMany(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		base := "many/" + v.String()
		c := s.connect(t, login{version: v, id: base})
		c.subscribe(base+"/+", 1)
		c.subscribe(base+"/#", 1)
		other := s.connect(t, login{version: v, id: "other " + base})
		other.subscribe(base+"/x", 0) // Somebody else's subscription is not this client's.
		body, codes := []byte{0x12, 0x34}, []byte{}
		if v == v5 {
			body, codes = append(body, 0), []byte{0, 0x11, 0, 0x11}
		}
		for _, filter := range []string{"/+", "/x", "/#", "/+"} {
			body = appendString(body, base+filter)
		}
		c.send(packet{cUNSUBSCRIBE, 2, body})
		want := append([]byte{0x12, 0x34}, body[2:2+v/5]...)
		if p := c.next(cUNSUBACK); !bytes.Equal(p.body, append(want, codes...)) {
			t.Errorf("UNSUBACK is % x, want % x", p.body, append(want, codes...))
		}
		c.publish(message{topic: base + "/x", qos: 1})
		c.nothing()
	})
}

// TestShareExactlyOnce cuts a member of a group amid a message of QoS 2. The
// message is this member's: it comes again to a session that goes on, and to
// nobody if the session has ended (section 4.8.2).
func TestShareExactlyOnce(t *testing.T) {
	t.Parallel()
	stricter(t, "it has one window for all sessions")
	s := start(t)
	for _, keep := range []bool{true, false} {
		lost := login{version: v5, id: "lost", keep: keep}
		c := s.connect(t, lost)
		c.subscribe("$share/g/once", 2)
		pub := s.connect(t, login{version: v5, id: "pub"})
		pub.publish(message{topic: "once", qos: 2, payload: "once"})
		m := c.take()
		other := s.connect(t, login{version: v5, id: "other"})
		other.subscribe("$share/g/once", 2)
		c.drop()
		again, _ := s.resume(t, lost)
		other.nothing()
		if keep {
			if r := again.receive(); r.id != m.id || !r.dup {
				t.Errorf("received %+v after the reconnect, want %+v with DUP", r, m)
			}
			again.unsubscribe("$share/g/once")
		}
		again.nothing()
		other.disconnect() // The next round has one member again.
	}
}

// TestWrongAnswers answers a message with an acknowledgement of another QoS, or
// too early: the flow could not go on (section 4.3).
func TestWrongAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		qos     byte
		answers []kind
	}{
		{"PUBREC for QoS 1", 1, []kind{cPUBREC}},
		{"PUBCOMP for QoS 1", 1, []kind{cPUBCOMP}},
		{"PUBACK for QoS 2", 2, []kind{cPUBACK}},
		{"PUBCOMP before PUBREC", 2, []kind{cPUBCOMP}},
		{"PUBACK after PUBREC", 2, []kind{cPUBREC, cPUBACK}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, s *server, v version) {
				topic := "wrong/" + v.String()
				c := s.connect(t, login{version: v, id: topic})
				c.subscribe(topic, 2)
				s.connect(t, login{version: v, id: "pub " + topic}).publish(message{topic: topic, qos: tt.qos})
				m := c.take()
				for _, k := range tt.answers {
					c.ack(k, m.id)
				}
				c.wantGoodbye(0x82)
			})
		})
	}
}

// TestAnswersTwice repeats acknowledgements, as clients do after a reconnect:
// there is nothing wrong with that.
func TestAnswersTwice(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "twice/" + v.String()
		c := s.connect(t, login{version: v, id: topic})
		c.subscribe(topic, 2)
		c.publish(message{topic: topic, qos: 2})
		m := c.take()
		for _, k := range []kind{cPUBREC, cPUBREC} {
			c.ack(k, m.id)
			c.wantAck(cPUBREL, m.id)
		}
		c.ack(cPUBCOMP, m.id)
		c.ack(cPUBCOMP, m.id)
		c.ack(cPUBACK, m.id)
		c.nothing()
	})
}

// TestReasonStringFits has clients that take small packets: the reason comes
// without its words.
func TestReasonStringFits(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no reason strings")
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c", props: properties{number[uint32](maximumPacketSize, 30)}})
	for qos, k := range map[byte]kind{1: cPUBACK, 2: cPUBREC} {
		c.post(message{topic: "$SYS/x", qos: qos})
		if p := c.next(k); len(p.body) != 3 || p.body[2] != 0x87 {
			t.Errorf("%v is % x, want 0x87 without a reason string", k, p.body)
		}
	}
}

// TestWillNotRetained has a will without the retain flag.
func TestWillNotRetained(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "passing/" + v.String()
		watcher := s.connect(t, login{version: v, id: "watcher " + topic})
		watcher.subscribe(topic, 1)
		s.connect(t, login{version: v, id: "mortal " + topic, will: &message{topic: topic, payload: "gone"}}).drop()
		if m := watcher.receive(); m.payload != "gone" || m.qos != 0 {
			t.Errorf("received %+v, want the will at QoS 0", m)
		}
		watcher.unsubscribe(topic)
		watcher.subscribe(topic, 1)
		watcher.nothing()
	})
}
