package gate

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A host is a packet that carries properties, in the notation of
// testdata/strict.txt with %s for them.
type host struct {
	name     string
	version  byte // of the connection; 0 if it begins with this packet
	notation string
	may      []byte // the properties that a client may put there (section 2.2.2.2)
	foreign  string // the verdict on others
}

var hosts = []host{
	{"CONNECT", 0, `10 .. "MQTT" 05 02 003c %s "c"`, []byte{0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27}, "82"},
	{"will", 0, `10 .. "MQTT" 05 06 003c {} "c" %s "w" "x"`, []byte{0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26}, "82"},
	{"PUBLISH of QoS 0", 5, `30 .. "a" %s 78`, []byte{0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26}, "82"},
	{"PUBLISH of QoS 1", 5, `32 .. "a" 0001 %s 78`, []byte{0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26}, "82"},
	{"PUBLISH of QoS 2", 5, `34 .. "a" 0001 %s`, []byte{0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26}, "82"},
	{"PUBACK", 5, `40 .. 0001 00 %s`, []byte{0x1F, 0x26}, "82"},
	{"PUBREC", 5, `50 .. 0001 00 %s`, []byte{0x1F, 0x26}, "82"},
	{"PUBREL", 5, `62 .. 0001 00 %s`, []byte{0x1F, 0x26}, "82"},
	{"PUBCOMP", 5, `70 .. 0001 00 %s`, []byte{0x1F, 0x26}, "82"},
	{"SUBSCRIBE", 5, `82 .. 0001 %s "a" 00`, []byte{0x0B, 0x26}, "81"},
	{"UNSUBSCRIBE", 5, `a2 .. 0001 %s "a"`, []byte{0x26}, "81"},
	{"DISCONNECT", 5, `e0 .. 00 %s`, []byte{0x11, 0x1C, 0x1F, 0x26}, "82"},
}

// values has a value for each property that there is.
var values = map[byte]string{
	0x01: "01", 0x17: "00", 0x19: "01", 0x24: "01", 0x25: "01", 0x28: "01", 0x29: "01", 0x2A: "01",
	0x13: "000a", 0x21: "0001", 0x22: "0001", 0x23: "0001",
	0x02: "00000001", 0x11: "00000000", 0x18: "00000001", 0x27: "00000100",
	0x0B: "01",
	0x03: `"a"`, 0x08: `"a"`, 0x09: `"a"`, 0x12: `"a"`, 0x15: `"a"`, 0x16: `"a"`, 0x1A: `"a"`, 0x1C: `"a"`, 0x1F: `"a"`,
	0x26: `"a" "b"`,
}

// wrong has values that are of the right type, or nearly, and are not allowed.
var wrong = []struct {
	id             byte
	value, verdict string
}{
	{0x01, "02", "82"},
	{0x01, "ff", "82"},
	{0x17, "02", "82"},
	{0x19, "02", "82"},
	{0x21, "0000", "82"},
	{0x27, "00000000", "82"},
	{0x23, "0000", "94"},
	{0x0B, "00", "82"},
	{0x0B, "8000", "81"},
	{0x0B, "80808000", "81"},
	{0x0B, "8080808001", "81"},
	{0x08, `"a/+"`, "82"},
	{0x08, `"#"`, "82"},
	{0x08, `""`, "82"},
	{0x26, `0001 ff "b"`, "81"},
	{0x26, `"a" 0001 00`, "81"},
	{0x26, `"a" 0003 eda080`, "81"},
}

// texts are properties whose value is a UTF-8 string.
var texts = []byte{0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F}

// TestMalformedProperties has every property in every packet: once, twice, and cut
// off wherever it can be.
func TestMalformedProperties(t *testing.T) {
	for _, h := range hosts {
		for id := range byte(0x40) {
			value, defined := values[id]
			if !defined {
				h.check(t, "undefined", fmt.Sprintf("%02x 01", id), "81")
				continue
			}
			one := fmt.Sprintf("%02x %s", id, value)
			h.check(t, "once", one, h.once(id))
			h.check(t, "twice", one+" "+one, h.twice(id))
			h.check(t, "and one that is undefined", one+" 7f", "81")
			whole := assemble(t, value)
			for n := range whole {
				h.check(t, "cut off", fmt.Sprintf("%02x %x", id, whole[:n]), "81")
			}
		}
		for _, id := range []string{"8001", "ff7f", "808001", "ffff7f", "80808001", "ffffff7f", "8080808001", "8100", "a600"} {
			h.check(t, "identifier of several bytes", id+" 01", "81")
		}
	}
}

// TestMalformedValues has values that are not allowed.
func TestMalformedValues(t *testing.T) {
	for _, h := range hosts {
		for _, w := range wrong {
			verdict := w.verdict
			if !slices.Contains(h.may, w.id) && verdict != "81" {
				verdict = h.foreign
			}
			h.check(t, "value", fmt.Sprintf("%02x %s", w.id, w.value), verdict)
		}
		for _, id := range texts {
			for _, text := range []string{"0001 ff", "0001 00", "0003 eda080", "0002 c080", "0002 c328", "0004 f4908080"} {
				h.check(t, "no text", fmt.Sprintf("%02x %s", id, text), "81")
			}
		}
	}
}

func (h host) once(id byte) string {
	switch {
	case !slices.Contains(h.may, id):
		return h.foreign
	case id == 0x15: // There is no method (section 4.12).
		return "8c"
	case id == 0x16: // Data need a method (section 3.1.2.11.10).
		return "82"
	}
	return "ok"
}

func (h host) twice(id byte) string {
	switch {
	case !slices.Contains(h.may, id):
		return h.foreign
	case id == 0x26:
		return "ok"
	}
	return "82"
}

