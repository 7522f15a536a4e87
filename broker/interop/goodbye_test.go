package interop

import (
	"strings"
	"testing"
)

// TestGoodbye ends connections for each cause that a client can give. In MQTT 5
// the last packet says why (section 3.14); before, there is no such packet from
// a broker.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	s := startLimited(t, "receive_maximum: 3")
	for _, tt := range []struct {
		name   string
		reason byte
		cause  func(c *client, l login)
	}{
		{"takeover", 0x8E, func(c *client, l login) { s.connect(c.t, l) }},
		{"keep-alive", 0x8D, func(*client, login) {}},
		{"second CONNECT", 0x82, func(c *client, l login) { c.send(l.packet()) }},
		{"packet of a server", 0x82, func(c *client, _ login) { c.write([]byte{byte(cPINGRESP) << 4, 0}) }},
		{"AUTH without a method", 0x82, func(c *client, _ login) { c.write([]byte{15 << 4, 2, 0x18, 0}) }},
		{"packet id 0", 0x82, func(c *client, _ login) { c.send(message{qos: 1, topic: "a"}.packet(c.v)) }},
		{"QoS 3", 0x81, func(c *client, _ login) { c.send(message{qos: 3, id: 1, topic: "a"}.packet(c.v)) }},
		{"reserved flags", 0x81, func(c *client, _ login) { c.write([]byte{byte(cPINGREQ)<<4 | 1, 0}) }},
		{"length of five bytes", 0x81, func(c *client, _ login) { c.write([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}) }},
		{"topic that is not UTF-8", 0x81, func(c *client, _ login) { c.post(message{topic: "a\xff"}) }},
		{"topic with U+0000", 0x81, func(c *client, _ login) { c.post(message{topic: "a\x00"}) }},
		{"topic of 33 levels", 0x90, func(c *client, _ login) { c.post(message{topic: strings.Repeat("/", 32)}) }},
		{"packet too large", 0x95, func(c *client, _ login) { c.write([]byte{0x30, 0xff, 0xff, 0x7f}) }},
		{"more than the receive maximum", 0x93, func(c *client, _ login) {
			for range 4 {
				c.post(message{topic: "a", qos: 2})
			}
		}},
	} {
		for _, v := range []version{v311, v5} {
			t.Run(tt.name+" in "+v.String(), func(t *testing.T) {
				t.Parallel()
				l := login{version: v, id: tt.name + v.String()}
				if tt.reason == 0x8D {
					l.keepAlive = 1
				}
				c := s.connect(t, l)
				tt.cause(c, l)
				c.wantGoodbye(tt.reason)
			})
		}
	}
}

// wantGoodbye waits for the end of the connection, and for the reason if the
// version has one.
func (c *client) wantGoodbye(reason byte) {
	c.t.Helper()
	if c.v != v5 {
		reason = 0
	}
	if got := c.closed(); got != reason { // which refuses a DISCONNECT before MQTT 5
		c.t.Errorf("reason of DISCONNECT is %#x, want %#x", got, reason)
	}
}

// TestGoodbyeOfAliases publishes with an alias beyond all that a broker allows
// by default.
func TestGoodbyeOfAliases(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	c.post(message{topic: "a", props: properties{number[uint16](topicAlias, 65535)}})
	c.wantGoodbye(0x94)
}

// TestShutdown stops the broker under clients of each version, one of which has
// a message on its way to it.
func TestShutdown(t *testing.T) {
	t.Parallel()
	stricter(t, "it closes without a DISCONNECT")
	s := start(t)
	var clients []*client
	for _, v := range versions {
		c := s.connect(t, login{version: v, id: v.String()})
		c.subscribe("a", 1)
		c.publish(message{topic: "a", qos: 1})
		c.take()
		clients = append(clients, c)
	}
	silent := s.dial(t)
	s.stop(t)
	for _, c := range clients {
		c.wantGoodbye(0x8B)
	}
	silent.closed()
}

