package serial

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"edge/bridge"
	"edge/internal/codec"
)

func TestDecode(t *testing.T) {
	regex := DefaultConfig()
	regex.Format, regex.Pattern = Regex, `^T=(?P<t>[-.0-9]+)(?: H=(?P<h>\d+))?`
	for _, tt := range []struct {
		name string
		cfg  Config
		line string
		key  string
		want string // empty: not there
		err  string
	}{
		{name: "value", cfg: Config{Format: Value}, line: "21.5", key: "any", want: "21.5"},
		{name: "json", cfg: Config{Format: JSON}, line: `{"a":21.50}`, key: "a", want: "21.50"},
		{name: "json string", cfg: Config{Format: JSON}, line: `{"a":"x"}`, key: "a", want: "x"},
		{name: "json bool", cfg: Config{Format: JSON}, line: `{"a":false}`, key: "a", want: "false"},
		{name: "json null", cfg: Config{Format: JSON}, line: `{"a":null}`, key: "a"},
		{name: "json long number", cfg: Config{Format: JSON}, line: `{"a":12345678901234567890}`, key: "a", want: "12345678901234567890"},
		{name: "json nested", cfg: Config{Format: JSON}, line: `{"bme":{"t":[1,{"x":2}]}}`, key: "bme.t.1.x", want: "2"},
		{name: "json key with a dot", cfg: Config{Format: JSON}, line: `{"a.b":{"c.d":3}}`, key: "a.b", want: `{"c.d":3}`},
		{name: "json list", cfg: Config{Format: JSON}, line: `[7,8]`, key: "1", want: "8"},
		{name: "json list, beyond", cfg: Config{Format: JSON}, line: `[7,8]`, key: "2"},
		{name: "json other key", cfg: Config{Format: JSON}, line: `{"led":"on"}`, key: "a"},
		{name: "json below a scalar", cfg: Config{Format: JSON}, line: `{"a":1}`, key: "a.b"},
		{name: "json half", cfg: Config{Format: JSON}, line: `{"a":1`, err: "is not JSON: the line ends within"},
		{name: "json twice", cfg: Config{Format: JSON}, line: `{"a":1}{"a":2}`, err: "something behind the object"},
		{name: "json scalar", cfg: Config{Format: JSON}, line: `21.5`, err: "is not a JSON object"},
		{name: "json noise", cfg: Config{Format: JSON}, line: "\xff\x00", err: "is not JSON"},
		{name: "regex", cfg: regex, line: "T=21.5 H=40 ok", key: "h", want: "40"},
		{name: "regex optional", cfg: regex, line: "T=21.5", key: "h"},
		{name: "regex no group", cfg: regex, line: "T=21.5", key: "x"},
		{name: "regex other line", cfg: regex, line: "boot", err: "does not match the pattern"},
	} {
		decode, err := newDecoder(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		get, err := decode([]byte(tt.line))
		if tt.err != "" || err != nil {
			if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: decode %q: %v, want %q", tt.name, tt.line, err, tt.err)
			}
			continue
		}
		if got, ok := get(tt.key); got.Text != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q of %q = %q, %t, want %q", tt.name, tt.key, tt.line, got.Text, ok, tt.want)
		}
	}
}

func TestState(t *testing.T) {
	room := Entity{Unit: "°C", Min: new(-40.0), Max: new(85.0)}
	tenth := Entity{Unit: "°C", Scale: 0.1, Offset: -40}
	mode := Entity{Kind: bridge.Text, Options: []string{"eco", "boost"}}
	sw := Entity{Kind: bridge.Switch, OnValue: "M", OffValue: "m"}
	for _, tt := range []struct {
		e         Entity
		raw, want string
		err       string
	}{
		{e: room, raw: " 21.50 ", want: "21.50"},
		{e: room, raw: "+21.5", want: "21.5"},
		{e: room, raw: "1e1", want: "1e1"},
		{e: room, raw: "-41", err: "-41 is below the minimum, -40"},
		{e: room, raw: "8.6e1", err: "86 is above the maximum, 85"},
		{e: room, raw: "nan", err: `"nan" is not a number`},
		{e: room, raw: "0x10", err: "is not a number"},
		{e: room, raw: "1e999", err: "is not a number"},
		{e: room, raw: "", err: "is empty"},
		{e: tenth, raw: "614", want: "21.4"},
		{e: tenth, raw: "400", want: "0"},
		{e: tenth, raw: "-0", want: "-40"},
		{e: Entity{Scale: 0.1}, raw: "214", want: "21.4"},
		{e: Entity{Scale: 1e-9}, raw: "123456", want: "0.000123456"},
		{e: Entity{Scale: 0.1, Offset: -40.1}, raw: "401", want: "0"},
		{e: Entity{Scale: -1}, raw: "0", want: "0"},
		{e: Entity{Scale: 1e300}, raw: "1e300", err: "too large"},
		{e: Entity{}, raw: "open", want: "open"},
		{e: Entity{}, raw: "a\x1bb", err: "control characters"},
		{e: Entity{}, raw: "a\xffb", err: `"a\xffb" is not UTF-8`},
		{e: mode, raw: "eco", want: "eco"},
		{e: mode, raw: "off", err: "is not one of eco, boost"},
		{e: Entity{Kind: bridge.Switch}, raw: "True", want: "ON"},
		{e: Entity{Kind: bridge.BinarySensor}, raw: "0", want: "OFF"},
		{e: Entity{Kind: bridge.BinarySensor}, raw: "2", err: `"2" is neither on nor off`},
		{e: sw, raw: "M", want: "ON"},
		{e: sw, raw: "m", want: "OFF"},
		{e: sw, raw: "on", err: `"on" is neither M nor m`},
	} {
		got, err := tt.e.state(tt.raw)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("state(%q) of %+v = %q, %v, want %q", tt.raw, tt.e, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("state(%q) of %+v = %q, %v, want %q within", tt.raw, tt.e, got, err, tt.err)
		}
	}
}

