package frame

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBuilder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		spec    Spec
		content string
		want    string
	}{
		// Winsen, MH-Z19B manual V1.0: read the concentration.
		{"mh-z19", Spec{Kind: Fixed, Size: 9, Start: "\xff", Check: &Check{Algorithm: "sum8-negated", From: 1}}, unhex("01 86 0000000000"), unhex("ff01860000000000 79")},
		{"pms5003", pms5003, unhex("e20001"), unhex("424d 0005 e20001 0177")},
		{"ubx", ubx, unhex("0624"), unhex("b562062400002a84")},
		{"nmea", nmea, "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*", "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"},
		{"modbus", rtu, unhex("1103006b0003"), unhex("1103006b00037687")},
		{"header", header, "\x01\x02body", "\xa5" + unhex("da57") + "\x01\x02\x04\x00\x00\x00body"},
		{"slip", Spec{Kind: SLIP}, "a\xc0b\xdbc", "\xc0a\xdb\xdcb\xdb\xddc\xc0"},
		{"cobs", Spec{Kind: COBS}, "\x11\x22\x00\x33", "\x00\x03\x11\x22\x02\x33\x00"},
		{"cobs of a zero", Spec{Kind: COBS}, "\x00", "\x00\x01\x01\x00"},
		{"cobs of 254", Spec{Kind: COBS}, strings.Repeat("x", 254), "\x00\xff" + strings.Repeat("x", 254) + "\x00"},
		{"cobs of 255", Spec{Kind: COBS}, strings.Repeat("x", 255), "\x00\xff" + strings.Repeat("x", 254) + "\x02x\x00"},
		{"delimiter", Spec{Kind: Delimiter, End: "\r"}, "AT", "AT\r"},
		{"dle", Spec{Kind: StartStop, Start: "\x10\x02", End: "\x10\x03", Escape: "\x10"}, "a\x10b", "\x10\x02a\x10\x10b\x10\x03"},
		{"sml", Spec{Kind: SML}, unhex(mt631), unhex("1b1b1b1b01010101" + mt631 + "1b1b1b1b1a002101")},
	} {
		got, err := NewBuilder(tt.spec).Frame([]byte(tt.content))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s of %x = %x, %v, want %x", tt.name, tt.content, got, err, tt.want)
		}
	}
}

func TestBuilderRefuses(t *testing.T) {
	for _, tt := range []struct {
		spec          Spec
		content, want string
	}{
		{Spec{Kind: Delimiter}, "one\ntwo", "ends a frame"},
		{Spec{Kind: StartStop, Start: "<", End: ">"}, "a>b", "ends a frame"},
		{Spec{Kind: Fixed, Size: 4}, "12345", "5 bytes, not 4"},
		{Spec{Kind: Length, Max: 600}, strings.Repeat("x", 300), "does not fit"},
		{Spec{Kind: Length, Max: 10}, strings.Repeat("x", 30), "more than 10"},
		{ubx, "x", "too short"},
		{dsmr, "x", "trailer"},
		{Spec{Kind: Gap, Check: &Check{Algorithm: "xor", From: 5, To: new(7)}}, "x", "too short for its checksum"},
	} {
		got, err := NewBuilder(tt.spec).Frame([]byte(tt.content))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s of %q = %q, %v, want an error with %q", tt.spec.Kind, tt.content, got, err, tt.want)
		}
	}
}

// The sums that are no CRC, of 123456789.
func TestSums(t *testing.T) {
	want := map[string]uint32{
		"sum8": 0xdd, "sum8-negated": 0x23, "sum8-inverted": 0x22, "lrc": 0x23, "xor": 0x31,
		"sum16": 0x01dd, "sum16-negated": 0xfe23, "sum16-inverted": 0xfe22, "fletcher16": 0xdd15,
	}
	if len(want) != len(sums) {
		t.Errorf("%d values for %d sums", len(want), len(sums))
	}
	for _, s := range sums {
		got := s.finish(s.update(s.update(s.begin(), []byte("1234")), []byte("56789"))) & (1<<s.width - 1)
		if got != want[s.name] {
			t.Errorf("%s of 123456789 = %#x, want %#x", s.name, got, want[s.name])
		}
	}
}

