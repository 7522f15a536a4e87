package codec

import (
	"regexp"
	"strings"
	"testing"
)

// A sample is what a decoder is to make of some frames: of the last of them.
type sample struct {
	name   string
	decode Decoder
	frames []string
	want   map[string]string // "!" and the reason where there is trouble, "-" where it is absent
	err    string
}

func check(t *testing.T, tests []sample) {
	t.Helper()
	for _, tt := range tests {
		var get Lookup
		var err error
		for _, f := range tt.frames {
			get, err = tt.decode([]byte(f))
		}
		if err != nil || tt.err != "" {
			if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %q: %v, want %q", tt.name, tt.frames, err, tt.err)
			}
			continue
		}
		for key, want := range tt.want {
			if got := show(get(key)); got != want {
				t.Errorf("%s: %q of %q is %q, want %q", tt.name, key, tt.frames, got, want)
			}
		}
	}
}

func show(v Value, ok bool) string {
	switch {
	case !ok:
		return "-"
	case v.Trouble != "":
		return "!" + v.Trouble
	case v.Unit != "":
		return v.Text + " " + v.Unit
	}
	return v.Text
}

func TestText(t *testing.T) {
	type m = map[string]string
	pattern := Regex(regexp.MustCompile(`T=(?P<t>\S+)(?: H=(?P<h>\d+))?`))
	header := "time;temp;note"
	check(t, []sample{
		{name: "plain", decode: Plain, frames: []string{"21.5"}, want: m{"any": "21.5"}},
		{name: "regex", decode: pattern, frames: []string{"T=2 H=3"}, want: m{"t": "2", "h": "3", "x": "-"}},
		{name: "regex", decode: pattern, frames: []string{"T=2"}, want: m{"t": "2", "h": "-"}},
		{name: "regex", decode: pattern, frames: []string{"boot"}, err: "does not match"},

		{name: "blanks", decode: Columns(Text{}), frames: []string{"  a  12\t3 "}, want: m{"0": "a", "1": "12", "2": "3", "3": "-", "-1": "-", "x": "-"}},
		{name: "blanks, nothing", decode: Columns(Text{}), frames: []string{"  "}, err: "has 0 columns"},
		{name: "separator", decode: Columns(Text{Separator: "|"}), frames: []string{"a| 12||3"}, want: m{"0": "a", "1": "12", "2": "-", "3": "3"}},
		{name: "separators without end", decode: Columns(Text{Separator: "|"}), frames: []string{strings.Repeat("|", 5000)}, err: "more than 1024"},
		{name: "names", decode: Columns(Text{Names: []string{"t", "h"}}), frames: []string{"21 40 9"}, want: m{"t": "21", "h": "40", "2": "9"}},
		{name: "widths", decode: Columns(Text{Widths: []int{3, 5}}), frames: []string{" 21  0.5xyz"}, want: m{"0": "21", "1": "0.5", "2": "xyz"}},
		{name: "widths, early end", decode: Columns(Text{Widths: []int{3, 5}}), frames: []string{" 21 "}, want: m{"0": "21", "1": "-"}},
		{name: "widths, nothing", decode: Columns(Text{Widths: []int{3}}), frames: []string{""}, err: "is empty"},

		{name: "csv by index", decode: CSV(Text{}), frames: []string{`1, "a,""b""" ,3`}, want: m{"0": "1", "1": `a,"b"`, "2": "3"}},
		{name: "csv header", decode: CSV(Text{Separator: ";"}), frames: []string{header, "1;21.5;ok"}, want: m{"temp": "21.5", "note": "ok"}},
		{name: "csv header says nothing", decode: CSV(Text{Separator: ";"}), frames: []string{header}, want: m{"temp": "-"}},
		{name: "csv header again", decode: CSV(Text{Separator: ";"}), frames: []string{header, "1;2;x", header, "1;3;x"}, want: m{"temp": "3"}},
		{name: "csv other header", decode: CSV(Text{Separator: ";"}), frames: []string{header, "temp;time", "7;8"}, want: m{"temp": "7"}},
		{name: "csv words are no header", decode: CSV(Text{}), frames: []string{"lamp,door", "on,off"}, want: m{"lamp": "on"}},
		{name: "csv given names", decode: CSV(Text{Names: []string{"a", "b"}}), frames: []string{"a,b", "x,y"}, want: m{"a": "x"}},
		{name: "csv half a line", decode: CSV(Text{Separator: ";"}), frames: []string{header, "1;21"}, err: "has 2 columns, not 3"},
		{name: "csv last is empty", decode: CSV(Text{}), frames: []string{"1,"}, want: m{"0": "1", "1": "-"}},
		{name: "csv open quote", decode: CSV(Text{}), frames: []string{`1,"a`}, err: "not closed"},
		{name: "csv behind a quote", decode: CSV(Text{}), frames: []string{`"a"b,1`}, err: "behind a quote"},

		{name: "pairs", decode: Pairs(Text{}), frames: []string{`T=21.5 H=40, n="a \"b\", c";ok`}, want: m{"T": "21.5", "H": "40", "n": `a "b", c`, "ok": "-"}},
		{name: "pairs, other signs", decode: Pairs(Text{Separator: "|", Equals: ":"}), frames: []string{`a b : 1 2| c: "x|y" |d:`}, want: m{"a b": "1 2", "c": "x|y", "d": ""}},
		{name: "pairs, none", decode: Pairs(Text{}), frames: []string{"ready"}, err: "has no key"},
		{name: "pairs, open quote", decode: Pairs(Text{}), frames: []string{`a="x`}, err: "not closed"},
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"a,b\n1,2", `"a""b",c`, "T=1 H=\"x\\", " 1  2 3", ",,,", `a="`} {
		f.Add(s, ",", 3)
		f.Add(s, "", 0)
	}
	f.Fuzz(func(t *testing.T, s, sep string, width int) {
		text := Text{Separator: sep}
		for _, decode := range []Decoder{Columns(text), CSV(text), Pairs(text), Columns(Text{Widths: []int{1 + width&7, 2}})} {
			for line := range strings.SplitSeq(s, "\n") {
				get, err := decode([]byte(line))
				if err != nil {
					continue
				}
				for _, key := range []string{"0", "1", "T", "a"} {
					if v, ok := get(key); ok && len(v.Text) > len(line) {
						t.Errorf("%q of %q is longer than the line: %q", key, line, v.Text)
					}
				}
			}
		}
	})
}
