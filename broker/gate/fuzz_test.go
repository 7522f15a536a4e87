package gate

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// seed adds the rows of testdata/strict.txt that are packets of the given types.
func seed(f *testing.F, types ...byte) {
	for _, r := range rows(f) {
		if body := bodyOf(r.packet); body != nil && bytes.IndexByte(types, r.packet[0]>>4) >= 0 {
			f.Add(r.version, r.packet[0], body)
		}
	}
}

// anyVersion returns one of the versions that there are for each v.
func anyVersion(v byte) byte { return 3 + v%3 }

// frame returns the packet with the given first byte and body.
func frame(head byte, body []byte) []byte {
	return append(appendVarint([]byte{head}, uint32(len(body))), body...)
}

func FuzzConnect(f *testing.F) {
	seed(f, connect)
	f.Fuzz(func(t *testing.T, _, _ byte, body []byte) {
		k, err := decodeConnect(body, limits())
		if err != nil {
			if k != nil {
				_, ok := violation(err)
				answer := k.appendConnack(nil, Violation{Malformed, err.Error()}, false, limits())
				if !ok || len(answer) > 0 && !k.fits(len(answer)) {
					t.Errorf("CONNECT %x is refused with %v and answered with %x", body, err, answer)
				}
			}
			return
		}
		if k.ClientID == "" || k.silence <= 0 || k.silence > limits().Idle {
			t.Errorf("CONNECT %x gives %+v", body, k)
		}
		compareConnect(t, body)
	})
}

func FuzzPublish(f *testing.F) {
	seed(f, publish)
	f.Fuzz(func(t *testing.T, version, head byte, body []byte) {
		version = anyVersion(version)
		p, err := decodePublish(head>>1&3, body, version, limits())
		if err != nil {
			return
		}
		if head>>1&3 > 0 && p.id == 0 {
			t.Errorf("packet id 0 is accepted in %x", body)
		}
		compare(t, version, frame(publish<<4|head&15, body))
	})
}

func FuzzSubscribe(f *testing.F) {
	seed(f, subscribe)
	f.Fuzz(func(t *testing.T, version, _ byte, body []byte) {
		version = anyVersion(version)
		if checkSubscribe(body, version, limits()) == nil {
			compare(t, version, frame(subscribe<<4|2, body))
		}
	})
}

func FuzzUnsubscribe(f *testing.F) {
	seed(f, unsubscribe)
	f.Fuzz(func(t *testing.T, version, _ byte, body []byte) {
		version = anyVersion(version)
		if checkUnsubscribe(body, version, limits()) == nil {
			compare(t, version, frame(unsubscribe<<4|2, body))
		}
	})
}

func FuzzDisconnect(f *testing.F) {
	seed(f, disconnect)
	f.Fuzz(func(t *testing.T, version, _ byte, body []byte) {
		version = anyVersion(version)
		if _, err := decodeDisconnect(body, version, limits()); err != nil {
			return
		}
		compare(t, version, frame(disconnect<<4, body))
	})
}

func FuzzAck(f *testing.F) {
	seed(f, puback, pubrec, pubrel, pubcomp)
	f.Fuzz(func(t *testing.T, version, head byte, body []byte) {
		version = anyVersion(version)
		packet := puback + head>>4&3
		id, r, err := decodeAck(packet, body, version, limits())
		if err != nil {
			return
		}
		if id == 0 || !r.sent(packet) {
			t.Errorf("packet id %d and reason %#x are accepted in %x", id, byte(r), body)
		}
		compare(t, version, frame(packet<<4|flagsOf[packet], body))
	})
}

func FuzzProperties(f *testing.F) {
	for _, r := range rows(f) { // A block stands behind the topic, or the packet id, or in CONNECT.
		typ, body := r.packet[0]>>4, bodyOf(r.packet)
		for _, at := range []int{1, 2, 3, 10} {
			if len(body) > at && len(body) < 100 {
				f.Add(typ, body[at:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, packet byte, block []byte) {
		packet &= 15
		c := cursor{b: block}
		p := c.properties(packet, 8)
		if c.err != nil {
			if _, ok := violation(c.err); !ok || c.b != nil {
				t.Errorf("%x is refused with %v, and %x is left to read", block, c.err, c.b)
			}
			return
		}
		typ := packet
		if packet == will {
			typ = packets.WillProperties
		}
		var theirs packets.Properties
		n, err := theirs.Decode(typ, bytes.NewBuffer(block))
		if left := len(block) - len(c.b); n != left {
			t.Errorf("%x: mochi reads %d bytes of properties, the gate %d", block, n, left)
		}
		same(t, block, err, ourMessage(p), theirMessage(theirs))
		if packet == publish { // What is sent on is what came.
			sent := appendMessage(nil, &p.message)
			again := cursor{b: append(appendVarint(nil, uint32(len(sent))), sent...)}
			if d := cmp.Diff(p.message, again.properties(publish, 8).message); d != "" || again.err != nil {
				t.Errorf("%x is sent as %x: %v\n%s", block, sent, again.err, d)
			}
		}
	})
}

func FuzzVarint(f *testing.F) {
	for _, s := range []string{"", "00", "7f", "80", "8001", "8000", "ff7f", "808001", "ffffff7f", "ffffffff", "ffffffff7f", "80808000"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, n := varint(b)
		if n <= 0 {
			if n == 0 && len(b) >= 4 {
				t.Errorf("varint(%x) wants more bytes", b)
			}
			return
		}
		theirs, read, err := packets.DecodeLength(bytes.NewReader(b))
		same(t, b, err, []int{int(v), n}, []int{theirs, read})
		if got := appendVarint(nil, v); !bytes.Equal(got, b[:n]) || varintLen(v) != n {
			t.Errorf("%x is %d, which is written as %x", b[:n], v, got)
		}
	})
}

// FuzzStream sends any bytes behind a CONNECT. The gate must not panic, and what
// it hands on mochi must read as the gate does.
func FuzzStream(f *testing.F) {
	f.Add(byte(5), unhex("82 07 0001 00 0001 23 02 34 07 0001 61 0007 00 78 62 02 0007"))
	f.Add(byte(4), unhex("82 06 0001 0001 23 02 33 06 0001 61 0007 78 e0 00"))
	f.Add(byte(5), unhex("30 21 0001 61 1c 01 01 03 0001 74 08 0001 72 09 0002 0001 26 0001 6e 0001 76 26 0001 6e 0000 78"))
	f.Add(byte(5), unhex("82 06 0001 00 0001 61")) // Kills mochi, issue 501.
	for _, r := range rows(f) {
		f.Add(r.version, r.packet)
	}
	f.Fuzz(func(t *testing.T, version byte, stream []byte) {
		hello := unhex(hellos[version])
		j := judge(t, append(hello, stream...))
		for _, packet := range j.handed {
			compare(t, j.version, packet)
		}
	})
}
