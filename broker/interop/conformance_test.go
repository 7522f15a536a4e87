package interop

import (
	_ "embed"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance.md or docs/attacks.md")

// A statement is a line of testdata/conformance.txt.
type statement struct {
	version  byte // '4' or '5'
	id       string
	asks     string
	evidence []string
}

const notShown = "not shown: "

func (s statement) shown() bool { return !strings.HasPrefix(s.evidence[0], notShown) }

func statements(t *testing.T) (all []statement) {
	t.Helper()
	text, err := os.ReadFile("testdata/conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, " | ")
		if len(f) != 4 || f[0] != "4" && f[0] != "5" {
			t.Fatalf("line %d is no VERSION | STATEMENT | words | EVIDENCE: %s", i+1, line)
		}
		s := statement{f[0][0], f[1], f[2], []string{f[3]}}
		if s.shown() {
			s.evidence = strings.Split(f[3], "; ")
		}
		all = append(all, s)
	}
	return all
}

// TestConformance checks that what testdata/conformance.txt names as evidence is
// there, and that docs/conformance.md is what it makes. Whether the evidence
// holds is for the tests themselves to say.
func TestConformance(t *testing.T) {
	all, tests, rows := statements(t), testNames(t), strictRows(t)
	seen := map[string]bool{}
	for _, s := range all {
		name := fmt.Sprintf("MQTT %c, %s", s.version, s.id)
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		for _, e := range s.evidence {
			if s.shown() && !tests[e] && !rows.has(s.version, e) {
				t.Errorf("%s: there is no test or row %s", name, e)
			}
		}
	}
	const page = "../../docs/conformance.md"
	if *update {
		if err := os.WriteFile(page, conformancePage(all), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != string(conformancePage(all)) {
		t.Errorf("%s is not what testdata/conformance.txt makes (%v): go test ./broker/interop -run TestConformance -update", page, err)
	}
}

// testNames returns the tests of broker and the packages below it: TestName for
// those of this package, package.TestName for the others.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		prefix := strings.TrimSuffix(f.Name.Name, "_test") + "."
		if prefix == "interop." {
			prefix = ""
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[prefix+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// strict has the descriptions of the rows of the gate, by version.
type strict map[byte][]string

func strictRows(t *testing.T) strict {
	t.Helper()
	text, err := os.ReadFile("../gate/testdata/strict.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := strict{}
	for line := range strings.SplitSeq(string(text), "\n") {
		f := strings.Split(line, " | ")
		if len(f) != 4 {
			continue
		}
		for _, v := range versions {
			// A row that begins a connection says its version after the name.
			if strings.Contains(f[0], fmt.Sprint(byte(v))) || f[0] == "-" && begins(f[1], v) {
				rows['0'+byte(v)] = append(rows['0'+byte(v)], f[3])
			}
		}
	}
	return rows
}

// begins reports whether a first packet is one that tests version v: a CONNECT
// of it, or none of any version that is served.
func begins(packet string, v version) bool {
	for _, other := range versions {
		if strings.Contains(packet, fmt.Sprintf(`" %02x `, byte(other))) {
			return other == v
		}
	}
	return true
}

// has reports whether quoted words are in a description.
func (s strict) has(version byte, quoted string) bool {
	words := strings.Trim(quoted, `"`)
	if len(words) != len(quoted)-2 {
		return false
	}
	for _, d := range s[version] {
		if strings.Contains(d, words) {
			return true
		}
	}
	return false
}

// differences is the end of the page, which no table could say.
//
//go:embed testdata/differences.md
var differences string

// conformancePage renders the page for people.
func conformancePage(all []statement) []byte {
	var b strings.Builder
	b.WriteString("# Conformance\n\nThe numbered statements of the specifications that a server must keep, in our words, and the tests that show each.\n" +
		"`TestName` is in `broker/interop`: it runs the binary and speaks to it from outside. `package.TestName` is below\n" +
		"`broker`. Words in quotes are those of rows in `broker/gate/testdata/strict.txt`, which are packets and what is\n" +
		"answered. Statements about clients alone are left out.\n\n" +
		"This page is made from `broker/interop/testdata/conformance.txt` by\n`go test ./broker/interop -run TestConformance -update`, which fails if a test or row that it names is gone.\n")
	for _, v := range []struct {
		version byte
		title   string
	}{{'5', "MQTT 5.0"}, {'4', "MQTT 3.1.1"}} {
		var rows strings.Builder
		shown, count := 0, 0
		for _, s := range all {
			if s.version != v.version {
				continue
			}
			count++
			if s.shown() {
				shown++
			}
			fmt.Fprintf(&rows, "| %s | %s | %s |\n", s.id, s.asks, s.cell())
		}
		fmt.Fprintf(&b, "\n## %s\n\n%d statements, of which %d are shown.\n\n| MQTT- | asks for | shown by |\n|---|---|---|\n%s", v.title, count, shown, &rows)
	}
	b.WriteString(differences)
	return []byte(b.String())
}

func (s statement) cell() string {
	if !s.shown() {
		return s.evidence[0]
	}
	var cells []string
	for _, e := range s.evidence {
		if e[0] != '"' {
			e = "`" + e + "`"
		}
		cells = append(cells, e)
	}
	return strings.Join(cells, ", ")
}
