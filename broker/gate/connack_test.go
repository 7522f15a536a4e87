package gate

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestConnack has what a client is told for what it asks, as properties of
// CONNACK between those that are always there.
func TestConnack(t *testing.T) {
	const receive, packet, aliases = "21000a", "2700100000", "220010"
	usual := receive + packet + aliases
	asked := func(text string) string { return hex.EncodeToString(appendText([]byte{responseText}, text)) }
	tests := []struct {
		name, packet string
		text         string // response information
		change       func(*Limits)
		want         string
	}{
		{name: "the usual", packet: `10 .. "MQTT" 05 02 003c {} "c"`, want: usual},
		{name: "keep-alive 0", packet: `10 .. "MQTT" 05 02 0000 {} "c"`, want: "13ffff" + usual},
		{
			name: "keep-alive 0, shorter silence", packet: `10 .. "MQTT" 05 02 0000 {} "c"`,
			change: func(l *Limits) { l.Idle = time.Hour }, want: "130960" + usual,
		},
		{
			name: "keep-alive too long", packet: `10 .. "MQTT" 05 02 0961 {} "c"`,
			change: func(l *Limits) { l.Idle = time.Hour }, want: "130960" + usual,
		},
		{
			name: "keep-alive just right", packet: `10 .. "MQTT" 05 02 0960 {} "c"`,
			change: func(l *Limits) { l.Idle = time.Hour }, want: usual,
		},
		{name: "expiry cut", packet: `10 .. "MQTT" 05 02 003c { 11 000003e9 } "c"`, want: "11000003e8" + usual},
		{name: "expiry kept", packet: `10 .. "MQTT" 05 02 003c { 11 000003e8 } "c"`, want: usual},
		{
			name: "no topic aliases", packet: `10 .. "MQTT" 05 02 003c {} "c"`,
			change: func(l *Limits) { l.TopicAliases = 0 }, want: receive + packet,
		},
		{name: "response information", packet: `10 .. "MQTT" 05 02 003c { 19 01 } "c"`, text: "reply/%c", want: usual + asked("reply/c")},
		{name: "response information for all", packet: `10 .. "MQTT" 05 02 003c { 19 01 } "a/b"`, text: "reply", want: usual + asked("reply")},
		{name: "response information, not asked for", packet: `10 .. "MQTT" 05 02 003c { 19 00 } "c"`, text: "reply/%c", want: usual},
		{name: "response information, there is none", packet: `10 .. "MQTT" 05 02 003c { 19 01 } "c"`, want: usual},
		{name: "response information, id of two levels", packet: `10 .. "MQTT" 05 02 003c { 19 01 } "a/b"`, text: "reply/%c", want: usual},
		{name: "response information, id is a wildcard", packet: `10 .. "MQTT" 05 02 003c { 19 01 } "+"`, text: "reply/%c", want: usual},
		{name: "response information, too small a packet", packet: `10 .. "MQTT" 05 02 003c { 19 01 27 00000014 } "c"`, text: "reply/%c", want: usual},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lim := limits()
			if lim.ResponseText = tt.text; tt.change != nil {
				tt.change(lim)
			}
			k, err := decodeConnect(bodyOf(assemble(t, tt.packet)), lim)
			if err != nil {
				t.Fatal(err)
			}
			b := k.appendConnack(nil, Violation{}, false, lim)
			if got := hex.EncodeToString(b[5:]); got != tt.want {
				t.Errorf("properties of CONNACK are\n%s, want\n%s", got, tt.want)
			}
			if b[0] != connack<<4 || int(b[1]) != len(b)-2 || b[2] != 0 || b[3] != 0 || int(b[4]) != len(b)-5 {
				t.Errorf("CONNACK is %x", b)
			}
		})
	}
}

// TestAssigned names clients that have no name.
func TestAssigned(t *testing.T) {
	k, err := decodeConnect(bodyOf(assemble(t, `10 .. "MQTT" 05 06 003c {} "" {} "w" "x"`)), limits())
	if err != nil {
		t.Fatal(err)
	}
	b := k.appendConnack(nil, Violation{}, false, limits())
	if len(k.ClientID) < 16 || !strings.Contains(string(b), "\x12\x00"+string(rune(len(k.ClientID)))+k.ClientID) {
		t.Errorf("client identifier %q, CONNACK %q", k.ClientID, b)
	}
	if k.will.Message.Origin != k.ClientID {
		t.Errorf("the will is of %q, not %q", k.will.Message.Origin, k.ClientID)
	}
}