func TestCheckAtAnyPlace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		check Check
		frame string
	}{
		{"at the end", Check{Algorithm: "CRC-16/XMODEM"}, "123456789\x31\xc3"},
		{"the other order", Check{Algorithm: "CRC-16/XMODEM", Order: Little}, "123456789\xc3\x31"},
		{"as text", Check{Algorithm: "CRC-16/XMODEM", Hex: true}, "12345678931c3"},
		{"as text, the other order", Check{Algorithm: "CRC-16/XMODEM", Hex: true, Order: Little}, "123456789C331"},
		{"in front", Check{Algorithm: "CRC-16/XMODEM", At: new(0), From: 2}, "\x31\xc3123456789"},
		{"within", Check{Algorithm: "CRC-16/XMODEM", At: new(3), To: new(11)}, "123\x31\xc3456789"},
		{"of a part", Check{Algorithm: "CRC-16/XMODEM", At: new(-4), From: 2, To: new(-5)}, "<<123456789>\x31\xc3\r\n"},
		{"of 24 bits", Check{Algorithm: "CRC-24/OPENPGP"}, "123456789\x21\xcf\x02"},
		{"described", Check{Algorithm: "crc", Width: 16, Poly: 0x1021, Init: 0xffff, Reflected: true, XorOut: 0xffff}, "123456789\x90\x6e"},
	} {
		c := newChecker(&Spec{Kind: Gap, Check: &tt.check})
		if !c.good([]byte(tt.frame)) {
			t.Errorf("%s: the checksum of %q is not right", tt.name, tt.frame)
		}
		for i := range tt.frame {
			b := []byte(tt.frame)
			b[i] ^= 1
			at, from, to, _ := c.place(len(b))
			covered := i >= from && i < to || i >= at && i < at+c.size
			if c.good(b) == covered {
				t.Errorf("%s: with byte %d changed, good = %t, want %t", tt.name, i, !covered, !covered)
			}
		}
		b := slices.Clone([]byte(tt.frame))
		at, _, _, _ := c.place(len(b))
		clear(b[at : at+c.size])
		if err := c.fill(b); err != nil || !strings.EqualFold(string(b), tt.frame) {
			t.Errorf("%s: fill made %q, %v, want %q", tt.name, b, err, tt.frame)
		}
		if c.good([]byte("1")) {
			t.Errorf("%s: a frame of one byte is good", tt.name)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		spec Spec
		want []string
	}{
		{Spec{}, []string{"kind"}},
		{Spec{Kind: "lines"}, []string{"kind"}},
		{Spec{Kind: Delimiter}, nil},
		{Spec{Kind: Delimiter, Max: -1, Start: "x", Size: 3, Timeout: time.Second}, []string{"start", "size", "timeout", "max"}},
		{Spec{Kind: Delimiter, Max: 65537, End: "12345678901234567"}, []string{"max", "end"}},
		{Spec{Kind: Fixed}, []string{"size"}},
		{Spec{Kind: Fixed, Size: 2, Start: "aa", End: "b"}, []string{"size"}},
		{Spec{Kind: Fixed, Size: 2000}, []string{"max"}},
		{Spec{Kind: Length}, nil},
		{Spec{Kind: Length, Start: "xx", Length: Field{At: 1, Width: 3, Order: "mid", Counts: "all", Bias: 1 << 20}}, []string{"length.at", "length.width", "length.order", "length.counts", "length.bias"}},
		{Spec{Kind: StartStop}, []string{"start", "end"}},
		{Spec{Kind: StartStop, Start: "~", End: "~", Trailer: 2}, []string{"trailer"}},
		{Spec{Kind: StartStop, Start: "~", End: "#", Trailer: 1, Check: &Check{Algorithm: "crc-32"}}, []string{"trailer"}},
		{Spec{Kind: StartStop, Start: "~~", End: "#", XOR: "ab"}, []string{"xor", "xor", "xor"}},
		{Spec{Kind: StartStop, Start: "~", End: "#", Escape: "ab"}, []string{"escape"}},
		{Spec{Kind: Gap, Gap: 1}, []string{"gap"}},
		{Spec{Kind: SML, Check: &Check{Algorithm: "crc-16/kermit"}}, nil},
		{Spec{Kind: SML, Check: &Check{Algorithm: "sum8"}}, []string{"checksum"}},
		{Spec{Kind: Gap, Check: &Check{}}, []string{"checksum.algorithm"}},
		{Spec{Kind: Gap, Check: &Check{Algorithm: "xor", Poly: 1, Order: "x"}}, []string{"checksum.order", "checksum.width"}},
		{Spec{Kind: Gap, Check: &Check{Algorithm: "crc", Width: 12}}, []string{"checksum.width"}},
		{Spec{Kind: Gap, Check: &Check{Algorithm: "crc", Width: 8, Init: 0x100}}, []string{"checksum.init", "checksum.poly"}},
	} {
		var got []string
		if all, ok := tt.spec.Validate().(interface{ Unwrap() []error }); ok {
			for _, err := range all.Unwrap() {
				field, ok := errors.AsType[*FieldError](err)
				if !ok {
					t.Fatalf("%+v: %v is no FieldError", tt.spec, err)
				}
				got = append(got, field.Field)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("mistakes of %+v (-want +got):\n%s", tt.spec, diff)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]string{"abc": "abc", "0xAA c0": "\xaa\xc0", "": "", "0xa": "", "0x": "", "0xzz": ""} {
		var b Bytes
		err := b.UnmarshalText([]byte(text))
		if string(b) != want || (err != nil) != (want == "" && text != "") {
			t.Errorf("UnmarshalText(%q) = %q, %v, want %q", text, b, err, want)
		}
	}
}
