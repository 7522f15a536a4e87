package interop

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// program returns the path of a client that is a program of its own, or skips
// the test.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// at returns the flags with which the clients of mosquitto find an address.
func at(t testing.TB, address string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-h", host, "-p", port}
}

// args joins lists of arguments.
func args(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// words are arguments in one line.
func words(line string) []string { return strings.Fields(line) }

// execute runs a client to its end, which must be a good one, with input, and
// returns what it wrote to standard output.
func execute(t testing.TB, input, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// A running is a client whose output is read while it runs.
type running struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.Writer
	lines chan string // closed at the end of its output
	early []string    // lines put aside
}

// launchClient starts a client and ends it with the test.
func launchClient(t testing.TB, name string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.Command(program(t, name), args...), lines: make(chan string, 100_000)}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(r.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.lines <- lines.Text()
		}
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-done
	})
	return r
}

// line returns the next line of output that begins with prefix, without it.
func (r *running) line(prefix string) string {
	r.t.Helper()
	for {
		line, ok := r.next()
		if !ok {
			r.t.Fatalf("%s ended before a line with %q", r.cmd, prefix)
		}
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return rest
		}
	}
}

// next returns the next line of output, and whether there is one.
func (r *running) next() (string, bool) {
	r.t.Helper()
	if len(r.early) > 0 {
		line := r.early[0]
		r.early = r.early[1:]
		return line, true
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case line, ok := <-r.lines:
		return line, ok
	case <-deadline.C:
		r.t.Fatalf("%s has neither written nor ended for %v", r.cmd, patience)
		return "", false
	}
}

// kill ends the client as a lost battery would.
func (r *running) kill() {
	_ = r.cmd.Process.Kill()
	for range r.lines { // until its output has ended
	}
}

// subscribed starts mosquitto_sub and returns when it has received a retained
// message by the last of its subscriptions, so that it has them all: its own
// words about SUBACK stay in its buffer. Lines of messages begin with "> TOPIC "
// and go on with format.
func (s *server) subscribed(t testing.TB, format string, flags ...string) *running {
	t.Helper()
	c := s.connect(t, login{id: "flag for " + t.Name()})
	topic := "flag/" + rand.Text()
	c.publish(message{topic: topic, qos: 1, retain: true, payload: "up"})
	c.disconnect()
	r := launchClient(t, "mosquitto_sub", args(flags, []string{"-t", topic, "-F", "> %t " + format})...)
	var early []string
	for line, ok := r.next(); !strings.HasPrefix(line, "> "+topic); line, ok = r.next() {
		if !ok {
			t.Fatalf("%s ended before it had subscribed", r.cmd)
		}
		early = append(early, line)
	}
	r.early = early
	return r
}
