package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long a line of a page may take to end or to say something.
	patience = time.Minute

	// moment is how long after its first word a line may end; then it stays, as
	// mosquitto_sub does.
	moment = time.Second
)

// program builds the program as it is shipped, without C, and returns its path.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edge")
	command(t, ".", "env", "CGO_ENABLED=0", "go", "build", "-o", file, ".")
	return file
}

func TestDocsShell(t *testing.T) {
	edge := sync.OnceValue(func() string { return program(t) })
	for _, blocks := range pages(t) {
		for i, b := range blocks {
			if b.lang != "sh" || !b.has("run") && !b.has("demo") {
				continue
			}
			t.Run(b.String(), func(t *testing.T) {
				out := runBlock(t, b, edge())
				if i+1 < len(blocks) && blocks[i+1].has("output") {
					expectOutput(t, blocks[i+1], out)
				}
			})
		}
	}
}

// runBlock runs b as a reader would, line after line, with the demo beside it if
// b asks for it, and returns what was written to standard output.
func runBlock(t *testing.T, b block, edge string) *output {
	lines := shellLines(b.text)
	for _, line := range lines {
		requirePrograms(t, line)
	}
	env := shellEnv(t, edge)
	var out output
	if b.has("demo") {
		lines = append([]string{"edge demo"}, lines...)
	}
	for i, line := range lines {
		if err := start(t, env, line, &out); err != nil {
			t.Fatal(err)
		}
		if i == 0 && b.has("demo") {
			out.reset()
		}
	}
	return &out
}

// shellLines joins continued lines and leaves out comments and empty lines.
func shellLines(text string) []string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		if line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// requirePrograms skips the test if a peer that line calls is not installed.
func requirePrograms(t *testing.T, line string) {
	t.Helper()
	for word := range strings.FieldsSeq(line) {
		if strings.HasPrefix(word, "mosquitto_") {
			if _, err := exec.LookPath(word); err != nil {
				t.Skipf("%s is not installed: make peers", word)
			}
		}
	}
}

// shellEnv is an environment in which edge is the program of this tree and in
// which everybody means a port of our own when they mean 1883.
func shellEnv(t *testing.T, edge string) []string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	listen := "--listen tcp://127.0.0.1:" + port

	bin := t.TempDir()
	shim(t, bin, "edge", `case $1 in
pub | sub) c=$1; shift; exec `+edge+` $c -p `+port+` "$@" ;;
demo) shift; exec `+edge+` demo `+listen+` "$@" ;;
esac
exec `+edge+` "$@"`)
	for _, peer := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if file, err := exec.LookPath(peer); err == nil {
			shim(t, bin, peer, "exec "+file+" -p "+port+` "$@"`)
		}
	}
	return append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ARGS="+listen, "NO_COLOR=1")
}

func shim(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
}

// start runs a line of shell in the root of the repository. It returns when the
// line has ended, which must be well, or when it stays and has said something:
// `ready` if it is a hub, anything otherwise. What stays is ended with the test.
func start(t *testing.T, env []string, line string, out *output) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = root, env
	// make and the shell have children of their own: end the whole group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	hub := strings.HasPrefix(line, "make run") || strings.HasPrefix(line, "edge demo")

	var complaints output
	said := make(chan struct{})
	once := sync.OnceFunc(func() { close(said) })
	ready := func(s string) bool { return hub && strings.Contains(s, "ready") }
	cmd.Stdout = io.MultiWriter(out, notify{func(s string) bool { return !hub || ready(s) }, once})
	cmd.Stderr = io.MultiWriter(&complaints, notify{ready, once})
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	done := make(chan error, 1)
	over := make(chan struct{})
	go func() { done <- cmd.Wait(); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	var err error
	select {
	case err = <-done:
	case <-said:
		if !hub {
			err = endsWithin(done, moment)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", line, err, &complaints)
	}
	return nil
}

// endsWithin returns what comes from done, or nil if nothing comes within d.
func endsWithin(done <-chan error, d time.Duration) error {
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		return nil
	}
}

// expectOutput waits for each line of want in what was written. In a line, …
// stands for anything.
func expectOutput(t *testing.T, want block, out *output) {
	t.Helper()
	for line := range strings.Lines(want.text) {
		line = strings.TrimRight(line, "\n")
		pattern := "(?m)^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$"
		if !out.wait(regexp.MustCompile(pattern), 10*time.Second) {
			t.Errorf("%s promises %q; what came was\n%s", want, line, out)
		}
	}
}

// An output collects what processes write.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// wait reports whether the text matches pattern within d.
func (o *output) wait(pattern *regexp.Regexp, d time.Duration) bool {
	late := time.After(d)
	for {
		o.mu.Lock()
		found := pattern.MatchString(o.text.String())
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		}
	}
}

// notify calls then when a write is of interest.
type notify struct {
	interesting func(string) bool
	then        func()
}

func (n notify) Write(p []byte) (int, error) {
	if n.interesting(string(p)) {
		n.then()
	}
	return len(p), nil
}

func TestShellLines(t *testing.T) {
	got := shellLines("# a comment\n$ make \\\n  run\n\nedge sub -t '#'\n")
	want := []string{"make    run", "edge sub -t '#'"}
	if !slices.Equal(got, want) {
		t.Errorf("shellLines = %q, want %q", got, want)
	}
}

func TestStart(t *testing.T) {
	tests := []struct {
		line, out string
		ok        bool
	}{
		{"echo one; echo two", "one\ntwo\n", true},
		{"echo one; exec sleep 1000", "one\n", true},
		{"echo why >&2; exit 3", "", false},
		{"echo one; exit 3", "one\n", false},
		{"no-such-program-anywhere", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			var out output
			err := start(t, os.Environ(), tt.line, &out)
			if (err == nil) != tt.ok || out.String() != tt.out {
				t.Errorf("start = %v with output %q, want ok %t and %q", err, &out, tt.ok, tt.out)
			}
		})
	}
}
