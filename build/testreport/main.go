// Command testreport reads the output of `go test -json` and says what a person
// wants to know of it: a line for each package, all that failed with what it
// wrote, and all that was skipped by name. It exits with 1 if anything failed, or
// was skipped without being listed in the file -allow.
//
//	go test -json ./... | go run ./build/testreport -allow build/skips.txt -tally counts
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.SetOutput(stderr)
	allow := flags.String("allow", "", "file of tests that may be skipped, each with its reason")
	tally := flags.String("tally", "", "file to which the numbers of passed and failed tests are appended")
	if flags.Parse(args) != nil {
		return 2
	}
	ok, err := summarize(stdin, stdout, *allow, *tally)
	if err != nil {
		fmt.Fprintln(stderr, "testreport:", err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

// summarize reports whether all is well.
func summarize(r io.Reader, w io.Writer, allow, tally string) (bool, error) {
	allowed, err := readSkips(allow)
	if err != nil {
		return false, err
	}
	rep, err := read(r, w)
	if err != nil {
		return false, err
	}
	for _, n := range rep.failed {
		fmt.Fprintf(w, "\nFAILED %s\n%s", n, rep.text(n))
	}
	unexpected := rep.printSkips(w, allowed)
	failed := len(rep.failed) + unexpected
	if len(rep.passed)+failed == 0 {
		fmt.Fprintln(w, "FAILED: no test was run")
		failed = 1
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", len(rep.passed), len(rep.failed), len(rep.skipped))
	return failed == 0, appendTally(tally, len(rep.passed), failed)
}

// printSkips names what was skipped and returns how much of it should not be.
func (r *report) printSkips(w io.Writer, allowed skips) (unexpected int) {
	for _, n := range r.skipped {
		if why, ok := allowed.reason(n); ok {
			fmt.Fprintf(w, "skipped, as it may be: %s: %s\n", n, why)
			continue
		}
		unexpected++
		fmt.Fprintf(w, "\nSKIPPED %s\n%s", n, r.text(n))
	}
	return unexpected
}

func readSkips(file string) (skips, error) {
	if file == "" {
		return skips{}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	allowed, err := parseSkips(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return allowed, nil
}

func appendTally(file string, passed, failed int) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, passed, failed); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
