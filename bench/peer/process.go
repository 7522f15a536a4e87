package peer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long a broker may take to start, or to stop.
const patience = 10 * time.Second

// logLines is how many lines of a broker's output an error quotes.
const logLines = 15

// A Process is a running broker.
type Process struct {
	Addr string      // host and port at which it listens
	TLS  *tls.Config // of a client that trusts it; nil without TLS

	cmd    *exec.Cmd
	place  Placement
	word   string // of its log, when it is ready
	dir    string
	exited chan struct{} // closed when the process has ended
	ready  chan struct{} // closed when its log said so

	mu   sync.Mutex
	tail []string
}

// Command starts a command on the CPUs of the broker in the new directory dir,
// which Stop removes. When ready is not empty, Ready waits for a line of stderr
// that has it.
func Command(ctx context.Context, place Placement, argv []string, dir, ready string) (*Process, error) {
	p := &Process{
		cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), place: place, word: ready, dir: dir,
		exited: make(chan struct{}), ready: make(chan struct{}),
	}
	p.cmd.Dir = dir
	// Whatever happens to the benchmark, no broker stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := place.start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", strings.Join(argv, " "), err)
	}
	go p.watch(stderr, ready)
	return p, nil
}

func (p *Process) watch(stderr io.Reader, ready string) {
	if ready == "" {
		close(p.ready)
	}
	for scan := bufio.NewScanner(stderr); scan.Scan(); {
		line := scan.Text()
		p.mu.Lock()
		p.tail = append(p.tail, line)
		p.tail = p.tail[max(0, len(p.tail)-logLines):]
		p.mu.Unlock()
		if ready != "" && strings.Contains(line, ready) {
			close(p.ready)
			ready = ""
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // behind a line that was too long
	_ = p.cmd.Wait()
	close(p.exited)
}

// Ready waits until the log of the process has said that it is ready.
func (p *Process) Ready(ctx context.Context) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.exited:
		return p.fault("ended before it was ready")
	case <-timer.C:
		return p.fault(fmt.Sprintf("was not ready after %v", patience))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// fault is an error that quotes the last lines of the broker's log.
func (p *Process) fault(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s %s; its log ends:\n%s", p.cmd.Path, what, strings.Join(p.tail, "\n"))
}

// Stop ends the process, by force if it does not obey, and removes its directory.
func (p *Process) Stop() error {
	p.End()
	return os.RemoveAll(p.dir)
}

// Again starts a process that has ended anew, in the same directory and at the
// same address. It does not wait until that is ready.
func (p *Process) Again(ctx context.Context) (*Process, error) {
	again, err := Command(ctx, p.place, p.cmd.Args, p.dir, p.word)
	if err != nil {
		return nil, err
	}
	again.Addr, again.TLS = p.Addr, p.TLS
	return again, nil
}

// Written returns how many bytes the process has had written to block devices
// (proc_pid_io(5)).
func (p *Process) Written() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read what the broker has written: %w", err)
	}
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("write_bytes: ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		}
	}
	return 0, errors.New("the kernel does not count what the broker writes")
}

// End ends the process, by force if it does not obey, and leaves its directory.
func (p *Process) End() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// CPU returns the time that all threads of the process have run, in user space
// and in the kernel, with the scheduler's own resolution.
func (p *Process) CPU() (time.Duration, error) {
	// clock_getcpuclockid(3): the complement of the pid, above CPUCLOCK_SCHED.
	const schedClock = 2
	id := int32(^p.cmd.Process.Pid)<<3 | schedClock
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, errors.Join(fmt.Errorf("read CPU clock of process %d: %w", p.cmd.Process.Pid, err), p.fault("may have ended"))
	}
	return time.Duration(t.Nano()), nil
}

// Memory returns the resident size of the process now and at its largest, in
// bytes.
func (p *Process) Memory() (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of broker: %w", err)
	}
	return parseMemory(status)
}

// parseMemory reads VmRSS and VmHWM of proc_pid_status(5).
func parseMemory(status []byte) (now, peak int64, err error) {
	found := 0
	for line := range bytes.Lines(status) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		var kib int64
		switch string(name) {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscanf(string(value), "%d kB", &kib); err != nil {
				return 0, 0, fmt.Errorf("read memory of broker: %q: %w", line, err)
			}
			found++
		}
		switch string(name) {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	if found != 2 {
		return 0, 0, errors.New("read memory of broker: VmRSS and VmHWM are not in its status: it has ended")
	}
	return now, peak, nil
}
