package uart

import (
	"bytes"
	"fmt"
	"testing"
)

// telnetSays decodes chunks and returns the data and what else came, as text.
func telnetSays(chunks ...[]byte) (data []byte, said string) {
	var d telnetDecoder
	for _, c := range chunks {
		data = d.decode(data, c, func(verb, option byte, sub []byte) {
			said += fmt.Sprintf("%d %d %x;", verb, option, sub)
		})
	}
	return data, said
}

func TestTelnetDecode(t *testing.T) {
	for _, tt := range []struct{ name, wire, data, said string }{
		{"data", "abc\r\x00\n", "abc\r\x00\n", ""},
		{"doubled IAC is data", "a\xff\xffb", "a\xffb", ""},
		{"negotiation", "a\xff\xfb\x2cb\xff\xfe\x00", "ab", "251 44 ;254 0 ;"},
		{"no operation, are you there", "a\xff\xf1\xff\xf6b", "ab", ""},
		{"SET-BAUDRATE with an IAC within", "\xff\xfa\x2c\x01\x00\x00\xff\xff\x00\xff\xf0x", "x", "250 44 010000ff00;"},
		{"empty subnegotiation", "\xff\xfa\xff\xf0x", "x", ""},
		{"its end was lost", "\xff\xfa\x2c\x01\xff\xfb\x03x", "x", "251 3 ;"},
		{"option beyond 63", "\xff\xfd\xc8", "", "253 200 ;"},
		{"cut", "a\xff", "a", ""},
	} {
		data, said := telnetSays([]byte(tt.wire))
		if string(data) != tt.data || said != tt.said {
			t.Errorf("%s: %q is data %q and %q, want %q and %q", tt.name, tt.wire, data, said, tt.data, tt.said)
		}
	}
}

func TestTelnetNegotiation(t *testing.T) {
	both := optionSet(optBinary, optSGA)
	var n negotiation
	n.mayUs, n.mayThem = both, both
	if got, want := n.ask(nil, optionSet(optComPort), optionSet(optSGA)), "\xff\xfd\x03\xff\xfb\x2c"; string(got) != want {
		t.Errorf("ask = %x, want %x", got, want)
	}
	for i, tt := range []struct {
		verb, option byte
		want         string
	}{
		{tnDo, optComPort, ""}, // asked for
		{tnWill, optSGA, ""},
		{tnDo, optBinary, "\xff\xfb\x00"},   // agreed
		{tnDo, optBinary, ""},               // on already
		{tnWill, optEcho, "\xff\xfe\x01"},   // refused
		{tnDo, 200, "\xff\xfc\xc8"},         // refused, beyond the set
		{tnDont, optBinary, "\xff\xfc\x00"}, // off again
		{tnDont, optBinary, ""},
		{tnWont, optSGA, "\xff\xfe\x03"},
		{tnWont, 200, ""},
	} {
		if got := n.answer(nil, tt.verb, tt.option); string(got) != tt.want {
			t.Errorf("%d: answer to %d %d = %x, want %x", i, tt.verb, tt.option, got, tt.want)
		}
	}
}

// FuzzTelnet: how a stream is cut makes no difference, nothing grows without
// end, and what is escaped comes out again.
func FuzzTelnet(f *testing.F) {
	f.Add([]byte("a\xff\xffb\xff\xfb\x2c"), 1)
	f.Add([]byte("\xff\xfa\x2c\x01\x00\x00\xff\xff\x00\xff\xf0x\xff\xfa\xff\xf0"), 4)
	f.Add(append([]byte("\xff\xfa\x2c"), bytes.Repeat([]byte("\xff\xff"), maxSub)...), 9)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		cut = max(0, min(cut, len(wire)))
		whole, said := telnetSays(wire)
		parts, saidParts := telnetSays(wire[:cut], wire[cut:])
		if !bytes.Equal(whole, parts) || said != saidParts {
			t.Errorf("%x at once: %x %q; cut at %d: %x %q", wire, whole, said, cut, parts, saidParts)
		}
		if got, said := telnetSays(appendEscaped(nil, wire)); !bytes.Equal(got, wire) || said != "" {
			t.Errorf("%x escaped and decoded is %x, %q", wire, got, said)
		}
		sub := wire[:min(len(wire), maxSub-1)]
		if _, said := telnetSays(appendSub(nil, sub...)); said != fmt.Sprintf("250 44 %x;", sub) {
			t.Errorf("subnegotiation %x comes as %q", sub, said)
		}
	})
}
