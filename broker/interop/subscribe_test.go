package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Subscription options of MQTT 5.0, section 3.8.3.1.
const (
	noLocal           = 0x04
	retainAsPublished = 0x08
	retainIfNew       = 0x10
	retainNever       = 0x20
)

// own reports whether m is what a node of edge says about itself.
func (m message) own() bool { return strings.HasPrefix(m.topic, "edge/") }

// upToEnd receives messages until one has the payload "end", and returns the
// payloads before it, without those that a node says about itself.
func (c *client) upToEnd() []string {
	c.t.Helper()
	var payloads []string
	for {
		m := c.receive()
		if m.payload == "end" {
			return payloads
		}
		if !m.own() {
			payloads = append(payloads, m.payload)
		}
	}
}

func TestRetained(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		base := "kept/" + v.String()
		pub := s.connect(t, login{version: v, id: "pub " + base})
		for qos := range byte(3) {
			topic := fmt.Sprintf("%s/%d", base, qos)
			pub.publish(message{topic: topic, qos: qos, retain: true, payload: "old"})
			pub.publish(message{topic: topic, qos: qos, retain: true, payload: "kept"})
			pub.publish(message{topic: topic, qos: qos, payload: "passing"})
			pub.ping()
			sub := s.connect(t, login{version: v, id: "sub " + topic})
			sub.subscribe(topic, 2)
			if m := sub.receive(); m.payload != "kept" || !m.retain || m.qos != qos || m.dup {
				t.Errorf("received %+v, want kept with RETAIN at QoS %d", m, qos)
			}
			pub.publish(message{topic: topic, qos: qos, retain: true, payload: "live"})
			if m := sub.receive(); m.payload != "live" || m.retain {
				t.Errorf("received %+v, want live without RETAIN (MQTT-3.3.1-12)", m)
			}
			pub.publish(message{topic: topic, qos: qos, retain: true})
			if m := sub.receive(); m.payload != "" || m.retain {
				t.Errorf("received %+v, want the empty message that deletes, without RETAIN", m)
			}
			late := s.connect(t, login{version: v, id: "late " + topic})
			late.subscribe(topic, 2)
			late.publish(message{topic: topic, qos: 1, payload: "end"})
			if got := late.upToEnd(); len(got) > 0 {
				t.Errorf("received %q after the retained message was deleted", got)
			}
		}
	})
}

func TestRetainedWildcards(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	names := []string{"a", "a/b", "a/b/c", "a/", "/a", "b/b"}
	for _, name := range names {
		c.publish(message{topic: name, qos: 1, retain: true, payload: name})
	}
	for _, tt := range []struct {
		filter string
		want   []string
	}{
		{"a", []string{"a"}},
		{"a/#", []string{"a", "a/", "a/b", "a/b/c"}},
		{"a/+", []string{"a/", "a/b"}},
		{"+/b", []string{"a/b", "b/b"}},
		{"+", []string{"a"}},
		{"+/+", []string{"/a", "a/", "a/b", "b/b"}},
		{"#", []string{"/a", "a", "a/", "a/b", "a/b/c", "b/b"}},
		{"/#", []string{"/a"}},
	} {
		for _, v := range versions {
			sub := s.connect(t, login{version: v, id: "sub"})
			sub.subscribe("end", 1)
			sub.subscribe(tt.filter, 1)
			var got []string
			for len(got) < len(tt.want) {
				if m := sub.receive(); !m.own() {
					got = append(got, m.payload)
				}
			}
			slices.Sort(got)
			c.publish(message{topic: "end", qos: 1, payload: "end"})
			if got = append(got, sub.upToEnd()...); !slices.Equal(got, tt.want) {
				t.Errorf("%s received %q in MQTT %v, want %q", tt.filter, got, v, tt.want)
			}
			sub.disconnect()
		}
	}
}

// TestMatching publishes to filters that match and filters that do not.
func TestMatching(t *testing.T) {
	t.Parallel()
	s := start(t)
	pub := s.connect(t, login{id: "pub"})
	for _, tt := range []struct {
		filter  string
		yes, no string // names, between spaces
	}{
		{"a/+/c", "a/b/c a//c", "a/b a/b/c/d a/c b/b/c"},
		{"a/#", "a a/ a/b a/b/c", "b ab /a"},
		{"+", "a b", "a/b /a a/"},
		{"/+", "/a /", "a a/b //"},
		{"a/b", "a/b", "A/b a/b/ a"},
		{"#", "a /a a/b/c /", ""},
	} {
		for _, v := range versions {
			sub := s.connect(t, login{version: v, id: "sub"})
			sub.subscribe("end", 1)
			sub.subscribe(tt.filter, 1)
			want := strings.Fields(tt.yes)
			for _, name := range append(strings.Fields(tt.no), want...) {
				pub.publish(message{topic: name, qos: 1, payload: name})
			}
			pub.publish(message{topic: "end", qos: 1, payload: "end"})
			if got := sub.upToEnd(); !slices.Equal(got, want) {
				t.Errorf("%s received %q in MQTT %v, want %q", tt.filter, got, v, want)
			}
			sub.disconnect()
		}
	}
}

