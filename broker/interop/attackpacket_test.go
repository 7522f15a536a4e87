package interop

import (
	"net"
	"strings"
)

// packetAttacks are those by packets that no client should send.
func packetAttacks() []attack {
	return []attack{
		{number: 1, name: "each packet cut at each byte", wants: []string{"0x81", "0x82", closed}, run: cutShort},
		{number: 2, name: "Remaining Length of five bytes, too long, too short", wants: []string{"0x81", "0x83", "0x95", closed}, run: wrongLength},
		{number: 3, name: "lengths of properties", wants: []string{"0x81", "0x82"}, run: wrongPropertyLength},
		{number: 4, name: "properties twice, and foreign ones", wants: []string{"0x81", "0x82"}, run: wrongProperties},
		{number: 5, name: "text that is not UTF-8, U+0000, surrogates", wants: []string{"0x81", "0x85", closed}, run: wrongText},
		{number: 6, name: "reserved flags", wants: []string{"0x81", closed}, run: reservedFlags},
		{number: 7, name: "QoS 3", wants: []string{"0x81", "0x82", closed}, run: qos3},
	}
}

// specimens has a packet of each type that a client may send, with as much in it
// as there can be but for payloads: with one, part of a PUBLISH would be another.
func specimens(v version) []packet {
	full := login{version: v, id: "specimen", user: "u", keepAlive: 60, will: &message{topic: "w", payload: "x"}}
	m := message{topic: "a/b", qos: 1, id: 7}
	if v == v5 {
		full.props = properties{number[uint32](sessionExpiry, 9), number[uint16](receiveMaximum, 9), user("name", "value")}
		full.will.props = properties{number[uint32](willDelay, 1), text(contentType, "text"), user("name", "value")}
		m.props = properties{number[uint32](messageExpiry, 9), text(responseTopic, "r"), text(correlationData, "c"), user("name", "value")}
	}
	all := []packet{full.packet(), m.packet(v), subscribing(v, "a/b"), unsubscribing(v, "a/b"), {kind: cPINGREQ}, {kind: cDISCONNECT}}
	for _, k := range []kind{cPUBACK, cPUBREC, cPUBREL, cPUBCOMP} {
		all = append(all, packet{k, flagsOf(k), []byte{0, 7}})
	}
	return all
}

// reasoned has those packets of MQTT 5 that may end before their reason code or
// before their properties, with both.
func reasoned() (all []packet) {
	props := properties{text(reasonString, "why"), user("name", "value")}
	for _, k := range []kind{cPUBACK, cPUBREC, cPUBREL, cPUBCOMP} {
		all = append(all, packet{k, flagsOf(k), props.append([]byte{0, 7, 0})})
	}
	return append(all, packet{cDISCONNECT, 0, props.append([]byte{0})})
}

// subscribing is a SUBSCRIBE at QoS 1, with the packet id 1.
func subscribing(v version, filters ...string) packet {
	b := append([]byte{0, 1}, make([]byte, v/5)...)
	for _, f := range filters {
		b = append(appendString(b, f), 1)
	}
	return packet{cSUBSCRIBE, 2, b}
}

func unsubscribing(v version, filters ...string) packet {
	b := append([]byte{0, 1}, make([]byte, v/5)...)
	for _, f := range filters {
		b = appendString(b, f)
	}
	return packet{cUNSUBSCRIBE, 2, b}
}

// flagsOf are those that a packet must have (MQTT 5.0, section 2.1.3).
func flagsOf(k kind) byte {
	if k == cPUBREL || k == cSUBSCRIBE || k == cUNSUBSCRIBE {
		return 2
	}
	return 0
}

// hit sends b, which is a CONNECT or what comes after one.
func (a *arena) hit(v version, b []byte) {
	a.Helper()
	if kind(b[0]>>4) == cCONNECT {
		a.strikeFirst(v, b)
		return
	}
	a.strike(v, b)
}

