package uart

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// open locks dev, lets tarm set the line, and returns a descriptor of our own.
// The line of a port is touched only while its lock is held, so that a second
// opener cannot change the rate under the first.
func (h Host) open(dev string, cfg Config) (f *os.File, echoed bool, err error) {
	first, echoed, err := h.lock(dev)
	if err != nil {
		return nil, false, err
	}
	fd, err := h.setUp(dev, cfg)
	// A lock belongs to an open file description (flock(2)), and tarm made one
	// of its own: hand it over. Whoever comes between sets the line anew. Closing
	// is not enough to unlock: a process forked at this moment has the
	// descriptor, too, until it executes its program.
	_ = unix.Flock(int(first.Fd()), unix.LOCK_UN)
	first.Close()
	if err != nil {
		return nil, false, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		return nil, false, h.busy(dev, err)
	}
	// Keeps out programs that do not lock, unless they are root's.
	_ = unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
	f, err = pollable(fd, dev)
	return f, echoed, err
}

// hush stops the echo with which the kernel opens a terminal that nobody has set up, and throws
// away what waits. A stick that talks gets its own words back until then, and takes them for the
// beginning of a command; heard is whether there were any.
func hush(fd int) (heard bool, err error) {
	l := fdLine(fd)
	t, err := l.get(unix.TCGETS)
	if err != nil || t.Lflag&unix.ECHO == 0 {
		return false, err
	}
	t.Lflag &^= unix.ECHO | unix.ICANON
	t.Oflag &^= unix.OPOST
	if err := l.set(unix.TCSETS, t); err != nil {
		return false, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return n > 0, errors.Join(err, unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)) // echoes wait with the input
}

// lock opens dev and takes its lock. Holders that read without locking are
// found by name.
func (h Host) lock(dev string) (f *os.File, heard bool, err error) {
	fd, err := unix.Open(dev, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, h.refused(dev, err)
	}
	f = os.NewFile(uintptr(fd), dev)
	if heard, err = hush(fd); err != nil {
		f.Close()
		return nil, false, fmt.Errorf("is not a serial port (%w)", err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close() // before the search for holders, which would find it
		return nil, false, h.busy(dev, err)
	}
	if who := h.reader(dev); who != nil {
		f.Close()
		return nil, false, who
	}
	return f, heard, nil
}

// refused explains why the kernel did not open dev.
func (h Host) refused(dev string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY): // TIOCEXCL
		return h.busy(dev, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w; ports belong to the group dialout: `sudo usermod -aG dialout $USER`, then log in again", err)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return fmt.Errorf("%w (%w)", ErrGone, err)
	}
	return err
}

// setUp opens dev by tarm and returns a duplicate of its descriptor.
func (h Host) setUp(dev string, cfg Config) (int, error) {
	port, err := serial.OpenPort(tarmConfig(dev, cfg))
	if err != nil {
		return -1, bare(err)
	}
	defer port.Close()
	fd, err := duplicate(file(port))
	if err != nil {
		return -1, fmt.Errorf("duplicate the descriptor: %w", err)
	}
	if err = tune(fdLine(fd), cfg); err == nil && cfg.LowLatency {
		err = h.hurry(fdLine(fd), dev)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// tarmConfig is without ReadTimeout, so that VMIN is 1 and end of file means a
// hang-up. tarm refuses rates without a constant, and mark and space; tune sets
// these afterwards. It clears HUPCL, so that DTR stays as it is after Close: a
// stick that resets with DTR would start anew with every restart of the hub.
func tarmConfig(dev string, cfg Config) *serial.Config {
	parity := map[Parity]serial.Parity{OddParity: serial.ParityOdd, EvenParity: serial.ParityEven}
	baud := cfg.Baud
	if !standard(baud) {
		baud = 38400
	}
	return &serial.Config{
		Name:     dev,
		Baud:     baud,
		Size:     byte(cfg.DataBits),
		Parity:   parity[cfg.Parity],
		StopBits: serial.StopBits(cfg.StopBits),
	}
}

// file returns the file within a tarm port, its only and private field since
// 2018; a test watches that it stays so.
func file(port *serial.Port) *os.File { return *(**os.File)(unsafe.Pointer(port)) }

func duplicate(f *os.File) (fd int, err error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if cerr := rc.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	}); cerr != nil {
		return -1, cerr
	}
	return fd, err
}

// pollable makes a file of fd that Go's poller watches.
func pollable(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, fmt.Errorf("has no deadlines: %w", err)
	}
	return f, nil
}