// check judges the host with a block of properties, behind one that it may have
// and before one.
func (h host) check(t *testing.T, what, block, verdict string) {
	t.Helper()
	const user = ` 26 "k" "v" `
	for _, b := range []string{block, user + block, block + user} {
		if b != block && verdict == "81" && !strings.HasPrefix(b, user) {
			continue // What is cut off goes on with what is behind it.
		}
		packet := assemble(t, fmt.Sprintf(h.notation, "{ "+b+" }"))
		t.Run(fmt.Sprintf("%s, %s: %s", h.name, what, b), row{"", h.version, packet, verdict}.check)
	}
}

// specimens returns a packet of each type, in the form of a version.
func specimens(t *testing.T, version byte) (packets [16][]byte) {
	notations := [16]string{
		connect: `10 .. "MQTT" 04 02 003c "c"`, publish: `30 .. "a"`, puback: "40 .. 0001", pubrec: "50 .. 0001",
		pubrel: "62 .. 0001", pubcomp: "70 .. 0001", subscribe: `82 .. 0001 "a" 00`, unsubscribe: `a2 .. 0001 "a"`,
		pingreq: "c0 ..", disconnect: "e0 ..", 0: "00 ..", connack: "20 .. 0000", suback: "90 .. 000100",
		unsuback: "b0 .. 0001", pingresp: "d0 ..", auth: "f0 ..",
	}
	switch version {
	case 3:
		notations[connect] = `10 .. "MQIsdp" 03 02 003c "c"`
	case 5:
		notations[connect], notations[publish] = `10 .. "MQTT" 05 02 003c {} "c"`, `30 .. "a" {}`
		notations[puback], notations[pubrec] = "40 .. 0001 00 {}", "50 .. 0001 00 {}"
		notations[pubrel], notations[pubcomp] = "62 .. 0001 00 {}", "70 .. 0001 00 {}"
		notations[subscribe], notations[unsubscribe] = `82 .. 0001 {} "a" 00`, `a2 .. 0001 {} "a"`
		notations[disconnect] = "e0 .. 00 {}"
	}
	for typ, notation := range notations {
		packets[typ] = assemble(t, notation)
	}
	return packets
}

// fromServers are the types of packets that no client sends, and CONNECT, which
// it does not send again.
var fromServers = []byte{0, connect, connack, suback, unsuback, pingresp, auth}

// TestMalformedFlags has every packet with every value of its flags.
func TestMalformedFlags(t *testing.T) {
	for _, version := range []byte{3, 4, 5} {
		for typ, packet := range specimens(t, version) {
			for flags := range byte(16) {
				body := bodyOf(packet)
				if byte(typ) == publish && flags&6 != 0 { // With a packet identifier.
					body = slices.Insert(slices.Clone(body), 3, 0, 1)
				}
				r := row{"", version, frame(byte(typ)<<4|flags, body), flagsVerdict(version, byte(typ), flags)}
				t.Run(fmt.Sprintf("version %d, %x", version, r.packet), r.check)
				if typ == connect {
					r.version, r.verdict = 0, "ok"
					if flags != 0 && version > 3 {
						r.verdict = "close"
					}
					t.Run(fmt.Sprintf("first, %x", r.packet), r.check)
				}
			}
		}
	}
}

func flagsVerdict(version, typ, flags byte) string {
	want := byte(0)
	switch typ {
	case publish:
		if flags&6 == 6 || flags&0xE == 8 { // QoS 3, or DUP of QoS 0.
			return "81"
		}
		return "ok"
	case pubrel, subscribe, unsubscribe:
		want = 2
	}
	switch {
	case slices.Contains(fromServers, typ):
		return "82"
	case flags == want, version == 3 && want != 0 && flags == want|8: // MQTT 3.1 has DUP there.
		return "ok"
	}
	return "81"
}

// TestMalformedLengths has every packet too short, by each number of bytes, and
// too long by one.
func TestMalformedLengths(t *testing.T) {
	for _, version := range []byte{3, 4, 5} {
		for typ, packet := range specimens(t, version) {
			body := bodyOf(packet)
			for n := range len(body) + 2 {
				cut := append(slices.Clone(body), 0)[:n]
				r := row{"", version, frame(packet[0], cut), lengthVerdict(version, byte(typ), body, n)}
				if typ == connect {
					r.version, r.verdict = 0, connectVerdict(body, n)
				}
				t.Run(fmt.Sprintf("version %d, %s", version, hex.EncodeToString(r.packet)), r.check)
			}
		}
	}
}

// lengthVerdict is the verdict on the first n bytes of body, or on one more.
func lengthVerdict(version, typ byte, body []byte, n int) string {
	beforeFilters := 2
	if version == 5 {
		beforeFilters = 3
	}
	switch {
	case slices.Contains(fromServers, typ):
		return "82"
	case typ == publish && n > len(body): // It has a payload.
		return "ok"
	case (typ == subscribe || typ == unsubscribe) && n == beforeFilters: // Sections 3.8.3 and 3.10.3.
		return "82"
	case version == 5 && typ >= puback && typ <= pubcomp && n >= 2 && n <= len(body): // Section 3.4.2.1.
		return "ok"
	case version == 5 && typ == disconnect && n <= len(body): // Section 3.14.2.1.
		return "ok"
	case n == len(body):
		return "ok"
	}
	return "81"
}

// connectVerdict is the same for CONNECT. Until its version is read it is no
// MQTT.
func connectVerdict(body []byte, n int) string {
	head := 2 + int(body[1]) + 1
	switch {
	case n < head:
		return "close"
	case n == len(body):
		return "ok"
	}
	return "81"
}
