package modbus

import (
	"bytes"
	"encoding/binary"
)

// What is known of the length of a PDU whose first bytes are there.
const (
	more    = 0  // the next bytes will tell
	never   = -1 // it is none that was waited for
	unknown = -2 // only silence ends it
)

// replyLength returns the length of the reply to req that begins with b. It
// looks at all that must be as in the request: a reply to another address or
// count is never one.
func replyLength(req PDU, b []byte) int {
	switch {
	case len(b) == 0:
		return more
	case b[0] == req[0]|exceptionBit:
		return 2
	case b[0] != req[0]:
		return never
	}
	switch fn := Function(req[0]); fn {
	case ReadCoils, ReadDiscreteInputs:
		return counted(b, (wordAt(req, 3)+7)/8)
	case ReadHoldingRegisters, ReadInputRegisters, ReadWriteMultipleRegisters:
		return counted(b, 2*wordAt(req, 3))
	case WriteSingleCoil, WriteSingleRegister, WriteMultipleCoils, WriteMultipleRegisters:
		return echoed(b, req, 5)
	case MaskWriteRegister:
		return echoed(b, req, 7)
	case EncapsulatedInterface:
		if len(req) > 1 && req[1] == deviceIdentification {
			return identificationLength(req, b)
		}
	}
	return unknown
}

// wordAt returns the word at i, or 0 if p is too short for it.
func wordAt(p PDU, i int) int {
	if len(p) < i+2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(p[i:]))
}

// counted is a reply with a byte count, which must be n.
func counted(b []byte, n int) int {
	if n > MaxPDU-2 || len(b) > 1 && int(b[1]) != n {
		return never
	}
	return 2 + n
}

// echoed is a reply of n bytes that are those of the request.
func echoed(b []byte, req PDU, n int) int {
	have := min(len(b), n)
	if len(req) < n || !bytes.Equal(b[:have], req[:have]) {
		return never
	}
	return n
}

// identificationLength adds up the objects (AP §6.21):
//
//	43 | 14 | level | conformity | more follows | next object | n | n times: id | length | value
func identificationLength(req PDU, b []byte) int {
	const fixed = 7
	have := min(len(b), 3)
	if len(req) < 3 || !bytes.Equal(b[:have], req[:have]) {
		return never
	}
	if len(b) < fixed {
		return more
	}
	n := fixed
	for range b[6] {
		if n += 2; n > MaxPDU {
			return never
		}
		if len(b) < n {
			return more
		}
		n += int(b[n-1])
	}
	if n > MaxPDU {
		return never
	}
	return n
}

// anyReplyLength returns the length of a reply that begins with b, whatever the
// request was.
func anyReplyLength(b []byte) int {
	switch {
	case len(b) < 2:
		return more
	case b[0]&exceptionBit != 0:
		return 2
	}
	switch Function(b[0]) {
	case ReadCoils, ReadDiscreteInputs, ReadHoldingRegisters, ReadInputRegisters, ReadWriteMultipleRegisters:
		return 2 + int(b[1])
	case WriteSingleCoil, WriteSingleRegister, WriteMultipleCoils, WriteMultipleRegisters:
		return 5
	case MaskWriteRegister:
		return 7
	}
	return unknown
}

// requestLength returns the length of the request that begins with b.
func requestLength(b []byte) int {
	if len(b) == 0 {
		return more
	}
	fixed := 0
	switch Function(b[0]) {
	case ReadCoils, ReadDiscreteInputs, ReadHoldingRegisters, ReadInputRegisters, WriteSingleCoil, WriteSingleRegister:
		return 5
	case MaskWriteRegister:
		return 7
	case WriteMultipleCoils, WriteMultipleRegisters:
		fixed = 6
	case ReadWriteMultipleRegisters:
		fixed = 10
	case EncapsulatedInterface:
		if len(b) < 2 {
			return more
		}
		if b[1] == deviceIdentification {
			return 4
		}
		return unknown
	default:
		return unknown
	}
	if len(b) < fixed {
		return more
	}
	if n := fixed + int(b[fixed-1]); n <= MaxPDU {
		return n
	}
	return never
}
