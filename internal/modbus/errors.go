package modbus

import (
	"errors"
	"fmt"
)

// An Exception is the code by which a unit refuses a request (AP §7). It is an
// error.
type Exception byte

// The exception codes.
const (
	IllegalFunction     Exception = 1
	IllegalDataAddress  Exception = 2
	IllegalDataValue    Exception = 3
	DeviceFailure       Exception = 4
	Acknowledge         Exception = 5 // it will take long; ask again
	DeviceBusy          Exception = 6
	MemoryParityError   Exception = 8
	GatewayPathFailed   Exception = 10
	GatewayTargetFailed Exception = 11
)

var exceptionNames = [...]string{
	IllegalFunction:     "illegal function",
	IllegalDataAddress:  "illegal data address",
	IllegalDataValue:    "illegal data value",
	DeviceFailure:       "device failure",
	Acknowledge:         "acknowledge",
	DeviceBusy:          "device busy",
	MemoryParityError:   "memory parity error",
	GatewayPathFailed:   "gateway path unavailable",
	GatewayTargetFailed: "gateway target failed to respond",
}

func (e Exception) Error() string {
	name := "unknown reason"
	if int(e) < len(exceptionNames) && exceptionNames[e] != "" {
		name = exceptionNames[e]
	}
	return fmt.Sprintf("%s (exception %d)", name, byte(e))
}

var (
	// ErrTimeout means that no byte came, but for an echo of the request.
	ErrTimeout = errors.New("no answer")

	// ErrLost means that frames on a TCP connection can no longer be told apart.
	// The connection is of no use: dial again.
	ErrLost = errors.New("the connection is out of step")

	// ErrSilent is returned by a Handler that does not answer a request.
	ErrSilent = errors.New("no answer is sent")
)

// A Kind says what is wrong with bytes that are no answer.
type Kind string

// The kinds of FrameError.
const (
	Checksum        Kind = "checksum does not match"
	Short           Kind = "frame is cut short"
	ForeignUnit     Kind = "answer of another unit"
	ForeignFunction Kind = "answer to another function"
	ForeignContent  Kind = "answer to another request" // another address or count
	Transaction     Kind = "answer to an earlier transaction"
	Header          Kind = "header is not one of Modbus TCP"
	NoSilence       Kind = "the line is never silent"
)

// shown is how many bytes a FrameError keeps.
const shown = 32

// A FrameError is about bytes that came and are not the answer.
type FrameError struct {
	Kind Kind
	Data []byte // the first of them, 32 at most
	Size int    // of all of them
}

func newFrameError(kind Kind, b []byte) *FrameError {
	return &FrameError{Kind: kind, Data: append([]byte(nil), b[:min(len(b), shown)]...), Size: len(b)}
}

func (e *FrameError) Error() string {
	if e.Size > len(e.Data) {
		return fmt.Sprintf("%s: % X… (%d bytes)", e.Kind, e.Data, e.Size)
	}
	return fmt.Sprintf("%s: % X", e.Kind, e.Data)
}
