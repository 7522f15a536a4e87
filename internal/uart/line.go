package uart

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// rates are those with a constant in termios(3), which tarm knows.
var rates = []int{
	50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600,
	115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
	2500000, 3000000, 3500000, 4000000,
}

func standard(baud int) bool { return slices.Contains(rates, baud) }

// A line is what ioctl_tty(2) can do to the settings of a terminal.
type line interface {
	get(request uint) (*unix.Termios, error)
	set(request uint, t *unix.Termios) error
}

type fdLine int

func (l fdLine) get(request uint) (*unix.Termios, error) {
	return unix.IoctlGetTermios(int(l), request)
}

func (l fdLine) set(request uint, t *unix.Termios) error {
	return unix.IoctlSetTermios(int(l), request, t)
}

// tune sets what tarm cannot: any rate, and flow control.
func tune(l line, cfg Config) error {
	if standard(cfg.Baud) && cfg.Flow == NoFlow {
		return nil
	}
	if !standard(cfg.Baud) {
		if err := setRate(l, cfg.Baud); err != nil {
			return fmt.Errorf("set %d baud: %w", cfg.Baud, err)
		}
	}
	if cfg.Flow != NoFlow {
		if err := setFlow(l, cfg.Flow); err != nil {
			return fmt.Errorf("set flow control %s: %w", cfg.Flow, err)
		}
	}
	return nil
}

// setRate uses BOTHER, which takes any number. The driver answers with the
// rate that its divisor reaches; UARTs tolerate about 3 % in all.
func setRate(l line, baud int) error {
	t, err := l.get(unix.TCGETS2)
	if err != nil {
		return noTermios2(err)
	}
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CBAUD<<unix.IBSHIFT) | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	if err := l.set(unix.TCSETS2, t); err != nil {
		return noTermios2(err)
	}
	if t, err = l.get(unix.TCGETS2); err != nil {
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

// setFlow uses TCGETS2 so as to keep a rate set by BOTHER, and TCGETS where
// that is missing: there, only standard rates got this far.
func setFlow(l line, flow Flow) error {
	get, set := uint(unix.TCGETS2), uint(unix.TCSETS2)
	t, err := l.get(get)
	if errors.Is(err, unix.ENOSYS) {
		get, set = unix.TCGETS, unix.TCSETS
		t, err = l.get(get)
	}
	if err != nil {
		return err
	}
	switch flow {
	case RTSCTS:
		t.Cflag |= unix.CRTSCTS
	case XONXOFF:
		t.Iflag |= unix.IXON | unix.IXOFF
		t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = 0x11, 0x13
	}
	if err := l.set(set, t); err != nil {
		return err
	}
	if t, err = l.get(get); err != nil {
		return err
	}
	if flow == RTSCTS && t.Cflag&unix.CRTSCTS == 0 {
		return errors.New("the adapter has no such wires")
	}
	return nil
}

func abs(n int) int { return max(n, -n) }
