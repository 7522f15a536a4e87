package interop

import (
	"fmt"
	"testing"
	"time"
)

func TestWill(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "will/" + v.String()
		watcher := s.connect(t, login{version: v, id: "watcher " + topic})
		watcher.subscribe(topic, 2)
		will := func(payload string) *message {
			return &message{topic: topic, qos: 1, retain: true, payload: payload}
		}
		connect := func(payload string) *client {
			return s.connect(t, login{version: v, id: "mortal " + topic, will: will(payload)})
		}
		end := func(what, want string) {
			t.Helper()
			if want != "" {
				if m := watcher.receive(); m.payload != want || m.qos != 1 || m.retain {
					t.Errorf("%s: received %+v, want %s at QoS 1", what, m, want)
				}
			}
			watcher.publish(message{topic: topic, qos: 1, payload: "end"})
			if got := watcher.upToEnd(); len(got) > 0 {
				t.Errorf("%s: received %q", what, got)
			}
		}
		connect("goodbye").disconnect()
		end("DISCONNECT", "")
		connect("cut").drop()
		end("connection cut", "cut")
		c := connect("wrong")
		c.write([]byte{0, 0}) // no packet has type 0
		c.closed()
		end("protocol error", "wrong")
		connect("taken over")
		connect("again").disconnect()
		end("takeover", "taken over")
		if v == v5 {
			c = connect("on request")
			c.send(packet{kind: cDISCONNECT, body: []byte{0x04}}) // with will message, section 3.14.2.1
			c.closed()
			end("DISCONNECT with will", "on request")
		}
		late := s.connect(t, login{version: v, id: "late " + topic})
		late.subscribe(topic, 1)
		if m := late.receive(); !m.retain {
			t.Errorf("received %+v, want the retained will", m)
		}
	})
}

// TestWillProperties has all properties that a will takes along (MQTT 5.0,
// section 3.1.3.2).
func TestWillProperties(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("will", 1)
	want := properties{
		number[uint8](payloadFormat, 1), text(contentType, "text/plain"), text(responseTopic, "answer"),
		text(correlationData, "\x00\x01"), user("a", "1"), user("a", "2"),
	}
	s.connect(t, login{version: v5, id: "mortal", will: &message{topic: "will", qos: 1, payload: "x", props: want}}).drop()
	watcher.wantProperties(want)
}

// TestWillDelay cuts three clients at once. One comes back in time, one ends
// its session by its expiry, one just waits (section 3.1.3.2.2).
func TestWillDelay(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("will/#", 1)
	connect := func(id string, delay, expiry uint32) *client {
		will := &message{topic: "will/" + id, qos: 1, payload: id, props: properties{number(willDelay, delay)}}
		return s.connect(t, login{version: v5, id: id, keep: true, will: will, props: properties{number(sessionExpiry, expiry)}})
	}
	returns := connect("returns", 2, 3600)
	expires := connect("expires", 3600, 1)
	waits := connect("waits", 4, 3600)
	begin := time.Now()
	returns.drop()
	expires.drop()
	waits.drop()
	s.connect(t, login{version: v5, id: "returns", keep: true})
	for _, want := range []struct {
		payload string
		after   time.Duration
	}{{"expires", time.Second}, {"waits", 4 * time.Second}} {
		m := watcher.receive()
		if took := time.Since(begin); m.payload != want.payload || took < want.after-200*time.Millisecond {
			t.Errorf("received %+v after %v, want %s after %v", m, took, want.payload, want.after)
		}
	}
	if _, a := s.resume(t, login{version: v5, id: "expires", keep: true}); a.present {
		t.Error("session present after its expiry")
	}
	if _, a := s.resume(t, login{version: v5, id: "waits", keep: true}); !a.present {
		t.Error("no session present before its expiry")
	}
}

// TestSessionExpiry compares a session that ends with its connection, one that
// ends a second later and one that stays. Its own end is told by its will.
func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("over", 1)
	short := login{version: v5, id: "short", keep: true, props: properties{number[uint32](sessionExpiry, 1)}}
	c := s.connect(t, short)
	c.subscribe("news", 1)
	c.drop()
	c, a := s.resume(t, short)
	if !a.present {
		t.Error("no session present before its expiry")
	}
	c.drop()
	short.will = &message{topic: "over", qos: 1, props: properties{number[uint32](willDelay, 3600)}}
	s.connect(t, short).drop()
	watcher.receive()
	c, a = s.resume(t, short)
	if a.present {
		t.Error("session present after its expiry")
	}
	watcher.publish(message{topic: "news", qos: 1, payload: "for nobody"})
	if c.ping(); len(c.inbox) > 0 {
		t.Errorf("received %+v by a subscription of an expired session", c.inbox)
	}

	none := login{version: v5, id: "none", keep: true, props: properties{number[uint32](sessionExpiry, 0)}}
	s.connect(t, none).disconnect()
	if _, a := s.resume(t, none); a.present {
		t.Error("session present with an expiry of 0")
	}
	changed := login{version: v5, id: "changed", keep: true}
	c = s.connect(t, changed)
	c.send(packet{kind: cDISCONNECT, body: properties{number[uint32](sessionExpiry, 0)}.append([]byte{0})})
	c.closed()
	if _, a := s.resume(t, changed); a.present {
		t.Error("session present after DISCONNECT set its expiry to 0")
	}
}

// TestMessageExpiry lets messages wait for an absent subscriber, for a late one
// and for no time at all (section 3.3.2.3.3).
func TestMessageExpiry(t *testing.T) {
	t.Parallel()
	s := start(t)
	subscriber := login{version: v5, id: "away", keep: true}
	c := s.connect(t, subscriber)
	c.subscribe("news/#", 1)
	pub := s.connect(t, login{version: v5, id: "pub"})
	publish := func(name string, seconds uint32) {
		m := message{topic: "news/" + name, qos: 1, retain: true, payload: name}
		if seconds > 0 {
			m.props = properties{number(messageExpiry, seconds)}
		}
		pub.publish(m)
	}
	publish("now", 100)
	if m := c.receive(); !m.expiresIn(90, 100) {
		t.Errorf("received %+v, want an expiry of 100 s", m)
	}
	c.disconnect() // not drop: what had been sent by then might be sent again (section 4.4)
	publish("short", 1)
	publish("long", 60)
	publish("ever", 0)
	elapse(3 * time.Second)
	for _, l := range []login{subscriber, {version: v5, id: "late"}} {
		c := s.connect(t, l)
		if !l.keep {
			c.subscribe("news/long", 1)
			c.subscribe("news/short", 1)
			c.subscribe("news/ever", 1)
		}
		if m := c.receive(); m.payload != "long" || !m.expiresIn(30, 58) {
			t.Errorf("%s received %+v, want long with at most 58 s left", l.id, m)
		}
		if m := c.receive(); m.payload != "ever" || len(m.props.all(messageExpiry)) > 0 {
			t.Errorf("%s received %+v, want ever without an expiry", l.id, m)
		}
		if c.ping(); len(c.inbox) > 0 {
			t.Errorf("%s received %+v", l.id, fmt.Sprint(c.inbox))
		}
	}
}

// expiresIn reports whether m has an expiry of so many seconds.
func (m message) expiresIn(least, most uint32) bool {
	left, ok := m.props.uint32(messageExpiry)
	return ok && least <= left && left <= most
}
