//go:build linux

// Package qemu runs the rig's virtual machine: an arm64 board without KVM, from
// the kernel or from a snapshot. What is in the machine is none of its business.
package qemu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Program is QEMU for the guest.
const Program = "qemu-system-aarch64"

// A Config says what to run.
type Config struct {
	Kernel   string
	Initrd   string
	Snapshot string // of Save, with the same Kernel and Initrd; empty: boot
	Dir      string // for a socket
	Ports    []int  // of the guest, TCP, that the host can reach

	// DeviceTree makes the machine a Raspberry Pi 3 Model B, which is its own. It has no
	// network, and cannot be saved.
	DeviceTree string
	Args       []string // of the guest's first process
}

// A Machine is a QEMU that runs.
type Machine struct {
	ports   map[int]int
	monitor *monitor
	console *console
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// Start starts a machine. It must be ended by Kill, and dies with this process.
func Start(ctx context.Context, cfg Config) (*Machine, error) {
	ports, err := freePorts(cfg.Ports)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(cfg.Dir, "qmp")
	m := &Machine{ports: ports, done: make(chan struct{}), console: newConsole()}
	m.cmd = exec.Command(Program, cfg.args(ports, socket)...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.cmd.Stderr = m.cmd.Stdout
	if err := m.run(out); err != nil {
		return nil, err
	}
	if m.monitor, err = dialMonitor(ctx, socket, m.done); err != nil {
		m.Kill()
		return nil, fmt.Errorf("%w; its console:\n%s", err, m.Console())
	}
	return m, nil
}

// args are for a board with a core of the smallest Raspberry Pi that has 64 bits.
//
// With -icount an instruction takes 4 ns of the guest's time, which stands still while
// QEMU has to wait for the host's CPU: what takes half a second on a machine that is
// idle does so on one that is busy. There can be only one core then.
func (cfg Config) args(ports map[int]int, socket string) []string {
	if cfg.DeviceTree != "" {
		return cfg.raspi(socket)
	}
	net := []string{"user,id=net,restrict=on"}
	for guest, host := range ports {
		net = append(net, fmt.Sprintf("hostfwd=tcp:127.0.0.1:%d-10.0.2.15:%d", host, guest))
	}
	args := []string{
		"-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "320",
		"-accel", "tcg,thread=single", "-icount", "shift=2,sleep=on", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", cfg.Kernel, "-initrd", cfg.Initrd, "-append", "console=ttyAMA0 quiet panic=-1",
		"-serial", "stdio", "-netdev", strings.Join(net, ","), "-device", "virtio-net-pci,netdev=net,romfile=",
		"-qmp", "unix:" + socket + ",server=on,wait=off",
	}
	if cfg.Snapshot != "" {
		args = append(args, "-incoming", "exec:cat '"+cfg.Snapshot+"'")
	}
	return args
}

// raspi are for a Raspberry Pi, whose second serial port is that of the header. More
// than one core would only wait for the first.
func (cfg Config) raspi(socket string) []string {
	return []string{
		"-M", "raspi3b", "-accel", "tcg,thread=single", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", cfg.Kernel, "-initrd", cfg.Initrd, "-dtb", cfg.DeviceTree,
		"-append", strings.Join(append([]string{"console=ttyS1,115200 quiet panic=-1 maxcpus=1 --"}, cfg.Args...), " "),
		"-serial", "null", "-serial", "stdio", "-qmp", "unix:" + socket + ",server=on,wait=off",
	}
}

// run starts QEMU from a thread that lasts as long: the signal at the death of the
// parent is one at the death of its thread (prctl(2)).
func (m *Machine) run(out io.Reader) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		defer close(m.done)
		m.console.read(out)
		_ = m.cmd.Wait() // It is killed.
	}()
	return <-started
}

// Address is where the host reaches a port of the guest.
func (m *Machine) Address(guest int) string { return fmt.Sprintf("127.0.0.1:%d", m.ports[guest]) }

// Console returns what the guest has written to its console.
func (m *Machine) Console() string { return m.console.text() }

// AwaitLine returns when the guest has written a line with text.
func (m *Machine) AwaitLine(ctx context.Context, text string) error {
	for {
		found, more := m.console.find(text)
		if found {
			return nil
		}
		select {
		case <-more:
		case <-m.done:
			return fmt.Errorf("the machine ended; its console:\n%s", m.Console())
		case <-ctx.Done():
			return fmt.Errorf("no line %q: %w; the console:\n%s", text, ctx.Err(), m.Console())
		}
	}
}

// Kill ends the machine at once, and returns the CPU time that it took when it has.
func (m *Machine) Kill() time.Duration {
	_ = m.cmd.Process.Kill()
	<-m.done
	if m.monitor != nil {
		m.monitor.conn.Close()
	}
	return m.cmd.ProcessState.UserTime() + m.cmd.ProcessState.SystemTime()
}

// Save stops the machine and writes a snapshot to path.
func (m *Machine) Save(ctx context.Context, path string) error {
	if _, err := m.monitor.run("migrate-set-parameters", map[string]any{"max-bandwidth": int64(8) << 30}); err != nil {
		return err
	}
	if _, err := m.monitor.run("stop", nil); err != nil {
		return err
	}
	if _, err := m.monitor.run("migrate", map[string]any{"uri": "exec:cat > '" + path + "'"}); err != nil {
		return err
	}
	return m.poll(ctx, "query-migrate", func(status string) (bool, error) {
		if status == "failed" {
			return false, errors.New("the snapshot was not written")
		}
		return status == "completed", nil
	})
}

// Resume returns when a machine that was started from a snapshot runs.
func (m *Machine) Resume(ctx context.Context) error {
	err := m.poll(ctx, "query-status", func(status string) (bool, error) { return status != "inmigrate", nil })
	if err != nil {
		return err
	}
	_, err = m.monitor.run("cont", nil)
	return err
}

// poll asks until what is answered ends it.
func (m *Machine) poll(ctx context.Context, question string, ends func(status string) (bool, error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := m.monitor.run(question, nil)
		if err != nil {
			return err
		}
		if end, err := ends(status); end || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is still %s: %w", question, status, ctx.Err())
		}
	}
}

// freePorts finds for each port of the guest one of the host that nobody listens on.
func freePorts(guest []int) (map[int]int, error) {
	ports := make(map[int]int)
	for _, g := range guest {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are found, so that none is found twice
		ports[g] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// A console keeps what was written to it.
type console struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed at the next line
}

// maxLines bounds a console that has gone mad.
const maxLines = 10_000

func newConsole() *console { return &console{more: make(chan struct{})} }

func (c *console) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		c.mu.Lock()
		c.lines = append(c.lines[max(0, len(c.lines)-maxLines):], s.Text())
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}

func (c *console) find(text string) (found bool, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Contains(strings.Join(c.lines, "\n"), text), c.more
}
