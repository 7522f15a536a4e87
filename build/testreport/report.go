package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An event is a line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// A name is a test of a package; Test is empty for the package itself.
type name struct{ Package, Test string }

func (n name) String() string { return strings.TrimSpace(n.Package + " " + n.Test) }

// input reports whether n is an input of a fuzz test; one that it has no use for
// it skips.
func (n name) input() bool {
	return strings.HasPrefix(n.Test, "Fuzz") && strings.Contains(n.Test, "/")
}

// A report is what came of the tests of a run.
type report struct {
	passed, failed, skipped []name
	tests                   map[string]int // of a package
	output                  map[name][]string
}

// read reads a stream of `go test -json` and writes the results of packages to
// progress as they come.
func read(r io.Reader, progress io.Writer) (*report, error) {
	rep := &report{tests: map[string]int{}, output: map[name][]string{}}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			rep.add(line, progress)
		}
		if errors.Is(err, io.EOF) {
			return rep, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the results of tests: %w", err)
		}
	}
}

func (r *report) add(line string, progress io.Writer) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(progress, line) // Somebody else's, say make's.
		return
	}
	n := name{cmp.Or(e.Package, e.ImportPath), e.Test}
	switch e.Action {
	case "output", "build-output":
		r.output[n] = append(r.output[n], e.Output)
	case "pass", "fail", "skip":
		r.finish(n, e)
		if e.Test == "" {
			fmt.Fprintf(progress, "%s\t%s\t%d tests\t%.1fs\n", e.Action, e.Package, r.tests[e.Package], e.Elapsed)
		}
	}
}

// finish counts a test that is over. A package counts only if it failed without
// a test of its own that failed: it did not build, or panicked.
func (r *report) finish(n name, e event) {
	if n.Test == "" {
		if e.FailedBuild != "" {
			r.output[n] = append(r.output[n], r.output[name{e.FailedBuild, ""}]...)
		}
		if e.Action == "fail" && !slices.ContainsFunc(r.failed, func(f name) bool { return f.Package == n.Package }) {
			r.failed = append(r.failed, n)
		}
		return
	}
	r.tests[n.Package]++
	switch e.Action {
	case "pass":
		r.passed = append(r.passed, n)
		delete(r.output, n) // A long run should not be held in memory.
	case "fail":
		r.failed = append(r.failed, n)
	case "skip":
		if !n.input() {
			r.skipped = append(r.skipped, n)
		}
	}
}

// text is what n wrote, without the frame that go test draws around it.
func (r *report) text(n name) string {
	var b strings.Builder
	for _, s := range r.output[n] {
		if !strings.HasPrefix(s, "=== ") {
			b.WriteString(s)
		}
	}
	return b.String()
}
