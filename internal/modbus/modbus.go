// Package modbus speaks Modbus as a client and as a server: RTU and ASCII on
// any port, RTU within TCP, and Modbus TCP. It knows frames, function codes and
// the times of a line. What a register means, and when to ask for it, is
// others'.
//
// Sections are those of the three documents of the Modbus Organization:
//
//	AP: MODBUS Application Protocol Specification V1.1b3
//	SL: MODBUS over Serial Line Specification and Implementation Guide V1.02
//	TG: MODBUS Messaging on TCP/IP Implementation Guide V1.0b
package modbus

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A Function is a function code (AP §5, §6).
type Function byte

// The function codes that this package knows. A Client passes others on by Do.
const (
	ReadCoils                  Function = 1
	ReadDiscreteInputs         Function = 2
	ReadHoldingRegisters       Function = 3
	ReadInputRegisters         Function = 4
	WriteSingleCoil            Function = 5
	WriteSingleRegister        Function = 6
	WriteMultipleCoils         Function = 15
	WriteMultipleRegisters     Function = 16
	MaskWriteRegister          Function = 22
	ReadWriteMultipleRegisters Function = 23
	EncapsulatedInterface      Function = 43 // with MEI type 14: device identification
)

var functionNames = map[Function]string{
	ReadCoils:                  "read coils",
	ReadDiscreteInputs:         "read discrete inputs",
	ReadHoldingRegisters:       "read holding registers",
	ReadInputRegisters:         "read input registers",
	WriteSingleCoil:            "write single coil",
	WriteSingleRegister:        "write single register",
	WriteMultipleCoils:         "write multiple coils",
	WriteMultipleRegisters:     "write multiple registers",
	MaskWriteRegister:          "mask write register",
	ReadWriteMultipleRegisters: "read/write multiple registers",
	EncapsulatedInterface:      "read device identification",
}

// String returns the name of the function in lower case.
func (f Function) String() string {
	if name, ok := functionNames[f]; ok {
		return name
	}
	return fmt.Sprintf("function %d", byte(f))
}

// The most that a request may read or write (AP §6): more does not fit a PDU.
const (
	MaxReadBits       = 2000
	MaxReadRegisters  = 125
	MaxWriteBits      = 1968
	MaxWriteRegisters = 123
	// MaxReadWriteRegisters is what function 23 may write; it may read
	// MaxReadRegisters.
	MaxReadWriteRegisters = 121
)

// MaxPDU is the size of the largest PDU in bytes (AP §4.1).
const MaxPDU = 253

// A PDU is a function code and its data, at most MaxPDU bytes.
type PDU []byte

// Function returns the function code, without the bit that marks an exception.
func (p PDU) Function() Function { return Function(p[0] &^ exceptionBit) }

// exceptionBit is set in the function code of an exception response (AP §7).
const exceptionBit = 0x80

// Broadcast is the unit ID that every unit on a serial line obeys and none
// answers (SL §2.2). On Modbus TCP it is the server itself (TG §4.4.2).
const Broadcast byte = 0

// A Framing says how a PDU is wrapped. RTU over TCP is RTU on a port that is a
// network connection.
type Framing string

// The framings.
const (
	RTU   Framing = "rtu"   // SL §2.5.1
	ASCII Framing = "ascii" // SL §2.5.2
	TCP   Framing = "tcp"   // TG §3.1
)

// Values lists what a Framing may be.
func (Framing) Values() []string { return []string{string(RTU), string(ASCII), string(TCP)} }

// A Port is where frames go: a serial port, a network connection, or a pair of
// pipes. If it has Drain as serial ports have, it is called after a request, so
// that times are counted from when the last byte has left.
type Port interface {
	io.ReadWriter
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

type drainer interface {
	Drain(ctx context.Context) error
}

// Timing is how long things take and may take. The zero value is 9600 baud,
// 11 bits a character, and the defaults below.
type Timing struct {
	Baud        int // bits per second; 0: 9600
	BitsPerChar int // with start, parity and stop bits; 0: 11 (SL §2.5.1)

	// Timeout is how long a unit may take to begin its answer; 0: 1 s, the
	// lower end of what SL §2.4.1 calls typical.
	Timeout time.Duration

	// Turnaround is how long units may work on a broadcast; 0: 100 ms
	// (SL §2.4.1).
	Turnaround time.Duration

	// Guard is the silence before each frame; 0: on RTU 3.5 characters, above
	// 19200 baud 1.75 ms (SL §2.5.1.1), and none for the others. It is never
	// shorter than that.
	Guard time.Duration

	// Gap is the longest pause within a frame; 0: 3.5 characters and 50 ms,
	// since a USB adapter hands bytes over in lots, and 1 s on ASCII (SL §2.5.2.1).
	// In a network connection Timeout is, if longer.
	Gap time.Duration
}

// withDefaults also raises Guard to what the framing wants.
func (t Timing) withDefaults(f Framing, p Port) Timing {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	if t.Baud <= 0 {
		t.Baud = 9600
	}
	if t.BitsPerChar <= 0 {
		t.BitsPerChar = 11
	}
	set(&t.Timeout, time.Second)
	set(&t.Turnaround, 100*time.Millisecond)
	if f == RTU {
		t.Guard = max(t.Guard, t.silence())
	}
	if f == ASCII {
		set(&t.Gap, time.Second)
	}
	set(&t.Gap, t.silence()+50*time.Millisecond)
	if isNetwork(p) {
		t.Gap = max(t.Gap, t.Timeout)
	}
	return t
}

// silence is what separates two frames of RTU (SL §2.5.1.1).
func (t Timing) silence() time.Duration {
	if t.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return t.chars(7) / 2
}

// chars is how long n characters take on the line.
func (t Timing) chars(n int) time.Duration {
	return time.Duration(n) * time.Duration(t.BitsPerChar) * time.Second / time.Duration(t.Baud)
}
