package frame

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// split feeds in, cut into pieces of the given sizes in turn, then silence.
func split(s *Splitter, in []byte, sizes ...int) (got []string) {
	emit := func(f []byte) { got = append(got, string(f)) }
	for i := 0; len(in) > 0; i++ {
		n := len(in)
		if len(sizes) > 0 {
			n = min(n, max(1, sizes[i%len(sizes)]))
		}
		s.Feed(in[:n], epoch, emit)
		in = in[n:]
	}
	return got
}

func silence(s *Splitter) (got []string) {
	s.Expire(func(f []byte) { got = append(got, string(f)) })
	return got
}

// The kinds of frames, as real devices send them.
var (
	// Nova Fitness, SDS011 laser PM2.5 sensor specification V1.3.
	sds011 = Spec{
		Kind: Fixed, Size: 10, Start: "\xaa\xc0", End: "\xab",
		Check: &Check{Algorithm: "sum8", From: 2}, Payload: Part{From: 2, To: new(-2)},
	}
	// Plantower, PMS5003 series data manual V2.3, appendix I.
	pms5003 = Spec{
		Kind: Length, Start: "BM", Length: Field{At: 2, Width: 2},
		Check: &Check{Algorithm: "sum16"},
	}
	// EN 13757-2, frame format with variable length.
	mbus = Spec{
		Kind: Length, Start: "\x68", End: "\x16",
		Length: Field{At: 1, Counts: CountFrame, Bias: 6}, Check: &Check{Algorithm: "sum8", From: 4},
	}
	// u-blox, UBX frame structure.
	ubx = Spec{
		Kind: Length, Start: "\xb5\x62", Length: Field{At: 4, Width: 2, Order: Little, Counts: CountBody},
		Check: &Check{Algorithm: "fletcher16", From: 2},
	}
	// NMEA 0183.
	nmea = Spec{
		Kind: StartStop, Start: "$", End: "\r\n", Max: 82,
		Check: &Check{Algorithm: "xor", From: 1, To: new(-5), Hex: true}, Payload: Part{From: 1, To: new(-5)},
	}
	// DSMR 5.0.2 P1 companion standard, section 6.2.
	dsmr = Spec{
		Kind: StartStop, Start: "/", End: "!", Trailer: 6,
		Check: &Check{Algorithm: "CRC-16/ARC", Hex: true},
	}
	// ISO/IEC 13239, HDLC with octet transparency.
	hdlc = Spec{
		Kind: StartStop, Start: "\x7e", End: "\x7e", Escape: "\x7d", XOR: "\x20",
		Check:   &Check{Algorithm: "CRC-16/IBM-SDLC", From: 1, Order: Little},
		Payload: Part{From: 1, To: new(-3)},
	}
	// DLE STX … DLE ETX, as in 3964R.
	dle    = Spec{Kind: StartStop, Start: "\x10\x02", End: "\x10\x03", Escape: "\x10", Check: &Check{Algorithm: "CRC-16/XMODEM", From: 2}}
	slip   = Spec{Kind: SLIP, Check: &Check{Algorithm: "CRC-32", Order: Little}, Payload: Part{To: new(-4)}}
	cobs   = Spec{Kind: COBS, Check: &Check{Algorithm: "CRC-16/CCITT-FALSE"}, Payload: Part{To: new(-2)}}
	sml    = Spec{Kind: SML}
	rtu    = Spec{Kind: Gap, Max: 256, Check: &Check{Algorithm: "CRC-16/MODBUS", Order: Little}}
	lines  = Spec{Kind: Delimiter, Check: &Check{Algorithm: "CRC-16/KERMIT", Hex: true}, Payload: Part{To: new(-4)}}
	header = Spec{Kind: Length, Start: "\xa5", Length: Field{At: 5, Width: 4, Order: Little}, Check: &Check{Algorithm: "CRC-16/DNP", At: new(1), From: 3}}
)

// specs are all of them.
var specs = map[string]Spec{
	"sds011": sds011, "pms5003": pms5003, "mbus": mbus, "ubx": ubx, "nmea": nmea, "dsmr": dsmr, "hdlc": hdlc,
	"dle": dle, "slip": slip, "cobs": cobs, "sml": sml, "rtu": rtu, "lines": lines, "header": header,
}

