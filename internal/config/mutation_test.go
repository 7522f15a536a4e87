package config

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// keyLine finds the keys of the good file that belong to structs.
var keyLine = regexp.MustCompile(`^( *(?:- )?)([a-z_]+):(.*)$`)

// siblings are the keys that may stand beside each key.
var siblings = [][]string{
	{"node", "level", "broker", "bridges", "labels", "extra"},
	{"allow_anonymous", "listeners", "connect_timeout", "ratio", "packet"},
	{"address", "port", "tls"},
	{"cert", "key"},
	{"gpio"},
	{"prefix", "pins", "map"},
	{"line", "name"},
}

func goodLines(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/good/edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadText(string(data)); err != nil {
		t.Fatalf("the good file is bad:\n%v", err)
	}
	return strings.Split(string(data), "\n")
}

func loadText(text string) (hub, error) { return finish(Parse("edge.yaml", []byte(text))) }

// typos returns what fingers make of a word.
func typos(word string) []string {
	var out []string
	for i := range word {
		out = append(out,
			word[:i]+word[i+1:],           // left out
			word[:i]+word[i:i+1]+word[i:], // twice
			word[:i]+"x"+word[i+1:],       // another one
			word[:i]+"q"+word[i:],         // one too many
		)
		if i > 0 && word[i-1] != word[i] { // swapped
			out = append(out, word[:i-1]+word[i:i+1]+word[i-1:i]+word[i+1:])
		}
	}
	return append(out, strings.ToUpper(word[:1])+word[1:], strings.ToUpper(word), strings.ReplaceAll(word, "_", "-"), strings.ReplaceAll(word, "_", ""))
}

// A typo in any key is found in its line and column, and nearly always the key
// that was meant is offered.
func TestTyposAreFoundInTheirPlace(t *testing.T) {
	lines := goodLines(t)
	tried, offered := 0, 0
	for i, line := range lines {
		m := keyLine.FindStringSubmatch(line)
		beside := slices.IndexFunc(siblings, func(keys []string) bool { return m != nil && slices.Contains(keys, m[2]) })
		if beside < 0 {
			continue
		}
		for _, typo := range typos(m[2]) {
			if typo == "" || slices.Contains(siblings[beside], typo) {
				continue
			}
			broken := slices.Clone(lines)
			broken[i] = m[1] + typo + ":" + m[3]
			_, err := loadText(strings.Join(broken, "\n"))
			e := errorAt(err, i+1)
			if e == nil || e.Column != len(m[1])+1 || !strings.HasPrefix(e.Message, "unknown key") {
				t.Errorf("%q for %q in line %d: %v", typo, m[2], i+1, err)
				continue
			}
			tried++
			if strings.HasSuffix(e.Message, "did you mean `"+m[2]+"`?") {
				offered++
			}
		}
	}
	if tried < 500 || offered*100 < tried*95 {
		t.Errorf("of %d typos %d were offered the key that was meant; want 95 %% of at least 500", tried, offered)
	}
	t.Logf("%d typos, %d suggestions right", tried, offered)
}

func errorAt(err error, line int) *Error {
	var errs Errors
	errors.As(err, &errs)
	i := slices.IndexFunc(errs, func(e *Error) bool { return e.Line == line })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// A value of the wrong shape is found in its line, whatever it replaces.
func TestWrongValuesAreFoundInTheirLine(t *testing.T) {
	lines := goodLines(t)
	tried := 0
	for i, line := range lines {
		m := keyLine.FindStringSubmatch(line)
		if m == nil || m[3] == "" {
			continue
		}
		for _, value := range []string{"[a, b]", "{a: b}", "", "@", "a: b", "*nowhere", "\"open", "{a: [}", "!!str x", "&a &b c"} {
			broken := slices.Clone(lines)
			broken[i] = strings.TrimRight(m[1]+m[2]+": "+value, " ")
			if _, err := loadText(strings.Join(broken, "\n")); errorAt(err, i+1) == nil {
				t.Errorf("%q in line %d (%s): %v", value, i+1, m[2], err)
			}
			tried++
		}
	}
	if tried < 100 {
		t.Errorf("only %d values were tried", tried)
	}
}

// A line that is indented differently or twice there is found near its line, or
// it means the same as before.
func TestMovedLinesAreFoundNearTheirLine(t *testing.T) {
	lines := goodLines(t)
	good, _ := loadText(strings.Join(lines, "\n"))
	moves := map[string]func(string) string{
		"indented by one":   func(s string) string { return " " + s },
		"indented by three": func(s string) string { return "   " + s },
		"outdented":         func(s string) string { return strings.TrimPrefix(s, " ") },
		"with a tab":        func(s string) string { return "\t" + s },
		"without colon":     func(s string) string { return strings.Replace(s, ":", "", 1) },
		"without space":     func(s string) string { return strings.Replace(s, ": ", ":", 1) },
		"twice":             func(s string) string { return s + "\n" + s },
	}
	for name, move := range moves {
		for i, line := range lines {
			if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") || move(line) == line {
				continue
			}
			broken := slices.Clone(lines)
			broken[i] = move(line)
			h, err := loadText(strings.Join(broken, "\n"))
			if errs, ok := errors.AsType[Errors](err); ok {
				if d := errs[0].Line - (i + 1); d < -3 || d > 2 {
					t.Errorf("line %d %s: first seen in line %d: %v", i+1, name, errs[0].Line, errs[0])
				}
				continue
			}
			if !same(h, good) && name != "twice" {
				t.Errorf("line %d %s (%q): accepted, but means something else", i+1, name, line)
			}
		}
	}
}