func TestUnsubscribe(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "left/" + v.String()
		c := s.connect(t, login{version: v, id: topic})
		c.subscribe(topic, 1)
		c.subscribe(topic+"/end", 1)
		c.publish(message{topic: topic, qos: 1, payload: "one"})
		if m := c.receive(); m.payload != "one" {
			t.Errorf("received %+v, want one", m)
		}
		c.unsubscribe(topic)
		c.publish(message{topic: topic, qos: 1, payload: "two"})
		c.publish(message{topic: topic + "/end", qos: 1, payload: "end"})
		if got := c.upToEnd(); len(got) > 0 {
			t.Errorf("received %q after UNSUBACK", got)
		}
	})
}

// TestFiltersRefused subscribes to what is not a topic filter: SUBACK with an
// error, or the end of the connection.
func TestFiltersRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, filter := range []string{"", "a#", "a/#/b", "#/a", "a+", "+a/b", "a/b+/c", "a\x00b", "a\xff", "$share//a", "$share/g", "$share/g+/a", "$share/g/"} {
		for _, v := range []version{v311, v5} {
			if strings.HasPrefix(filter, "$share") && v == v311 {
				continue // an ordinary filter before MQTT 5, unless the broker offers more
			}
			t.Run(fmt.Sprintf("%q in %v", filter, v), func(t *testing.T) {
				if strings.HasPrefix(filter, "$share") {
					stricter(t, "it grants shares without a name or a filter")
				}
				c := s.connect(t, login{version: v, id: "c"})
				b := []byte{0, 1}
				if v == v5 {
					b = append(b, 0)
				}
				c.send(packet{cSUBSCRIBE, 2, append(appendString(b, filter), 0)})
				_ = c.conn.SetReadDeadline(time.Now().Add(patience))
				p, err := readPacket(c.r)
				if err == nil && p.kind == cSUBACK && p.body[len(p.body)-1] < 0x80 {
					t.Errorf("SUBACK granted %q", filter)
				}
			})
		}
	}
	s.serves(t)
}

// TestTopicLimits uses topics that are MQTT but beyond what a broker should
// walk through.
func TestTopicLimits(t *testing.T) {
	t.Parallel()
	stricter(t, "it allows 200 levels of any length")
	s := start(t)
	for _, tt := range []struct{ name, topic string }{
		{"4 KiB", strings.Repeat("t", 4096)},
		{"200 levels", strings.Repeat("t/", 199) + "t"},
	} {
		for _, v := range []version{v311, v5} {
			t.Run(tt.name+" in "+v.String(), func(t *testing.T) {
				c := s.connect(t, login{version: v, id: "c"})
				c.post(message{topic: tt.topic, qos: 1})
				if p, err := c.refusal(); err == nil && (v == v311 || p.kind != cPUBACK || len(p.body) < 3 || p.body[2] < 0x80) {
					t.Errorf("PUBLISH was answered with %v % x", p.kind, p.body)
				}
				c = s.connect(t, login{version: v, id: "c"})
				b := make([]byte, 2, 2+len(tt.topic)+4)
				b[1] = 1
				if v == v5 {
					b = append(b, 0)
				}
				c.send(packet{cSUBSCRIBE, 2, append(appendString(b, tt.topic), 0)})
				if p, err := c.refusal(); err == nil && (p.kind != cSUBACK || p.body[len(p.body)-1] < 0x80) {
					t.Errorf("SUBSCRIBE was answered with %v % x", p.kind, p.body)
				}
			})
		}
	}
	c := s.connect(t, login{id: "c"})
	within := strings.Repeat("1234567/", 20) + "end" // 163 bytes, 21 levels
	c.subscribe(within, 1)
	c.publish(message{topic: within, qos: 1, payload: "fits"})
	if m := c.receive(); m.payload != "fits" {
		t.Errorf("received %+v, want fits", m)
	}
}

// refusal returns the next packet that is not DISCONNECT, or an error if the
// connection ends before it.
func (c *client) refusal() (packet, error) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		p, err := readPacket(c.r)
		if err != nil || p.kind != cDISCONNECT {
			return p, err
		}
	}
}

// TestSystemTopics subscribes to everything: topics that begin with $ are not
// part of it, and a client cannot speak as the broker.
func TestSystemTopics(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		all := s.connect(t, login{version: v, id: "all " + v.String()})
		all.subscribe("#", 1)
		all.subscribe("+/broker/#", 1)
		system := s.connect(t, login{version: v, id: "system " + v.String()})
		if code := system.subscribe("$SYS/#", 1); code > 1 {
			t.Errorf("SUBACK for $SYS/# is %#x", code)
		}
		for _, topic := range []string{"$SYS/broker/version", "$SYS/broker/forged", "$other/broker/forged"} {
			forger := s.connect(t, login{version: v, id: "forger " + v.String()})
			forger.post(message{topic: topic, retain: true, payload: "forged"})
			forger.write([]byte{byte(cPINGREQ) << 4, 0})
			if p, err := forger.refusal(); err == nil && p.kind != cPINGRESP {
				t.Errorf("the broker sent %v to a forger", p.kind)
			}
		}
		all.publish(message{topic: "end/" + v.String(), qos: 1, payload: "end " + v.String()})
		for {
			m := all.receive()
			if strings.HasPrefix(m.topic, "$") {
				t.Errorf("# matched %s", m.topic)
			}
			if m.payload == "end "+v.String() {
				break
			}
		}
		for system.ping(); len(system.inbox) > 0; {
			if m := system.receive(); m.payload == "forged" {
				t.Errorf("a client published to %s", m.topic)
			}
		}
	})
}
