package modbus

import (
	"maps"
	"sync"
)

// A Table is one of the four of the data model (AP §4.3).
type Table byte

// The tables. Bits are kept as 0 and 1.
const (
	Coils Table = iota
	DiscreteInputs
	InputRegisters
	HoldingRegisters
)

type cell struct {
	table   Table
	address uint16
}

// A Memory is a unit with registers, and a Handler. An address that was never
// set does not exist. Its zero value is an empty unit.
type Memory struct {
	// OnRead, if set, is called before cells are read; its error, an Exception,
	// is the answer. OnWrite is called before a client's values are stored,
	// which its error prevents. They are set before the unit is served, and may
	// call Set and Get.
	OnRead  func(table Table, address, count uint16) error
	OnWrite func(table Table, address uint16, values []uint16) error

	mu      sync.Mutex
	cells   map[cell]uint16
	objects map[byte]string
}

// Set stores values from address on, and makes these addresses exist. Of bits,
// all but 0 is 1.
func (m *Memory) Set(table Table, address uint16, values ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[cell]uint16{}
	}
	for i, v := range values {
		if table == Coils || table == DiscreteInputs {
			v = min(v, 1)
		}
		m.cells[cell{table, address + uint16(i)}] = v
	}
}

// Get returns count values from address on, or IllegalDataAddress.
func (m *Memory) Get(table Table, address, count uint16) ([]uint16, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make([]uint16, count)
	for i := range values {
		v, ok := m.cells[cell{table, address + uint16(i)}]
		if !ok {
			return nil, IllegalDataAddress
		}
		values[i] = v
	}
	return values, nil
}

// Identify sets the objects that Identification reads. A value has at most 244
// bytes, as many as fit a reply; more are cut off.
func (m *Memory) Identify(objects map[byte]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects = maps.Clone(objects)
}

var _ Handler = (*Memory)(nil)

// Serve implements Handler; it answers for any unit.
func (m *Memory) Serve(_ byte, req PDU) (PDU, error) {
	r, err := ParseRequest(req)
	if err != nil {
		return nil, err
	}
	switch r.Function {
	case ReadCoils:
		return m.readBits(Coils, r)
	case ReadDiscreteInputs:
		return m.readBits(DiscreteInputs, r)
	case ReadHoldingRegisters:
		return m.readRegisters(HoldingRegisters, r)
	case ReadInputRegisters:
		return m.readRegisters(InputRegisters, r)
	case WriteSingleCoil, WriteMultipleCoils:
		return req[:5], m.write(Coils, r.Address, numbers(r.Bits))
	case WriteSingleRegister, WriteMultipleRegisters:
		return req[:5], m.write(HoldingRegisters, r.Address, r.Registers)
	case MaskWriteRegister:
		return req, m.mask(r)
	case ReadWriteMultipleRegisters:
		if _, err := m.read(HoldingRegisters, r.Address, r.Count); err != nil {
			return nil, err // Nothing is written, then.
		}
		if err := m.write(HoldingRegisters, r.WriteAddress, r.Registers); err != nil {
			return nil, err
		}
		return m.readRegisters(HoldingRegisters, r)
	}
	return m.identification(r)
}

func numbers(bits []bool) []uint16 {
	values := make([]uint16, len(bits))
	for i, on := range bits {
		if on {
			values[i] = 1
		}
	}
	return values
}

func (m *Memory) read(table Table, address, count uint16) ([]uint16, error) {
	if m.OnRead != nil {
		if err := m.OnRead(table, address, count); err != nil {
			return nil, err
		}
	}
	return m.Get(table, address, count)
}

func (m *Memory) readBits(table Table, r Request) (PDU, error) {
	values, err := m.read(table, r.Address, r.Count)
	bits := make([]bool, len(values))
	for i, v := range values {
		bits[i] = v != 0
	}
	return appendBits([]byte{byte(r.Function)}, bits), err
}

func (m *Memory) readRegisters(table Table, r Request) (PDU, error) {
	values, err := m.read(table, r.Address, r.Count)
	return appendRegisters([]byte{byte(r.Function)}, values), err
}

func (m *Memory) write(table Table, address uint16, values []uint16) error {
	if _, err := m.Get(table, address, uint16(len(values))); err != nil {
		return err
	}
	if m.OnWrite != nil {
		if err := m.OnWrite(table, address, values); err != nil {
			return err
		}
	}
	m.Set(table, address, values...)
	return nil
}

func (m *Memory) mask(r Request) error {
	old, err := m.Get(HoldingRegisters, r.Address, 1)
	if err != nil {
		return err
	}
	return m.write(HoldingRegisters, r.Address, []uint16{old[0]&r.And | r.Or&^r.And})
}
