//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edge/test/rig/agent"
)

// An Agent answers the calls of package agent.
type Agent struct {
	mu       sync.Mutex
	programs map[int]*program
	sim      *sim
	watch    *watch
	sticks   map[int]*stick // by port
}

func newAgent() *Agent {
	return &Agent{programs: make(map[int]*program), sticks: make(map[int]*stick)}
}

// A program was started; done is closed when exit is known.
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
	exit agent.Exit
}

// Hello implements agent.Client.
func (*Agent) Hello(_ agent.None, release *string) error {
	var u unix.Utsname
	err := unix.Uname(&u)
	*release = unix.ByteSliceToString(u.Release[:])
	return err
}

// SetClock implements agent.Client.
func (*Agent) SetClock(t time.Time, _ *agent.None) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// Put implements agent.Client. A program is replaced even while it runs.
func (*Agent) Put(f agent.File, _ *agent.None) error {
	if strings.HasPrefix(f.Path, "/sys/") {
		return os.WriteFile(f.Path, f.Data, 0)
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(f.Path, f.Data, f.Mode)
}

// Read implements agent.Client.
func (*Agent) Read(path string, data *string) error {
	b, err := os.ReadFile(path)
	*data = string(b)
	return err
}

// Appear implements agent.Client.
func (*Agent) Appear(pattern string, at *time.Time) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			*at = time.Now()
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("there is no %s", pattern)
}

// Files implements agent.Client.
func (*Agent) Files(pid int, n *int) error {
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	*n = len(open)
	return err
}

// Run implements agent.Client.
func (*Agent) Run(c agent.Command, exit *agent.Exit) error {
	var out bytes.Buffer
	cmd := command(c)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	*exit = ended(cmd)
	exit.Output = out.String()
	if exitErr := (*exec.ExitError)(nil); errors.As(err, &exitErr) {
		return nil
	}
	return err
}

// Start implements agent.Client.
func (a *Agent) Start(c agent.Command, pid *int) error {
	cmd := command(c)
	log, err := openLog(c.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	leave, err := join(cmd, c.Group)
	if err != nil {
		return err
	}
	defer leave()
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &program{cmd: cmd, done: make(chan struct{})}
	*pid = cmd.Process.Pid
	a.mu.Lock()
	a.programs[*pid] = p
	a.mu.Unlock()
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ended tells the same.
		p.exit = ended(cmd)
	}()
	return nil
}

// maxLog bounds a log in bytes: it takes memory.
const maxLog = 4 << 20

// openLog opens a log to write more to it. One that is too long begins anew.
func openLog(path string) (*os.File, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if info, err := log.Stat(); err == nil && info.Size() > maxLog {
		err = log.Truncate(0)
		return log, err
	}
	return log, nil
}

// Kill implements agent.Client.
func (a *Agent) Kill(k agent.Kill, _ *agent.None) error {
	p, err := a.program(k.PID)
	if err != nil {
		return err
	}
	return p.cmd.Process.Signal(k.Signal)
}

// Wait implements agent.Client.
func (a *Agent) Wait(pid int, exit *agent.Exit) error {
	p, err := a.program(pid)
	if err != nil {
		return err
	}
	<-p.done
	a.mu.Lock()
	delete(a.programs, pid)
	a.mu.Unlock()
	*exit = p.exit
	return nil
}

func (a *Agent) program(pid int) (*program, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.programs[pid]
	if p == nil {
		return nil, fmt.Errorf("process %d was not started here, or was waited for", pid)
	}
	return p, nil
}

func command(c agent.Command) *exec.Cmd {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = []string{"HOME=/tmp", "TMPDIR=/tmp"}
	cmd.Dir = "/tmp"
	return cmd
}

func ended(cmd *exec.Cmd) agent.Exit {
	if cmd.ProcessState == nil {
		return agent.Exit{Code: -1}
	}
	e := agent.Exit{Code: cmd.ProcessState.ExitCode()}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		e.Signal = s.Signal()
	}
	return e
}