// cutShort ends packets early: as a cable would that is pulled, and with lengths
// that say so.
func cutShort(a *arena) {
	for _, v := range versions {
		for _, p := range specimens(v) {
			for n := 1; n < len(p.bytes()); n++ {
				a.pull(v, p, n)
			}
			for n := range p.body {
				a.hit(v, packet{p.kind, p.flags, p.body[:n]}.bytes())
			}
		}
	}
	for _, p := range reasoned() {
		for n := len(p.body) - 1; n > 0 && p.body[n-1] != 0; n-- { // from the end to the reason code
			a.hit(v5, packet{p.kind, p.flags, p.body[:n]}.bytes())
		}
	}
}

// pull sends n bytes of p and then the end of the stream.
func (a *arena) pull(v version, p packet, n int) {
	a.Helper()
	c := a.dial(a)
	if c.v = v; p.kind != cCONNECT {
		c.login(login{version: v, id: "pulled"})
	}
	c.write(p.bytes()[:n])
	_ = c.conn.(*net.TCPConn).CloseWrite()
	c.admitted = false // who has gone is owed no reason
	a.watch(c)
}

// wrongLength has packets whose length is not theirs. One that promises more than
// comes is waited for.
func wrongLength(a *arena) {
	for _, v := range versions {
		for _, p := range specimens(v) {
			head := p.bytes()[:1]
			a.hit(v, append(head[:1:1], 0xff, 0xff, 0xff, 0xff, 0x01))
			a.hit(v, append(head[:1:1], 0xff, 0xff, 0xff, 0x7f))
			if len(p.body) > 2 {
				a.hit(v, append(appendVarint(head[:1:1], len(p.body)-1), p.body...))
			}
		}
	}
	a.crowd(300, func(a *arena, i int) {
		v, length := versions[i%len(versions)], []int{100, 60_000, 1_000_000}[i/len(versions)%3]
		a.hit(v, appendVarint([]byte{byte(cPUBLISH) << 4}, length))
	})
	a.crowd(len(versions), func(a *arena, i int) {
		p := specimens(versions[i])[0]
		a.hit(versions[i], append(appendVarint(p.bytes()[:1], len(p.body)+100), p.body...))
	})
}

// wrongPropertyLength has variable byte integers before and among properties that
// are too long, not in the fewest bytes, or not those of what follows.
func wrongPropertyLength(a *arena) {
	for _, length := range []string{"\xff\xff\xff\xff\x01", "\xff\xff\xff\x7f", "\x80", "\x80\x00", "\x7f", "\x01", "\x03\x0b\xff\xff", "\x06\x0b\xff\xff\xff\xff\x01"} {
		for _, p := range []packet{
			{cCONNECT, 0, []byte("\x00\x04MQTT\x05\x02\x00\x3c" + length + "\x00\x01c")},
			{cPUBLISH, 0, []byte("\x00\x01a" + length)},
			{cSUBSCRIBE, 2, []byte("\x00\x01" + length + "\x00\x01a\x00")},
			{cUNSUBSCRIBE, 2, []byte("\x00\x01" + length + "\x00\x01a")},
			{cPUBACK, 0, []byte("\x00\x01\x00" + length)},
			{cPUBREL, 2, []byte("\x00\x01\x00" + length)},
			{cDISCONNECT, 0, []byte("\x00" + length)},
		} {
			a.hit(v5, p.bytes())
		}
	}
}

// A host is a packet that can carry properties.
type host struct {
	may  string // identifiers of properties that a client may put there
	with func(ps properties) packet
}

