package interop

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name  string
		login login
		codes []byte // that CONNACK may have; it may be left out (section 4.13.1)
	}{
		{"3.1.1, wrong protocol name", login{version: v311, name: "MQTX", id: "a"}, []byte{0x01}},
		{"5, wrong protocol name", login{version: v5, name: "mqtt", id: "a"}, []byte{0x84, 0x81, 0x82}},
		{"unknown protocol level 9", login{version: 9, id: "a"}, []byte{0x01, 0x84}}, // section 3.1.2.2
		{"3.1.1, empty id and clean session 0", login{version: v311, keep: true}, []byte{0x02}},
		{"3.1, empty id", login{version: v31}, []byte{0x02}},
		{"5, will QoS 3", login{version: v5, id: "a", will: &message{topic: "w", qos: 3}}, []byte{0x81, 0x82, 0x9B}},
		{"5, wildcard in the topic of the will", login{version: v5, id: "a", will: &message{topic: "w/#"}}, []byte{0x90, 0x81, 0x82}},
		{"3.1.1, wildcard in the topic of the will", login{version: v311, id: "a", will: &message{topic: "w/+"}}, nil},
		{"5, authentication method", login{version: v5, id: "a", props: properties{text(authentication, "SCRAM")}}, []byte{0x8C, 0x87}},
		{"5, receive maximum 0", login{version: v5, id: "a", props: properties{number[uint16](receiveMaximum, 0)}}, []byte{0x82, 0x81}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial(t)
			c.v = tt.login.version
			c.send(tt.login.packet())
			if code, ok := c.refused(); ok && !slices.Contains(tt.codes, code) {
				t.Errorf("CONNACK has code %#x, want one of %#x, or none", code, tt.codes)
			}
		})
	}
	s.serves(t)
}

// refused waits for the end of the connection and returns the code of a CONNACK
// before it, if there is one.
func (c *client) refused() (code byte, ok bool) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	p, err := readPacket(c.r)
	if err != nil {
		return 0, false
	}
	if p.kind != cCONNACK || len(p.body) < 2 {
		c.t.Fatalf("the broker sent %v % x, want CONNACK or the end", p.kind, p.body)
	}
	if p.body[1] == 0 {
		c.t.Fatal("the broker accepted the CONNECT")
	}
	if p.body[0] != 0 {
		c.t.Error("session present in a CONNACK that refuses (MQTT-3.2.2-6)")
	}
	c.closed()
	return p.body[1], true
}

func TestConnectAccepted(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name  string
		login login
	}{
		{"3.1", login{version: v31, id: "a"}},
		{"3.1.1", login{version: v311, id: "a"}},
		{"5", login{version: v5, id: "a"}},
		{"3.1.1, empty id", login{version: v311}},
		{"3.1.1, long id", login{version: v311, id: strings.Repeat("i", 200)}},
		{"5, id in UTF-8", login{version: v5, id: "küche-湯"}},
		{"5, zero-length will", login{version: v5, id: "a", will: &message{topic: "w"}}},
		{"5, all properties of a CONNECT", login{version: v5, id: "a", props: properties{
			number[uint32](sessionExpiry, 1), number[uint16](receiveMaximum, 20), number[uint32](maximumPacketSize, 4096),
			number[uint16](topicAliasMaximum, 4), user("a", "b"), user("a", "c"),
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, a := s.resume(t, tt.login)
			if a.present {
				t.Error("session present on the first connection")
			}
			c.ping()
			c.disconnect()
		})
	}
}

func TestAssignedClientID(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, first := s.resume(t, login{version: v5})
	second, a := s.resume(t, login{version: v5, keep: true})
	id := a.props.text(assignedClientID)
	if id == "" || id == first.props.text(assignedClientID) {
		t.Fatalf("assigned client ids are %q and %q, want two different ones", first.props.text(assignedClientID), id)
	}
	second.subscribe("a", 1)
	second.disconnect()
	if _, a := s.resume(t, login{version: v5, id: id, keep: true}); !a.present {
		t.Errorf("no session under the assigned id %q", id)
	}
}

func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	stricter(t, "it waits for a CONNECT for as long as the client likes")
	s := start(t)
	for _, tt := range []struct {
		name  string
		bytes []byte
	}{
		{"silence", nil},
		{"half a CONNECT", login{version: v311, id: "slow"}.packet().bytes()[:9]},
		{"the length alone", []byte{0x10, 0xff}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := s.dial(t)
			begin := time.Now()
			c.write(tt.bytes)
			c.closed()
			if took := time.Since(begin); took < 4*time.Second {
				t.Errorf("closed after %v, want about 5 s", took)
			}
		})
	}
}

func TestByteByByte(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.dial(t)
	c.v = v5
	bytes := login{version: v5, id: "slow", will: &message{topic: "w", payload: "x"}}.packet().bytes()
	bytes = append(bytes, packet{kind: cPINGREQ}.bytes()...)
	for i := range bytes {
		c.write(bytes[i : i+1])
	}
	if a := c.answer(cCONNACK); a.code != 0 {
		t.Errorf("CONNACK has code %#x", a.code)
	}
	c.pong()
}

