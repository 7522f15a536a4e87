package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stream = `{"Action":"start","Package":"edge/a"}
{"Action":"run","Package":"edge/a","Test":"TestGood"}
{"Action":"output","Package":"edge/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"pass","Package":"edge/a","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"edge/a","Test":"TestPeer/old","Output":"    a_test.go:3: mosquitto is not installed\n"}
{"Action":"skip","Package":"edge/a","Test":"TestPeer/old","Elapsed":0}
{"Action":"pass","Package":"edge/a","Test":"TestPeer","Elapsed":0}
{"Action":"skip","Package":"edge/a","Test":"FuzzName/seed#0","Elapsed":0}
{"Action":"pass","Package":"edge/a","Elapsed":0.2}
{"Action":"skip","Package":"edge/empty","Elapsed":0}
`

const failing = `{"ImportPath":"edge/b [edge/b.test]","Action":"build-output","Output":"b_test.go:1: undefined: x\n"}
{"ImportPath":"edge/b [edge/b.test]","Action":"build-fail"}
{"Action":"start","Package":"edge/b"}
{"Action":"fail","Package":"edge/b","Elapsed":0,"FailedBuild":"edge/b [edge/b.test]"}
{"Action":"output","Package":"edge/c","Test":"TestBad","Output":"    c_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"edge/c","Test":"TestBad","Elapsed":0}
{"Action":"fail","Package":"edge/c","Elapsed":0}
go: a word of the go command
`

func TestReport(t *testing.T) {
	const allowed = "edge/a TestPeer needs a machine from 1998 # really\n"
	tests := []struct {
		name, stream, allow string
		code                int
		tally               string
		want                []string
	}{
		{"all passed", stream, allowed, 0, "2 0\n", []string{
			"pass\tedge/a\t4 tests\t0.2s", "skipped, as it may be: edge/a TestPeer/old: needs a machine from 1998", "2 passed, 0 failed, 1 skipped",
		}},
		{"a skip nobody allowed", stream, "", 1, "2 1\n", []string{"SKIPPED edge/a TestPeer/old\n    a_test.go:3: mosquitto is not installed"}},
		{"a test and a build failed", stream + failing, allowed, 1, "2 2\n", []string{
			"FAILED edge/b\nb_test.go:1: undefined: x", "FAILED edge/c TestBad\n    c_test.go:9: got 1, want 2", "go: a word",
			"2 passed, 2 failed, 1 skipped",
		}},
		{"nothing ran", "go: no packages\n", "", 1, "0 1\n", []string{"go: no packages", "no test was run"}},
		{"a bad list", stream, "edge/a TestPeer\n", 1, "", []string{"line 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			allow, tally := filepath.Join(t.TempDir(), "allow"), filepath.Join(t.TempDir(), "tally")
			if err := os.WriteFile(allow, []byte(tt.allow), 0o666); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			code := run([]string{"-allow", allow, "-tally", tally}, strings.NewReader(tt.stream), &out, &out)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if got, _ := os.ReadFile(tally); string(got) != tt.tally {
				t.Errorf("tally %q, want %q", got, tt.tally)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestSkipsCoverSubtests(t *testing.T) {
	allowed, err := parseSkips(strings.NewReader("# why not\n\nedge/a TestKernel no gpiochip here\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[name]bool{
		{"edge/a", "TestKernel"}:          true,
		{"edge/a", "TestKernel/edges/up"}: true,
		{"edge/a", "TestKernelToo"}:       false,
		{"edge/b", "TestKernel"}:          false,
	}
	for n, want := range tests {
		if _, got := allowed.reason(n); got != want {
			t.Errorf("reason(%s) = %t, want %t", n, got, want)
		}
	}
}