func TestSilence(t *testing.T) {
	const idle = time.Hour
	for _, tt := range []struct {
		version   byte
		keepAlive uint16
		want      time.Duration
	}{
		{4, 60, 90 * time.Second},
		{4, 1, 1500 * time.Millisecond},
		{4, 0, idle},
		{4, 2401, idle},
		{4, 65535, idle},
		{3, 0, idle},
		{5, 60, 90 * time.Second},
		{5, 2400, idle},
		{5, 0, idle},
		{5, 65535, idle},
	} {
		k := Connect{Version: tt.version, keepAlive: tt.keepAlive}
		if k.limitSilence(idle); k.silence != tt.want {
			t.Errorf("MQTT %d with keep-alive %d may be silent for %v, want %v", tt.version, tt.keepAlive, k.silence, tt.want)
		}
	}
}

func TestAliases(t *testing.T) {
	for properties, want := range map[string]uint16{"{}": 0, "{ 22 0003 }": 3, "{ 22 0010 }": 16, "{ 22 ffff }": 16} {
		k, err := decodeConnect(bodyOf(assemble(t, `10 .. "MQTT" 05 02 003c `+properties+` "c"`)), limits())
		if err != nil || k.aliases != want {
			t.Errorf("%s allows %d aliases (%v), want %d", properties, k.aliases, err, want)
		}
	}
}

// TestReasonString shows what a client is told of each mistake in the table:
// short, in UTF-8, and only where the client takes it.
func TestReasonString(t *testing.T) {
	for _, r := range rows(t) {
		j := judge(t, append(unhex(hellos[r.version]), r.packet...))
		v, refused := violation(j.err)
		if !refused {
			continue
		}
		if v.Detail == "" && r.version == 0 && len(j.out) > 0 {
			t.Errorf("%s: no detail", r.name)
		}
		if len(v.Detail) > 400 || !utf8.ValidString(v.Detail) || strings.IndexByte(v.Detail, 0) >= 0 {
			t.Errorf("%s: detail %q", r.name, v.Detail)
		}
		loud := Connect{Version: 5, problemInfo: true, problemAsked: true, maxPacket: 40}
		quiet := Connect{Version: 5}
		if b := loud.appendDisconnect(nil, v); len(b) > 40 || len(v.Detail) > 0 && len(v.Detail) < 30 && len(b) < len(v.Detail) {
			t.Errorf("%s: DISCONNECT %x for a client that takes 40 bytes", r.name, b)
		}
		if b := quiet.appendDisconnect(nil, v); len(b) != 3 {
			t.Errorf("%s: DISCONNECT %x for a client without problem information", r.name, b)
		}
	}
}

// TestDetails has the words for the mistakes that people make.
func TestDetails(t *testing.T) {
	for packet, want := range map[string]string{
		`82 .. 0001 {} "a#" 00`:            `malformed packet: topic filter "a#": a wildcard must be a whole level, not part of "a#"`,
		`82 .. 0001 {} "a"`:                `malformed packet: subscription options byte is cut off`,
		`82 .. 0001 {}`:                    `protocol error: packet has no topic filter`,
		`30 .. "a" { 02 00000001*2 } 78`:   `malformed packet: property identifier 0x00 is not one that there is`,
		`30 .. "a" { 01 00 01 00 } 78`:     `protocol error: Payload Format Indicator is there twice`,
		`30 .. "a" { 11 00000001 } 78`:     `protocol error: Session Expiry Interval does not belong into this packet`,
		`30 .. "a" { 2600000000*9 } 78`:    `quota exceeded: User Property is there more than 8 times`,
		`30 .. "a" { 23 0000 } 78`:         `topic alias invalid: Topic Alias is 0`,
		`82 .. 0001 { 23 0001 } "a" 00`:    `malformed packet: Topic Alias does not belong into this packet`,
		`30 .. "a" { 11 00000001 04 } 78`:  `malformed packet: property identifier 0x04 is not one that there is`,
		`40 .. 0001 04`:                    `protocol error: reason code 0x04 is not one that a client sends in this packet`,
		`e0 .. 87`:                         `the client has disconnected for a reason that only a server can have`,
		`62 .. 0000`:                       `protocol error: packet identifier is 0`,
		`60 .. 0001`:                       `malformed packet: flags of the fixed header are 0, not 2`,
		`30 .. 0009 61`:                    `malformed packet: topic name is cut off`,
		`a2 .. 0001 {} 0001 ff`:            `malformed packet: topic filter is not UTF-8, or has U+0000`,
		`82 .. 0001 {} "$share/g/a" 04`:    `protocol error: subscription options byte has No Local for a shared subscription`,
		`82 .. 0001 {} 2710 61*9999 2b 00`: `malformed packet: topic filter "` + strings.Repeat("a", 80) + `…": a wildcard must be a whole level, not part of "` + strings.Repeat("a", 80) + `…"`,
	} {
		if j := judge(t, append(unhex(connect5), assemble(t, packet)...)); j.err == nil || j.err.Error() != want {
			t.Errorf("%s is answered with\n%v, want\n%s", packet, j.err, want)
		}
	}
}
