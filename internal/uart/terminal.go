package uart

import (
	"os"

	"golang.org/x/sys/unix"
)

// A terminal is a conn on a device of this machine.
type terminal struct{ *os.File }

var _ conn = terminal{}

// Close throws away what has not been sent: the kernel would wait up to 30
// seconds for a line that flow control holds (closing_wait, setserial(8)).
func (t terminal) Close() error {
	n, _ := t.unsent()
	_ = t.control(func(fd int) error {
		if n > 0 {
			_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
		}
		return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	})
	return t.File.Close()
}

// unsent returns how many bytes wait in the kernel and the driver.
func (t terminal) unsent() (n int, err error) {
	err = t.control(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		return err
	})
	return n, err
}

func (t terminal) discard() error {
	return t.control(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) })
}

// control calls do with the descriptor, which stays open meanwhile.
func (t terminal) control(do func(fd int) error) error {
	rc, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return os.ErrClosed // by another name, of package internal/poll
	}
	return inner
}
