package uart

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A terminal is a conn on a device of this machine.
type terminal struct {
	*os.File
	host Host
	name string // by which it was found
	node node
	zero *icounter // the counters when it was opened; nil: it has none
}

// terminal returns the conn of a device that was found by name.
func (h Host) terminal(f *os.File, name string) terminal {
	t := terminal{File: f, host: h, name: name}
	_ = t.control(func(fd int) error {
		var s unix.Stat_t
		err := unix.Fstat(fd, &s)
		t.node = nodeOf(s)
		if c, err := getCounters(fdLine(fd)); err == nil {
			t.zero = &c
		}
		return err
	})
	return t
}

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

var _ controlled = terminal{}

// line calls do with what can be done to the line.
func (t terminal) line(do func(l line) error) error {
	return t.control(func(fd int) error { return do(fdLine(fd)) })
}

func (t terminal) setLine(baud, dataBits int, parity Parity) error {
	return t.line(func(l line) error { return reset(l, baud, dataBits, parity) })
}

func (t terminal) setWire(name string, on bool) error {
	return t.line(func(l line) error { return setWire(l, name, on) })
}

func (t terminal) lines() (lines Lines, err error) {
	err = t.line(func(l line) (err error) {
		lines, err = getLines(l)
		return err
	})
	return lines, err
}

func (t terminal) setBreak(on bool) error {
	return t.line(func(l line) error { return setBreak(l, on) })
}

func (t terminal) counters() (c Counters, err error) {
	if t.zero == nil {
		return Counters{}, errors.ErrUnsupported
	}
	err = t.line(func(l line) error {
		now, err := getCounters(l)
		c = now.since(*t.zero)
		return err
	})
	return c, err
}

// A node is a file in /dev, and no later one of the same name.
type node struct {
	dev, inode uint64
	made       unix.Timespec
}

func nodeOf(s unix.Stat_t) node { return node{s.Dev, s.Ino, s.Ctim} }

// replugged returns when the name has another node than that which was opened,
// or the old one after there was none.
func (t terminal) replugged(ctx context.Context) error {
	gone := false
	return t.host.until(ctx, t.name, func() (bool, error) {
		dev, err := t.host.Find(t.name)
		if err != nil {
			gone = gone || errors.Is(err, fs.ErrNotExist)
			return false, nil
		}
		var s unix.Stat_t
		return unix.Stat(dev, &s) == nil && (gone || nodeOf(s) != t.node), nil
	})
}