// hosts are all of them (MQTT 5.0, section 2.2.2.2).
func hosts() []host {
	acks := host{may: "\x1f\x26", with: func(ps properties) packet {
		return packet{cPUBACK, 0, ps.append([]byte{0, 1, 0})}
	}}
	return []host{acks, {may: "\x11\x15\x16\x17\x19\x21\x22\x26\x27", with: func(ps properties) packet {
		return login{version: v5, id: "host", props: ps}.packet()
	}}, {may: "\x01\x02\x03\x08\x09\x18\x26", with: func(ps properties) packet {
		return login{version: v5, id: "host", will: &message{topic: "w", props: ps}}.packet()
	}}, {may: "\x01\x02\x03\x08\x09\x23\x26", with: func(ps properties) packet {
		return message{topic: "a", props: ps}.packet(v5)
	}}, {may: "\x0b\x26", with: func(ps properties) packet {
		return packet{cSUBSCRIBE, 2, append(appendString(ps.append([]byte{0, 1}), "a"), 0)}
	}}, {may: "\x26", with: func(ps properties) packet {
		return packet{cUNSUBSCRIBE, 2, appendString(ps.append([]byte{0, 1}), "a")}
	}}, {may: "\x11\x1c\x1f\x26", with: func(ps properties) packet {
		return packet{cDISCONNECT, 0, ps.append([]byte{0})}
	}}}
}

// wrongProperties has each property where it may not be, and twice where it may
// be once. The values are those that are short and valid.
func wrongProperties(a *arena) {
	for _, h := range hosts() {
		for id := range byte(0x31) {
			p := property{id, valueOf(id)}
			switch {
			case !strings.Contains(h.may, string(rune(id))):
				a.hit(v5, h.with(properties{p}).bytes())
			case id != userProperty:
				a.hit(v5, h.with(properties{p, p}).bytes())
			}
		}
	}
}

// valueOf returns a value of the type of a property.
func valueOf(id byte) string {
	switch id {
	case payloadFormat, requestResponse, requestProblem, maximumQoS, retainAvailable, wildcardAvailable, subIDAvailable,
		sharedAvailable, subscriptionID:
		return "\x01"
	case serverKeepAlive, receiveMaximum, topicAliasMaximum, topicAlias:
		return "\x00\x01"
	case messageExpiry, sessionExpiry, willDelay, maximumPacketSize:
		return "\x00\x00\x01\x00"
	case userProperty:
		return "\x00\x01n\x00\x01v"
	}
	return "\x00\x01x"
}

// Properties of a CONNECT that no other test sends.
const (
	requestProblem  = 0x17
	requestResponse = 0x19
)

// wrongText puts what is not text wherever text must be.
func wrongText(a *arena) {
	for _, s := range []string{
		"\xff", "a\xc3", "\xc0\x80", "\xe0\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\x00b",
	} {
		for _, v := range versions {
			a.hit(v, login{version: v, id: s}.packet().bytes())
			a.hit(v, login{version: v, id: "c", user: s}.packet().bytes())
			a.hit(v, login{version: v, id: "c", will: &message{topic: s}}.packet().bytes())
			a.hit(v, message{topic: s, qos: 1, id: 1}.packet(v).bytes())
			a.hit(v, subscribing(v, s).bytes())
			a.hit(v, unsubscribing(v, s).bytes())
		}
		for _, p := range []property{user(s, "v"), user("n", s), text(contentType, s), text(responseTopic, s)} {
			a.hit(v5, message{topic: "a", props: properties{p}}.packet(v5).bytes())
			a.hit(v5, login{version: v5, id: "c", will: &message{topic: "w", props: properties{p}}}.packet().bytes())
		}
		a.hit(v5, packet{cDISCONNECT, 0, properties{text(reasonString, s)}.append([]byte{0})}.bytes())
	}
}

// reservedFlags has all flags that a packet may not have. Those of MQTT 3.1 are
// not used, and those of PUBLISH have a meaning.
func reservedFlags(a *arena) {
	for _, v := range []version{v311, v5} {
		for _, p := range specimens(v) {
			for flags := range byte(16) {
				if p.kind != cPUBLISH && flags != p.flags {
					a.hit(v, packet{p.kind, flags, p.body}.bytes())
				}
			}
		}
	}
}

// qos3 asks for the QoS that there is not.
func qos3(a *arena) {
	for _, v := range versions {
		a.hit(v, message{topic: "a", qos: 3, id: 1}.packet(v).bytes())
		a.hit(v, login{version: v, id: "c", will: &message{topic: "w", qos: 3}}.packet().bytes())
		p := subscribing(v, "a")
		p.body[len(p.body)-1] = 3
		a.hit(v, p.bytes())
	}
}
