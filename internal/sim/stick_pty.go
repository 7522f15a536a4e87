package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A PTY is the far end of a serial line: what is written to it can be read
// from the port, and the other way round.
type PTY struct {
	*os.File        // the far end; has deadlines, and Close ends a Read
	port     string // the near end
	link     string // points to port, as udev would have made it
}

// NewPTY plugs in: it makes a line, set to pass every byte unchanged, and link,
// which points to its port as the names in /dev/serial/by-id do. An empty link
// makes none.
func NewPTY(link string) (*PTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pseudo-terminal: open /dev/ptmx: %w", err)
	}
	p := &PTY{File: os.NewFile(uintptr(fd), "/dev/ptmx"), link: link}
	if p.port, err = prepare(fd); err == nil && link != "" {
		err = relink(p.port, link)
	}
	if err != nil {
		p.File.Close()
		return nil, fmt.Errorf("make a pseudo-terminal: %w", err)
	}
	return p, nil
}

// prepare unlocks the near end (pts(4)), makes it raw, and returns its path.
// Its settings last as long as the far end is open. To have opened and closed
// it once is what makes Listening tell the truth from the start.
func prepare(fd int) (port string, err error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return "", fmt.Errorf("unlock: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return "", fmt.Errorf("ask for its number: %w", err)
	}
	port = fmt.Sprintf("/dev/pts/%d", n)
	near, err := unix.Open(port, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", port, err)
	}
	defer unix.Close(near)
	t := unix.Termios{Cflag: unix.CREAD | unix.CLOCAL | unix.CS8 | unix.B115200}
	t.Cc[unix.VMIN] = 1
	if err := unix.IoctlSetTermios(near, unix.TCSETS, &t); err != nil {
		return "", fmt.Errorf("make %s raw: %w", port, err)
	}
	return port, nil
}

func relink(port, link string) error {
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(port, link)
}

// Port returns the path of the near end, such as /dev/pts/3.
func (p *PTY) Port() string { return p.port }

// Listening reports whether somebody has the port open. While nobody has, Read
// returns EIO at once.
func (p *PTY) Listening() bool {
	rc, err := p.SyscallConn()
	if err != nil {
		return false
	}
	listening := false
	_ = rc.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(fds, 0)
		listening = err == nil && fds[0].Revents&unix.POLLHUP == 0
	})
	return listening
}

// Close unplugs: the link is gone and whoever has the port open is hung up.
func (p *PTY) Close() error {
	if to, err := os.Readlink(p.link); err == nil && to == p.port {
		_ = os.Remove(p.link)
	}
	return p.File.Close()
}

// send writes a line, or loses it if nobody reads: so does a wire.
func (p *PTY) send(line string) {
	_ = p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = p.WriteString(line)
}
