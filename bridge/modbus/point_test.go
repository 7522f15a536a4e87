package modbus

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"edge/bridge"
)

// mustCompile returns e ready to be used, with an id and an address.
func mustCompile(t testing.TB, e Entity) *point {
	t.Helper()
	if e.ID == "" {
		e.ID = "x"
	}
	if e.Address == nil {
		e.Address = new(uint16(0))
	}
	p, err := compile(e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A valueRow is a state as registers.
type valueRow struct {
	name  string
	e     Entity
	words []uint16
	power int
	state string
}

// values are states as registers and back. The numbers of the formats are worked
// out by hand, or are the examples of IEEE 754 (-118.625 is C2ED4000, 230.1 is
// 4366199A).
var values = []valueRow{
	{"u16", Entity{}, []uint16{65535}, 0, "65535"},
	{"s16", Entity{Format: S16}, []uint16{0xFFFE}, 0, "-2"},
	{"s16 least", Entity{Format: S16}, []uint16{0x8000}, 0, "-32768"},
	{"u32", Entity{Format: U32}, []uint16{0x0001, 0x0000}, 0, "65536"},
	{"u32 word", Entity{Format: U32, Order: Word}, []uint16{0x0000, 0x0001}, 0, "65536"},
	{"u32 byte", Entity{Format: U32, Order: Byte}, []uint16{0x2211, 0x4433}, 0, "287454020"}, // 0x11223344
	{"u32 little", Entity{Format: U32, Order: Little}, []uint16{0x4433, 0x2211}, 0, "287454020"},
	{"s32", Entity{Format: S32}, []uint16{0xFFFF, 0xFFFF}, 0, "-1"},
	{"u64", Entity{Format: U64}, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}, 0, "18446744073709551615"},
	{"u64 word", Entity{Format: U64, Order: Word}, []uint16{4, 3, 2, 1}, 0, "281483566841860"}, // 0x0001000200030004
	{"s64 least", Entity{Format: S64}, []uint16{0x8000, 0, 0, 0}, 0, "-9223372036854775808"},
	{"f32", Entity{Format: F32}, []uint16{0xC2ED, 0x4000}, 0, "-118.625"},
	{"f32 shortest", Entity{Format: F32}, []uint16{0x4366, 0x199A}, 0, "230.1"},
	{"f32 word", Entity{Format: F32, Order: Word}, []uint16{0x4000, 0xC2ED}, 0, "-118.625"},
	{"f64", Entity{Format: F64}, []uint16{0x3FF8, 0, 0, 0}, 0, "1.5"},
	{"bcd16", Entity{Format: BCD16}, []uint16{0x1234}, 0, "1234"},
	{"bcd32", Entity{Format: BCD32}, []uint16{0x9876, 0x5432}, 0, "98765432"},
	{"bool", Entity{Format: Bool}, []uint16{1}, 0, "1"},
	{"string", Entity{Kind: bridge.Text, Format: String, Length: 3}, []uint16{0x4544, 0x4745, 0}, 0, "EDGE"},
	{"string byte", Entity{Kind: bridge.Text, Format: String, Length: 2, Order: Byte}, []uint16{0x4445, 0x4547}, 0, "EDGE"},
	{"scale", Entity{Scale: 0.1}, []uint16{2341}, 0, "234.1"},
	{"scale and offset", Entity{Scale: 0.1, Offset: -40}, []uint16{400}, 0, "0"},
	{"offset", Entity{Format: S16, Offset: 2.5}, []uint16{0xFFFF}, 0, "1.5"},
	{"power", Entity{ScaleAddress: new(uint16(9))}, []uint16{2341}, -1, "234.1"},
	{"power up", Entity{ScaleAddress: new(uint16(9)), Format: S16}, []uint16{0xFFFF}, 3, "-1000"},
	{"round", Entity{Format: F32, Round: 0.5}, []uint16{0x3FC0, 0}, 0, "1.5"},
	{"bits", Entity{Bits: "4:4", Kind: bridge.Number, Write: true}, []uint16{0x00A0}, 0, "10"},
	{"enum", Entity{Kind: bridge.Text, Format: S16, Enum: map[int64]string{-1: "fault", 2: "heating"}}, []uint16{0xFFFF}, 0, "fault"},
	{"switch", Entity{Kind: bridge.Switch, Write: true, OnValue: "0x0100", OffValue: "0x0200"}, []uint16{0x0200}, 0, "OFF"},
	{"switch bit", Entity{Kind: bridge.Switch, Write: true, Bits: "15:1"}, []uint16{0x8000}, 0, "ON"},
	{"coil", Entity{Kind: bridge.Switch, Write: true, Table: Coil}, []uint16{1}, 0, "ON"},
	{"coil inverted", Entity{Kind: bridge.Switch, Write: true, Table: Coil, OnValue: "0", OffValue: "1"}, []uint16{1}, 0, "OFF"},
	{"limits", Entity{Min: new(-3.0), Max: new(3.0), Format: S16}, []uint16{0xFFFD}, 0, "-3"},
}

func TestValuesBothWays(t *testing.T) {
	for _, v := range values {
		t.Run(v.name, func(t *testing.T) {
			p := mustCompile(t, v.e)
			got, err := p.decode(v.words, v.power)
			if err != nil || got != v.state {
				t.Errorf("decode(%#x) = %q, %v, want %q", v.words, got, err, v.state)
			}
			o, err := p.encode(v.state, "", v.power)
			if err != nil || o.expect != v.state {
				t.Fatalf("encode(%q) expects %q, %v, want itself", v.state, o.expect, err)
			}
			want := v.words
			if o.function == maskWrite {
				want = []uint16{^v.fieldMask(t), v.words[0]}
			}
			if !slices.Equal(o.words, want) {
				t.Errorf("encode(%q) = %#x, want %#x", v.state, o.words, want)
			}
		})
	}
}

// fieldMask are the bits that count, worked out from the text.
func (v *valueRow) fieldMask(t *testing.T) uint16 {
	m, ok := map[string]uint16{"4:4": 0x00F0, "15:1": 0x8000}[v.e.Bits]
	if !ok {
		t.Fatalf("no mask for %q", v.e.Bits)
	}
	return m
}

func TestDecodeRefuses(t *testing.T) {
	for _, v := range []struct {
		name  string
		e     Entity
		words []uint16
		is    error
		want  string
	}{
		{"error value", Entity{Format: S16, ErrorValues: []string{"0x8000"}}, []uint16{0x8000}, errNoValue, "0x8000"},
		{"error value in decimal", Entity{Format: S16, ErrorValues: []string{"-1"}}, []uint16{0xFFFF}, errNoValue, "0xffff"},
		{"unsupported", Entity{Format: U32, UnsupportedValues: []string{"4294967295"}}, []uint16{0xFFFF, 0xFFFF}, errUnsupported, "0xffffffff"},
		{"nan", Entity{Format: F32}, []uint16{0x7FC0, 0}, errNotNumber, "NaN"},
		{"nan that says something", Entity{Format: F32, ErrorValues: []string{"nan"}}, []uint16{0x7FC0, 0}, errNoValue, "NaN"},
		{"infinite", Entity{Format: F32}, []uint16{0xFF80, 0}, errInfinite, "infinite"},
		{"bcd", Entity{Format: BCD16}, []uint16{0x12A4}, nil, "BCD"},
		{"no name", Entity{Enum: map[int64]string{0: "off"}}, []uint16{7}, nil, "7"},
		{"neither on nor off", Entity{Kind: bridge.BinarySensor, OnValue: "1", OffValue: "0"}, []uint16{3}, nil, "3"},
		{"below", Entity{Format: S16, Min: new(0.0)}, []uint16{0xFFFF}, nil, "below"},
		{"above", Entity{Max: new(10.0)}, []uint16{11}, nil, "above"},
		{"noise", Entity{Kind: bridge.Text, Format: String, Length: 1}, []uint16{0xFFFF}, nil, "UTF-8"},
		{"empty", Entity{Kind: bridge.Text, Format: String, Length: 1}, []uint16{0x2000}, errNoValue, "empty"},
		{"too few", Entity{Format: U32}, []uint16{1}, nil, "want 2"},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, err := mustCompile(t, v.e).decode(v.words, 0)
			switch {
			case err == nil:
				t.Errorf("decode(%#x) = %q, want an error", v.words, got)
			case v.is != nil && !errors.Is(err, v.is), !strings.Contains(err.Error(), v.want):
				t.Errorf("decode(%#x): %q, want it to be %v and to contain %q", v.words, err, v.is, v.want)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, v := range []struct {
		name, value, now string
		e                Entity
		want             string
	}{
		{"too large", "65536", "", Entity{}, "does not fit"},
		{"negative", "-1", "", Entity{}, "does not fit"},
		{"beyond the bits", "16", "", Entity{Kind: bridge.Number, Write: true, Bits: "4:4"}, "4 bits"},
		{"no number", "warm", "", Entity{}, "not a number"},
		{"nan", "nan", "", Entity{Format: F32}, "not a number"},
		{"above", "11", "", Entity{Max: new(10.0)}, "above"},
		{"not a float32", "1e39", "", Entity{Format: F32}, "does not fit"},
		{"five digits", "12345", "", Entity{Format: BCD16}, "does not fit"},
		{"no such name", "cold", "", Entity{Enum: map[int64]string{0: "off"}}, "not one of off"},
		{"no state", "7", "", Entity{Kind: bridge.Switch, Write: true}, "not ON, OFF"},
		{"toggle of nothing", "TOGGLE", "", Entity{Kind: bridge.Switch, Write: true}, "not known"},
		{"long text", "abc", "", Entity{Kind: bridge.Text, Format: String, Length: 1}, "do not fit"},
		{"control characters", "a\nb", "", Entity{Kind: bridge.Text, Format: String, Length: 4}, "control"},
	} {
		t.Run(v.name, func(t *testing.T) {
			o, err := mustCompile(t, v.e).encode(v.value, v.now, 0)
			if err == nil || !strings.Contains(err.Error(), v.want) {
				t.Errorf("encode(%q) = %#x, %v, want an error with %q", v.value, o.words, err, v.want)
			}
		})
	}
}

func TestEncodeChoosesFunction(t *testing.T) {
	for _, v := range []struct {
		name     string
		e        Entity
		value    string
		function uint8
		address  uint16
		words    []uint16
	}{
		{"coil", Entity{Kind: bridge.Switch, Write: true, Table: Coil, Address: new(uint16(3))}, "ON", writeCoil, 3, []uint16{1}},
		{"register", Entity{Kind: bridge.Number, Write: true, Address: new(uint16(4))}, "7", writeRegister, 4, []uint16{7}},
		{"registers", Entity{Kind: bridge.Number, Write: true, Format: U32}, "7", writeRegisters, 0, []uint16{0, 7}},
		{"one by many", Entity{Kind: bridge.Number, Write: true, WriteFunction: 16}, "7", writeRegisters, 0, []uint16{7}},
		{"elsewhere", Entity{Kind: bridge.Number, Write: true, Table: Input, WriteTable: Holding, WriteAddress: new(uint16(9))}, "7", writeRegister, 9, []uint16{7}},
		// Relay boards of eletechsup's R4D kind: 0x0100 opens, 0x0200 closes, and 1 or 0 is read.
		{"other words", Entity{Kind: bridge.Switch, Write: true, OnValue: "1", WriteOn: "0x0100", WriteOff: "0x0200"}, "OFF", writeRegister, 0, []uint16{0x0200}},
	} {
		t.Run(v.name, func(t *testing.T) {
			o, err := mustCompile(t, v.e).encode(v.value, "", 0)
			if err != nil || o.function != v.function || o.address != v.address || !slices.Equal(o.words, v.words) {
				t.Errorf("encode(%q) = %d at %d %#x, %v, want %d at %d %#x", v.value, o.function, o.address, o.words, err, v.function, v.address, v.words)
			}
		})
	}
	p := mustCompile(t, Entity{Kind: bridge.Switch, Write: true})
	if o, err := p.encode("toggle", "ON", 0); err != nil || o.expect != "OFF" {
		t.Errorf("toggle of ON expects %q, %v, want OFF", o.expect, err)
	}
}

// FuzzValue reads any registers in any format. What can be read can be written,
// and is then read as the same.
func FuzzValue(f *testing.F) {
	for i := range values {
		f.Add(uint64(0x4366199A42ED0001), uint8(i), uint8(i), int8(0))
	}
	f.Add(uint64(math.MaxUint64), uint8(0), uint8(0), int8(-3))
	f.Add(uint64(1)<<63, uint8(5), uint8(3), int8(9))
	f.Fuzz(func(t *testing.T, bits uint64, format, order uint8, power int8) {
		formats, orders := Format("").Values(), Order("").Values()
		e := Entity{Format: Format(formats[int(format)%len(formats)]), Order: Order(orders[int(order)%len(orders)])}
		if e.Format == String {
			e.Length, e.Kind, e.Order = 4, bridge.Text, []Order{Big, Byte}[order%2]
		} else if power != 0 {
			e.ScaleAddress = new(uint16(1))
		}
		p := mustCompile(t, e)
		words := fromRaw(bits, 4, Big)[:p.count]
		state, err := p.decode(words, int(power))
		if err != nil {
			return
		}
		o, err := p.encode(state, "", int(power))
		if err != nil {
			// Numbers with more digits than are published may overflow on the way back.
			if q, e := p.quantity(toRaw(words, p.order())); e != nil || math.Abs(q.value()) < 1e11 {
				t.Fatalf("encode(%q): %v, but %#x is read as that", state, err, words)
			}
			return
		}
		again, err := p.decode(o.words, int(power))
		if err != nil || again != o.expect {
			t.Errorf("%#x is %q, written as %#x and read as %q, %v, want %q", words, state, o.words, again, err, o.expect)
		}
	})
}
