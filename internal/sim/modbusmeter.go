package sim

import (
	"math"
	"sync"
	"time"

	"edge/internal/modbus"
)

// A Meter is an electricity meter with the registers of an Eastron SDM120
// (SDM120-Modbus RTU Protocol, pages 5 and 6): floats in input registers. It is a
// modbus.Handler, for a Unit. Its house takes between 100 and 600 W, within two
// minutes, until Load says something else.
type Meter struct {
	modbus.Memory

	mu       sync.Mutex
	begun    time.Time
	last     time.Time
	load     float64 // W; NaN: as the time says
	imported float64 // kWh
	exported float64
}

// Registers of a Meter.
const (
	meterVoltage   = 0x00
	meterCurrent   = 0x06
	meterPower     = 0x0C
	meterApparent  = 0x12
	meterFactor    = 0x1E
	meterFrequency = 0x46
	meterImport    = 0x48
	meterExport    = 0x4A
	meterTotal     = 0x156
)

// NewMeter returns a meter that has counted imported kWh.
func NewMeter(imported float64) *Meter {
	m := &Meter{load: math.NaN(), imported: imported}
	for _, block := range [][2]uint16{{0x00, 0x60}, {0x102, 0x08}, {0x156, 0x04}} {
		m.Set(modbus.InputRegisters, block[0], make([]uint16, block[1])...)
	}
	m.OnRead = func(modbus.Table, uint16, uint16) error {
		m.measure(time.Now())
		return nil
	}
	return m
}

// Load makes the house take so many watts from now on; with less than 0 it gives.
func (m *Meter) Load(watts float64) {
	m.measure(time.Now())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load = watts
}

// measure counts what was taken since it measured last.
func (m *Meter) measure(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.IsZero() {
		m.begun, m.last = now, now
	}
	power := m.power(now)
	energy := power * now.Sub(m.last).Hours() / 1000
	m.last = now
	m.imported += max(energy, 0)
	m.exported += max(-energy, 0)
	const voltage, factor = 230, 0.95
	for address, v := range map[uint16]float64{
		meterVoltage: voltage, meterCurrent: math.Abs(power) / factor / voltage, meterPower: power,
		meterApparent: math.Abs(power) / factor, meterFactor: math.Copysign(factor, power), meterFrequency: 50,
		meterImport: m.imported, meterExport: m.exported, meterTotal: m.imported + m.exported,
	} {
		bits := math.Float32bits(float32(v))
		m.Set(modbus.InputRegisters, address, uint16(bits>>16), uint16(bits))
	}
}

func (m *Meter) power(now time.Time) float64 {
	if !math.IsNaN(m.load) {
		return m.load
	}
	const period = 2 * time.Minute
	return 350 - 250*math.Cos(2*math.Pi*now.Sub(m.begun).Seconds()/period.Seconds())
}
