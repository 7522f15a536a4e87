package gpiochip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Open opens the chip at path, such as /dev/gpiochip0. Opening and asking about
// lines changes none of them; only Request does.
func Open(path string) (Chip, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("open GPIO chip: %w: add the user to the group that owns the device, often gpio", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open GPIO chip: %w", err)
	}
	c := &chip{file: f, call: caller(f)}
	if _, err := c.Info(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open GPIO chip %s: is it one? %w", path, err)
	}
	return c, nil
}

// An ioctl is a request to the driver of an open file.
type ioctl func(request uint, arg unsafe.Pointer) error

// caller makes ioctls on f that keep it open while they run, and that leave it
// in Go's poller, which File.Fd would not.
func caller(f *os.File) ioctl {
	return func(request uint, arg unsafe.Pointer) error {
		conn, err := f.SyscallConn()
		if err != nil {
			return err
		}
		var errno unix.Errno
		err = conn.Control(func(fd uintptr) {
			for {
				_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg))
				if errno != unix.EINTR {
					return
				}
			}
		})
		switch {
		case err != nil: // Control fails for one reason only.
			return os.ErrClosed
		case errno == unix.ENODEV:
			return ErrGone
		case errno != 0:
			return errno
		}
		return nil
	}
}

// A chip is /dev/gpiochipN.
type chip struct {
	file *os.File
	call ioctl
}

var _ Chip = (*chip)(nil)

func (c *chip) Close() error { return c.file.Close() }

func (c *chip) Info() (ChipInfo, error) {
	var k unix.GPIOChipInfo
	if err := c.call(unix.GPIO_GET_CHIPINFO_IOCTL, unsafe.Pointer(&k)); err != nil {
		return ChipInfo{}, fmt.Errorf("read what the chip is: %w", err)
	}
	return decodeChipInfo(k), nil
}

func (c *chip) LineInfo(offset uint32) (LineInfo, error) {
	k := unix.GPIOV2LineInfo{Offset: offset}
	if err := c.call(unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&k)); err != nil {
		return LineInfo{}, c.explain(fmt.Sprintf("read how line %d is used", offset), []uint32{offset}, err)
	}
	return decodeLineInfo(k), nil
}

func (c *chip) Request(r Request) (Lines, error) {
	if slices.ContainsFunc(r.Lines, func(l LineConfig) bool { return l.Found }) {
		return c.find(r)
	}
	l, err := c.request(r)
	if err != nil {
		return nil, err // Not a nil *lines.
	}
	return l, nil
}

// find takes lines as they are, and makes outputs of them that drive what was read.
// They are held all the time: when a line is given back, its driver may make an input
// of it.
func (c *chip) find(r Request) (Lines, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	first := r
	first.Lines = slices.Clone(r.Lines)
	var mask uint64
	for i, l := range r.Lines {
		if l.Found {
			first.Lines[i] = LineConfig{Offset: l.Offset}
			mask |= 1 << i
		}
	}
	l, err := c.request(first)
	if err != nil {
		return nil, err
	}
	high, err := l.Values(mask)
	if err == nil {
		err = l.configure(found(r, high))
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("take lines as they are found: %w", err)
	}
	return l, nil
}

// found returns r with the values of lines that are physically high.
func found(r Request, high uint64) Request {
	r.Lines = slices.Clone(r.Lines)
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Found {
			l.Found, l.Value = false, (high>>i&1 == 1) != l.ActiveLow
		}
	}
	return r
}

func (c *chip) request(r Request) (*lines, error) {
	k, err := encode(r)
	if err != nil {
		return nil, err
	}
	if err := c.call(unix.GPIO_V2_GET_LINE_IOCTL, unsafe.Pointer(&k)); err != nil {
		return nil, c.refusal(r, err)
	}
	// The descriptor is close-on-exec already (linereq_create).
	if err := unix.SetNonblock(int(k.Fd), true); err != nil {
		unix.Close(int(k.Fd))
		return nil, fmt.Errorf("make lines of %q pollable: %w", r.Consumer, err)
	}
	f := os.NewFile(uintptr(k.Fd), "gpio lines of "+r.Consumer)
	return newLines(f, caller(f)), nil
}

