package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/bench/peer"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMarkdown reads a report as --json writes it: a row without loss, one with
// loss, one with a second figure, one of edge alone, one that failed, and a
// broker that is not installed; then rows of what must survive, one of which was
// not measured.
func TestMarkdown(t *testing.T) {
	var got, errs strings.Builder
	if code := run(t.Context(), []string{"--from", "testdata/report.json", "--markdown"}, &got, &errs); code != 1 { // a broker failed
		t.Fatalf("exit status %d, want 1: %s", code, errs.String())
	}
	const golden = "testdata/report.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

func TestWriteInto(t *testing.T) {
	rep, err := readReport("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var tables bytes.Buffer
	if err := rep.Markdown(&tables); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	for _, page := range []string{
		"# Figures\n<!-- bench -->\n<!-- /bench -->\nEnd.\n",
		"# Figures\n<!-- bench -->\nold\n\n| a | b |\n<!-- /bench -->\nEnd.\n",
	} {
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time changes nothing
			if err := rep.WriteInto(path); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			want := "# Figures\n<!-- bench -->\n" + tables.String() + "<!-- /bench -->\nEnd.\n"
			if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
				t.Errorf("page (-want +got), %v:\n%s", err, diff)
			}
		}
	}
	for _, page := range []string{"", "<!-- bench -->\n", "<!-- /bench -->\n<!-- bench -->\n"} {
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rep.WriteInto(path); err == nil {
			t.Errorf("a page %q was written into", page)
		}
		if got, err := os.ReadFile(path); string(got) != page || err != nil {
			t.Errorf("a page %q became %q, %v", page, got, err)
		}
	}
}

// TestPageOfFigures fails when `--write docs/performance.md` has nowhere to
// write to.
func TestPageOfFigures(t *testing.T) {
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte(markBegin)) || !bytes.Contains(page, []byte(markEnd)) {
		t.Errorf("docs/performance.md has no marks %q and %q", markBegin, markEnd)
	}
}

func TestMerge(t *testing.T) {
	round := func(value, tail float64) Result {
		return Result{
			Row: "latency", Broker: "edge", Value: value, Low: value, High: value, Rate: 1000, Expected: 10, Delivered: 9, Lost: 1,
			More: []Figure{{"p99.9", tail, "µs"}},
		}
	}
	rounds := []Result{round(3, 9), round(1, 70), round(2, 8)}
	want := Result{
		Row: "latency", Broker: "edge", Value: 2, Low: 1, High: 3, Rate: 1000, Expected: 30, Delivered: 27, Lost: 3,
		More: []Figure{{"p99.9", 9, "µs"}},
	}
	if diff := cmp.Diff(want, merge(rounds)); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(9.0, rounds[0].More[0].Value); diff != "" {
		t.Errorf("merge has changed a round (-want +got):\n%s", diff)
	}
	if got := merge(rounds[:1]); got.Value != 3 {
		t.Errorf("merge of one round = %+v, want the round", got)
	}
	if got := merge([]Result{round(1, 1), {Error: "EOF"}}); got.Error != "EOF" {
		t.Errorf("merge = %+v, want the error of a round", got)
	}
}

// TestRoundsAlternate looks at who is measured when, and at what is compared.
func TestRoundsAlternate(t *testing.T) {
	var turns []string
	row := Row{Name: "latency", Rounds: 3, Ratio: map[string]float64{"mosquitto": 1}, Compare: []string{"p99.9"}}
	row.Measure = func(_ context.Context, p peer.Peer, _ Timing) (Result, error) {
		turns = append(turns, p.Name)
		value := float64(len(turns))
		return Result{Value: value, More: []Figure{{"p99.9", 10 * value, "µs"}}}, nil
	}
	got, err := row.measure(t.Context(), []peer.Peer{{Name: "edge"}, {Name: "mosquitto"}}, short, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields("edge mosquitto edge mosquitto edge mosquitto"); !slices.Equal(turns, want) {
		t.Errorf("measured %q, want %q", turns, want)
	}
	want := []Comparison{{"mosquitto", "", 4.0 / 3, 1}, {"mosquitto", "p99.9", 40.0 / 30, 1}}
	if diff := cmp.Diff(want, got[0].Compared); diff != "" {
		t.Errorf("compared (-want +got):\n%s", diff)
	}
}
