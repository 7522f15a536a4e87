package uart_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/internal/uart"
)

// peer finds a program of build/peers.
func peer(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed; run build/peers", names[0])
	return ""
}

// ser2net starts ser2net for the port at path and returns its address. accepter is
// what it speaks: tcp or telnet(rfc2217).
func ser2net(t *testing.T, accepter, path string) string {
	t.Helper()
	program := peer(t, "ser2net", "/usr/sbin/ser2net")
	l, addr := server(t) // a port that is free
	l.Close()
	host, port, _ := net.SplitHostPort(addr)
	config := fmt.Sprintf("%%YAML 1.1\n---\nconnection: &line\n  accepter: %s,tcp,%s,%s\n  connector: serialdev(nouucplock=true),%s,115200n81,local\n", accepter, host, port, path)
	config = strings.ReplaceAll(config, "tcp,tcp", "tcp")
	file := filepath.Join(t.TempDir(), "ser2net.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, "-n", "-d", "-c", file)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ser2net with\n%s\nsaid:\n%s", config, said.String())
		}
	})
	return addr
}

// openLate opens a port at a server that is just being started.
func openLate(t *testing.T, cfg uart.Config) *uart.Port {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := uart.Open(ctx, cfg)
		if err == nil {
			t.Cleanup(func() { p.Close() })
			return p
		}
		if !strings.Contains(err.Error(), "nobody listens") {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// TestSer2net: a serial server that nobody here wrote, raw and by RFC 2217.
func TestSer2net(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for accepter, scheme := range map[string]string{"tcp": "tcp", "telnet(rfc2217)": "rfc2217"} {
		t.Run(scheme, func(t *testing.T) {
			far, path := newPTY(t)
			addr := ser2net(t, accepter, path)
			p := openLate(t, uart.Config{Port: scheme + "://" + addr, Baud: 19200})
			_ = p.SetDeadline(time.Now().Add(patience))
			carry(t, p, far, every)
			carry(t, far, p, every)
			if scheme == "tcp" {
				return
			}
			if got := rate(t, path); got != 19200 {
				t.Errorf("the line of ser2net is at %d baud, want 19200", got)
			}
			if err := p.SetRate(9600, 8, uart.NoParity); err != nil {
				t.Errorf("SetRate: %v", err)
			}
			if got := rate(t, path); got != 9600 {
				t.Errorf("after SetRate it is at %d baud, want 9600", got)
			}
			carry(t, far, p, every)
			if err := p.Discard(); err != nil {
				t.Errorf("Discard: %v", err)
			}
		})
	}
}

// pyserial is a client of RFC 2217 that nobody here wrote. It opens the port,
// sends every byte, and says what came back; then it wants another rate.
const pyserial = `
import serial, sys
every = bytes(range(256))
p = serial.serial_for_url(sys.argv[1], baudrate=9600, timeout=60)
p.write(every)
print("echo", p.read(256) == every)
print("cts", p.cts, "dsr", p.dsr, "cd", p.cd)
p.reset_input_buffer()
try:
    p.baudrate = 19200
    p.write(b"x")
    print("rate taken", p.read(1) == b"x")
except ValueError as e:
    print("rate refused")
p.close()
`

func TestTapForPyserial(t *testing.T) {
	python := peer(t, "/usr/bin/python3")
	if err := exec.Command(python, "-c", "import serial.rfc2217").Run(); err != nil {
		t.Skip("pyserial is not installed; run build/peers")
	}
	for _, line := range []bool{false, true} {
		far, path := newPTY(t)
		_ = far.SetDeadline(time.Time{})         // Python may take its time
		go func() { _, _ = io.Copy(far, far) }() // the device echoes
		cfg := uart.Config{Port: path, Baud: 9600}
		listening := make(lines, 4)
		tap := uart.NewTap(
			uart.TapConfig{Listen: "127.0.0.1:0", Protocol: uart.TapRFC2217, Write: true, Line: line, Hold: patience},
			cfg, uart.NewBus(open(t, cfg)), false, slog.New(slog.NewTextHandler(listening, nil)),
		)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tap.Serve(ctx) }()
		_, rest, _ := strings.Cut(<-listening, "address=")
		addr, _, _ := strings.Cut(rest, " ")
		out, err := exec.CommandContext(t.Context(), python, "-c", pyserial, "rfc2217://"+addr+"?timeout=60").CombinedOutput()
		want := "echo True\ncts True dsr True cd True\nrate refused\n"
		if line {
			want = strings.Replace(want, "rate refused", "rate taken True", 1)
		}
		if string(out) != want || err != nil {
			t.Errorf("line %t: pyserial says:\n%s%v\nwant:\n%s", line, out, err, want)
		}
		cancel()
		if err := within(t, "Serve", done); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if got := rate(t, path); got != 9600 {
			t.Errorf("line %t: the line is left at %d baud, want 9600", line, got)
		}
	}
}

// rate reads the rate of a line, whether it has a constant or not.
func rate(t *testing.T, path string) int {
	t.Helper()
	return int(settings(t, path, unix.TCGETS2).Ospeed)
}

// lines is a log whose lines can be waited for; those that find no room are
// lost.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		select {
		case l <- s.Text():
		default:
		}
	}
	return len(b), nil
}
