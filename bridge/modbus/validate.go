package modbus

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edge/internal/config"
	"edge/internal/modbus"
	"edge/internal/uart"
)

// maxUnits is how many addresses there are for units on a line (Modbus over Serial
// Line V1.02, section 2.2).
const maxUnits = 247

// Validate reports everything that is wrong with c. It reads the templates that c
// names.
func (c Config) Validate() error {
	errs := c.checkPort()
	for _, d := range []struct {
		path       string
		d          time.Duration
		least, top time.Duration
	}{
		{"timeout", c.Timeout, time.Millisecond, time.Minute},
		{"guard", c.Guard, 0, time.Minute},
		{"turnaround", c.Turnaround, time.Millisecond, time.Minute},
		{"write_window", c.WriteWindow, 0, 24 * time.Hour},
	} {
		if d.d < d.least || d.d > d.top {
			errs = append(errs, config.Errorf(d.path, "%v is not between %v and %v", d.d, d.least, d.top))
		}
	}
	errs = append(errs, c.checkTap()...)
	if c.Templates != "" && !filepath.IsAbs(c.Templates) {
		errs = append(errs, config.Errorf("templates", "%q is not an absolute path: where would it count from?", c.Templates))
	}
	if len(c.Units) == 0 || len(c.Units) > maxUnits {
		errs = append(errs, config.Errorf("units", "there are %d; want 1 to %d", len(c.Units), maxUnits))
	}
	for i := range c.Units {
		u, at := &c.Units[i], fmt.Sprintf("units[%d]", i)
		errs = append(errs, config.In(at, u.check(&c)))
		for j := range i {
			if c.Units[j].Unit == u.Unit {
				errs = append(errs, config.Errorf(at+".unit", "%d is the address of units[%d], too", u.Unit, j))
			}
		}
	}
	_, err := newPlan(&c)
	return errors.Join(append(errs, err)...)
}

// check reports what is wrong with u itself.
func (u *Unit) check(c *Config) error {
	var errs []error
	wrong := func(path, format string, args ...any) { errs = append(errs, config.Errorf(path, format, args...)) }
	if u.ID == "" && len(c.Units) > 1 {
		wrong("id", "must be set where there are several units")
	}
	if u.ID != "" && checkID(u.ID) != nil {
		wrong("id", "%w", checkID(u.ID))
	}
	if net := c.network(); u.Unit < 1 && !net || u.Unit > maxUnits && (!net || u.Unit != 255) {
		wrong("unit", "%d is not between 1 and %d", u.Unit, maxUnits)
	}
	if u.Period != 0 && (u.Period < shortestPeriod || u.Period > 24*time.Hour) {
		wrong("period", "%v is not between %v and 24h, or 0s", u.Period, shortestPeriod)
	}
	if u.Timeout < 0 || u.Timeout > time.Minute {
		wrong("timeout", "%v is not between 0s and 1m", u.Timeout)
	}
	return errors.Join(append(errs, u.Limits.check())...)
}

// check reports limits beyond those of the specification (Modbus Application
// Protocol V1.1b3, sections 6.1 to 6.4).
func (l *Limits) check() error {
	var errs []error
	wrong := func(path, format string, args ...any) { errs = append(errs, config.Errorf(path, format, args...)) }
	if l.Hole != nil && (*l.Hole < 0 || *l.Hole > modbus.MaxReadBits) {
		wrong("hole", "%d is not between 0 and %d", *l.Hole, modbus.MaxReadBits)
	}
	if l.MaxRegisters < 0 || l.MaxRegisters > modbus.MaxReadRegisters {
		wrong("max_registers", "%d is not between 1 and %d", l.MaxRegisters, modbus.MaxReadRegisters)
	}
	if l.MaxBits < 0 || l.MaxBits > modbus.MaxReadBits {
		wrong("max_bits", "%d is not between 1 and %d", l.MaxBits, modbus.MaxReadBits)
	}
	if l.Guard < 0 || l.Guard > time.Minute {
		wrong("guard", "%v is not between 0s and 1m", l.Guard)
	}
	return errors.Join(errs...)
}

const tcpScheme = "tcp://"

// network reports whether the port is a network connection.
func (c *Config) network() bool { return strings.HasPrefix(c.Port, tcpScheme) }

// framing returns what the framing is, also where it is not said.
func (c *Config) framing() modbus.Framing {
	switch {
	case c.Framing != "":
		return c.Framing
	case c.network():
		return modbus.TCP
	}
	return modbus.RTU
}

// checkPort gives the mistakes in what says where the bus is their places.
func (c *Config) checkPort() (errs []error) {
	if c.network() {
		return checkAddress("port", strings.TrimPrefix(c.Port, tcpScheme))
	}
	if c.framing() == modbus.TCP {
		errs = append(errs, config.Errorf("framing", "tcp is for a port tcp://host:502"))
	}
	if c.framing() == modbus.RTU && c.DataBits != 8 {
		errs = append(errs, config.Errorf("data_bits", "rtu needs 8, not %d", c.DataBits))
	}
	return append(errs, placed("", c.line().Validate())...)
}

// placed gives the mistakes that package uart has found their places.
func placed(prefix string, err error) (errs []error) {
	all, _ := err.(interface{ Unwrap() []error })
	if all == nil {
		return nil
	}
	for _, err := range all.Unwrap() {
		if field, ok := errors.AsType[*uart.FieldError](err); ok {
			errs = append(errs, config.Errorf(prefix+field.Field, "%w", field.Err))
		}
	}
	return errs
}

// checkAddress checks a host with a port of TCP.
func checkAddress(path, address string) (errs []error) {
	host, port, err := net.SplitHostPort(address)
	n, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || bad != nil || n == 0 {
		errs = append(errs, config.Errorf(path, "%q is not tcp://host:port, such as tcp://192.168.1.20:502", tcpScheme+address))
	}
	return errs
}

// line returns the part of c that package uart needs.
func (c *Config) line() uart.Config {
	return uart.Config{
		Port: c.Port, Baud: c.Baud, DataBits: c.DataBits, Parity: c.Parity, StopBits: c.StopBits,
		RS485: c.RS485, LowLatency: c.LowLatency,
	}
}

// timing returns what package internal/modbus needs of c.
func (c *Config) timing(timeout time.Duration) modbus.Timing {
	bits := 1 + c.DataBits + c.StopBits
	if c.Parity != uart.NoParity && c.Parity != "" {
		bits++
	}
	return modbus.Timing{
		Baud: c.Baud, BitsPerChar: bits, Timeout: timeout,
		Turnaround: c.Turnaround, Guard: c.Guard,
	}
}
