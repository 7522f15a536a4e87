package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/modbus"
	"edge/internal/uart"
)

// A port is where the bus is.
type port interface {
	modbus.Port
	io.Closer
}

// dialTime bounds how long a connection may take, and keepAlive is how often the
// kernel looks whether a gateway that says nothing is still there.
const (
	dialTime  = 5 * time.Second
	keepAlive = 15 * time.Second
)

// openPort waits until the port of c is plugged in and opens it, or dials.
func openPort(ctx context.Context, c *Config, log *slog.Logger) (port, error) {
	if c.network() {
		d := net.Dialer{Timeout: dialTime, KeepAlive: keepAlive}
		conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(c.Port, tcpScheme))
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return conn, nil
	}
	if _, err := uart.Find(c.Port); errors.Is(err, fs.ErrNotExist) {
		log.Info("waiting for the serial port", "port", c.Port)
	}
	if _, err := uart.Wait(ctx, c.Port); err != nil {
		return nil, err
	}
	p, err := uart.Open(ctx, c.line())
	if err != nil { // not p: it would be a port that is not nil.
		return nil, err
	}
	return p, nil
}

// lost says of a port that is gone when it is plugged in again.
func lost(p port, err error) error {
	if u, ok := p.(*uart.Port); ok && errors.Is(err, uart.ErrGone) {
		return &bridge.Lost{Err: err, Back: u.Replugged}
	}
	return err
}

// request does what a says, and returns what was read: registers, or bits as 0 and 1.
func request(ctx context.Context, c *modbus.Client, unit byte, a action) ([]uint16, error) {
	if a.write != nil && !a.write.written {
		return nil, sendOrder(ctx, c, unit, a.write.order)
	}
	address, count := uint16(a.from), uint16(a.count)
	switch a.table {
	case Coil:
		return words(c.ReadBits(ctx, unit, modbus.ReadCoils, address, count))
	case Discrete:
		return words(c.ReadBits(ctx, unit, modbus.ReadDiscreteInputs, address, count))
	case Input:
		return c.ReadRegisters(ctx, unit, modbus.ReadInputRegisters, address, count)
	}
	return c.ReadRegisters(ctx, unit, modbus.ReadHoldingRegisters, address, count)
}

func words(bits []bool, err error) ([]uint16, error) {
	out := make([]uint16, len(bits))
	for i, on := range bits {
		if on {
			out[i] = 1
		}
	}
	return out, err
}

func sendOrder(ctx context.Context, c *modbus.Client, unit byte, o order) error {
	switch o.function {
	case writeCoil:
		return c.WriteCoil(ctx, unit, o.address, o.words[0] != 0)
	case writeCoils:
		return c.WriteCoils(ctx, unit, o.address, []bool{o.words[0] != 0})
	case writeRegister:
		return c.WriteRegister(ctx, unit, o.address, o.words[0])
	case maskWrite:
		return c.MaskWrite(ctx, unit, o.address, o.words[0], o.words[1])
	}
	return c.WriteRegisters(ctx, unit, o.address, o.words)
}

// judge returns the outcome of a request. fatal is true for what is the port's fault
// and not the unit's.
func judge(err error) (o outcome, fatal bool) {
	var e modbus.Exception
	_, garbled := errors.AsType[*modbus.FrameError](err)
	switch {
	case err == nil:
		return good, false
	case errors.As(err, &e):
		return judgeException(e), false
	case garbled, errors.Is(err, modbus.ErrTimeout):
		return silent, false
	}
	return silent, true
}

func judgeException(e modbus.Exception) outcome {
	switch e {
	case modbus.IllegalFunction, modbus.IllegalDataAddress, modbus.IllegalDataValue:
		return illegal
	case modbus.Acknowledge, modbus.DeviceBusy:
		return busy
	case modbus.GatewayPathFailed, modbus.GatewayTargetFailed:
		return silent // It is the gateway that answers.
	}
	return broken
}
