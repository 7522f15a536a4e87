//go:build script

// The tag is there until go.sum has golang.org/x/tools, which testscript needs.

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
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
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/mqtt",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := setupScript(e); err != nil {
				return err
			}
			return startMosquitto(e, path)
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

// waitUntil polls what nothing else can tell.
func waitUntil(ctx context.Context, happened func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
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
