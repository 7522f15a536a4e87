package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"edge/broker"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"edge": main})
}

// TestScript runs the scripts that need no broker, or start their own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setupScript,
		Cmds:                scriptCommands,
	})
}

// TestScriptMosquitto runs what pub and sub do against Debian's broker.
func TestScriptMosquitto(t *testing.T) {
	path := lookMosquitto(t)
	runMQTT(t, func(e *testscript.Env) error { return startMosquitto(e, path) })
}

// TestScriptBroker runs the same against ours.
func TestScriptBroker(t *testing.T) {
	runMQTT(t, func(e *testscript.Env) error {
		for name, anonymous := range map[string]bool{"URL": true, "LOCKED": false} {
			cfg := broker.DefaultConfig()
			cfg.AllowAnonymous = anonymous
			cfg.Listeners = []broker.Listener{{URL: "tcp://127.0.0.1:0"}}
			b, err := broker.Open(cfg, "edge", slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			e.Defer(func() { _ = b.Close(context.Background()) })
			url := b.URLs()[0]
			e.Setenv(name, url)
			if anonymous {
				e.Setenv("PORT", url[strings.LastIndex(url, ":")+1:])
			}
		}
		return nil
	})
}

func runMQTT(t *testing.T, start func(*testscript.Env) error) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/mqtt",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := setupScript(e); err != nil {
				return err
			}
			return start(e)
		},
		Cmds: scriptCommands,
	})
}

// setupScript gives a script an environment in which nothing of the user's
// can be found.
func setupScript(e *testscript.Env) error {
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, ".config"))
	e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, ".state"))
	e.Setenv("NO_COLOR", "1")
	e.Setenv("DATA", filepath.Join(e.WorkDir, "data"))
	return nil
}

var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"waitfile": waitFile,
	"rc":       exitsWith,
	"sighub":   signalHub,
}

// exitsWith runs a program and checks its exit code: `rc 2 edge pub`.
func exitsWith(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: rc CODE PROGRAM ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		e, ok := err.(*exec.ExitError) //nolint:errorlint // Exec does not wrap it
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		code = e.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%s exits with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// signalHub sends a signal to the hub that has a data directory: `sighub TERM
// $DATA`.
func signalHub(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}
	if neg || len(args) != 2 || signals[args[0]] == nil {
		ts.Fatalf("usage: sighub TERM|INT|HUP DATA")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(filepath.Join(args[1], lockName))))
	ts.Check(err)
	p, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(p.Signal(signals[args[0]]))
}

// waitFile waits until a file has a line with a text: `waitfile err.txt ready`.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfile FILE TEXT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	name := ts.MkAbs(args[0])
	if err := waitUntil(ctx, func() bool {
		b, err := os.ReadFile(name)
		return err == nil && strings.Contains(string(b), args[1])
	}); err != nil {
		b, _ := os.ReadFile(name)
		ts.Fatalf("%s does not say %q:\n%s", args[0], args[1], b)
	}
}

func lookMosquitto(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("mosquitto is not installed; `make peers` installs it")
	return ""
}

// startMosquitto runs a broker for one script: $URL lets everybody in, $LOCKED
// nobody without a password.
func startMosquitto(e *testscript.Env, path string) error {
	open, locked := freePort(), freePort()
	conf := fmt.Sprintf(`per_listener_settings true
listener %s 127.0.0.1
allow_anonymous true
listener %s 127.0.0.1
allow_anonymous false
`, open, locked)
	name := filepath.Join(e.WorkDir, "mosquitto.conf")
	if err := os.WriteFile(name, []byte(conf), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(path, "-v", "-c", name)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	e.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	running := make(chan struct{})
	go func() {
		scan := bufio.NewScanner(stderr)
		for scan.Scan() {
			if strings.HasSuffix(scan.Text(), " running") {
				close(running)
			}
		}
	}()
	e.Setenv("URL", "tcp://127.0.0.1:"+open)
	e.Setenv("PORT", open)
	e.Setenv("LOCKED", "tcp://127.0.0.1:"+locked)
	select {
	case <-running:
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("mosquitto did not start")
	}
}

// freePort returns a TCP port that nobody listened on a moment ago.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestSecondSignal interrupts a command that cannot end by itself: it reads
// from a pipe into which nobody writes.
func TestSecondSignal(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "edge.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("edge", "check", "-c", pipe)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when edge has it open
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = cmd.Process.Signal(os.Interrupt)
		case <-done: //nolint:errcheck // The exit code says more.
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
				t.Errorf("exit code %d, want %d", code, exitInterrupted)
			}
			return
		}
	}
}
