package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Watchdog is a hardware watchdog, which resets the board when it is not petted in
// time (Documentation/watchdog/watchdog-api.rst of the kernel).
type Watchdog struct {
	device  io.WriteCloser
	timeout time.Duration
	next    time.Time
}

// OpenWatchdog starts the watchdog at path. If its driver cannot count to timeout, it
// counts to the nearest time that it can.
func OpenWatchdog(path string, timeout time.Duration) (*Watchdog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return armWatchdog(f, timeout, func(seconds *int32) error { return setTimeout(f, seconds) })
}

// setTimeout asks for a time, and puts the one that it became into seconds. The kernel
// reads an int there (WDIOC_SETTIMEOUT, with the direction both ways).
func setTimeout(f *os.File, seconds *int32) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, unix.WDIOC_SETTIMEOUT, uintptr(unsafe.Pointer(seconds)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// armWatchdog sets the time of a watchdog that runs since it was opened.
func armWatchdog(device io.WriteCloser, timeout time.Duration, set func(seconds *int32) error) (*Watchdog, error) {
	w := &Watchdog{device: device, timeout: timeout}
	seconds := int32(timeout / time.Second)
	if err := set(&seconds); err != nil {
		return nil, errors.Join(fmt.Errorf("set the watchdog to %v: %w", timeout, err), w.Close())
	}
	w.timeout = time.Duration(seconds) * time.Second
	return w, nil
}

// Timeout is after how long without petting the board is reset.
func (w *Watchdog) Timeout() time.Duration { return w.timeout }

// Pet tells the watchdog, if it is time to, that all is well.
func (w *Watchdog) Pet(now time.Time) error {
	if now.Before(w.next) {
		return nil
	}
	w.next = now.Add(w.timeout / 4)
	_, err := w.device.Write([]byte{0})
	return err
}

// Close stops the watchdog: a V before the end tells it that this is no crash. A driver
// with nowayout goes on counting.
func (w *Watchdog) Close() error {
	_, err := w.device.Write([]byte{'V'})
	return errors.Join(err, w.device.Close())
}
