package codec

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestCBOR decodes the examples of RFC 8949, appendix A, each in an array of
// one.
func TestCBOR(t *testing.T) {
	for _, tt := range []struct{ hex, want string }{
		{"00", "0"},
		{"17", "23"},
		{"1818", "24"},
		{"1903e8", "1000"},
		{"1a000f4240", "1000000"},
		{"1b000000e8d4a51000", "1000000000000"},
		{"1bffffffffffffffff", "18446744073709551615"},
		{"20", "-1"},
		{"3863", "-100"},
		{"3903e7", "-1000"},
		{"3bffffffffffffffff", "-18446744073709552000"},
		{"f90000", "0"},
		{"f93c00", "1"},
		{"f93e00", "1.5"},
		{"f97bff", "65504"},
		{"fa47c35000", "100000"},
		{"fb3ff199999999999a", "1.1"},
		{"f90001", "0.000000059604645"},
		{"f90400", "0.000061035156"},
		{"f9c400", "-4"},
		{"fbc010666666666666", "-4.1"},
		{"f97c00", "-"},
		{"f97e00", "-"},
		{"f9fc00", "-"},
		{"f4", "false"},
		{"f5", "true"},
		{"f6", "-"},
		{"f7", "-"},
		{"c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"},
		{"c11a514b67b0", "1363896240"},
		{"4401020304", "01020304"},
		{"6449455446", "IETF"},
		{"62c3bc", "ü"},
		{"83010203", "[1,2,3]"},
		{"a26161016162820203", `{"a":1,"b":[2,3]}`},
		{"a201020304", `{"1":2,"3":4}`},
		{"5f42010243030405ff", "0102030405"},
		{"7f657374726561646d696e67ff", "streaming"},
		{"9fff", "[]"},
		{"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
		{"bf61610161629f0203ffff", `{"a":1,"b":[2,3]}`},
	} {
		check(t, []sample{{name: "cbor", decode: CBOR, frames: []string{"\x81" + string(fromHex(t, tt.hex))}, want: map[string]string{"0": tt.want}}})
	}
	for _, tt := range []struct{ hex, err string }{
		{"", "ends within"},
		{"01", "is not a CBOR object"},
		{"8101 02", "something behind"},
		{"82 01", "ends within"},
		{"9b ffffffffffffffff", "ends within"},
		{"5b ffffffffffffffff", "ends within"},
		{"81 1c", "reserved byte 0x1c"},
		{"81 1f", "reserved byte 0x1f"},
		{"81 ff", "break where nothing is open"},
		{"9f 81 ff ff", "break where nothing is open"},
		{"a1 f6 01", "a key that is null"},
		{"81 f8 ff", "simple value 255"},
		{"81 5f 61 61 ff", "string of other pieces"},
		{strings.Repeat("81", 40), "more than 32 levels"},
		{"99 4e20" + strings.Repeat("00", 20000), "more than 16384 items"},
	} {
		check(t, []sample{{name: "cbor", decode: CBOR, frames: []string{string(fromHex(t, tt.hex))}, err: tt.err}})
	}
}

// TestMessagePack decodes each format of the specification, in an array of one.
func TestMessagePack(t *testing.T) {
	for _, tt := range []struct{ hex, want string }{
		{"00", "0"},
		{"7f", "127"},
		{"ff", "-1"},
		{"e0", "-32"},
		{"cc ff", "255"},
		{"cd ffff", "65535"},
		{"ce ffffffff", "4294967295"},
		{"cf ffffffffffffffff", "18446744073709551615"},
		{"d0 80", "-128"},
		{"d1 8000", "-32768"},
		{"d2 80000000", "-2147483648"},
		{"d3 8000000000000000", "-9223372036854775808"},
		{"ca 3dcccccd", "0.1"},
		{"cb 3ff199999999999a", "1.1"},
		{"ca 7fc00000", "-"},
		{"c0", "-"},
		{"c2", "false"},
		{"c3", "true"},
		{"a3 616263", "abc"},
		{"d9 01 61", "a"},
		{"da 0001 61", "a"},
		{"db 00000001 61", "a"},
		{"c4 01 be", "be"},
		{"c5 0001 be", "be"},
		{"c6 00000001 be", "be"},
		{"d4 05 be", "be"},
		{"d6 ff 5a4af6a5", "5a4af6a5"},
		{"c7 01 05 be", "be"},
		{"c8 0001 05 be", "be"},
		{"92 01 02", "[1,2]"},
		{"dc 0001 07", "[7]"},
		{"dd 00000001 07", "[7]"},
		{"81 a1 61 01", `{"a":1}`},
		{"de 0001 a1 61 01", `{"a":1}`},
		{"df 00000001 01 02", `{"1":2}`},
	} {
		check(t, []sample{{name: "msgpack", decode: MessagePack, frames: []string{"\x91" + string(fromHex(t, tt.hex))}, want: map[string]string{"0": tt.want}}})
	}
	for _, tt := range []struct{ hex, err string }{
		{"", "ends within"},
		{"01", "is not a MessagePack object"},
		{"91 01 02", "something behind"},
		{"92 01", "ends within"},
		{"dd ffffffff", "ends within"},
		{"91 db ffffffff", "ends within"},
		{"91 c1", "byte 0xc1"},
		{"81 c0 01", "a key that is null"},
		{strings.Repeat("91", 40), "more than 32 levels"},
	} {
		check(t, []sample{{name: "msgpack", decode: MessagePack, frames: []string{string(fromHex(t, tt.hex))}, err: tt.err}})
	}
}

var members = []Member{
	{"led", Scalar{"on", false}},
	{"a", Scalar{"1", true}},
	{"b", Scalar{"-1", true}},
	{"c", Scalar{"-33", true}},
	{"d", Scalar{"200", true}},
	{"e", Scalar{"-40000", true}},
	{"f", Scalar{"70000", true}},
	{"g", Scalar{"21.5", true}},
	{"h", Scalar{"0.1", true}},
	{"i", Scalar{"true", true}},
	{"j", Scalar{"false", true}},
	{"k", Scalar{"18446744073709551615", true}},
	{"l", Scalar{"-9223372036854775808", true}},
	{"m", Scalar{strings.Repeat("x", 300), false}},
	{"n", Scalar{`"\`, false}},
	{"o", Scalar{"-128", true}},
	{"p", Scalar{"-129", true}},
	{"q", Scalar{strings.Repeat("y", 40), false}},
}

func TestObjectsBothWays(t *testing.T) {
	for name, way := range map[string]struct {
		append Appender
		decode Decoder
	}{"json": {AppendJSON, JSON}, "cbor": {AppendCBOR, CBOR}, "msgpack": {AppendMessagePack, MessagePack}} {
		b, err := way.append(nil, members)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := map[string]string{}
		for _, m := range members {
			want[m.Key] = m.Value.Text
		}
		check(t, []sample{{name: name, decode: way.decode, frames: []string{string(b)}, want: want}})
		if b, err := way.append(nil, []Member{{"x", Scalar{"1x", true}}}); err == nil {
			t.Errorf("%s takes 1x for a number: %q", name, b)
		}
	}
}

func TestObjectsAreShort(t *testing.T) {
	few := []Member{{"a", Scalar{"1", true}}, {"b", Scalar{"21.5", true}}, {"c", Scalar{"-500", true}}}
	for _, tt := range []struct {
		append Appender
		want   string
	}{
		{AppendJSON, hex.EncodeToString([]byte(`{"a":1,"b":21.5,"c":-500}`))},
		{AppendCBOR, "a3" + "616101" + "6162fa41ac0000" + "61633901f3"},
		{AppendMessagePack, "83" + "a16101" + "a162ca41ac0000" + "a163d1fe0c"},
	} {
		if b, err := tt.append(nil, few); err != nil || hex.EncodeToString(b) != tt.want {
			t.Errorf("%x, %v, want %s", b, err, tt.want)
		}
	}
}

func FuzzTree(f *testing.F) {
	for _, s := range []string{"bf61610161629f0203ffff", "9f018202039f0405ffff", "83a16101a162ca41ac0000a163d1fe0c", "de0001a16101", "5f42010243030405ff", "817b7d"} {
		f.Add(fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []Decoder{CBOR, MessagePack, JSON} {
			get, err := decode(b)
			if err != nil {
				continue
			}
			for _, key := range []string{"0", "a", "a.b.0"} {
				if v, ok := get(key); !ok && v != (Value{}) {
					t.Errorf("%q of % x is absent and %+v", key, b, v)
				}
			}
		}
	})
}

// FuzzObject holds that what is made can be read, and is the same.
func FuzzObject(f *testing.F) {
	f.Add("a", "x", true)
	f.Add("k.1", "-129", true)
	f.Add("", "21.5", true)
	f.Add("plus", "+200", true)
	f.Fuzz(func(t *testing.T, key, text string, bare bool) {
		object := []Member{{key, Scalar{text, bare}}}
		for i, append := range []Appender{AppendCBOR, AppendMessagePack} {
			b, err := append(nil, object)
			if err != nil {
				continue
			}
			get, err := []Decoder{CBOR, MessagePack}[i](b)
			if err != nil {
				t.Fatalf("%q: %q made % x, which %v", key, text, b, err)
			}
			if v, ok := get(key); !ok || !bare && v.Text != text {
				t.Errorf("%q: %q made % x, which says %q", key, text, b, v.Text)
			}
		}
	})
}
