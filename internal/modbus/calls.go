package modbus

import (
	"context"
	"fmt"
)

// call encodes a request, and does it.
func (c *Client) call(ctx context.Context, unit byte, r Request) (PDU, error) {
	pdu, err := r.PDU()
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, unit, pdu)
}

// ReadBits reads count coils (function 1) or discrete inputs (function 2) from
// address.
func (c *Client) ReadBits(ctx context.Context, unit byte, fn Function, address, count uint16) ([]bool, error) {
	if fn != ReadCoils && fn != ReadDiscreteInputs {
		return nil, fmt.Errorf("%v does not read bits", fn)
	}
	reply, err := c.call(ctx, unit, Request{Function: fn, Address: address, Count: count})
	if err != nil {
		return nil, err
	}
	return bitsOf(reply[2:], int(count)), nil
}

// ReadRegisters reads count holding registers (function 3) or input registers
// (function 4) from address.
func (c *Client) ReadRegisters(ctx context.Context, unit byte, fn Function, address, count uint16) ([]uint16, error) {
	if fn != ReadHoldingRegisters && fn != ReadInputRegisters {
		return nil, fmt.Errorf("%v does not read registers", fn)
	}
	reply, err := c.call(ctx, unit, Request{Function: fn, Address: address, Count: count})
	if err != nil {
		return nil, err
	}
	return registersOf(reply[2:]), nil
}

// WriteCoil switches a coil by function 5.
func (c *Client) WriteCoil(ctx context.Context, unit byte, address uint16, on bool) error {
	_, err := c.call(ctx, unit, Request{Function: WriteSingleCoil, Address: address, Bits: []bool{on}})
	return err
}

// WriteRegister writes a holding register by function 6.
func (c *Client) WriteRegister(ctx context.Context, unit byte, address, value uint16) error {
	_, err := c.call(ctx, unit, Request{Function: WriteSingleRegister, Address: address, Registers: []uint16{value}})
	return err
}

// WriteCoils switches coils from address by function 15.
func (c *Client) WriteCoils(ctx context.Context, unit byte, address uint16, on []bool) error {
	_, err := c.call(ctx, unit, Request{Function: WriteMultipleCoils, Address: address, Bits: on})
	return err
}

// WriteRegisters writes holding registers from address by function 16.
func (c *Client) WriteRegisters(ctx context.Context, unit byte, address uint16, values []uint16) error {
	_, err := c.call(ctx, unit, Request{Function: WriteMultipleRegisters, Address: address, Registers: values})
	return err
}

// MaskWrite changes bits of a holding register by function 22: it becomes
// (register AND and) OR (or AND NOT and) (AP §6.16).
func (c *Client) MaskWrite(ctx context.Context, unit byte, address, and, or uint16) error {
	_, err := c.call(ctx, unit, Request{Function: MaskWriteRegister, Address: address, And: and, Or: or})
	return err
}

// ReadWriteRegisters writes values from writeAddress, and then reads count
// holding registers from address, by function 23.
func (c *Client) ReadWriteRegisters(ctx context.Context, unit byte, address, count, writeAddress uint16, values []uint16) ([]uint16, error) {
	reply, err := c.call(ctx, unit, Request{
		Function: ReadWriteMultipleRegisters,
		Address:  address, Count: count, WriteAddress: writeAddress, Registers: values,
	})
	if err != nil {
		return nil, err
	}
	return registersOf(reply[2:]), nil
}

// Levels of Identification (AP §6.21).
const (
	Basic    byte = 1 // vendor, product code, revision
	Regular  byte = 2 // and URL, product, model, application
	Extended byte = 3 // and what is the maker's own
)

// Objects of Identification (AP §6.21).
const (
	VendorName      byte = 0
	ProductCode     byte = 1
	Revision        byte = 2
	VendorURL       byte = 3
	ProductName     byte = 4
	ModelName       byte = 5
	ApplicationName byte = 6
)

// Identification reads what a unit says of itself up to level by function 43,
// MEI type 14, in as many requests as the unit wants.
func (c *Client) Identification(ctx context.Context, unit, level byte) (map[byte]string, error) {
	found := map[byte]string{}
	for next := 0; ; {
		reply, err := c.call(ctx, unit, Request{Function: EncapsulatedInterface, Level: level, Object: byte(next)})
		if err != nil {
			return nil, err
		}
		i := 7
		for range reply[6] {
			n := int(reply[i+1])
			found[reply[i]] = string(reply[i+2 : i+2+n])
			i += 2 + n
		}
		if reply[4] != moreFollows {
			return found, nil
		}
		if int(reply[5]) <= next { // else it would never end
			return nil, newFrameError(ForeignContent, reply)
		}
		next = int(reply[5])
	}
}
