package sim

import (
	"sync"
	"time"

	"edge/internal/modbus"
)

// Relays is a relay board as eletechsup makes them (R4D8A08): a relay is a holding
// register from 1 on, which reads 1 for on, and is written commands: 0x0100 on, 0x0200
// off, 0x0300 toggle. It is a modbus.Handler, for a Unit.
type Relays struct {
	modbus.Memory
	mu sync.Mutex
	n  int
}

// NewRelays returns a board of n relays, all of them off.
func NewRelays(n int) *Relays {
	r := &Relays{n: n}
	r.Set(modbus.HoldingRegisters, 1, make([]uint16, n)...)
	return r
}

// On reports whether relay i, from 1 on, is on.
func (r *Relays) On(i int) bool {
	v, err := r.Get(modbus.HoldingRegisters, uint16(i), 1)
	return err == nil && v[0] != 0
}

// Serve implements modbus.Handler.
func (r *Relays) Serve(unit byte, req modbus.PDU) (modbus.PDU, error) {
	if len(req) != 5 || req[0] != byte(modbus.WriteSingleRegister) {
		return r.Memory.Serve(unit, req)
	}
	relay, command := int(req[1])<<8|int(req[2]), req[3]
	if relay < 1 || relay > r.n {
		return nil, modbus.IllegalDataAddress
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	on := r.On(relay)
	switch command {
	case 1:
		on = true
	case 2:
		on = false
	case 3:
		on = !on
	default:
		return nil, modbus.IllegalDataValue
	}
	var v uint16
	if on {
		v = 1
	}
	r.Set(modbus.HoldingRegisters, uint16(relay), v)
	return req, nil
}

// A Thermometer has the registers of an XY-MD02: temperature and humidity in tenths
// in input registers 1 and 2, and corrections of both in holding registers 0x103 and
// 0x104. It is a modbus.Handler, for a Unit. Its room walks as that of a Stick does.
type Thermometer struct {
	modbus.Memory
	mu   sync.Mutex
	air  *air
	last time.Time
}

// Registers of a Thermometer.
const (
	thermoTemperature = 1
	thermoCorrection  = 0x103
)

// NewThermometer returns a thermometer with address and rate as they are sold.
func NewThermometer() *Thermometer {
	t := &Thermometer{air: newAir()}
	t.Set(modbus.InputRegisters, thermoTemperature, 0, 0)
	t.Set(modbus.HoldingRegisters, 0x101, 1, 0, 0, 0)
	t.OnRead = func(modbus.Table, uint16, uint16) error {
		t.measure(time.Now())
		return nil
	}
	return t
}

// measure lets the air walk, a step each two seconds.
func (t *Thermometer) measure(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 100 // what was missed in an hour has no meaning
	if t.last.IsZero() || now.Sub(t.last) > most*firstRate {
		t.last = now
	}
	for ; now.Sub(t.last) >= firstRate; t.last = t.last.Add(firstRate) {
		t.air.step()
	}
	correction, err := t.Get(modbus.HoldingRegisters, thermoCorrection, 2)
	if err != nil {
		return
	}
	t.Set(modbus.InputRegisters, thermoTemperature,
		uint16(int16(t.air.temperature*10+0.5))+correction[0], uint16(t.air.humidity*10+0.5)+correction[1])
}