func TestSpecsAreValid(t *testing.T) {
	for name, s := range specs {
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// mt631 is a telegram of an ISKRA MT631 meter, from ISKRA_MT631-D1A52-K0z-H01 in
// https://github.com/devZer0/libsml-testing.
const mt631 = "7605099df3ec6200620072630101760101050334a6a40b0a0149534b00047a5544726201650334a4f7620163f23e00" +
	"7605099df3ed620062007263070177010b0a0149534b00047a5544070100620affff726201650334a4f7747707010060320101010101" +
	"010449534b0177070100600100ff010101010b0a0149534b00047a55440177070100010800ff650010010401621e52036307fb01" +
	"77070100020800ff0101621e5203620001010163d9e6007605099df3ee6200620072630201710163fe9f00"

// What devices send is found, whatever pieces it comes in, and among other bytes.
func TestRealFrames(t *testing.T) {
	const gga = "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"sds011", unhex("c0 aa aac0d4043a0aa1601dab aac0d4043a0aa1601dab ab"), []string{unhex("d4043a0aa160"), unhex("d4043a0aa160")}},
		{"pms5003", "B" + unhex("42 4d 00 04 e2 01 01 76"), []string{unhex("424d0004e2010176")}},
		{"mbus", unhex("68 68 68030368 53febd 0e 16"), []string{unhex("6803036853febd0e16")}},
		{"ubx", unhex("b5 b562 0624 0000 2a84"), []string{unhex("b562062400002a84")}},
		{"nmea", "$GPGGA,12$" + gga + "*47\r\n$" + gga + "*48\r\n", []string{gga}},
		{"sml", unhex("1b1b 1b1b1b1b01010101 00 1b1b1b1b01010101" + mt631 + "1b1b1b1b1a002101"), []string{unhex(mt631)}},
	} {
		for size := range 6 {
			s := NewSplitter(specs[tt.name])
			got := append(split(s, []byte(tt.in), size), silence(s)...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", tt.name, size, diff)
			}
		}
	}
}

func TestDelimiter(t *testing.T) {
	for _, tt := range []struct {
		name, delimiter, in string
		skip                bool
		want                []string
		long, noise         uint64
	}{
		{"lines", "\n", "a\nb\n\nc", false, []string{"a", "b"}, 0, 0},
		{"carriage returns", "\n", "a\r\nb\r\r\n\r\n", false, []string{"a", "b\r"}, 0, 0},
		{"longest", "\n", "12345678\n123456789\nb\n", false, []string{"12345678", "b"}, 1, 9},
		{"endless", "\n", "1234567890123456789012345", false, nil, 1, 25},
		{"endless, then a line", "\n", "12345678901234567890\nok\n", false, []string{"ok"}, 1, 20},
		{"other delimiter", ";", "a;b\n;c", false, []string{"a", "b\n"}, 0, 0},
		{"two bytes", "\r\n", "a\rb\n\r\nc\r\n", false, []string{"a\rb\n", "c"}, 0, 0},
		{"two bytes, longest", "\r\n", "12345678\r\n123456789\r\nx\r\n", false, []string{"12345678", "x"}, 1, 9},
		{"equal bytes", "--", "a---b--", false, []string{"a", "-b"}, 0, 0},
		{"from the middle", "\n", "4}\n{}\n", true, []string{"{}"}, 0, 2},
		{"from the middle of a long one", "\n", "12345678901234567890\n{}\n", true, []string{"{}"}, 0, 20},
	} {
		for size := range 6 {
			s := NewSplitter(Spec{Kind: Delimiter, End: Bytes(tt.delimiter), Max: 8})
			if tt.skip {
				s.SkipFirst()
			}
			if diff := cmp.Diff(tt.want, split(s, []byte(tt.in), size)); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", tt.name, size, diff)
			}
			want := Stats{Frames: uint64(len(tt.want)), TooLong: tt.long, NoiseBytes: tt.noise}
			if diff := cmp.Diff(want, s.Stats()); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", tt.name, size, diff)
			}
			if len(s.buf) > 8+len(tt.delimiter) {
				t.Errorf("%s: %d bytes are kept", tt.name, len(s.buf))
			}
		}
	}
}

