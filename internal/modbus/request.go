package modbus

import (
	"encoding/binary"
	"fmt"
)

// deviceIdentification is the MEI type of function 43 (AP §6.21).
const deviceIdentification = 14

// A Request is what a PDU of a client asks for. Fields that the function does
// not have are zero.
type Request struct {
	Function Function
	Address  uint16 // from 0, as on the wire
	Count    uint16 // of what is read or written; functions 5 and 6: 1

	Bits      []bool   // functions 5 and 15: what is written
	Registers []uint16 // functions 6, 16 and 23: what is written

	And, Or uint16 // function 22: register = register AND And OR (Or AND NOT And)

	WriteAddress uint16 // function 23: where Registers go; Address is read from

	Level  byte // function 43: 1 basic, 2 regular, 3 extended, 4 a single object
	Object byte // function 43: the first that is asked for
}

// Check returns the exception of the first thing that is wrong, in the order of
// the diagrams in AP §6: function, quantity, then address.
func (r Request) Check() error {
	count, most := int(r.Count), 0
	switch r.Function {
	case ReadCoils, ReadDiscreteInputs:
		most = MaxReadBits
	case ReadHoldingRegisters, ReadInputRegisters:
		most = MaxReadRegisters
	case WriteSingleCoil:
		most, count = 1, len(r.Bits)
	case WriteSingleRegister:
		most, count = 1, len(r.Registers)
	case WriteMultipleCoils:
		most, count = MaxWriteBits, len(r.Bits)
	case WriteMultipleRegisters:
		most, count = MaxWriteRegisters, len(r.Registers)
	case MaskWriteRegister:
		most, count = 1, 1
	case ReadWriteMultipleRegisters:
		return r.checkBoth()
	case EncapsulatedInterface:
		if r.Level < 1 || r.Level > 4 {
			return IllegalDataValue
		}
		return nil
	default:
		return IllegalFunction
	}
	return inRange(r.Address, count, most)
}

func (r Request) checkBoth() error {
	if n := len(r.Registers); n < 1 || n > MaxReadWriteRegisters {
		return IllegalDataValue
	}
	if err := inRange(r.Address, int(r.Count), MaxReadRegisters); err != nil {
		return err
	}
	return inRange(r.WriteAddress, len(r.Registers), MaxReadWriteRegisters)
}

func inRange(address uint16, count, most int) error {
	switch {
	case count < 1 || count > most:
		return IllegalDataValue
	case int(address)+count > 1<<16:
		return IllegalDataAddress
	}
	return nil
}

// PDU encodes r. The error says what Check found.
func (r Request) PDU() (PDU, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("%v, address %d: no such request: %v", r.Function, r.Address, err) //nolint:errorlint // It is no exception of a unit.
	}
	b := []byte{byte(r.Function)}
	word := binary.BigEndian.AppendUint16
	if r.Function != EncapsulatedInterface {
		b = word(b, r.Address)
	}
	switch r.Function {
	case WriteSingleCoil:
		b = word(b, coilValue(r.Bits[0]))
	case WriteSingleRegister:
		b = word(b, r.Registers[0])
	case WriteMultipleCoils:
		b = appendBits(word(b, uint16(len(r.Bits))), r.Bits)
	case WriteMultipleRegisters:
		b = appendRegisters(word(b, uint16(len(r.Registers))), r.Registers)
	case MaskWriteRegister:
		b = word(word(b, r.And), r.Or)
	case ReadWriteMultipleRegisters:
		b = word(word(word(b, r.Count), r.WriteAddress), uint16(len(r.Registers)))
		b = appendRegisters(b, r.Registers)
	case EncapsulatedInterface:
		b = append(b, deviceIdentification, r.Level, r.Object)
	default:
		b = word(b, r.Count)
	}
	return b, nil
}

// ParseRequest decodes a PDU and checks it. The error is an Exception, as a
// server answers it.
func ParseRequest(p PDU) (Request, error) {
	if len(p) == 0 {
		return Request{}, IllegalFunction
	}
	r := Request{Function: Function(p[0])}
	switch n := requestLength(p); {
	case n == unknown:
		return r, IllegalFunction
	case n != len(p):
		return r, IllegalDataValue
	}
	if r.Function == EncapsulatedInterface {
		r.Level, r.Object = p[2], p[3]
		return r, r.Check()
	}
	r.Address, r.Count = uint16(wordAt(p, 1)), uint16(wordAt(p, 3))
	if err := r.parseValues(p); err != nil {
		return r, err
	}
	return r, r.Check()
}

// parseValues takes what is written from a PDU of the right length.
func (r *Request) parseValues(p PDU) (err error) {
	value := r.Count
	switch r.Function {
	case WriteSingleCoil:
		if value != coilOn && value != coilOff {
			err = IllegalDataValue
		}
		r.Count, r.Bits = 1, []bool{value == coilOn}
	case WriteSingleRegister:
		r.Count, r.Registers = 1, []uint16{value}
	case MaskWriteRegister:
		r.Count, r.And, r.Or = 1, value, uint16(wordAt(p, 5))
	case WriteMultipleCoils:
		if len(p)-6 != (int(r.Count)+7)/8 {
			return IllegalDataValue
		}
		r.Bits = bitsOf(p[6:], int(r.Count))
	case WriteMultipleRegisters:
		if len(p)-6 != 2*int(r.Count) {
			return IllegalDataValue
		}
		r.Registers = registersOf(p[6:])
	case ReadWriteMultipleRegisters:
		r.WriteAddress = uint16(wordAt(p, 5))
		if len(p)-10 != 2*wordAt(p, 7) {
			return IllegalDataValue
		}
		r.Registers = registersOf(p[10:])
	}
	return err
}

// Values of function 5 (AP §6.5).
const (
	coilOn  = 0xFF00
	coilOff = 0x0000
)

func coilValue(on bool) uint16 {
	if on {
		return coilOn
	}
	return coilOff
}

// appendBits appends a byte count and bits, the first in the lowest bit of the
// first byte (AP §6.1).
func appendBits(b []byte, bits []bool) []byte {
	n := (len(bits) + 7) / 8
	b = append(b, byte(n))
	start := len(b)
	b = append(b, make([]byte, n)...)
	for i, on := range bits {
		if on {
			b[start+i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// appendRegisters appends a byte count and registers, high byte first (AP §4.2).
func appendRegisters(b []byte, registers []uint16) []byte {
	b = append(b, byte(2*len(registers)))
	for _, r := range registers {
		b = binary.BigEndian.AppendUint16(b, r)
	}
	return b
}

// bitsOf takes n bits from b, which has them.
func bitsOf(b []byte, n int) []bool {
	bits := make([]bool, n)
	for i := range bits {
		bits[i] = b[i/8]>>(i%8)&1 != 0
	}
	return bits
}

func registersOf(b []byte) []uint16 {
	registers := make([]uint16, len(b)/2)
	for i := range registers {
		registers[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return registers
}
