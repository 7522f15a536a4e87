package main_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A block is a fenced block of a page. CONTRIBUTING.md says what the words
// after its language mean to the tests in this file.
type block struct {
	page  string // from the root of the repository
	line  int    // of its first line
	lang  string
	words []string
	text  string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

func (b block) has(word string) bool { return slices.Contains(b.words, word) }

// file is the value of the word file=…, or empty.
func (b block) file() string {
	for _, w := range b.words {
		if f, ok := strings.CutPrefix(w, "file="); ok {
			return f
		}
	}
	return ""
}

// words says what may follow a language.
var words = map[string][]string{
	"go":      {"file=", "fragment"},
	"json":    nil,
	"mermaid": nil,
	"sh":      {"demo", "run"},
	"text":    {"output"},
	"yaml":    {"fragment"},
	"":        nil,
}

// check returns an error if b is marked in a way that no test knows, and would
// thus pass unseen.
func (b block) check() error {
	allowed, ok := words[b.lang]
	if !ok {
		return fmt.Errorf("%s: no test knows the language %q; see CONTRIBUTING.md", b, b.lang)
	}
	for _, w := range b.words {
		if name, _, found := strings.Cut(w, "="); found {
			w = name + "="
		}
		if !slices.Contains(allowed, w) {
			return fmt.Errorf("%s: a block of %q is not marked %q; see CONTRIBUTING.md", b, b.lang, w)
		}
	}
	return nil
}

// parseBlocks finds the fenced blocks of a page (CommonMark 0.31, section 4.5),
// as far as we use them: with back quotes, not indented.
func parseBlocks(page, text string) ([]block, error) {
	var blocks []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "```"):
			open = &block{page: page, line: i + 2}
			if f := strings.Fields(line[3:]); len(f) > 0 {
				open.lang, open.words = f[0], f[1:]
			}
		case open != nil && line == "```":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: block is not closed", open)
	}
	return blocks, nil
}

// pages returns the blocks of every page that people read.
func pages(t *testing.T) map[string][]block {
	t.Helper()
	var files []string
	for _, glob := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	pages := map[string][]block{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		page, err := filepath.Rel(root, f)
		if err != nil {
			t.Fatal(err)
		}
		if pages[page], err = parseBlocks(page, string(text)); err != nil {
			t.Fatal(err)
		}
	}
	if len(pages["docs/adding-a-bridge.md"]) == 0 {
		t.Fatalf("found no blocks in docs/adding-a-bridge.md, but %d pages", len(pages))
	}
	return pages
}

// each runs test for every block of lang that is wanted, as a subtest.
func each(t *testing.T, lang string, want func(block) bool, test func(*testing.T, block)) {
	for _, blocks := range pages(t) {
		for _, b := range blocks {
			if b.lang == lang && want(b) {
				t.Run(b.String(), func(t *testing.T) { test(t, b) })
			}
		}
	}
}

func TestDocsMarkBlocks(t *testing.T) {
	for _, blocks := range pages(t) {
		for i, b := range blocks {
			if err := b.check(); err != nil {
				t.Error(err)
			}
			if b.has("output") && (i == 0 || !blocks[i-1].has("run") && !blocks[i-1].has("demo")) {
				t.Errorf("%s: output of what? The block above is not run", b)
			}
		}
	}
}

func TestParseBlocks(t *testing.T) {
	const page = "# T\n\n```sh run\nmake\n```\n\ntext ``` text\n\n```go file=a/b.go\npackage b\n\n```\n```\nplain\n```\n"
	got, err := parseBlocks("p.md", page)
	want := "[p.md:4|sh|[run]||make\n p.md:10|go|[file=a/b.go]|a/b.go|package b\n\n p.md:14||[]||plain\n]"
	var s []string
	for _, b := range got {
		s = append(s, fmt.Sprintf("%s|%s|%v|%s|%s", b, b.lang, b.words, b.file(), b.text))
	}
	if err != nil || fmt.Sprint(s) != want {
		t.Errorf("parseBlocks:\n%s, %v, want\n%s", s, err, want)
	}
	if got, err := parseBlocks("p.md", "```sh\nmake\n"); err == nil {
		t.Errorf("an open block is %v, want an error", got)
	}
	for _, bad := range []block{{lang: "bash"}, {lang: "sh", words: []string{"rnu"}}, {lang: "yaml", words: []string{"run"}}} {
		if bad.check() == nil {
			t.Errorf("check(%s %v) = nil, want an error", bad.lang, bad.words)
		}
	}
}

