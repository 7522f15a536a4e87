package serial

import (
	"slices"
	"strings"
	"testing"

	"edge/bridge"
	"edge/internal/codec"
)

func TestEncodeAs(t *testing.T) {
	u16 := codec.Table{{At: 0, Is: new(int64(0xa5))}, {Key: "value", At: 2, Type: codec.U16, Order: codec.Little}}
	number := Entity{ID: "n", Kind: bridge.Number, Scale: 0.1, Max: new(10000.0), Encode: Encode{As: AsBinary, Bytes: "00 10 00 00 FF", Fields: u16}}
	lamp := Entity{ID: "lamp", Key: "l", Kind: bridge.Switch, OnValue: "true", OffValue: "false"}
	as := func(e Entity, c Encode) Entity { e.Encode = c; return e }
	mode := Entity{ID: "mode", Kind: bridge.Text}
	dim := Entity{ID: "dim", Kind: bridge.Number}
	press := Entity{ID: "go", Kind: bridge.Button}
	for _, tt := range []struct {
		e           Entity
		value, want string
		err         string
	}{
		{e: number, value: "30", want: "\xa5\x10\x2c\x01\xff"},
		{e: number, value: "6553.6", err: "encode: value: \"65536\" does not fit 16 bits of u16"},
		{e: number, value: "10001", err: "above the maximum"},
		{e: as(lamp, Encode{As: AsJSON, End: "\n"}), value: "ON", want: "{\"l\":true}\n"},
		{e: as(lamp, Encode{As: AsCBOR}), value: "OFF", want: "\xa1\x61l\xf4"},
		{e: as(mode, Encode{As: AsJSON, With: map[string]string{"z": "5", "a": "x"}}), value: "5", want: `{"a":"x","z":5,"mode":"5"}`},
		{e: as(dim, Encode{As: AsMessagePack}), value: "200", want: "\x81\xa3dim\xcc\xc8"},
		{e: as(press, Encode{As: AsJSON, With: map[string]string{"cmd": "go"}}), want: `{"cmd":"go"}`},
		{e: as(press, Encode{As: AsBinary, Bytes: "0d0a"}), want: "\r\n"},
	} {
		if err := tt.e.validate(); err != nil {
			t.Errorf("%+v: %v", tt.e, err)
			continue
		}
		w, err := compile(tt.e, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, b, err := w.encode(bridge.Command{Value: tt.value}, "")
		if tt.err == "" && (err != nil || string(b) != tt.want) {
			t.Errorf("%s %q makes %q, %v, want %q", tt.e.ID, tt.value, b, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s %q makes %q, %v, want %q within", tt.e.ID, tt.value, b, err, tt.err)
		}
		if d := tt.e.announced(); !d.Command {
			t.Errorf("%s is announced as one without commands", tt.e.ID)
		}
	}
}

func TestEncodeIsChecked(t *testing.T) {
	value := codec.Table{{Key: "value"}}
	for _, tt := range []struct {
		name    string
		kind    bridge.Kind
		command string
		encode  Encode
		want    []string
	}{
		{"unknown", bridge.Number, "", Encode{As: "xml"}, []string{"encode.as"}},
		{"both", bridge.Number, "x", Encode{As: AsJSON}, []string{"encode.as"}},
		{"binary without bytes", bridge.Number, "", Encode{As: AsBinary, Fields: value}, []string{"encode.bytes"}},
		{"no hexadecimal", bridge.Number, "", Encode{As: AsBinary, Bytes: "0x1", Fields: value}, []string{"encode.bytes"}},
		{"no value", bridge.Number, "", Encode{As: AsBinary, Bytes: "00"}, []string{"encode.fields"}},
		{"bad field", bridge.Number, "", Encode{As: AsBinary, Bytes: "00", Fields: codec.Table{{Key: "value", Bits: "9:1"}}}, []string{"encode.fields[0].bits"}},
		{"with of binary", bridge.Number, "", Encode{As: AsBinary, Bytes: "00", Fields: value, With: map[string]string{"a": "b"}}, []string{"encode.with"}},
		{"fields of json", bridge.Number, "", Encode{As: AsJSON, Fields: value}, []string{"encode.fields"}},
		{"end of nothing", bridge.Number, "x", Encode{End: "\n"}, []string{"encode.as"}},
		{"sensor", bridge.Sensor, "", Encode{As: AsJSON}, []string{"command"}},
	} {
		e := Entity{ID: "a", Kind: tt.kind, Command: tt.command, Encode: tt.encode}
		err := e.validate()
		if got := places(t, err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: mistakes at %v, want %v: %v", tt.name, got, tt.want, err)
		}
	}
}
