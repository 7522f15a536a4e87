package modbus_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"edge/internal/modbus"
	"edge/internal/sim"
)

// A peer is a program that is a client or a server.
type peer struct {
	name    string
	command func(t testing.TB, role, framing, port string) *exec.Cmd
}

var (
	libmodbus    = peer{"libmodbus", cPeer}
	modbusSerial = peer{"modbus-serial", nodePeer}
	pymodbus     = peer{"pymodbus", pythonPeer}
)

// built is where the program by libmodbus is, or why it is not.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "modbus")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "peer")
	out, err := exec.Command("gcc", "-O1", "-o", path, "testdata/peer.c", "-I/usr/include/modbus", "-lmodbus").CombinedOutput()
	if err != nil {
		return path, fmt.Errorf("build testdata/peer.c: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, _ := built(); path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// needs skips the test if a file of a peer is not there, and lets the cache of
// test results learn that it depends on it.
func needs(t testing.TB, what, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		t.Skipf("%s is not installed; `make peers` does it", what)
	}
}

func cPeer(t testing.TB, role, _, port string) *exec.Cmd {
	t.Helper()
	needs(t, "libmodbus", "/usr/include/modbus/modbus.h")
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed; `make peers` does it")
	}
	if _, err := os.Stat("testdata/peer.c"); err != nil {
		t.Fatal(err)
	}
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(path, role, port)
}

func nodePeer(t testing.TB, role, framing, port string) *exec.Cmd {
	t.Helper()
	needs(t, "modbus-serial", "../../build/peers.d/node_modules/modbus-serial/package.json")
	if _, err := os.Stat("testdata/peer.mjs"); err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed; `make peers` does it")
	}
	return exec.Command(node, "testdata/peer.mjs", role, framing, port)
}

func pythonPeer(t testing.TB, role, framing, port string) *exec.Cmd {
	t.Helper()
	const python, modules = "/usr/bin/python3", "/usr/lib/python3/dist-packages/"
	for _, module := range []string{"pymodbus", "serial", "serial_asyncio"} {
		needs(t, "pymodbus", modules+module)
	}
	if _, err := os.Stat("testdata/peer.py"); err != nil {
		t.Fatal(err)
	}
	return exec.Command(python, "-E", "testdata/peer.py", role, framing, port)
}

// serves starts a server, which ends with the test, and returns the port that
// it names.
func (p peer) serves(t testing.TB, framing, port string) string {
	t.Helper()
	cmd := p.command(t, "server", framing, port)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	ready, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if !ok {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s said %q, %v\n%s", p.name, line, err, &stderr)
	}
	return ready
}

// asks runs a client to its end and returns what it printed.
func (p peer) asks(t testing.TB, framing, port string) string {
	t.Helper()
	cmd := p.command(t, "client", framing, port)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", p.name, err, out, &stderr)
	}
	return string(out)
}

// newPTY returns a serial line whose far end is ours; the peer opens the other.
// It is kept open, since a line that nobody has open cannot be read.
func newPTY(t testing.TB) *sim.PTY {
	t.Helper()
	pty, err := sim.NewPTY("")
	if err != nil {
		t.Fatal(err)
	}
	near, err := os.OpenFile(pty.Port(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pty.Close()
		near.Close()
	})
	return pty
}

func listen(t testing.TB) (l net.Listener, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return l, port
}

var _ modbus.Port = (*sim.PTY)(nil)
