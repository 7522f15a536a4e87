package topic

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		filter, name string
		want         bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"#", "a", true},
		{"#", "a/b/c", true},
		{"#", "/", true},
		{"#", "$SYS/x", false},
		{"+/x", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
		{"$SYS/+", "$SYS/x", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"a/+", "a", false},
		{"a/+", "a/", true},
		{"a/+", "a/b", true},
		{"a/+", "a/b/c", false},
		{"+", "a", true},
		{"+", "a/b", false},
		{"+/+", "/a", true},
		{"/+", "/a", true},
		{"+/b/#", "a/b", true},
		{"+/b/#", "a/b/c/d", true},
		{"+/b/#", "a/c", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"sport/+/player1", "sport/tennis/player1", true},
	}
	for _, tt := range tests {
		if got := Match(tt.filter, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %t, want %t", tt.filter, tt.name, got, tt.want)
		}
		var filters Tree[int]
		*filters.At(tt.filter) = 1
		got := false
		filters.Match(tt.name, func(string, *int) { got = true })
		if got != tt.want {
			t.Errorf("Tree{%q}.Match(%q) = %t, want %t", tt.filter, tt.name, got, tt.want)
		}
		var names Tree[int]
		*names.At(tt.name) = 1
		got = false
		names.Select(tt.filter, func(string, *int) bool { got = true; return true })
		if got != tt.want {
			t.Errorf("Tree{%q}.Select(%q) = %t, want %t", tt.name, tt.filter, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		s            string
		name, filter string // part of the error; "" for none
	}{
		{"a/b", "", ""},
		{"/", "", ""},
		{"", "empty", "empty"},
		{"a/+", "wildcard", ""},
		{"a/#", "wildcard", ""},
		{"a#", "wildcard", "whole level"},
		{"a+/b", "wildcard", "whole level"},
		{"a/#/b", "wildcard", "last level"},
		{"a\x00", "U+0000", "U+0000"},
		{"a\xff", "UTF-8", "UTF-8"},
		{"a\xed\xa0\x80", "UTF-8", "UTF-8"}, // A surrogate, section 1.5.4.
		{"a\x1f", "control", "control"},     // The ends of the ranges that a server may refuse.
		{"a\x7f", "control", "control"},
		{"a\u009f", "control", "control"},
		{"\ufdd0", "non-char", "non-char"},
		{"\ufdef", "non-char", "non-char"},
		{"\U0001fffe", "non-char", "non-char"},
		{"\uffff", "non-char", "non-char"},
		{" ~\u00a0\ufdcf\ufdf0\ufeff\ufffd\U0002a6d4", "", ""}, // And their neighbours.
		{strings.Repeat("a", 65536), "65535", "65535"},
		{"$share/g/a/#", "wildcard", ""},
		{"$share/g", "", "GROUP"},
		{"$share//a", "", "GROUP"},
		{"$share/g/", "", "GROUP"},
		{"$share/+/a", "wildcard", "GROUP"},
	}
	for _, tt := range tests {
		for what, want := range map[string]string{"name": tt.name, "filter": tt.filter} {
			err := CheckName(tt.s)
			if what == "filter" {
				err = CheckFilter(tt.s)
			}
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("check %s %.20q: %v, want %q", what, tt.s, err, want)
			}
		}
	}
}

func TestShare(t *testing.T) {
	tests := []struct{ s, group, rest string }{
		{"a/b", "", "a/b"},
		{"$share/g/a/b", "g", "a/b"},
		{"$share/g//", "g", "/"},
	}
	for _, tt := range tests {
		if group, rest := Share(tt.s); group != tt.group || rest != tt.rest {
			t.Errorf("Share(%q) = %q, %q, want %q, %q", tt.s, group, rest, tt.group, tt.rest)
		}
	}
}

