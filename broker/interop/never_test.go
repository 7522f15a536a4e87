package interop

import (
	"testing"
	"time"
)

// The tests of this file show statements of what must not happen. Each sends
// something that would come behind it, and so need not wait.

// TestNoWill loses a client without a will, and sees the next message of it.
func TestNoWill(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "alive/" + v.String()
		watcher := s.connect(t, login{version: v, id: "watcher " + topic})
		watcher.subscribe(topic, 1)
		l := login{version: v, id: "mortal " + topic, keep: true}
		s.connect(t, l).drop()
		// The session is handed over when all is said of the lost connection.
		s.connect(t, l).publish(message{topic: topic, qos: 1, payload: "again"})
		if m := watcher.receive(); m.payload != "again" {
			t.Errorf("received %+v, want nothing before the next message", m)
		}
	})
}

// TestNoUserProperties looks at each packet that answers another. What the client
// says in properties is not said back, and a reason code is enough.
func TestNoUserProperties(t *testing.T) {
	t.Parallel()
	s := start(t)
	said := properties{user("color", "red")}
	c, connack := s.resume(t, login{version: v5, id: "c", props: said})
	if got := connack.props.all(userProperty); len(got) > 0 {
		t.Errorf("CONNACK has user properties %q", got)
	}
	bare := func(k kind) {
		t.Helper()
		if a := c.answer(k); len(a.props) > 0 {
			t.Errorf("%v has properties %v", k, a.props)
		}
	}
	one := said.append([]byte{0, 1})
	ack := said.append([]byte{0, 1, 0})
	c.send(packet{cSUBSCRIBE, 2, append(appendString(one, "echo"), 2)})
	bare(cSUBACK)
	c.send(message{topic: "other", qos: 1, id: 1, props: said}.packet(v5))
	bare(cPUBACK)
	c.send(message{topic: "other", qos: 2, id: 1, props: said}.packet(v5))
	bare(cPUBREC)
	c.send(packet{cPUBREL, 2, ack})
	bare(cPUBCOMP)
	s.connect(t, login{version: v5, id: "pub"}).publish(message{topic: "echo", qos: 2})
	if m := c.take(); m.id != 1 {
		t.Fatalf("received %+v, want the first packet id", m)
	}
	c.send(packet{cPUBREC, 0, ack})
	bare(cPUBREL)
	c.send(packet{cPUBCOMP, 0, ack})
	c.send(packet{cUNSUBSCRIBE, 2, appendString(one, "echo")})
	bare(cUNSUBACK)
	c.send(packet{cPUBACK, 0, said.append([]byte{0, 0, 0})})
	bare(cDISCONNECT)
}

// TestExpiryAmidFlow lets messages expire when they have been sent, in each state
// of their flows: they go on, also after a reconnect.
func TestExpiryAmidFlow(t *testing.T) {
	t.Parallel()
	s := start(t)
	l := login{version: v5, id: "slow", keep: true}
	c := s.connect(t, l)
	c.subscribe("brief/#", 2)
	pub := s.connect(t, login{version: v5, id: "pub"})
	brief := properties{number[uint32](messageExpiry, 1)}
	for _, name := range []string{"sent", "received", "resent"} {
		pub.publish(message{topic: "brief/" + name, qos: 2, payload: name, props: brief})
	}
	sent, received, resent := c.take(), c.take(), c.take()
	c.ack(cPUBREC, received.id)
	c.wantAck(cPUBREL, received.id)
	elapse(2 * time.Second)
	c.ack(cPUBCOMP, received.id)
	c.ack(cPUBREC, sent.id)
	c.wantAck(cPUBREL, sent.id)
	c.drop()
	c = s.connect(t, l)
	c.wantAck(cPUBREL, sent.id)
	if m := c.take(); m.payload != "resent" || m.id != resent.id || !m.dup {
		t.Errorf("received %+v, want the message that had been sent", m)
	}
	c.nothing()
}

// TestSessionOutlastsItsExpiry stays connected for longer than the session would
// last without a connection.
func TestSessionOutlastsItsExpiry(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		l := login{version: v, id: "stays " + v.String()}
		if v == v5 {
			l.props = properties{number[uint32](sessionExpiry, 1)}
		}
		c := s.connect(t, l)
		c.subscribe("stays/"+v.String(), 2)
		elapse(3 * time.Second)
		s.connect(t, login{version: v, id: "pub " + v.String()}).publish(message{topic: "stays/" + v.String(), qos: 2})
		if m := c.take(); m.qos != 2 {
			t.Errorf("received %+v, want QoS 2", m)
		}
	})
}
