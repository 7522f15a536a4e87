package interop

import (
	"testing"
	"time"
)

// TestExpiredSession lets a session end by its expiry with messages in its
// queue and one on its way. Who comes back then finds none of it, and receives
// nothing by the old subscriptions. The will, delayed for longer than the
// session lasts, tells the time (section 3.1.3.2.2).
func TestExpiredSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("over", 1)
	l := login{version: v5, id: "short", keep: true, props: properties{number[uint32](sessionExpiry, 1)}}
	l.will = &message{topic: "over", qos: 1, props: properties{number[uint32](willDelay, 3600)}}
	c := s.connect(t, l)
	c.subscribe("news/#", 2)
	watcher.publish(message{topic: "news/a", qos: 2, payload: "on its way"})
	c.take()
	c.drop()
	watcher.publish(message{topic: "news/a", qos: 1, payload: "queued"})
	watcher.receive()
	c, a := s.resume(t, l)
	if a.present {
		t.Error("session present after its expiry")
	}
	watcher.publish(message{topic: "news/a", qos: 1, payload: "for nobody"})
	if c.ping(); len(c.inbox) > 0 {
		t.Errorf("received %+v of an expired session", c.inbox)
	}
	c.subscribe("news/#", 1)
	watcher.publish(message{topic: "news/a", qos: 1, payload: "new"})
	if m := c.receive(); m.payload != "new" || m.dup {
		t.Errorf("received %+v, want new", m)
	}
}

// TestLongestSession asks a broker that keeps sessions for a second for more. In
// MQTT 5 it says so (section 3.2.2.3.2); sessions of older versions end too.
func TestLongestSession(t *testing.T) {
	t.Parallel()
	s := startLimited(t, "session_expiry: 1s")
	for _, v := range []version{v311, v5} {
		t.Run("MQTT "+v.String(), func(t *testing.T) {
			t.Parallel()
			l := login{version: v, id: "short " + v.String(), keep: true}
			c, a := s.resume(t, l)
			if got, ok := a.props.uint32(sessionExpiry); v == v5 && (!ok || got != 1) {
				t.Errorf("CONNACK says that the session lasts %d s, want 1", got)
			}
			c.subscribe("a", 1)
			c.drop()
			elapse(2500 * time.Millisecond)
			c, a = s.resume(t, l)
			if a.present {
				t.Error("session present after its expiry")
			}
			c.publish(message{topic: "a", qos: 1})
			if c.ping(); len(c.inbox) > 0 {
				t.Errorf("received %+v by a subscription of an expired session", c.inbox)
			}
		})
	}
}

// TestExpiryChanged says at DISCONNECT how long the session lasts (section
// 3.14.2.2.2): longer and shorter than CONNECT said, or not at all.
func TestExpiryChanged(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("over", 1)
	leave := func(id string, first, then uint32) login {
		l := login{version: v5, id: id, keep: true, props: properties{number(sessionExpiry, first)}}
		if id == "shorter" { // its end is told by its will
			l.will = &message{topic: "over", qos: 1, props: properties{number[uint32](willDelay, 3600)}}
		}
		c := s.connect(t, l)
		c.send(packet{kind: cDISCONNECT, body: properties{number(sessionExpiry, then)}.append([]byte{0x04})})
		if reason := c.closed(); reason != 0 {
			t.Errorf("%s: the broker answered DISCONNECT with %#x", id, reason)
		}
		return l
	}
	longer, none, ever := leave("longer", 1, 3600), leave("none", 3600, 0), leave("ever", 1, 0xFFFFFFFF)
	shorter := leave("shorter", 3600, 1)
	watcher.receive() // a second after the last of them has left
	for _, tt := range []struct {
		login login
		want  bool
	}{{longer, true}, {none, false}, {ever, true}, {shorter, false}} {
		if _, a := s.resume(t, tt.login); a.present != tt.want {
			t.Errorf("%s: session present is %t, want %t", tt.login.id, a.present, tt.want)
		}
	}
}

// TestExpiryFromNothing asks at DISCONNECT for a session that CONNECT did not
// ask for: a protocol error (section 3.14.2.2.2), which sends the will.
func TestExpiryFromNothing(t *testing.T) {
	t.Parallel()
	stricter(t, "it closes without a DISCONNECT")
	s := start(t)
	watcher := s.connect(t, login{version: v5, id: "watcher"})
	watcher.subscribe("will", 1)
	l := login{version: v5, id: "c", will: &message{topic: "will"}}
	c := s.connect(t, l)
	c.send(packet{kind: cDISCONNECT, body: properties{number[uint32](sessionExpiry, 10)}.append([]byte{0})})
	c.wantGoodbye(0x82)
	watcher.receive()
	if _, a := s.resume(t, l); a.present {
		t.Error("session present")
	}
}
