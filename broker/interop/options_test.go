package interop

import (
	"fmt"
	"slices"
	"testing"
)

func TestNoLocal(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	other := s.connect(t, login{version: v5, id: "other"})
	c.subscribe("room", 1|noLocal)
	c.subscribe("both/#", 1|noLocal)
	c.subscribe("both/+", 1)
	c.publish(message{topic: "room", qos: 1, payload: "mine"})
	c.publish(message{topic: "both/a", qos: 1, payload: "by the second filter"})
	if m := c.receive(); m.payload != "by the second filter" {
		t.Errorf("received %+v, want what only one of two filters keeps out", m)
	}
	other.publish(message{topic: "room", qos: 1, payload: "theirs"})
	if m := c.receive(); m.payload != "theirs" {
		t.Errorf("received %+v, want theirs", m)
	}
}

func TestRetainHandling(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub := s.connect(t, login{version: v5, id: "pub"})
	pub.publish(message{topic: "kept", qos: 1, retain: true, payload: "kept"})
	for _, tt := range []struct {
		name          string
		options       byte
		first, second []string // received by the first and the second SUBSCRIBE
	}{
		{"0, always", 1, []string{"kept"}, []string{"kept"}},
		{"1, if new", 1 | retainIfNew, []string{"kept"}, nil},
		{"2, never", 1 | retainNever, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.connect(t, login{version: v5, id: "c"})
			c.subscribe("end", 1)
			for _, want := range [][]string{tt.first, tt.second} {
				c.subscribe("kept", tt.options)
				var got []string
				for range want {
					got = append(got, c.receive().payload)
				}
				c.publish(message{topic: "end", qos: 1, payload: "end"})
				if got = append(got, c.upToEnd()...); !slices.Equal(got, want) {
					t.Errorf("received %q, want %q", got, want)
				}
			}
		})
	}
}

func TestRetainAsPublished(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	c.subscribe("kept", 1|retainAsPublished)
	for _, retain := range []bool{true, false} {
		c.publish(message{topic: "kept", qos: 1, retain: retain, payload: "x"})
		if m := c.receive(); m.retain != retain {
			t.Errorf("published with RETAIN %t, received with %t", retain, m.retain)
		}
	}
}

// TestSubscriptionIdentifiers overlaps two subscriptions: a message carries the
// identifiers of both, in one copy or one in each of two (section 3.3.4).
func TestSubscriptionIdentifiers(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c", keep: true})
	c.subscribe("a/+", 1, identifier(1))
	c.subscribe("a/#", 2, identifier(268_435_455))
	c.subscribe("b", 1)
	for _, online := range []bool{true, false} {
		if !online {
			c.drop()
		}
		pub := s.connect(t, login{version: v5, id: "pub"})
		pub.publish(message{topic: "a/b", qos: 2, payload: "x"})
		pub.publish(message{topic: "b", qos: 1, payload: "end"})
		if !online {
			c = s.connect(t, login{version: v5, id: "c", keep: true})
		}
		var ids []string
		var most byte
		for m := c.receive(); m.payload != "end"; m = c.receive() {
			ids = append(ids, m.props.all(subscriptionID)...)
			most = max(most, m.qos)
		}
		slices.Sort(ids)
		if want := []string{"\x01", "\xff\xff\xff\x7f"}; !slices.Equal(ids, want) || most != 2 {
			t.Errorf("online %t: received identifiers %x at QoS %d, want %x at QoS 2", online, ids, most, want)
		}
	}
}

// TestSubscriptionReplaced subscribes again to the same filter: the QoS and the
// identifier are the new ones, and there is still one delivery.
func TestSubscriptionReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	c.subscribe("a", 0, identifier(1))
	c.subscribe("a", 1, identifier(2))
	c.publish(message{topic: "a", qos: 1, payload: "x"})
	c.publish(message{topic: "a", qos: 1, payload: "end"})
	if m := c.receive(); m.qos != 1 || !slices.Equal(m.props.all(subscriptionID), []string{"\x02"}) {
		t.Errorf("received %+v, want QoS 1 and identifier 2", m)
	}
	if got := c.upToEnd(); len(got) > 0 {
		t.Errorf("received %q more than once", got)
	}
}

// TestSubscribeMany has ten filters in one packet; their codes come in order.
func TestSubscribeMany(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		c := s.connect(t, login{version: v, id: v.String()})
		b := []byte{0, 9}
		if v == v5 {
			b = append(b, 0)
		}
		var want []byte
		for i := range byte(10) {
			b = append(appendString(b, fmt.Sprintf("many/%d", i)), i%3)
			want = append(want, i%3)
		}
		c.send(packet{cSUBSCRIBE, 2, b})
		if a := c.answer(cSUBACK); a.id != 9 || !slices.Equal(a.codes, want) {
			t.Errorf("SUBACK is %d % x, want 9 % x", a.id, a.codes, want)
		}
	})
}

// TestProperties sends every property of a PUBLISH that a broker forwards
// (section 3.3.2.3) online and from the queue.
func TestProperties(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub := s.connect(t, login{version: v5, id: "pub"})
	want := properties{
		number[uint8](payloadFormat, 1), text(contentType, "text/plain"), text(responseTopic, "answer/here"),
		text(correlationData, "\x00\x01\xff"), user("b", "1"), user("a", "2"), user("b", "1"), user("", ""),
	}
	m := message{topic: "a", qos: 2, props: want, payload: "grün"}
	for qos := range byte(3) {
		subscriber := login{version: v5, id: fmt.Sprint(qos), keep: true}
		sub := s.connect(t, subscriber)
		sub.subscribe("a", qos)
		pub.publish(m)
		sub.wantProperties(want)
		if qos > 0 {
			sub.drop()
			pub.publish(m)
			sub = s.connect(t, subscriber)
			sub.wantProperties(want)
		}
		sub.disconnect()
	}
	old := s.connect(t, login{version: v311, id: "old"})
	old.subscribe("a", 1)
	pub.publish(m)
	if got := old.receive(); got.payload != m.payload {
		t.Errorf("a client of MQTT 3.1.1 received %q, want %q", got.payload, m.payload)
	}
	m.retain = true
	pub.publish(m)
	late := s.connect(t, login{version: v5, id: "late"})
	late.subscribe("a", 1)
	late.wantProperties(want)
}

// wantProperties receives a message with these properties and no others;
// those of the user are in order.
func (c *client) wantProperties(want properties) {
	c.t.Helper()
	got := c.receive().props
	for id := range byte(0x2B) {
		if !slices.Equal(got.all(id), want.all(id)) {
			c.t.Errorf("property %#x is %q, want %q", id, got.all(id), want.all(id))
		}
	}
}
