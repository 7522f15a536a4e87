package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A runningDemo is `edge demo` in this process.
type runningDemo struct {
	stdin    io.Writer
	out, err *syncBuffer
}

// startDemo returns when the demo has said what to type.
func startDemo(t *testing.T, args ...string) *runningDemo {
	t.Helper()
	stdin, keys := io.Pipe()
	d := &runningDemo{stdin: keys, out: new(syncBuffer), err: new(syncBuffer)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- run(ctx, append([]string{"demo"}, args...), stdin, d.out, d.err) }()
	t.Cleanup(func() {
		cancel()
		keys.Close()
		if code := <-done; code != exitDone {
			t.Errorf("demo exits with %d: %s", code, d.err)
		}
	})
	d.waitFor(t, "Ctrl-C ends the demo")
	return d
}

func (d *runningDemo) waitFor(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if waitUntil(ctx, func() bool { return strings.Contains(d.out.String(), text) }) != nil {
		t.Fatalf("the demo does not say %q but\n%s%s", text, d.out, d.err)
	}
}

// typed returns the lines that the demo told to type which begin with tool.
func (d *runningDemo) typed(t *testing.T, tool string) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(d.out.String()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, tool) {
			lines = append(lines, line)
		}
	}
	if len(lines) != len(suggestions) {
		t.Fatalf("the demo tells %d lines with %s, want %d", len(lines), tool, len(suggestions))
	}
	return lines
}

// words splits a line as the shell does, as far as the lines of the demo need
// it. No shell is asked: a new process has, until its exec, every descriptor
// of this one, and with it the lock of the stick's port.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// A firstWrite calls told at the first byte written, as a person stops what
// has shown that it works.
type firstWrite struct {
	text bytes.Buffer
	told func()
}

func (w *firstWrite) Write(p []byte) (int, error) {
	w.told()
	return w.text.Write(p)
}

func TestDemoLinesWork(t *testing.T) {
	for _, listen := range []string{"tcp://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "mqtt.sock")} {
		d := startDemo(t, "--listen", listen)
		for _, line := range d.typed(t, "edge ") {
			edgeLine(t, line)
		}
		if log := d.err.String(); log != "" {
			t.Errorf("the demo logged\n%s", log)
		}
	}
}

// edgeLine runs a line and reports it if it does not do what it should: sub
// prints something, pub ends well.
func edgeLine(t *testing.T, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	args := words(t, line)[1:]
	var stderr bytes.Buffer
	stdout := &firstWrite{told: cancel}
	if args[0] == "pub" {
		stdout.told = func() {}
	}
	code := run(ctx, args, strings.NewReader(""), stdout, &stderr)
	if code != exitDone || (args[0] == "sub" && stdout.text.Len() == 0) {
		t.Errorf("%s: exit code %d, printed %q, %s", line, code, &stdout.text, &stderr)
	}
}

func TestDemoLinesWorkWithMosquitto(t *testing.T) {
	if _, err := exec.LookPath("mosquitto_sub"); err != nil {
		t.Skip("mosquitto_sub is not installed; `make peers` installs it")
	}
	d := startDemo(t, "--listen", "tcp://127.0.0.1:0")
	for _, line := range d.typed(t, "mosquitto_") {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
		stdout := &firstWrite{told: cancel}
		cmd.Stdout = stdout
		err := cmd.Run()
		cancel()
		sub := strings.HasPrefix(line, "mosquitto_sub")
		if (sub && stdout.text.Len() == 0) || (!sub && err != nil) {
			t.Errorf("%s: %v, printed %q", line, err, &stdout.text)
		}
	}
}

func TestDemoStickCanBeUnplugged(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "mqtt.sock")
	d := startDemo(t, "--listen", "unix://"+sock)
	status := new(syncBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"sub", "--unix", sock, "edge/demo/stick/status"}, nil, status, d.err)
	}()
	// The last word counts: a status may be there from before the bridge ran.
	expect := func(want string) {
		t.Helper()
		within, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if waitUntil(within, func() bool { return strings.HasSuffix(status.String(), want) }) != nil {
			t.Fatalf("the stick's status was %q, want it to end with %q", status, want)
		}
	}
	expect("online\n")
	press := func() {
		t.Helper()
		if _, err := io.WriteString(d.stdin, "\n"); err != nil {
			t.Fatal(err)
		}
	}
	press()
	d.waitFor(t, "The stick is unplugged.")
	expect("online\noffline\n")
	press()
	d.waitFor(t, "plugged in again.\n")
	expect("online\noffline\nonline\n")
	cancel()
	<-done
}

func TestDemoPrintsItsConfig(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--print-config"}, nil, &out, io.Discard); code != exitDone || out.String() != demoConfig {
		t.Errorf("exit code %d, printed\n%s", code, &out)
	}
	if _, err := demoPlan("/dev/null", &runFlags{data: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

func TestHostFlags(t *testing.T) {
	tests := []struct {
		urls []string
		want string
	}{
		{nil, ""},
		{[]string{"tcp://127.0.0.1:1883"}, ""},
		{[]string{"tcp://127.0.0.1:1884"}, "-p 1884 "},
		{[]string{"tcp://[::]:1883"}, ""},
		{[]string{"tcp://[::1]:1884"}, "-h ::1 -p 1884 "},
		{[]string{"ws://127.0.0.1:80/", "tcp://192.0.2.1:1883"}, "-h 192.0.2.1 "},
		{[]string{"unix:///run/m.sock"}, "--unix /run/m.sock "},
	}
	for _, tt := range tests {
		if got := whereFlags(tt.urls); got != tt.want {
			t.Errorf("whereFlags(%q) = %q, want %q", tt.urls, got, tt.want)
		}
	}
}

// TestDemoNeedsNothing starts the demo as `make run` does, without a flag. It
// comes up at its own port, or says that somebody else is there.
func TestDemoNeedsNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var errs syncBuffer
	out := &firstWrite{told: cancel}
	code := run(ctx, []string{"demo"}, strings.NewReader(""), out, &errs)
	text := out.text.String()
	if strings.Contains(text, "ready at tcp://127.0.0.1:1883") && code == exitDone {
		return
	}
	if !strings.Contains(errs.String(), "listen at tcp://127.0.0.1:1883") {
		t.Errorf("exit code %d: %s%s", code, text, &errs)
	}
}
