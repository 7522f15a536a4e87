package uart

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Wire says what DTR or RTS does. The kernel raises both when a port is
// opened, and that cannot be helped; a moment later they are as said here.
type Wire string

// What a wire does.
const (
	LeaveWire Wire = "leave" // as the kernel has left it
	OnWire    Wire = "on"
	OffWire   Wire = "off"
)

// Values lists what a Wire may be.
func (Wire) Values() []string { return []string{string(LeaveWire), string(OnWire), string(OffWire)} }

// RS485 says how the driver switches the direction of an RS-485 transceiver by
// RTS (Linux, Documentation/driver-api/serial/serial-rs485.rst). Most USB
// adapters for RS-485 switch by themselves and need none of it.
type RS485 struct {
	Enabled     bool          `yaml:"enabled" doc:"The driver switches the direction by RTS. USB adapters for RS-485 do so by themselves; this is for UARTs on the board."`
	RTSOnSend   Wire          `yaml:"rts_on_send" doc:"RTS while sending: on (if absent) or off; otherwise it is the other one."`
	DelayBefore time.Duration `yaml:"delay_before" doc:"From the switch to the first bit, whole milliseconds up to 100ms."`
	DelayAfter  time.Duration `yaml:"delay_after" doc:"From the last bit to the switch back, whole milliseconds up to 100ms."`
}

// longestDelay is RS485_MAX_RTS_DELAY of the kernel's serial_core.
const longestDelay = 100 * time.Millisecond

// checkWires reports what is wrong with DTR, RTS and RS-485.
func (c Config) checkWires(wrong func(field, format string, args ...any)) {
	wire := func(field string, w Wire) {
		if !slices.Contains(w.Values(), string(w)) {
			wrong(field, "%q is not one of %s", w, strings.Join(w.Values(), ", "))
		}
	}
	delay := func(field string, d time.Duration) {
		if d < 0 || d > longestDelay || d%time.Millisecond != 0 {
			wrong(field, "%v is not a whole number of milliseconds from 0 to %v", d, longestDelay)
		}
	}
	wire("dtr", c.DTR)
	wire("rts", c.RTS)
	if c.RTS != LeaveWire && c.Flow == RTSCTS {
		wrong("rts", "is moved by flow control rtscts; set it to leave")
	}
	r := c.RS485
	if r.RTSOnSend != OnWire && r.RTSOnSend != OffWire {
		wrong("rs485.rts_on_send", "%q is neither on nor off", r.RTSOnSend)
	}
	delay("rs485.delay_before", r.DelayBefore)
	delay("rs485.delay_after", r.DelayAfter)
	if r.Enabled && (c.Flow == RTSCTS || c.RTS != LeaveWire) {
		wrong("rs485.enabled", "RTS switches the direction, so that neither flow control rtscts nor rts can have it")
	}
}

// setWires moves DTR and RTS as cfg says.
func setWires(l line, cfg Config) (err error) {
	if cfg.DTR != LeaveWire {
		err = setWire(l, "DTR", cfg.DTR == OnWire)
	}
	if cfg.RTS != LeaveWire {
		err = errors.Join(err, setWire(l, "RTS", cfg.RTS == OnWire))
	}
	return err
}

func setWire(l line, name string, on bool) error {
	bit := int32(unix.TIOCM_DTR)
	if name == "RTS" {
		bit = unix.TIOCM_RTS
	}
	request, word := uint(unix.TIOCMBIC), OffWire
	if on {
		request, word = unix.TIOCMBIS, OnWire
	}
	if err := l.call(request, unsafe.Pointer(&bit)); err != nil {
		return fmt.Errorf("turn %s %s: %w", name, word, unable(err, "this port has no such wire"))
	}
	return nil
}

// unable says in words that a driver does not know a request.
func unable(err error, words string) error {
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("%w: %s (%w)", errors.ErrUnsupported, words, err)
	}
	return err
}

// Lines are the modem lines of a port. On is the level that means yes on the
// wire: 0 V of an adapter with TTL levels, +3 V to +15 V of RS-232.
type Lines struct {
	DTR, RTS           bool // ours
	CTS, DSR, DCD, RNG bool // theirs
}

// getLines asks the driver for the modem lines.
func getLines(l line) (Lines, error) {
	var bits int32
	if err := l.call(unix.TIOCMGET, unsafe.Pointer(&bits)); err != nil {
		return Lines{}, unable(err, "this port has no modem lines")
	}
	has := func(bit int32) bool { return bits&bit != 0 }
	return Lines{
		DTR: has(unix.TIOCM_DTR), RTS: has(unix.TIOCM_RTS), CTS: has(unix.TIOCM_CTS),
		DSR: has(unix.TIOCM_DSR), DCD: has(unix.TIOCM_CD), RNG: has(unix.TIOCM_RNG),
	}, nil
}

// setBreak begins or ends a break: the line at 0 for longer than a byte.
func setBreak(l line, on bool) error {
	request := uint(unix.TIOCCBRK)
	if on {
		request = unix.TIOCSBRK
	}
	return unable(l.call(request, nil), "this port cannot send a break")
}

// serialRS485 is struct serial_rs485 of linux/serial.h.
type serialRS485 struct {
	flags                 uint32
	beforeSend, afterSend uint32 // ms
	_                     [5]uint32
}

// Flags of serialRS485.
const (
	rs485Enabled   = 1 << 0
	rs485OnSend    = 1 << 1
	rs485AfterSend = 1 << 2
)

// setRS485 hands the direction to the driver. What it cannot do it changes in
// its answer.
func setRS485(l line, cfg RS485) error {
	s := serialRS485{
		flags:      rs485Enabled | rs485AfterSend,
		beforeSend: uint32(cfg.DelayBefore.Milliseconds()), afterSend: uint32(cfg.DelayAfter.Milliseconds()),
	}
	if cfg.RTSOnSend != OffWire {
		s.flags = rs485Enabled | rs485OnSend
	}
	want := s
	if err := l.call(unix.TIOCSRS485, unsafe.Pointer(&s)); err != nil {
		return unable(err, "this adapter switches by itself, or cannot; take rs485 out of the configuration")
	}
	switch {
	case s.flags&rs485Enabled == 0:
		return errors.New("the driver has left it off")
	case s.flags&(rs485OnSend|rs485AfterSend) != want.flags&(rs485OnSend|rs485AfterSend):
		return fmt.Errorf("the driver cannot have RTS %s while it sends", cfg.RTSOnSend)
	case s.beforeSend != want.beforeSend, s.afterSend != want.afterSend:
		return fmt.Errorf("the driver can only have delays of %d ms before and %d ms after", s.beforeSend, s.afterSend)
	}
	return nil
}