// TestConnack has the code that each version has for a refusal.
func TestConnack(t *testing.T) {
	t.Parallel()
	stricter(t, "it closes without a CONNACK in some cases")
	s := start(t)
	for _, tt := range []struct {
		name  string
		login login
		code  byte // 0: none, only the end
	}{
		{"MQTT 9", login{version: 9, id: "a"}, 0x84}, // section 3.1.2.2
		{"MQTT 2", login{version: 2, id: "a"}, 0x01},
		{"3.1, wrong level", login{version: v31, name: "MQTT", id: "a"}, 0x01},
		{"3.1, empty id", login{version: v31}, 0x02},
		{"3.1.1, empty id and clean session 0", login{version: v311, keep: true}, 0x02},
		{"3.1.1, will QoS 3", login{version: v311, id: "a", will: &message{topic: "w", qos: 3}}, 0},
		{"5, will QoS 3", login{version: v5, id: "a", will: &message{topic: "w", qos: 3}}, 0x81},
		{"5, topic of the will is a filter", login{version: v5, id: "a", will: &message{topic: "w/#"}}, 0x81},
		{"5, topic of the will is the broker's", login{version: v5, id: "a", will: &message{topic: "$SYS/w"}}, 0x90},
		{"5, payload of the will", login{version: v5, id: "a", will: &message{
			topic: "w", payload: "\xff", props: properties{number[uint8](payloadFormat, 1)},
		}}, 0x99},
		{"5, authentication method", login{version: v5, id: "a", props: properties{text(authentication, "SCRAM-SHA-256")}}, 0x8C},
		{"5, authentication data alone", login{version: v5, id: "a", props: properties{text(authenticationData, "x")}}, 0x82},
		{"5, receive maximum 0", login{version: v5, id: "a", props: properties{number[uint16](receiveMaximum, 0)}}, 0x82},
		{"5, property twice", login{version: v5, id: "a", props: properties{
			number[uint16](receiveMaximum, 1), number[uint16](receiveMaximum, 1),
		}}, 0x82},
		{"5, property of another packet", login{version: v5, id: "a", props: properties{number[uint16](topicAlias, 1)}}, 0x82},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial(t)
			c.v = tt.login.version
			c.send(tt.login.packet())
			if code, _ := c.refused(); code != tt.code {
				t.Errorf("CONNACK has code %#x, want %#x", code, tt.code)
			}
		})
	}
}

// TestConnackForStrangers connects without credentials to a broker that wants
// some, and with credentials that it does not know.
func TestConnackForStrangers(t *testing.T) {
	t.Parallel()
	stricter(t, "it is not configured in the same way")
	s := startWith(t, func(l *listeners) { l.config = "broker: {allow_anonymous: false}" })
	for _, tt := range []struct {
		login login
		code  byte
	}{
		{login{version: v311, id: "a"}, 0x05},
		{login{version: v5, id: "a"}, 0x87},
		{login{version: v311, id: "a", user: "mallory"}, 0x04},
		{login{version: v5, id: "a", user: "mallory"}, 0x86},
	} {
		c := s.dial(t)
		c.v = tt.login.version
		c.send(tt.login.packet())
		if code, _ := c.refused(); code != tt.code {
			t.Errorf("CONNACK for %+v has code %#x, want %#x", tt.login, code, tt.code)
		}
	}
}

// TestConnackWhenFull has a broker whose one session is taken. Sessions that end
// with their connection do not count.
func TestConnackWhenFull(t *testing.T) {
	t.Parallel()
	s := startLimited(t, "sessions: 1")
	first := s.connect(t, login{version: v5, id: "first"})
	for v, want := range map[version]byte{v311: 0x03, v5: 0x97} {
		s.connect(t, login{version: v, id: "passing"}).disconnect()
		c := s.dial(t)
		c.v = v
		c.send(login{version: v, id: "second", keep: true}.packet())
		if code, _ := c.refused(); code != want {
			t.Errorf("CONNACK of MQTT %v has code %#x, want %#x", v, code, want)
		}
	}
	s.connect(t, login{version: v5, id: "first"})
	first.wantGoodbye(0x8E)
}

// TestPayloadFormat publishes what is said to be UTF-8 and is not: the broker
// answers 0x99 and nobody receives it (section 3.3.2.3.2).
func TestPayloadFormat(t *testing.T) {
	t.Parallel()
	stricter(t, "it does not look at payloads")
	s := start(t)
	sub := s.connect(t, login{version: v5, id: "sub"})
	sub.subscribe("a", 2)
	text := properties{number[uint8](payloadFormat, 1)}
	for qos := range byte(3) {
		pub := s.connect(t, login{version: v5, id: "pub"})
		pub.publish(message{topic: "a", qos: qos, props: text, payload: "grün"})
		pub.publish(message{topic: "a", qos: qos, props: properties{number[uint8](payloadFormat, 0)}, payload: "\xff"})
		pub.ping()
		pub.post(message{topic: "a", qos: qos, props: text, payload: "gr\xfcn"})
		if code := pub.refusedWith(); code != 0x99 {
			t.Errorf("QoS %d: answered with %#x, want 0x99, payload format invalid", qos, code)
		}
		for _, want := range []string{"grün", "\xff"} {
			if m := sub.receive(); m.payload != want {
				t.Errorf("QoS %d: received %+v, want %q", qos, m, want)
			}
		}
	}
	if sub.ping(); len(sub.inbox) > 0 {
		t.Errorf("received %+v", sub.inbox)
	}
}

// refusedWith returns the code by which a PUBLISH was refused: in its own
// acknowledgement, or in a DISCONNECT.
func (c *client) refusedWith() byte {
	c.t.Helper()
	p := c.control()
	a, err := parseAnswer(c.v, p)
	if err != nil || p.kind != cPUBACK && p.kind != cPUBREC && p.kind != cDISCONNECT {
		c.t.Fatalf("the broker sent %v % x, want a refusal: %v", p.kind, p.body, err)
	}
	return a.code
}