// TestTreeModel compares the tree, while it grows and shrinks, with a list.
func TestTreeModel(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "ab", "", "+", "$x"})
	path := rapid.Custom(func(t *rapid.T) string {
		p := strings.Join(rapid.SliceOfN(level, 1, 4).Draw(t, "levels"), "/")
		if rapid.Bool().Draw(t, "all") {
			p += "/#"
		}
		if p == "" {
			p = "/"
		}
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		var tree Tree[string]
		model := map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := path.Draw(t, "path")
				*tree.At(p) = p
				model[p] = true
			},
			"remove": func(t *rapid.T) {
				p := path.Draw(t, "path")
				tree.Remove(p)
				delete(model, p)
			},
			"": func(t *rapid.T) {
				for p := range model {
					if v := tree.Get(p); v == nil || *v != p {
						t.Fatalf("Get(%q) = %v", p, v)
					}
				}
				name := strings.NewReplacer("+", "a", "#", "b").Replace(path.Draw(t, "name"))
				var got, want []string
				tree.Match(name, func(_ string, v *string) { got = append(got, *v) })
				for p := range model {
					if Match(p, name) {
						want = append(want, p)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("Match(%q) = %q, want %q", name, got, want)
				}
				filter := path.Draw(t, "filter")
				got, want = nil, nil
				tree.Select(filter, func(_ string, v *string) bool { got = append(got, *v); return true })
				for p := range model {
					if Match(filter, p) {
						want = append(want, p)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("Select(%q) = %q, want %q", filter, got, want)
				}
				if n := tree.nodes(); n > 2*len(model) {
					t.Fatalf("%d nodes for %d paths", n, len(model))
				}
			},
		})
	})
}

// nodes returns how many are below t.
func (t *Tree[T]) nodes() (n int) {
	t.children.all(func(child *Tree[T]) bool {
		n += 1 + child.nodes()
		return true
	})
	return n
}

// deepFilters have as many levels as strangers may give them. All match the same
// names, and branch off from one another anywhere.
func deepFilters(n int) []string {
	source := rand.New(rand.NewPCG(1, 1))
	filters := make([]string, n)
	for i := range filters {
		for range 31 {
			filters[i] += []string{"a/", "+/"}[source.IntN(2)]
		}
		filters[i] += "#"
	}
	return filters
}

// TestTreeIsSmall adds deep filters: each costs a few words, and not some for each
// of its levels.
func TestTreeIsSmall(t *testing.T) {
	const allowed = 300
	deep := deepFilters(1000)
	var tree Tree[[]int]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, f := range deep {
		tree.At(f)
	}
	runtime.ReadMemStats(&after)
	if each := int(after.TotalAlloc-before.TotalAlloc) / len(deep); each > allowed {
		t.Errorf("%d bytes for each filter, want at most %d", each, allowed)
	}
	runtime.KeepAlive(&tree)
}

func BenchmarkMatchDeep(b *testing.B) {
	var tree Tree[[]int]
	for _, f := range deepFilters(4000) {
		tree.At(f)
	}
	name := strings.Repeat("a/", 31) + "b"
	for b.Loop() {
		tree.Match(name, func(string, *[]int) {})
	}
}

func BenchmarkMatchWide(b *testing.B) {
	var tree Tree[[]int]
	for i := range 10_000 {
		tree.At(fmt.Sprint("site/", i%100, "/dev/", i))
		tree.At(fmt.Sprint("site/+/dev/", i/10))
	}
	for b.Loop() {
		tree.Match("site/5/dev/505", func(string, *[]int) {})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Fuzz(func(t *testing.T, filter, name string) {
		if CheckFilter(filter) != nil || CheckName(name) != nil {
			t.Skip()
		}
		var tree Tree[int]
		tree.At(filter)
		got := false
		tree.Match(name, func(string, *int) { got = true })
		if want := Match(filter, name); got != want {
			t.Errorf("Tree{%q}.Match(%q) = %t, Match says %t", filter, name, got, want)
		}
	})
}

func TestSelectStops(t *testing.T) {
	var names Tree[int]
	for _, n := range []string{"a", "a/b", "c/d", "c"} {
		names.At(n)
	}
	for _, filter := range []string{"#", "+"} {
		n := 0
		names.Select(filter, func(string, *int) bool { n++; return false })
		if n != 1 {
			t.Errorf("Select(%q) went on after false: %d calls", filter, n)
		}
	}
}
