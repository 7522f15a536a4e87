package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A wire is one end of a connection between a guard and a client. One goroutine may
// read while others write. A write does not wait.
type wire interface {
	// read returns the next frame, with the descriptor that came with it or nil.
	read() (frame, *os.File, error)

	// write sends a frame, with the descriptor of lines if they are not nil.
	write(f frame, lines syscall.Conn) error

	// pending reports whether there is something to read.
	pending() bool

	Close() error
}

// writeTime bounds a write to a socket whose reader does not read; the kernel takes
// some hundred frames before that.
const writeTime = 50 * time.Millisecond

// maxFiles is how many descriptors are received with a frame; all but the first are
// closed.
const maxFiles = 4

// A socket is a wire over a socket of packets, so that each frame has its descriptor
// and ends where it ends.
type socket struct {
	conn *net.UnixConn
	data [maxFrame + 1]byte
	oob  []byte
}

func newSocket(conn *net.UnixConn) *socket {
	return &socket{conn: conn, oob: make([]byte, syscall.CmsgSpace(4*maxFiles))}
}

// dial connects to a guard.
func dial(path string) (wire, error) {
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	return newSocket(conn), nil
}

func (s *socket) Close() error { return s.conn.Close() }

func (s *socket) read() (frame, *os.File, error) {
	n, oobn, flags, _, err := s.conn.ReadMsgUnix(s.data[:], s.oob)
	if errors.Is(err, syscall.ECONNRESET) {
		// The other end was closed before it had read everything. What it wrote last is
		// there all the same (unix_release_sock, __skb_try_recv_datagram).
		n, oobn, flags, _, err = s.conn.ReadMsgUnix(s.data[:], s.oob)
	}
	if err != nil {
		return frame{}, nil, err
	}
	file, err := descriptor(s.oob[:oobn])
	if err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		err = errors.New("a frame is too long")
	}
	var f frame
	if err == nil {
		f, err = decode(s.data[:n])
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return f, file, err
}

// descriptor returns the first descriptor in oob, if there is one, and closes others.
func descriptor(oob []byte) (file *os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read what came with a frame: %w", err)
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			continue // It is something else.
		}
		for _, fd := range fds {
			if file == nil {
				file = os.NewFile(uintptr(fd), "shared lines")
			} else {
				syscall.Close(fd)
			}
		}
	}
	return file, nil
}

func (s *socket) write(f frame, lines syscall.Conn) error {
	b, err := f.encode()
	if err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if lines == nil {
		_, err = s.conn.Write(b)
		return err
	}
	raw, err := lines.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = s.conn.WriteMsgUnix(b, syscall.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

func (s *socket) pending() bool {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return false
	}
	ready := false
	_ = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		ready = err == nil && n > 0 && p[0].Revents&unix.POLLIN != 0
	})
	return ready
}
