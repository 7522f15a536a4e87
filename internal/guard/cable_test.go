package guard

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A cable is a wire within the process, on the clock of a test.
type cable struct {
	in, out chan parcel
	here    chan struct{} // closed by this end
	there   chan struct{}
	once    *sync.Once
	frozen  *atomic.Bool // whose end it is does not run: it neither writes nor reads
}

type parcel struct {
	frame frame
	file  *os.File
}

func newCable() (a, b *cable) {
	x, y := make(chan parcel, 300), make(chan parcel, 300)
	left, right := make(chan struct{}), make(chan struct{})
	return &cable{x, y, left, right, new(sync.Once), new(atomic.Bool)}, &cable{y, x, right, left, new(sync.Once), new(atomic.Bool)}
}

func (c *cable) read() (f frame, file *os.File, err error) {
	f, file, err = c.receive()
	for c.frozen.Load() {
		time.Sleep(time.Millisecond)
	}
	return f, file, err
}

func (c *cable) receive() (frame, *os.File, error) {
	select {
	case <-c.here:
		return frame{}, nil, os.ErrClosed
	default:
	}
	select {
	case <-c.here:
		return frame{}, nil, os.ErrClosed
	case p := <-c.in:
		return p.frame, p.file, nil
	case <-c.there:
	}
	select {
	case p := <-c.in:
		return p.frame, p.file, nil
	default:
		return frame{}, nil, io.EOF
	}
}

func (c *cable) write(f frame, lines syscall.Conn) error {
	b, err := f.encode()
	if err != nil {
		return err
	}
	if c.frozen.Load() {
		return nil
	}
	p := parcel{}
	if p.frame, err = decode(b); err != nil {
		return err
	}
	if lines != nil {
		if p.file, err = duplicate(lines); err != nil {
			return err
		}
	}
	select { // An end that is closed is closed, even if there is room.
	case <-c.there:
		return syscall.EPIPE
	case <-c.here:
		return os.ErrClosed
	default:
	}
	select {
	case c.out <- p:
		return nil
	default:
		return os.ErrDeadlineExceeded
	}
}

func duplicate(lines syscall.Conn) (*os.File, error) {
	raw, err := lines.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if e := raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, errors.Join(e, err)
	}
	return os.NewFile(uintptr(fd), "duplicate"), nil
}

func (c *cable) pending() bool { return len(c.in) > 0 }

func (c *cable) Close() error {
	c.once.Do(func() { close(c.here) })
	return nil
}

// A fakeProcess is one that the test ends.
type fakeProcess struct {
	dead   atomic.Bool
	killed atomic.Int32
}

func (p *fakeProcess) String() string { return "fake" }
func (p *fakeProcess) Close() error   { return nil }
func (p *fakeProcess) ended() bool    { return p.dead.Load() }

func (p *fakeProcess) kill() error {
	p.killed.Add(1)
	return nil
}
