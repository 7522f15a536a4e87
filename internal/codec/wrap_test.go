package codec

import "testing"

// LaCrosse IT+ sensors at a JeeLink, as its sketch LaCrosseITPlusReader prints
// them: 18.0 °C and 37 %; 21.6 °C, 56 % and a new battery.
var lacrosse = Table{
	{At: 0, Is: new(int64(9))},
	{Key: "id", At: 1},
	{Key: "new", At: 2, Bits: "7:1"},
	{Key: "t", At: 3, Type: U16, Scale: 0.1, Offset: -100},
	{Key: "h", At: 5, Bits: "0:7", Unsupported: []int64{106}},
}

func TestDigitsAndSelect(t *testing.T) {
	type m = map[string]string
	jeelink := Select("id", Digits(10, 0, Binary(lacrosse)))
	check(t, []sample{
		{name: "JeeLink", decode: jeelink, frames: []string{"OK 9 56 1 4 156 37"}, want: m{"56/t": "18", "56/h": "37", "55/t": "-", "t": "18", "56/new": "0"}},
		{name: "JeeLink", decode: jeelink, frames: []string{"OK 9 55 129 4 192 106"}, want: m{"55/t": "21.6", "new": "1", "h": "!the device does not support this"}},
		{name: "other", decode: jeelink, frames: []string{"OK 8 55 129 4 192 56"}, want: m{"t": "-"}},
		{name: "greeting", decode: jeelink, frames: []string{"[LaCrosseITPlusReader.10.1s]"}, err: "has no number"},
		{name: "too large", decode: jeelink, frames: []string{"OK 9 256"}, err: `"256" is not a byte`},
		{name: "hexadecimal", decode: Digits(16, 1, Binary(Table{{Key: "x", At: 1}})), frames: []string{"t0A2B"}, want: m{"x": "43"}},
		{name: "short", decode: Digits(16, 3, Binary(lacrosse)), frames: []string{"t0"}, err: "too short"},
		{name: "no hexadecimal", decode: Digits(16, 0, Binary(lacrosse)), frames: []string{"0x12"}, err: "not in hexadecimal"},
		{name: "JSON", decode: Select("id", JSON), frames: []string{`{"id":7,"t":21.5}`}, want: m{"7/t": "21.5", "8/t": "-", "t": "21.5"}},
	})
}

func FuzzDigits(f *testing.F) {
	f.Add("OK 9 56 1 4 156 37", "56/t")
	f.Add("t0A2B", "t")
	f.Fuzz(func(t *testing.T, line, key string) {
		for _, base := range []int{10, 16} {
			get, err := Select("id", Digits(base, 1, Binary(lacrosse)))([]byte(line))
			if err != nil {
				continue
			}
			if v, ok := get(key); !ok && v.Text != "" {
				t.Errorf("%q of %q is absent and %q", key, line, v.Text)
			}
		}
	})
}
