package uart

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A uevent is what the kernel, and udev after it, tell of a device.
type uevent struct {
	Action    string // add, remove, change, …
	Subsystem string // tty
	DevName   string // ttyUSB0; of udev, /dev/ttyUSB0
}

// udevHeader is how udev's own events begin: the tag, a magic number in network
// order, then in the machine's order the sizes of the header, the offset of the
// properties and their size (systemd, sd-device/device-monitor.c).
const (
	udevTag      = "libudev\x00"
	udevMagic    = 0xfeedcafe
	udevHeadSize = len(udevTag) + 4*4
)

// parseUevent reads an event. That of the kernel is
//
//	ACTION@DEVPATH NUL KEY=VALUE NUL KEY=VALUE NUL …
//
// (lib/kobject_uevent.c), that of udev has a header in place of the first part.
func parseUevent(b []byte) (e uevent, ok bool) {
	if bytes.HasPrefix(b, []byte(udevTag)) {
		b, ok = udevProperties(b)
	} else {
		var head []byte
		head, b, ok = bytes.Cut(b, []byte{0})
		ok = ok && bytes.IndexByte(head, '@') > 0
	}
	if !ok {
		return uevent{}, false
	}
	for line := range bytes.SplitSeq(b, []byte{0}) {
		key, value, _ := bytes.Cut(line, []byte("="))
		switch string(key) {
		case "ACTION":
			e.Action = string(value)
		case "SUBSYSTEM":
			e.Subsystem = string(value)
		case "DEVNAME":
			e.DevName = string(value)
		}
	}
	return e, e.Action != "" && e.Subsystem != ""
}

func udevProperties(b []byte) (properties []byte, ok bool) {
	if len(b) < udevHeadSize || binary.BigEndian.Uint32(b[8:]) != udevMagic {
		return nil, false
	}
	offset, size := uint64(binary.NativeEndian.Uint32(b[16:])), uint64(binary.NativeEndian.Uint32(b[20:]))
	if offset < uint64(udevHeadSize) || offset+size > uint64(len(b)) {
		return nil, false
	}
	return b[offset : offset+size], true
}

// Groups of NETLINK_KOBJECT_UEVENT: the kernel tells when a device is there,
// udev when it has made the names and set the owner.
const (
	fromKernel = 1 << 0
	fromUdev   = 1 << 1
)

// openUevents listens to events. Only root can send any. The file is in Go's
// poller, so that a Read that waits has no thread.
func openUevents() (io.ReadCloser, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("listen to events of devices: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: fromKernel | fromUdev}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen to events of devices: %w", err)
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}
