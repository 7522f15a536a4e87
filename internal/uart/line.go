package uart

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rates are those with a constant in termios(3), which tarm knows.
var rates = []int{
	50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600,
	115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
	2500000, 3000000, 3500000, 4000000,
}

func standard(baud int) bool { return slices.Contains(rates, baud) }

// A line is what ioctl_tty(2) can do to a terminal. Pseudo-terminals have but a
// part of it, so tests have a driver of their own.
type line interface {
	get(request uint) (*unix.Termios, error)
	set(request uint, t *unix.Termios) error
	call(request uint, arg unsafe.Pointer) error
}

type fdLine int

func (l fdLine) get(request uint) (*unix.Termios, error) {
	return unix.IoctlGetTermios(int(l), request)
}

func (l fdLine) set(request uint, t *unix.Termios) error {
	return unix.IoctlSetTermios(int(l), request, t)
}

func (l fdLine) call(request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// tune sets what tarm cannot: any rate, parity that is noticed, flow control,
// and the wires.
func tune(l line, cfg Config) error {
	for _, step := range []struct {
		needed bool
		name   string
		do     func() error
	}{
		{!standard(cfg.Baud), fmt.Sprintf("set %d baud", cfg.Baud), func() error { return setRate(l, cfg.Baud) }},
		{cfg.Parity != NoParity, "set parity " + string(cfg.Parity), func() error { return setParity(l, cfg.Parity) }},
		{cfg.Flow != NoFlow, "set flow control " + string(cfg.Flow), func() error { return setFlow(l, cfg.Flow) }},
		{cfg.RS485.Enabled, "switch RS-485 on", func() error { return setRS485(l, cfg.RS485) }},
		{true, "set the wires", func() error { return setWires(l, cfg) }},
	} {
		if !step.needed {
			continue
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// setRate sets any rate.
func setRate(l line, baud int) error {
	t, err := l.get(unix.TCGETS2)
	if err != nil {
		return noTermios2(err)
	}
	return rate(l, t, baud)
}

// rate sets t with a rate of any number, by BOTHER. The driver answers with the
// rate that its divisor reaches; UARTs tolerate about 3 % in all.
func rate(l line, t *unix.Termios, baud int) error {
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CBAUD<<unix.IBSHIFT) | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	if err := l.set(unix.TCSETS2, t); err != nil {
		return noTermios2(err)
	}
	t, err := l.get(unix.TCGETS2)
	if err != nil {
		return err
	}
	if got := int(t.Ospeed); abs(got-baud)*100 > 3*baud {
		return fmt.Errorf("the adapter cannot; the nearest that it can is %d", got)
	}
	return nil
}

// noTermios2 explains the answer of qemu-user and of kernels before 2.6.20.
func noTermios2(err error) error {
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w here (TCSETS2: %w); take one of the rates of termios(3)", errors.ErrUnsupported, err)
	}
	return err
}

// change changes the settings and returns what the driver made of that. It uses
// TCGETS2 so as to keep a rate set by BOTHER, and TCGETS where that is missing:
// there, only standard rates got this far.
func change(l line, do func(t *unix.Termios)) (*unix.Termios, error) {
	get, set := uint(unix.TCGETS2), uint(unix.TCSETS2)
	t, err := l.get(get)
	if errors.Is(err, unix.ENOSYS) {
		get, set = unix.TCGETS, unix.TCSETS
		t, err = l.get(get)
	}
	if err != nil {
		return nil, err
	}
	do(t)
	if err := l.set(set, t); err != nil {
		return nil, err
	}
	return l.get(get)
}

func setFlow(l line, flow Flow) error {
	t, err := change(l, func(t *unix.Termios) {
		switch flow {
		case RTSCTS:
			t.Cflag |= unix.CRTSCTS
		case XONXOFF:
			t.Iflag |= unix.IXON | unix.IXOFF
			t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = 0x11, 0x13
		}
	})
	if err == nil && flow == RTSCTS && t.Cflag&unix.CRTSCTS == 0 {
		return errors.New("the adapter has no such wires")
	}
	return err
}

func setParity(l line, parity Parity) error {
	t, err := change(l, func(t *unix.Termios) { applyParity(t, parity) })
	if err == nil {
		err = checkParity(t, parity)
	}
	return err
}

// applyParity has bytes whose parity bit is wrong read as 0, which is neither
// text nor a good checksum: tarm's IGNPAR would let them pass for good ones.
func applyParity(t *unix.Termios, parity Parity) {
	t.Cflag &^= unix.PARENB | unix.PARODD | unix.CMSPAR
	t.Iflag = t.Iflag&^(unix.INPCK|unix.PARMRK) | unix.IGNPAR
	if parity == NoParity {
		return
	}
	t.Iflag = t.Iflag&^unix.IGNPAR | unix.INPCK
	t.Cflag |= unix.PARENB
	if parity == OddParity || parity == MarkParity {
		t.Cflag |= unix.PARODD
	}
	if parity == MarkParity || parity == SpaceParity {
		t.Cflag |= unix.CMSPAR
	}
}

// checkParity looks at what the driver took. Pseudo-terminals drop PARENB, and
// have no line whose parity would matter.
func checkParity(t *unix.Termios, parity Parity) error {
	if (parity == MarkParity || parity == SpaceParity) && t.Cflag&unix.CMSPAR == 0 {
		return errors.New("the adapter cannot")
	}
	return nil
}

// reset changes rate, data bits and parity at once: what some meters ask for in
// the middle of a conversation.
func reset(l line, baud, dataBits int, parity Parity) error {
	t, err := l.get(unix.TCGETS2)
	if err != nil {
		return noTermios2(err)
	}
	applyParity(t, parity)
	t.Cflag = t.Cflag&^unix.CSIZE | map[int]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8}[dataBits]
	if err := rate(l, t, baud); err != nil {
		return err
	}
	if t, err = l.get(unix.TCGETS2); err != nil {
		return err
	}
	return checkParity(t, parity)
}

func abs(n int) int { return max(n, -n) }
