package codec

import (
	"encoding/hex"
	"strings"
	"testing"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFieldsBothWays reads bytes, and writes the text into zeros: they are equal
// again where the field has all of the bits.
func TestFieldsBothWays(t *testing.T) {
	heating := map[string]string{"0": "idle", "1": "heating", "-2": "frost", "0xff": "off"}
	for _, tt := range []struct {
		f     Field
		bytes string
		want  string
	}{
		{Field{}, "ff", "255"},
		{Field{Type: S8}, "80", "-128"},
		{Field{Type: U16}, "01 02", "258"},
		{Field{Type: U16, Order: Little}, "02 01", "258"},
		{Field{Type: U16, Order: Mixed}, "01 02", "258"},
		{Field{Type: S16}, "ff fe", "-2"},
		{Field{Type: U24}, "01 00 02", "65538"},
		{Field{Type: U32}, "01 02 03 04", "16909060"},
		{Field{Type: U32, Order: Little}, "04 03 02 01", "16909060"},
		{Field{Type: U32, Order: Mixed}, "03 04 01 02", "16909060"},
		{Field{Type: S32}, "ff ff ff ff", "-1"},
		{Field{Type: U64}, "ff ff ff ff ff ff ff ff", "18446744073709551615"},
		{Field{Type: U64, Order: Mixed}, "00 04 00 03 00 02 00 01", "281483566841860"},
		{Field{Type: S64}, "80 00 00 00 00 00 00 00", "-9223372036854775808"},
		{Field{Type: F32}, "3d cc cc cd", "0.1"},
		{Field{Type: F32, Order: Little}, "00 00 c0 7f", "!the sensor says that it has no number: NaN"},
		{Field{Type: F32, Scale: 10}, "3f 00 00 00", "5"},
		{Field{Type: F64}, "bf f0 00 00 00 00 00 00", "-1"},
		{Field{Type: BCD, Length: 3}, "12 34 56", "123456"},
		{Field{Type: BCD, Length: 2, Order: Little, Scale: 0.01}, "34 12", "12.34"},
		{Field{Type: BCD, Length: 2}, "1a 34", "!is not in BCD: 1a34"},
		{Field{Type: BCD, Length: 12}, "99 99 99 99 99 99 99 99 99 99 99 99", "!is not in BCD: 999999999999999999999999"},
		{Field{Type: ASCII, Length: 4}, "41 42 00 00", "AB"},
		{Field{Type: ASCII, Length: 2}, "41 07", "!is not text: 4107"},
		{Field{Type: Hex, Length: 2}, "be ef", "beef"},
		{Field{Bits: "4:3"}, "50", "5"},
		{Field{Bits: "7:1"}, "80", "1"},
		{Field{Type: S16, Bits: "4:12", Scale: 0.0625}, "ff 00", "-1"},
		{Field{Type: S16, Scale: 0.1, Offset: -40}, "01 90", "0"},
		{Field{Enum: heating}, "01", "heating"},
		{Field{Enum: heating}, "ff", "off"},
		{Field{Type: S8, Enum: heating}, "fe", "frost"},
		{Field{Enum: heating}, "07", "!7 has no word"},
		{Field{Type: S16, Error: []int64{-1}}, "ff ff", "!the sensor reports an error: 65535"},
		{Field{Type: S16, Unsupported: []int64{0x8000}}, "80 00", "!the device does not support this"},
		{Field{Type: U64, Error: []int64{-1}}, "ff ff ff ff ff ff ff ff", "!the sensor reports an error: 18446744073709551615"},
	} {
		tt.f.Key = "x"
		table := Table{tt.f}
		if err := table.Validate(); err != nil {
			t.Errorf("%+v: %v", tt.f, err)
			continue
		}
		frame := fromHex(t, tt.bytes)
		get, err := Binary(table)(frame)
		if err != nil {
			t.Errorf("%+v of %s: %v", tt.f, tt.bytes, err)
			continue
		}
		got := show(get("x"))
		if got != tt.want {
			t.Errorf("%+v of %s is %q, want %q", tt.f, tt.bytes, got, tt.want)
		}
		if strings.HasPrefix(got, "!") {
			continue
		}
		back := make([]byte, len(frame))
		err = table.Fill(back, func(string) (string, bool) { return got, true })
		if err != nil || string(back) != string(frame) {
			t.Errorf("%s in %+v is % x, %v, want % x", got, tt.f, back, err, frame)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table{
		{At: 0, Is: new(int64(0xaa))},
		{At: -1, Is: new(int64(0xab))},
		{Key: "low", At: 1, Bits: "0:4"},
		{Key: "high", At: 1, Bits: "4:4"},
		{Key: "far", At: 9},
	}
	type m = map[string]string
	check(t, []sample{
		{name: "whole", decode: Binary(table), frames: []string{"\xaa\x5c\xab"}, want: m{"low": "12", "high": "5", "far": "-", "x": "-"}},
		{name: "another sort", decode: Binary(table), frames: []string{"\xaa\x5c\xac"}, want: m{"low": "-"}},
		{name: "a byte", decode: Binary(table), frames: []string{"\xaa"}, want: m{"low": "-"}},
		{name: "empty", decode: Binary(table), frames: []string{""}, err: "is empty"},
	})
	frame := []byte{1, 2, 3}
	values := map[string]string{"low": "12", "high": "5"}
	err := table.Fill(frame, func(k string) (string, bool) { v, ok := values[k]; return v, ok })
	if err != nil || string(frame) != "\xaa\x5c\xab" {
		t.Errorf("filled % x, %v, want aa 5c ab", frame, err)
	}
}

func TestFillRefuses(t *testing.T) {
	for _, tt := range []struct {
		f         Field
		text, err string
	}{
		{Field{}, "256", "does not fit 8 bits"},
		{Field{}, "-1", "does not fit 8 bits"},
		{Field{}, "1.5", "is not a whole number"},
		{Field{}, "x", "is not a whole number"},
		{Field{Type: S8}, "128", "does not fit 8 bits"},
		{Field{Bits: "0:3"}, "8", "does not fit 3 bits"},
		{Field{Scale: 0.1}, "25.6", "does not fit 8 bits"},
		{Field{Scale: 0.1}, "nan", "is not a number"},
		{Field{Type: F32}, "1e300", "does not fit f32"},
		{Field{Type: BCD, Length: 1}, "100", "does not fit 2 digits"},
		{Field{Type: BCD, Length: 1}, "-1", "does not fit"},
		{Field{Type: ASCII, Length: 1}, "ab", "is longer than 1 bytes"},
		{Field{Type: Hex, Length: 1}, "abc", "is not 1 bytes"},
		{Field{Enum: map[string]string{"1": "on"}}, "off", "is not a word"},
		{Field{Error: []int64{255}}, "255", "does not stand for a value"},
		{Field{At: 7}, "1", "has no byte 7"},
		{Field{At: 9, Is: new(int64(1))}, "1", "has no byte 9"},
		{Field{Type: BCD, Length: 1, Is: new(int64(100))}, "1", "does not fit 2 digits"},
	} {
		tt.f.Key = "x"
		frame := make([]byte, 4)
		err := Table{tt.f}.Fill(frame, func(string) (string, bool) { return tt.text, true })
		if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q in %+v: %v, want %q", tt.text, tt.f, err, tt.err)
		}
	}
}

// FuzzBinary holds that what was read and is written again gives the same
// value, whatever the table.
func FuzzBinary(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint8(3), 1, uint8(1), 0.1, -40.0, "3:4")
	f.Add([]byte("\x00\x00\xc0\x7f"), uint8(10), 0, uint8(0), 0.0, 0.0, "")
	f.Add([]byte("\x12\x34\x56"), uint8(12), -2, uint8(2), 0.0, 0.0, "")
	f.Fuzz(func(t *testing.T, frame []byte, kind uint8, at int, order uint8, scale, offset float64, bits string) {
		types, orders := Type("").Values(), Order("").Values()
		field := Field{
			Key: "x", At: at, Type: Type(types[int(kind)%len(types)]), Order: Order(orders[int(order)%len(orders)]),
			Scale: scale, Offset: offset, Bits: bits,
		}
		if sizes[field.kind()] == 0 {
			field.Length = 2
		}
		table := Table{field}
		if table.Validate() != nil {
			return
		}
		get, err := Binary(table)(frame)
		if err != nil {
			return
		}
		v, ok := get("x")
		if !ok || v.Trouble != "" || scale != 0 || offset != 0 {
			return // a scale may lose digits
		}
		back := make([]byte, len(frame))
		copy(back, frame)
		if err := table.Fill(back, func(string) (string, bool) { return v.Text, true }); err != nil {
			t.Fatalf("%q of %+v in % x cannot be written: %v", v.Text, field, frame, err)
		}
		get, _ = Binary(table)(back)
		if again, _ := get("x"); again != v {
			t.Errorf("%+v in % x is %+v, written and read again %+v", field, frame, v, again)
		}
	})
}
