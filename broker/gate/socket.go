package gate

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// A socket reads and writes a connection without TLS and frames by system calls
// that Go's scheduler is not told of. They never wait, for the socket is
// non-blocking; and being told makes the scheduler wake its monitor thread, which
// costs as much as the call where little is to do.
type socket struct {
	raw  syscall.RawConn
	pull func(fd uintptr) bool // s.read, made once
	buf  []byte
	n    int
	err  syscall.Errno
}

// newSocket returns nil if c is not a plain socket.
func newSocket(c net.Conn) *socket {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.pull = s.read
	return s
}

// Read implements io.Reader. It is for one goroutine, and waits as long as the
// deadline of the connection allows.
func (s *socket) Read(p []byte) (int, error) {
	s.buf = p
	err := s.raw.Read(s.pull)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.err != 0:
		return 0, s.err
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// read implements the function of syscall.RawConn.Read; that it returns false
// means to wait until there is something.
func (s *socket) read(fd uintptr) bool {
	s.n, s.err = call(syscall.SYS_READ, fd, s.buf)
	return s.err != syscall.EAGAIN
}

// call reads from or writes to fd, which does not block.
func call(number, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n), 0
		case syscall.EINTR:
			continue
		}
		return 0, err
	}
}
