package uart_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"edge/internal/uart"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBytesPassUnchangedBothWays(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, cfg := range map[string]uart.Config{
		"115200 8N1":               {},
		"9600 7E2":                 {Baud: 9600, DataBits: 7, Parity: uart.EvenParity, StopBits: 2},
		"two wires":                {Flow: uart.RTSCTS},
		"250000, without constant": {Baud: 250000, Flow: uart.RTSCTS},
	} {
		t.Run(name, func(t *testing.T) {
			far, path := newPTY(t)
			cfg.Port = path
			p, err := uart.Open(t.Context(), cfg)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err) // qemu-user
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if p.Name() != path {
				t.Errorf("Name() = %q, want %q", p.Name(), path)
			}
			carry(t, far, p, every)
			carry(t, p, far, every)
			if err := p.Drain(t.Context()); err != nil {
				t.Errorf("Drain: %v", err)
			}
		})
	}
}

// carry expects that b comes from one end to the other.
func carry(t *testing.T, from io.Writer, to io.Reader, b []byte) {
	t.Helper()
	if _, err := from.Write(b); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(b))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read %x, %v, want %x", got, err, b)
	}
}

func TestDeadlineIsNoHangUp(t *testing.T) {
	far, path := newPTY(t)
	p := open(t, uart.Config{Port: path})
	if err := p.SetReadDeadline(time.Now().Add(2 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := p.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, uart.ErrGone) {
		t.Errorf("Read after the deadline: %v, want %v", err, os.ErrDeadlineExceeded)
	}
	_ = p.SetDeadline(time.Time{})
	_, _ = far.Write([]byte("x"))
	if n, err := p.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("Read after a deadline = %d, %v, want 1, nil", n, err)
	}

	_ = p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := p.Write(make([]byte, 1<<20)) // more than a pseudo-terminal holds
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 1<<20 {
		t.Errorf("Write to a full port = %d, %v, want a part and %v", n, err, os.ErrDeadlineExceeded)
	}
}

func TestCloseEndsReadAndWrite(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, uart.Config{Port: path})
	read, write, closed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		read <- err
	}()
	go func() {
		var err error
		for err == nil { // nobody reads: this blocks
			_, err = p.Write(make([]byte, 4096))
		}
		write <- err
	}()
	go func() { closed <- p.Close() }()
	if err := within(t, "Close", closed); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := within(t, "Read", read); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v, want %v", err, os.ErrClosed)
	}
	if err := within(t, "Write", write); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %v, want %v", err, os.ErrClosed)
	}
}

func TestUnplugIsGone(t *testing.T) {
	far, path := newPTY(t)
	p := open(t, uart.Config{Port: path})
	read := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		read <- err
	}()
	far.Close()
	if err := within(t, "Read", read); !errors.Is(err, uart.ErrGone) {
		t.Errorf("Read while unplugged: %v, want %v", err, uart.ErrGone)
	}
	for range 3 { // the kernel changes its answer from EIO to end of file
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, uart.ErrGone) || errors.Is(err, io.EOF) {
			t.Errorf("Read after unplugging: %v, want %v", err, uart.ErrGone)
		}
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, uart.ErrGone) {
		t.Errorf("Write after unplugging: %v, want %v", err, uart.ErrGone)
	}
	if err := p.Drain(t.Context()); err != nil && !errors.Is(err, uart.ErrGone) {
		t.Errorf("Drain after unplugging: %v, want nil or %v", err, uart.ErrGone)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close after unplugging: %v", err)
	}
	_, err := uart.Open(t.Context(), uart.Config{Port: path})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open after unplugging: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestSecondOpenerIsRefusedAndFirstUndisturbed(t *testing.T) {
	far, path := newPTY(t)
	first := open(t, uart.Config{Port: path, Baud: 9600})
	_, err := uart.Open(t.Context(), uart.Config{Port: path, Baud: 19200})
	if !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("second Open: %v, want %v by this process", err, uart.ErrBusy)
	}
	if got := baud(t, path); got != 9600 {
		t.Errorf("the second opener set the line to %d baud, want 9600 as before", got)
	}
	_, _ = far.Write([]byte("x"))
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Errorf("Read by the first: %v", err)
	}
	first.Close()
	open(t, uart.Config{Port: path, Baud: 19200})
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		cfg  uart.Config
		want string
	}{
		{"no terminal", t.Context(), uart.Config{Port: file}, "open serial port " + file + ": is not a serial port"},
		{"nothing", t.Context(), uart.Config{Port: file + "2"}, "file does not exist"},
		{"no name", t.Context(), uart.Config{}, "port: must be set"},
		{"bad line", t.Context(), uart.Config{Port: "x", DataBits: 9}, "data_bits: 9 is not between 5 and 8"},
		{"context", done, uart.Config{Port: "x"}, "context canceled"},
	} {
		p, err := uart.Open(tt.ctx, tt.cfg)
		if err == nil {
			p.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want %q within", tt.name, err, tt.want)
		}
	}
}

func TestSixteenReadersNeedFewThreads(t *testing.T) {
	const ports = 16
	var fars []*os.File
	echo := make(chan error)
	before := pprof.Lookup("threadcreate").Count()
	for range ports {
		far, path := newPTY(t)
		p := open(t, uart.Config{Port: path})
		fars = append(fars, far)
		go func() {
			for {
				_, err := p.Read(make([]byte, 1))
				echo <- err
				if err != nil {
					return
				}
			}
		}()
	}
	for range 5 { // from the second round on, all have waited
		for _, far := range fars {
			_, _ = far.Write([]byte("x"))
		}
		for range fars {
			if err := within(t, "Read", echo); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := pprof.Lookup("threadcreate").Count() - before; n > ports/2 {
		t.Errorf("%d readers made %d threads, want few", ports, n)
	}
	for _, far := range fars {
		far.Close()
	}
	for range fars {
		if err := within(t, "Read", echo); !errors.Is(err, uart.ErrGone) {
			t.Errorf("Read: %v, want %v", err, uart.ErrGone)
		}
	}
}

func TestDrainOfClosedPort(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, uart.Config{Port: path})
	p.Close()
	if err := p.Drain(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Drain of a closed port: %v, want %v", err, os.ErrClosed)
	}
}
