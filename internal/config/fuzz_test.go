package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"
)

// same compares configurations without the places of their sections.
func same(a, b hub) bool {
	ta, tb := new(Tree).Values("", a), new(Tree).Values("", b)
	for _, h := range []*hub{&a, &b} {
		out := &ta
		if h == &b {
			out = &tb
		}
		for name, kinds := range h.Bridges {
			var r relay
			if kinds["gpio"].Decode(&r) == nil {
				*out = append(*out, new(Tree).Values(name, r)...)
			}
		}
	}
	return slices.Equal(ta, tb)
}

// Nothing makes the reader panic, and every mistake has a place that is in the
// file.
func FuzzMistakesHavePlaces(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*/edge.yaml")
	for _, file := range append(files, "testdata/good/edge.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := loadText(string(data))
		if err == nil {
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T is no Errors", err)
		}
		src := newSource("", 0, data)
		for _, e := range errs {
			if e.Line < 1 || e.Line > len(src.lines) || e.Column < 1 || e.Column > src.lengths[e.Line-1]+1 {
				t.Errorf("no such place: %v", e)
			}
			if e.Message == "" || e.File != "edge.yaml" {
				t.Errorf("%+v lacks a message or a file", e)
			}
		}
		if text := errs.Text(true); !utf8.ValidString(text) {
			t.Errorf("not UTF-8: %q", text)
		}
	})
}

// Text is read as it was written, whatever is in it.
func FuzzQuotedTextIsKept(f *testing.F) {
	for _, s := range []string{"", "on", "0755", "a: b", "ä\n\t#", `\"`, "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || len(s) > 1000 {
			return
		}
		if _, message := illegible(s); message != "" {
			return
		}
		var h hub
		tree, err := Parse("edge.yaml", []byte("labels:\n  a: '"+replaceQuotes(s)+"'\n  b: x\n"))
		if err := errors.Join(err, tree.Decode(&h)); err != nil {
			t.Fatalf("%q in quotes: %v", s, err)
		}
		if want := map[string]string{"a": s, "b": "x"}; !reflect.DeepEqual(h.Labels, want) {
			t.Errorf("%q in quotes was read as %q", want, h.Labels)
		}
	})
}

func replaceQuotes(s string) string {
	var out []rune
	for _, r := range s {
		if r == '\'' {
			out = append(out, r)
		}
		out = append(out, r)
	}
	return string(out)
}
