package uart

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Config says which port and how its line is set. Zero values are 115200 baud,
// 8 data bits, no parity, 1 stop bit, no flow control.
type Config struct {
	// Port is a path, the name of a link in /dev/serial/by-id or by-path, with
	// or without udev, the name of a device in /dev, or a pattern as of
	// filepath.Match for one of these that matches a single port; or
	// `VID:PID` or `VID:PID:serial` of a USB adapter, serial being a pattern, too;
	// or a source: tcp://HOST:PORT, rfc2217://HOST:PORT or replay:FILE.
	Port string

	Baud     int // bits per second; any that the driver can do
	DataBits int // 5 to 8
	Parity   Parity
	StopBits int // 1 or 2
	Flow     Flow

	DTR, RTS   Wire // at open; zero: LeaveWire
	RS485      RS485
	LowLatency bool // the driver hands over bytes as they come, where it would collect them
}

// A Parity says what the parity bit is.
type Parity string

// The parities. Mark and space are a bit that is always 1 and always 0.
const (
	NoParity    Parity = "none"
	OddParity   Parity = "odd"
	EvenParity  Parity = "even"
	MarkParity  Parity = "mark"
	SpaceParity Parity = "space"
)

// Values lists what a Parity may be.
func (Parity) Values() []string {
	return []string{string(NoParity), string(OddParity), string(EvenParity), string(MarkParity), string(SpaceParity)}
}

// A Flow says how the receiver stops the sender.
type Flow string

// The kinds of flow control.
const (
	NoFlow  Flow = "none"
	RTSCTS  Flow = "rtscts"  // by two wires
	XONXOFF Flow = "xonxoff" // by the bytes 0x11 and 0x13, which are then no data
)

// Values lists what a Flow may be.
func (Flow) Values() []string { return []string{string(NoFlow), string(RTSCTS), string(XONXOFF)} }

// A FieldError is one mistake in a Config.
type FieldError struct {
	Field string // as in a configuration file: port, baud, data_bits, parity, stop_bits, flow, dtr, rts, rs485.…
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// MaxBaud is the fastest line that any adapter in use can do.
const MaxBaud = 12_000_000

// Validate reports everything that is wrong: a join of *FieldError.
func (c Config) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &FieldError{field, fmt.Errorf(format, args...)})
	}
	if strings.TrimSpace(c.Port) == "" {
		wrong("port", "must be set, for example to a name in /dev/serial/by-id")
	} else if _, ok, err := parseSource(c.Port); ok {
		if err != nil {
			wrong("port", "%w", err)
		}
	} else if _, err := filepath.Match(c.Port, ""); err != nil {
		wrong("port", "%q is not a pattern: %w", c.Port, err)
	}
	c = c.withDefaults()
	if c.Baud < 50 || c.Baud > MaxBaud {
		wrong("baud", "%d is not between 50 and %d", c.Baud, MaxBaud)
	}
	if c.DataBits < 5 || c.DataBits > 8 {
		wrong("data_bits", "%d is not between 5 and 8", c.DataBits)
	}
	if !slices.Contains(c.Parity.Values(), string(c.Parity)) {
		wrong("parity", "%q is not one of %s", c.Parity, strings.Join(c.Parity.Values(), ", "))
	}
	if c.StopBits != 1 && c.StopBits != 2 {
		wrong("stop_bits", "%d is neither 1 nor 2", c.StopBits)
	}
	if !slices.Contains(c.Flow.Values(), string(c.Flow)) {
		wrong("flow", "%q is not one of %s", c.Flow, strings.Join(c.Flow.Values(), ", "))
	}
	c.checkWires(wrong)
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Baud == 0 {
		c.Baud = 115200
	}
	if c.DataBits == 0 {
		c.DataBits = 8
	}
	if c.Parity == "" {
		c.Parity = NoParity
	}
	if c.StopBits == 0 {
		c.StopBits = 1
	}
	if c.Flow == "" {
		c.Flow = NoFlow
	}
	if c.DTR == "" {
		c.DTR = LeaveWire
	}
	if c.RTS == "" {
		c.RTS = LeaveWire
	}
	if c.RS485.RTSOnSend == "" {
		c.RS485.RTSOnSend = OnWire
	}
	return c
}
