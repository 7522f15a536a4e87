package topic

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestContains(t *testing.T) {
	tests := []struct {
		outer, inner string
		want         bool
	}{
		{"#", "#", true},
		{"#", "a", true},
		{"#", "a/+/b/#", true},
		{"#", "$SYS/#", false},
		{"#", "$SYS", false},
		{"+/#", "#", true}, // A name has at least one level.
		{"+/+/#", "#", false},
		{"+", "#", false},
		{"+", "+", true},
		{"+", "a", true},
		{"+", "$a", false},
		{"$a/#", "$a/+", true},
		{"$a/+", "$a/$b", true},
		{"+/x", "$a/x", false},
		{"a", "+", false},
		{"a/#", "a", true},
		{"a/#", "a/#", true},
		{"a/#", "a/b/+", true},
		{"a/#", "+/b", false},
		{"a/+", "a/#", false},
		{"a/+/#", "a/#", false}, // a/# matches a.
		{"a/+/#", "a/+", true},
		{"a/+", "a", false},
		{"a", "a/#", false},
		{"a/b", "a/b", true},
		{"a/b", "a", false},
		{"home", "home/relay/boiler/set", false},
		{"/#", "/", true},
		{"+/+", "/", true},
		{"a/#", "ab", false},
		{"a", "a/#/b", false},
	}
	for _, tt := range tests {
		if got := Contains(tt.outer, tt.inner); got != tt.want {
			t.Errorf("Contains(%q, %q) = %t, want %t", tt.outer, tt.inner, got, tt.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"#", "a/b", true},
		{"#", "+", true},
		{"#", "$SYS/#", false},
		{"+/x", "$a/x", false},
		{"a/#", "a", true},
		{"a/#", "+/b", true},
		{"a/+", "+/b", true},
		{"a/+", "b/+", false},
		{"a/+/c", "a/b", false},
		{"a/+/#", "a", false},
		{"a", "a/b", false},
		{"a", "a", true},
	}
	for _, tt := range tests {
		if got, back := Overlap(tt.a, tt.b), Overlap(tt.b, tt.a); got != tt.want || back != tt.want {
			t.Errorf("Overlap(%q, %q) = %t, the other way %t, want %t", tt.a, tt.b, got, back, tt.want)
		}
	}
}

// someNames is all there is to tell two filters apart that have at most three
// levels of a, b, "" and $x: with a level that no filter names, and one level
// more. No name is empty as a whole, but as far as filters go one might be.
var someNames = func() []string {
	last := []string{"a", "b", "", "$x", "other"}
	all := slices.Clone(last)
	for range 3 {
		var next []string
		for _, name := range last {
			for _, level := range []string{"a", "b", "", "$x", "other"} {
				next = append(next, name+"/"+level)
			}
		}
		all = append(all, next...)
		last = next
	}
	return all
}()

// Filters are compared by the names that they match.
func TestContainsMeansNames(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "", "+", "+", "$x"})
	filter := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 0, 3).Draw(t, "levels")
		if len(levels) == 0 || len(levels) < 3 && rapid.Bool().Draw(t, "all") {
			levels = append(levels, "#")
		}
		return strings.Join(levels, "/")
	}).Filter(func(s string) bool { return s != "" })
	rapid.Check(t, func(t *rapid.T) {
		a, b := filter.Draw(t, "a"), filter.Draw(t, "b")
		contains, overlap := true, false
		for _, name := range someNames {
			inA, inB := Match(a, name), Match(b, name)
			contains = contains && (inA || !inB)
			overlap = overlap || inA && inB
		}
		if got := Contains(a, b); got != contains {
			t.Fatalf("Contains(%q, %q) = %t, want %t", a, b, got, contains)
		}
		if got := Overlap(a, b); got != overlap {
			t.Fatalf("Overlap(%q, %q) = %t, want %t", a, b, got, overlap)
		}
	})
}

func FuzzContains(f *testing.F) {
	f.Add("a/+/#", "a/b/#", "a/b/c")
	f.Add("#", "+/#", "$x")
	f.Fuzz(func(t *testing.T, outer, inner, name string) {
		if CheckFilter(outer) != nil || CheckFilter(inner) != nil || CheckName(name) != nil {
			t.Skip()
		}
		if got, want := Contains(outer, name), Match(outer, name); got != want {
			t.Errorf("Contains(%q, %q) = %t, Match says %t", outer, name, got, want)
		}
		if !Contains(outer, outer) {
			t.Errorf("%q does not contain itself", outer)
		}
		if Contains(outer, inner) && Match(inner, name) && !Match(outer, name) {
			t.Errorf("%q contains %q, but only the latter matches %q", outer, inner, name)
		}
		if Match(outer, name) && Match(inner, name) && !Overlap(outer, inner) {
			t.Errorf("%q and %q both match %q, but do not overlap", outer, inner, name)
		}
		if Contains(outer, inner) && !Overlap(outer, inner) {
			t.Errorf("%q contains %q and does not overlap it", outer, inner)
		}
	})
}