// FuzzLine holds that whatever comes, what is published is a clean scalar, and
// that the account is right.
func FuzzLine(f *testing.F) {
	formats := Format("").Values()
	for _, line := range []string{
		`{"a":1,"b":true,"c":{"d":[]}}`, "21.5", "T=1e3", "\x00\xff", `{"a":"\u0000"}`, `{"a":1e999}`, "a=1 b=on c=x",
		"a,b,c", "\xa3aa\x01ab\xf5ac\x61x", "\x83\xa1a\x01\xa1b\xc3\xa1c\xa1x", "a(1*kV)", "$GPGGA,1,,,,,0,",
	} {
		for format := range formats {
			f.Add([]byte(line), format)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte, format int) {
		cfg := DefaultConfig()
		cfg.Port = "x"
		cfg.Entities = []Entity{{ID: "a", Unit: "V", Scale: 0.1}, {ID: "b", Kind: bridge.BinarySensor}, {ID: "c", Kind: bridge.Text}}
		switch cfg.Format = Format(formats[max(0, format)%len(formats)]); cfg.Format {
		case Value:
			cfg.Entities = cfg.Entities[:1]
		case Regex:
			cfg.Pattern = `(?P<a>\S+)(?: (?P<b>\S+)(?: (?P<c>.*))?)?`
		case Columns, CSV:
			cfg.Text.Names = []string{"a", "b", "c"}
		case Binary:
			cfg.Fields = codec.Table{{Key: "a", Type: codec.F32}, {Key: "b", At: -1, Bits: "0:1"}, {Key: "c", At: 1, Type: codec.ASCII, Length: 3}}
		case NMEA:
			cfg.Entities[0].Key, cfg.Entities[1].Key, cfg.Entities[2].Key = "altitude", "valid", "GGA.7"
		}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := newBook(cfg, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range b.line(line, epoch) {
			s := b.state(i)
			if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("line %q made the state %q of %s", line, s, cfg.Entities[i].ID)
			}
		}
		if b.lines != 1 || b.bad > 1 || (b.bad == 1) != (b.lastBad != "") {
			t.Errorf("line %q: %d lines, %d bad, last %q", line, b.lines, b.bad, b.lastBad)
		}
	})
}

func TestFormatsAreChecked(t *testing.T) {
	field := codec.Field{Key: "t", Type: codec.U16}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"columns", func(c *Config) { c.Format, c.Text.Widths = Columns, []int{3, 4} }, nil},
		{"both", func(c *Config) { c.Format, c.Text.Widths, c.Text.Separator = Columns, []int{0}, ";" }, []string{"text.widths[0]", "text.widths"}},
		{"text of json", func(c *Config) { c.Text.Separator = ";" }, []string{"text"}},
		{"widths of csv", func(c *Config) { c.Format, c.Text.Widths = CSV, []int{3} }, []string{"text.widths"}},
		{"names", func(c *Config) { c.Format, c.Text.Names = CSV, []string{"a", "a", ""} }, []string{"text.names[1]", "text.names[2]"}},
		{"fields of json", func(c *Config) { c.Fields = codec.Table{field} }, []string{"fields"}},
		{"no fields", func(c *Config) { c.Format = Binary }, []string{"fields"}},
		{"fields", func(c *Config) {
			c.Format, c.Fields, c.Entities = Binary, codec.Table{field}, []Entity{{ID: "t"}, {ID: "u"}}
		}, []string{"entities[1].key"}},
		{"bad fields", func(c *Config) {
			c.Format, c.Fields = Binary, codec.Table{
				field, field,
				{At: 1e6},
				{Key: "a", Type: "u7"},
				{Key: "b", Type: codec.BCD, Bits: "0:1"},
				{Key: "c", Bits: "4:5"},
				{Key: "d", Length: 2, Order: "up", Enum: map[string]string{"x": "y"}},
			}
			c.Entities[0].ID = "t"
		}, []string{
			"fields[1].key", "fields[2].key", "fields[2].at", "fields[3].type", "fields[4].length", "fields[4].bits",
			"fields[5].bits", "fields[6].length", "fields[6].order", "fields[6].enum",
		}},
	} {
		c := valid()
		tt.change(&c)
		got, want := places(t, c.Validate()), slices.Clone(tt.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: mistakes at %v, want %v: %v", tt.name, got, want, c.Validate())
		}
	}
}

// A sensor that says that it is broken is bad, and the line that says so is not.
func TestTroubleIsOfTheEntity(t *testing.T) {
	b := testBook(t, func(c *Config) {
		c.Format = Binary
		c.Fields = codec.Table{{Key: "t", Type: codec.S16, Scale: 0.1, Error: []int64{0x7fff}}}
	})
	b.line([]byte{0, 215}, epoch)
	if got := b.state(0); got != "21.5" {
		t.Errorf("state %q, want 21.5", got)
	}
	b.line([]byte{0x7f, 0xff}, at(1))
	if a := b.attr(0); a.Quality != bridge.Bad || a.Error != "the sensor reports an error: 32767" || b.bad != 0 {
		t.Errorf("quality %s, %q, %d bad lines; want bad, the reason, and none", a.Quality, a.Error, b.bad)
	}
}
