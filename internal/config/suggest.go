package config

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownKey returns the error for a key at path that is none of known, with
// the one that was probably meant.
func UnknownKey(path string, known []string) error {
	key := path[strings.LastIndexByte(path, '.')+1:]
	return Errorf(path, "unknown key%s", suggestion(key, known, nil))
}

// suggestion is the end of a message that refused word.
func suggestion(word string, known, taken []string) string {
	if near := nearest(word, known, taken); near != "" {
		return fmt.Sprintf("; did you mean %s?", quote(near))
	}
	known = slices.DeleteFunc(slices.Clone(known), func(k string) bool { return slices.Contains(taken, k) })
	slices.Sort(known)
	switch {
	case len(known) == 0:
		return "; nothing more can be set here"
	case len(known) > 12:
		return "; among the known ones are " + list(known[:12], "and")
	case len(known) == 1:
		return "; only " + quote(known[0]) + " is known here"
	}
	return "; known are " + list(known, "and")
}

// nearest returns the word of known that was probably meant by word, or "". One
// that is taken already is less probable.
func nearest(word string, known, taken []string) string {
	best, bestCost := "", limitFor(word)*4+1
	for _, k := range known {
		cost := 4 * distance(fold(word), fold(k))
		if slices.Contains(taken, k) {
			cost += 3
		}
		if cost < bestCost {
			best, bestCost = k, cost
		}
	}
	return best
}

// limitFor is how many mistakes are believed in a word: one in three letters.
func limitFor(word string) int { return max(1, min(3, (len(word)+1)/3)) }

// fold makes spellings equal that people mix up: listenAddr, listen-addr and
// listen_addr.
func fold(s string) string {
	var b strings.Builder
	lower := false
	for _, r := range s {
		upper := r >= 'A' && r <= 'Z'
		switch {
		case r == '-' || r == ' ':
			r = '_'
		case upper && lower:
			b.WriteByte('_')
		}
		lower = r >= 'a' && r <= 'z'
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour between a and b (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if max(len(s), len(t)) > 100 {
		return max(len(s), len(t))
	}
	before, above, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(t)]
}