func TestDocsGoFragmentsParse(t *testing.T) {
	each(t, "go", func(b block) bool { return b.has("fragment") }, func(t *testing.T, b block) {
		if err := parseGo(b.text); err != nil {
			t.Error(err)
		}
	})
}

// parseGo parses a file, declarations, or statements.
func parseGo(src string) error {
	var err error
	for _, frame := range []string{"%s", "package p\n%s", "package p\nfunc _() {\n%s\n}"} {
		if _, err = parser.ParseFile(token.NewFileSet(), "", fmt.Sprintf(frame, src), 0); err == nil {
			return nil
		}
	}
	return err
}

func TestDocsExcerptsAreUpToDate(t *testing.T) {
	each(t, "go", func(b block) bool { return exists(b.file()) }, func(t *testing.T, b block) {
		src, err := os.ReadFile(filepath.Join(root, b.file()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(src), b.text) {
			t.Errorf("%s is not like this (any more):\n%s", b.file(), b.text)
		}
	})
}

func exists(file string) bool {
	_, err := os.Stat(filepath.Join(root, file))
	return file != "" && err == nil
}

// The Go files that a page shows are laid over the tree, without touching it,
// and their packages are built and tested.
func TestDocsGoFilesWork(t *testing.T) {
	for page, blocks := range pages(t) {
		files := map[string]string{}
		for i, b := range blocks {
			if b.lang != "go" || b.has("fragment") || exists(b.file()) {
				continue
			}
			name := b.file()
			if name == "" {
				name = fmt.Sprintf("docs/block%d/block.go", i)
			}
			files[name] = b.text
		}
		if len(files) > 0 {
			t.Run(page, func(t *testing.T) { testOverlay(t, files) })
		}
	}
}

// testOverlay builds and tests what files make. The go command cannot vet or run
// a test in a folder that is not there, so the test runs elsewhere.
func testOverlay(t *testing.T, files map[string]string) {
	overlay, pkgs := overlay(t, files)
	for _, pkg := range pkgs {
		bin := filepath.Join(t.TempDir(), "test")
		command(t, root, "go", "build", "-overlay", overlay, "-o", os.DevNull, pkg)
		command(t, root, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, pkg)
		if _, err := os.Stat(bin); err == nil { // It has tests.
			command(t, t.TempDir(), bin, "-test.v")
		}
	}
}

// command runs a command in dir. It must end well.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// overlay writes files, whose names are from the root of the repository, for
// the go command's -overlay and returns the packages that they make.
func overlay(t *testing.T, files map[string]string) (name string, pkgs []string) {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for name, text := range files {
		tmp := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(tmp, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(abs, name)] = tmp
		pkgs = append(pkgs, "./"+path.Dir(name))
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o666); err != nil {
		t.Fatal(err)
	}
	slices.Sort(pkgs)
	return name, slices.Compact(pkgs)
}

func TestDocsJSONParses(t *testing.T) {
	each(t, "json", func(block) bool { return true }, func(t *testing.T, b block) {
		var v any
		if err := json.Unmarshal([]byte(b.text), &v); err != nil {
			t.Error(err)
		}
	})
}

func TestDocsYAMLPassesCheck(t *testing.T) {
	edge := sync.OnceValue(func() string { return program(t) })
	each(t, "yaml", func(b block) bool { return !b.has("fragment") }, func(t *testing.T, b block) {
		file := filepath.Join(t.TempDir(), "edge.yaml")
		if err := os.WriteFile(file, []byte(b.text), 0o666); err != nil {
			t.Fatal(err)
		}
		command(t, root, edge(), "check", "-c", file)
	})
}
