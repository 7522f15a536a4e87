package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sockets returns both ends of a real connection, and who is at the far end of it.
func sockets(t *testing.T) (near, far *socket, who process) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	v, who, err := l.accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = w.(*socket), v.(*socket)
	t.Cleanup(func() {
		near.Close()
		far.Close()
		who.Close()
	})
	return near, far, who
}

// TestDescriptor passes a file through a socket: it is the same one.
func TestDescriptor(t *testing.T) {
	near, far, _ := sockets(t)
	name := filepath.Join(t.TempDir(), "line")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if far.pending() {
		t.Error("something is pending, and nothing was written")
	}
	if err := near.write(frame{Op: opHold, Lines: &heater}, f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !far.pending() {
		t.Error("nothing is pending")
	}
	got, file, err := far.read()
	if err != nil || file == nil || got.Op != opHold {
		t.Fatalf("read = %+v, %v, %v, want hold and a descriptor", got, file, err)
	}
	defer file.Close()
	if _, err := file.WriteString("driven"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); string(b) != "driven" || err != nil {
		t.Errorf("the file has %q, %v, want what was written to the descriptor", b, err)
	}
}

// TestTooManyDescriptors closes those that nobody has asked for.
func TestTooManyDescriptors(t *testing.T) {
	near, far, _ := sockets(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd := int(w.Fd())
	if _, _, err := near.conn.WriteMsgUnix([]byte(`{"op":"ack"}`), syscall.UnixRights(fd, fd, fd), nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	_, file, err := far.read()
	if err != nil || file == nil {
		t.Fatalf("read = %v, %v, want one descriptor", file, err)
	}
	file.Close()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read of the pipe = %d, %v, want EOF: descriptors are left open", n, err)
	}
	if _, _, err := near.conn.WriteMsgUnix([]byte(`{"op":"ack"}`), syscall.UnixRights(1, 1, 1, 1, 1, 1, 1, 1), nil); err != nil {
		t.Fatal(err)
	}
	if _, file, err := far.read(); err == nil || file != nil {
		t.Errorf("read of a frame with eight descriptors = %v, %v, want an error", file, err)
	}
}

func TestBadPackets(t *testing.T) {
	for _, packet := range []string{"{", `{"op":"ack"}` + strings.Repeat(" ", maxFrame)} {
		near, far, _ := sockets(t)
		if _, err := near.conn.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
		if f, _, err := far.read(); err == nil {
			t.Errorf("read of %.20q = %+v, want an error", packet, f)
		}
	}
}

// TestLastWord reads what was written before the other end was closed, though that had
// not read everything.
func TestLastWord(t *testing.T) {
	near, far, _ := sockets(t)
	if err := near.write(frame{Op: opBeat}, nil); err != nil {
		t.Fatal(err)
	}
	if err := far.write(frame{Op: opTakenOver}, nil); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if f, _, err := near.read(); err != nil || f.Op != opTakenOver {
		t.Errorf("read = %+v, %v, want takenover", f, err)
	}
	if f, _, err := near.read(); !errors.Is(err, io.EOF) {
		t.Errorf("read at the end = %+v, %v, want EOF", f, err)
	}
	if err := near.write(frame{Op: opBeat}, nil); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to an end that is closed = %v, want EPIPE", err)
	}
}

func TestPeer(t *testing.T) {
	_, _, who := sockets(t)
	p := who.(*peer)
	if p.pid != os.Getpid() || p.uid != os.Geteuid() {
		t.Errorf("%v has connected, want process %d of user %d", p, os.Getpid(), os.Geteuid())
	}
	if p.ended() {
		t.Error("this process is said to have ended")
	}
}

func TestStrangers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	l.users = nil // This user is as good as any other.
	done := make(chan error, 1)
	go func() {
		_, _, err := l.accept()
		done <- err
	}()
	w, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if f, _, err := w.read(); err == nil {
		t.Errorf("a stranger reads %+v, want to be hung up on", f)
	}
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept = %v, want net.ErrClosed", err)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if Listens(path) {
		t.Error("somebody listens where nobody does")
	}
	l, err := Listen(path, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v, want 0600", info.Mode(), err)
	}
	if !Listens(path) {
		t.Error("nobody listens where somebody does")
	}
	if _, err := Listen(path, os.Geteuid()); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second guard's Listen = %v, want EADDRINUSE", err)
	}
	l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil { // as one that was killed leaves it
		t.Fatal(err)
	}
	if l, err = Listen(path, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if err := give(path, os.Geteuid()); err == nil {
		t.Error("give of a link has no error")
	}
	if _, err := Listen(strings.Repeat("/a", 60), 0); err == nil || !strings.Contains(err.Error(), "guard.socket") {
		t.Errorf("Listen at a long path = %v, want advice", err)
	}
}
