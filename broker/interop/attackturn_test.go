package interop

import (
	"encoding/binary"
	"slices"
	"testing"
)

// turnAttacks are those by packets that are not due.
func turnAttacks() []attack {
	return []attack{
		{number: 8, name: "a first packet that is no CONNECT, or no MQTT", wants: []string{closed}, run: notConnect},
		{number: 9, name: "a second CONNECT", wants: []string{"0x82", closed}, run: connectTwice},
		{number: 10, name: "packets of a server", wants: []string{"0x82", closed}, run: speakAsServer},
		{number: 11, name: "AUTH at wrong times, and with methods", wants: []string{"0x82", "0x8c", closed}, run: authWrongly},
		{number: 12, name: "acknowledgements of all packet ids, none of which is known", wants: []string{"PUBCOMP 0x92", "PUBREL 0x92", served}, run: unknownIDs},
		{number: 13, name: "topic alias 0, beyond the maximum, never set", wants: []string{"0x82", "0x94"}, run: wrongAlias},
	}
}

// notConnect begins with each other packet, and with other protocols.
func notConnect(a *arena) {
	for k := range kind(16) {
		for flags := range byte(16) {
			if k != cCONNECT {
				a.strikeFirst(v311, packet{k, flags, []byte{0, 1, 0}}.bytes())
			}
		}
	}
	for _, first := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-x\r\n", "\r\n\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", proxyHeader, "\x00\x00\x00\x00", "\xff\xff\xff\xff",
	} {
		a.strikeFirst(v311, []byte(first))
	}
}

// connectTwice logs in again, by the same and by other versions.
func connectTwice(a *arena) {
	for _, v := range versions {
		for _, other := range versions {
			a.strike(v, login{version: other, id: "again", will: &message{topic: "w"}}.packet().bytes())
		}
	}
}

// speakAsServer sends what only a server does.
func speakAsServer(a *arena) {
	for _, v := range versions {
		for _, p := range []packet{
			{cCONNACK, 0, append([]byte{0, 0}, make([]byte, v/5)...)},
			{cSUBACK, 0, append([]byte{0, 1, 0}, make([]byte, v/5)...)},
			{cUNSUBACK, 0, append([]byte{0, 1}, make([]byte, v/5*2)...)},
			{kind: cPINGRESP},
			{kind: 0},
		} {
			a.strike(v, p.bytes())
		}
	}
}

// authWrongly sends AUTH, which no client may without a method, and asks for
// methods that there are not.
func authWrongly(a *arena) {
	method := properties{text(authentication, "SCRAM-SHA-256"), text(authenticationData, "n,,n=a")}
	for _, v := range versions {
		for _, auth := range [][]byte{nil, {0x18}, method.append([]byte{0x18}), method.append([]byte{0x19}), method.append([]byte{0x00})} {
			a.strike(v, packet{15, 0, auth}.bytes())
			a.strikeFirst(v, append(packet{15, 0, auth}.bytes(), login{version: v, id: "late"}.packet().bytes()...))
		}
	}
	a.strikeFirst(v5, login{version: v5, id: "method", props: method}.packet().bytes())
	a.strikeFirst(v5, login{version: v5, id: "data", props: method[1:]}.packet().bytes())
}

// unknownIDs acknowledges 65 535 messages that nobody has sent.
func unknownIDs(a *arena) {
	for _, v := range versions {
		for _, k := range []kind{cPUBACK, cPUBREC, cPUBREL, cPUBCOMP} {
			c := a.attacker(v)
			reading := beside(a, func(t testing.TB) { (&arena{t, a.server, a.report}).watch(c.in(t)) })
			for first := 1; first < 1<<16; first += 1 << 12 {
				c.write(acknowledgements(k, first, min(first+1<<12, 1<<16)))
			}
			c.write([]byte(pinged))
			reading()
		}
	}
}

// acknowledgements are those of all ids from first to before end.
func acknowledgements(k kind, first, end int) []byte {
	var b []byte
	for id := first; id < end; id++ {
		b = append(b, packet{k, flagsOf(k), binary.BigEndian.AppendUint16(nil, uint16(id))}.bytes()...)
	}
	return b
}

// wrongAlias uses topic aliases that cannot be, and those that could be but were
// not set on this connection.
func wrongAlias(a *arena) {
	for _, alias := range []uint16{0, 1, 10, 11, 1000, 65535} {
		props := properties{number(topicAlias, alias)}
		a.strike(v5, message{props: props}.packet(v5).bytes())
		if alias == 0 || alias > 10 {
			a.strike(v5, message{topic: "a", props: props}.packet(v5).bytes())
		}
	}
	set := message{topic: "a", props: properties{number[uint16](topicAlias, 1)}}.packet(v5).bytes()
	other := message{qos: 1, id: 1, props: properties{number[uint16](topicAlias, 2)}}.packet(v5).bytes()
	a.strike(v5, slices.Concat(set, other))
}