// What fails is counted once, by its reason, and all of its bytes are noise.
func TestFailuresAreCounted(t *testing.T) {
	good := unhex("aac0d4043a0aa1601dab")
	for _, tt := range []struct {
		name, in string
		want     Stats
	}{
		{"sds011", good + good[:5] + "\x00" + good[6:] + good, Stats{Frames: 2, BadChecksum: 1, NoiseBytes: 10}},
		{"sds011", good[:9] + "\x00" + good, Stats{Frames: 1, Malformed: 1, NoiseBytes: 10}},
		{"sds011", "\xaa" + good + "\xaa\xc0", Stats{Frames: 1, NoiseBytes: 1}},
		{"pms5003", "BM\x00\x08BM\x00\x02xxyy", Stats{BadChecksum: 1, NoiseBytes: 12}},
		{"pms5003", "BM\xff\xff", Stats{TooLong: 1, NoiseBytes: 4}},
		{"nmea", "$" + strings.Repeat("x", 200), Stats{TooLong: 1, NoiseBytes: 201}},
		{"hdlc", "lost\x7e\x7e\x7d\x7e", Stats{Malformed: 1, NoiseBytes: 5}},
		{"dle", "\x10\x02a\x10\x02b", Stats{Malformed: 1, NoiseBytes: 3}},
		{"slip", "\xc0\xdb\x00\xc0", Stats{Malformed: 1, NoiseBytes: 2}},
		{"cobs", "\x00\x05ab\x00", Stats{Malformed: 1, NoiseBytes: 3}},
		{"slip", "\xc0" + strings.Repeat("x", 1025) + "\xc0", Stats{TooLong: 1, NoiseBytes: 1025}},
		{"lines", "21.40000\n", Stats{BadChecksum: 1, NoiseBytes: 8}},
	} {
		for size := range 4 {
			s := NewSplitter(specs[tt.name])
			split(s, []byte(tt.in), size)
			if diff := cmp.Diff(tt.want, s.Stats()); diff != "" {
				t.Errorf("%s of %q in pieces of %d (-want +got):\n%s", tt.name, tt.in, size, diff)
			}
		}
	}
}

func TestSilenceEndsAFrame(t *testing.T) {
	s := NewSplitter(rtu)
	// Modbus application protocol V1.1b3, section 6.3, with its CRC: read three
	// registers from 0x6b of unit 17.
	in := unhex("11 03 006b 0003 7687")
	s.SkipFirst()
	if got := split(s, []byte("rest"), 1); got != nil {
		t.Errorf("frames before the silence: %q", got)
	}
	if got := silence(s); got != nil {
		t.Errorf("the rest of a frame is a frame: %q", got)
	}
	if got := split(s, []byte(in), 3); got != nil {
		t.Errorf("frames before the silence: %q", got)
	}
	if got, want := s.Deadline(), epoch.Add(20*time.Millisecond); !got.Equal(want) {
		t.Errorf("Deadline = %v, want %v", got, want)
	}
	if diff := cmp.Diff([]string{in}, silence(s)); diff != "" {
		t.Errorf("after the silence (-want +got):\n%s", diff)
	}
	if got := s.Deadline(); !got.IsZero() {
		t.Errorf("Deadline = %v of nothing, want none", got)
	}
	split(s, make([]byte, 300), 7)
	silence(s)
	want := Stats{Frames: 1, TooLong: 1, NoiseBytes: 304}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// A false start that promises more than comes does not hide what is behind it.
func TestSilenceGivesUpAFalseStart(t *testing.T) {
	s := NewSplitter(ubx)
	poll := unhex("b562062400002a84")
	if got := split(s, []byte(unhex("b562 0101 f000")+poll), 4); got != nil {
		t.Errorf("frames within one that has begun: %q", got)
	}
	if got, want := s.Deadline(), epoch.Add(time.Second); !got.Equal(want) {
		t.Errorf("Deadline = %v, want %v", got, want)
	}
	if diff := cmp.Diff([]string{poll}, silence(s)); diff != "" {
		t.Errorf("after the silence (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Stats{Frames: 1, Malformed: 1, NoiseBytes: 6}, s.Stats()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// Without anything to know a frame by, the silence tells where one begins.
func TestFixedFromTheMiddle(t *testing.T) {
	s := NewSplitter(Spec{Kind: Fixed, Size: 3})
	s.SkipFirst()
	if got := split(s, []byte("bcabc"), 2); got != nil {
		t.Errorf("frames before the first silence: %q", got)
	}
	silence(s)
	if diff := cmp.Diff([]string{"abc", "abc"}, split(s, []byte("abcabca"), 2)); diff != "" {
		t.Errorf("after the silence (-want +got):\n%s", diff)
	}
}

// Frames that share a flag are all found.
func TestSharedFlag(t *testing.T) {
	b := NewBuilder(hdlc)
	one, err := b.Frame([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Frame([]byte("t\x7ew\x7do"))
	if err != nil {
		t.Fatal(err)
	}
	got := split(NewSplitter(hdlc), append(one, two[1:]...), 3)
	if diff := cmp.Diff([]string{"one", "t\x7ew\x7do"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
