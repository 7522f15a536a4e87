package uart_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/internal/uart"
)

// server listens for the port of a test and returns its address.
func server(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().String()
}

// connect opens the port at a server and returns both ends.
func connect(t *testing.T, options string) (far *net.TCPConn, p *uart.Port) {
	t.Helper()
	l, addr := server(t)
	p = open(t, uart.Config{Port: "tcp://" + addr + options})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn), p
}

func TestTCPPassesBytesUnchangedBothWays(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	far, p := connect(t, "")
	carry(t, far, p, every)
	carry(t, p, far, every)
	if err := p.Drain(t.Context()); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if err := p.Discard(); err != nil {
		t.Errorf("Discard: %v", err)
	}
	if got, want := p.Name(), "tcp://"+far.LocalAddr().String(); got != want {
		t.Errorf("Name() = %s, want %s", got, want)
	}
	_ = p.SetReadDeadline(time.Now())
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, uart.ErrGone) {
		t.Errorf("Read after the deadline: %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func TestTCPSaysItsTokenFirst(t *testing.T) {
	l, addr := server(t)
	p := open(t, uart.Config{Port: "tcp://my-token-1@" + addr})
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	_, _ = p.Write([]byte("x"))
	got := make([]byte, 12)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "my-token-1\nx" {
		t.Errorf("the far side got %q, %v, want the token, a line feed and x", got, err)
	}
	if strings.Contains(p.Name(), "my-token") {
		t.Errorf("Name() = %s, with the token", p.Name())
	}
}

func TestTCPCloseEndsReadAndWrite(t *testing.T) {
	_, p := connect(t, "")
	read, write := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		read <- err
	}()
	go func() {
		var err error
		for err == nil { // nobody reads: this blocks
			_, err = p.Write(make([]byte, 1<<16))
		}
		write <- err
	}()
	if err := p.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := within(t, "Read", read); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v, want %v", err, os.ErrClosed)
	}
	if err := within(t, "Write", write); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %v, want %v", err, os.ErrClosed)
	}
	if err := p.SetReadDeadline(time.Time{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SetReadDeadline: %v, want %v", err, os.ErrClosed)
	}
	if err := p.Drain(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Drain: %v, want %v", err, os.ErrClosed)
	}
}

func TestTCPHangUpIsGone(t *testing.T) {
	for name, leave := range map[string]func(far *net.TCPConn){
		"end":   func(far *net.TCPConn) { far.Close() },
		"reset": func(far *net.TCPConn) { _ = far.SetLinger(0); far.Close() },
	} {
		far, p := connect(t, "")
		read := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 1))
			read <- err
		}()
		leave(far)
		if err := within(t, "Read", read); !errors.Is(err, uart.ErrGone) || errors.Is(err, io.EOF) {
			t.Errorf("%s: Read: %v, want %v", name, err, uart.ErrGone)
		}
		var err error
		for err == nil { // the first may still be taken by the kernel
			_, err = p.Write([]byte("x"))
		}
		if !errors.Is(err, uart.ErrGone) {
			t.Errorf("%s: Write: %v, want %v", name, err, uart.ErrGone)
		}
	}
}

// deaf drops every segment that comes for c, as a cut cable does: unlike a
// process that ended, its machine does not answer.
func deaf(t *testing.T, c *net.TCPConn) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	if cerr := rc.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
}

func TestTCPDeadPeerIsGone(t *testing.T) {
	t.Parallel() // it waits for two seconds
	far, idle := connect(t, "?timeout=2s")
	deaf(t, far)
	far, busy := connect(t, "?timeout=2s")
	deaf(t, far)
	if _, err := busy.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*uart.Port{"idle": idle, "busy": busy} {
		_ = p.SetReadDeadline(time.Now().Add(2 * patience)) // ten times as long as it should take
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, uart.ErrGone) {
			t.Errorf("%s: Read from a dead peer: %v, want %v", name, err, uart.ErrGone)
		}
	}
}

func TestTCPNobodyListens(t *testing.T) {
	l, addr := server(t)
	l.Close()
	_, err := uart.Open(t.Context(), uart.Config{Port: "tcp://some-token@" + addr})
	if want := "open serial port tcp://" + addr + ": connection refused; nobody listens there"; err == nil || err.Error() != want {
		t.Errorf("Open = %v, want %s", err, want)
	}
}