// refusal says why the kernel did not give the lines of r.
func (c *chip) refusal(r Request, err error) error {
	offsets := make([]uint32, len(r.Lines))
	for i, l := range r.Lines {
		offsets[i] = l.Offset
	}
	if errors.Is(err, unix.EBUSY) {
		for _, o := range offsets {
			if info, e := c.LineInfo(o); e == nil && info.Used {
				chip, _ := c.Info()
				return Busy(chip, info, r.Consumer)
			}
		}
	}
	return c.explain(fmt.Sprintf("request lines %d for %q", offsets, r.Consumer), offsets, err)
}

// explain adds to err that a line does not exist, for which the kernel has only
// EINVAL.
func (c *chip) explain(what string, offsets []uint32, err error) error {
	if info, e := c.Info(); e == nil && errors.Is(err, unix.EINVAL) {
		for _, o := range offsets {
			if o >= info.Lines {
				return fmt.Errorf("%s: %s has lines 0 to %d, not %d: %w", what, info.Label, info.Lines-1, o, err)
			}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// lines are one request's file.
type lines struct {
	file *os.File
	call ioctl

	mu      sync.Mutex // for the two below
	buffer  [16]unix.GPIOV2LineEvent
	pending []unix.GPIOV2LineEvent
}

var (
	_ Lines        = (*lines)(nil)
	_ syscall.Conn = (*lines)(nil)
)

// NewLines returns the lines of f, the file of a request that another process may
// have made: the kernel holds the lines until everybody who has the file has closed
// it, whoever that is. f is closed with them, and must not block.
func NewLines(f *os.File) Lines { return newLines(f, caller(f)) }

func newLines(f *os.File, call ioctl) *lines { return &lines{file: f, call: call} }

// SyscallConn implements syscall.Conn, for who passes the file on.
func (l *lines) SyscallConn() (syscall.RawConn, error) { return l.file.SyscallConn() }

func (l *lines) Close() error { return l.file.Close() }

func (l *lines) Values(mask uint64) (uint64, error) {
	k := unix.GPIOV2LineValues{Mask: mask}
	if err := l.call(unix.GPIO_V2_LINE_GET_VALUES_IOCTL, unsafe.Pointer(&k)); err != nil {
		return 0, fmt.Errorf("read %s: %w", l.file.Name(), err)
	}
	return k.Bits & mask, nil
}

func (l *lines) SetValues(mask, values uint64) error {
	k := unix.GPIOV2LineValues{Mask: mask, Bits: values}
	if err := l.call(unix.GPIO_V2_LINE_SET_VALUES_IOCTL, unsafe.Pointer(&k)); err != nil {
		return fmt.Errorf("set %s: %w", l.file.Name(), err)
	}
	return nil
}

// setConfig is GPIO_V2_LINE_SET_CONFIG_IOCTL, which x/sys has not: like that of the
// values, but for its number and the size of what it takes.
const setConfig = uint(unix.GPIO_V2_LINE_SET_VALUES_IOCTL) ^
	(uint(unsafe.Sizeof(unix.GPIOV2LineValues{}))<<16 | 0x0f) |
	(uint(unsafe.Sizeof(unix.GPIOV2LineConfig{}))<<16 | 0x0d)

// configure sets the lines up as r says, each output with its value in the same step
// (linereq_set_config).
func (l *lines) configure(r Request) error {
	k, err := encode(r)
	if err != nil {
		return err
	}
	if err := l.call(setConfig, unsafe.Pointer(&k.Config)); err != nil {
		return fmt.Errorf("set up %s: %w", l.file.Name(), err)
	}
	return nil
}

func (l *lines) ReadEvent(ctx context.Context) (Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.pending) == 0 {
		if err := l.fill(ctx); err != nil {
			return Event{}, err
		}
	}
	e := l.pending[0]
	l.pending = l.pending[1:]
	return decodeEvent(e)
}

// fill waits for events and reads as many as there are and fit.
func (l *lines) fill(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.file.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	n, err := l.file.Read(unsafe.Slice((*byte)(unsafe.Pointer(&l.buffer)), unsafe.Sizeof(l.buffer)))
	if !stop() {
		<-woken
		_ = l.file.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("wait for an edge of %s: %w", l.file.Name(), ErrGone)
	case err != nil:
		return fmt.Errorf("wait for an edge of %s: %w", l.file.Name(), err)
	}
	// The kernel writes whole events only (linereq_read).
	l.pending = l.buffer[:n/eventSize]
	return nil
}