func TestProtocolErrorsClose(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, tt := range []struct {
		name  string
		bytes func(v version) []byte
	}{
		{"second CONNECT", func(v version) []byte { return login{version: v, id: "again"}.packet().bytes() }},
		{"CONNACK from a client", func(version) []byte { return []byte{0x20, 2, 0, 0} }},
		{"packet type 0", func(version) []byte { return []byte{0x00, 0} }},
		{"length of five bytes", func(version) []byte { return []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01} }},
		{"QoS 3", func(v version) []byte { return message{qos: 3, id: 1, topic: "a"}.packet(v).bytes() }},
		{"QoS 1 with packet id 0", func(v version) []byte { return message{qos: 1, topic: "a"}.packet(v).bytes() }},
		{"SUBSCRIBE without a filter", func(v version) []byte {
			return packet{cSUBSCRIBE, 2, append([]byte{0, 1}, make([]byte, v/5)...)}.bytes()
		}},
		{"SUBSCRIBE with reserved flags", func(v version) []byte {
			return packet{cSUBSCRIBE, 0, append(make([]byte, v/5), 0, 1, 0, 1, 'a', 0)}.bytes()
		}},
		{"PUBLISH to a wildcard", func(v version) []byte { return message{topic: "a/#"}.packet(v).bytes() }},
		{"PUBLISH to a topic with U+0000", func(v version) []byte { return message{topic: "a\x00"}.packet(v).bytes() }},
		{"PUBLISH to a topic that is not UTF-8", func(v version) []byte { return message{topic: "a\xff"}.packet(v).bytes() }},
	} {
		for _, v := range []version{v311, v5} {
			t.Run(tt.name+" in "+v.String(), func(t *testing.T) {
				c := s.connect(t, login{version: v, id: "a"})
				c.write(tt.bytes(v))
				if reason := c.closed(); reason != 0 && reason < 0x80 {
					t.Errorf("reason of DISCONNECT is %#x, want an error", reason)
				}
			})
		}
	}
	s.serves(t)
}

func TestFirstPacketMustBeConnect(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, p := range []packet{
		{kind: cPINGREQ},
		message{topic: "a", payload: "early"}.packet(v311),
		{kind: cDISCONNECT},
		{cSUBSCRIBE, 2, []byte{0, 1, 0, 1, '#', 0}},
	} {
		t.Run(p.kind.String(), func(t *testing.T) {
			c := s.dial(t)
			c.send(p)
			c.closed()
		})
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	stricter(t, "it counts in whole seconds")
	s := start(t)
	for _, tt := range []struct {
		name  string
		bytes []byte
	}{
		{"silence", nil},
		{"half a PUBLISH", message{topic: "a/b/c", payload: "whole"}.packet(v311).bytes()[:7]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			watcher := s.connect(t, login{id: "watcher of " + tt.name})
			watcher.subscribe("gone/"+tt.name, 0)
			c := s.connect(t, login{id: "one second, " + tt.name, keepAlive: 1, will: &message{topic: "gone/" + tt.name}})
			c.ping()
			begin := time.Now()
			c.write(tt.bytes)
			c.closed()
			if took := time.Since(begin); took < 1400*time.Millisecond {
				t.Errorf("closed %v after the last packet, want 1.5 s (MQTT-3.1.2-22)", took)
			}
			watcher.receive()
		})
	}
}

// TestKeepAliveByTraffic keeps a connection for longer than one and a half times
// its keep-alive by messages in one direction alone.
func TestKeepAliveByTraffic(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(t, login{id: "talker", keepAlive: 2})
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		elapse(500 * time.Millisecond)
		c.publish(message{topic: "a", qos: 1})
	}
	c.disconnect()
}

// TestKeepAliveLong uses the smallest keep-alive whose one and a half does not
// fit into 16 bits.
func TestKeepAliveLong(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, v := range versions {
		for _, seconds := range []uint16{43691, 65535} {
			c := s.connect(t, login{version: v, id: "patient", keepAlive: seconds})
			c.ping()
			c.disconnect()
		}
	}
}

func TestPacketTooLarge(t *testing.T) {
	t.Parallel()
	stricter(t, "it has no limit")
	s := start(t)
	t.Run("before login", func(t *testing.T) {
		var props properties
		for range 8 {
			props = append(props, user("padding", strings.Repeat("x", 60_000)))
		}
		c := s.dial(t)
		_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
		_, _ = c.conn.Write(login{version: v5, id: "big", props: props}.packet().bytes()) // may be cut short
		c.refused()
	})
	t.Run("before login, announced", func(t *testing.T) {
		c := s.dial(t)
		begin := time.Now()
		c.write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 'M', 'Q', 'T', 'T', 5})
		c.closed()
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("closed after %v, as if it had waited for 256 MB", took)
		}
	})
	for _, v := range []version{v311, v5} {
		t.Run("after login in "+v.String(), func(t *testing.T) {
			c := s.connect(t, login{version: v, id: "big"})
			c.publish(message{topic: "a", qos: 1, payload: strings.Repeat("x", 512<<10)})
			_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
			_, _ = c.conn.Write(message{topic: "a", payload: strings.Repeat("x", 64<<20)}.packet(v).bytes())
			c.closed()
		})
	}
	s.serves(t)
}
