package gpio

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/config"
)

// What a CountEdge may be.
const (
	Rising  = "rising"
	Falling = "falling"
	Both    = "both"
)

// A CountEdge is which edges of a line count.
type CountEdge string

// Values lists what a CountEdge may be.
func (CountEdge) Values() []string { return []string{Rising, Falling, Both} }

// A Counter is a meter whose pulses an input counts.
type Counter struct {
	Edge     CountEdge     `yaml:"edge" doc:"which edges count: rising (OFF to ON; the default), falling or both"`
	PerUnit  float64       `yaml:"per_unit" doc:"pulses in a unit: 1000 for a meter of 1000 pulses per kWh, 0.1 if a pulse is 10 litres"`
	Unit     string        `yaml:"unit" doc:"of the total, such as kWh, m³ or L"`
	Class    string        `yaml:"class" doc:"what is counted: energy, water or gas, in words of Home Assistant; energy if the unit is Wh, kWh or MWh"`
	MinWidth time.Duration `yaml:"min_width" doc:"shorter pulses, by the kernel's clock, do not count: 30ms for an S0 meter (EN 62053-31). A pulse counts when it ends then"`

	Save       time.Duration `yaml:"save" doc:"the total is published when it is saved, at most this often; a power cut loses what was counted since, and no more"`
	SavePulses uint64        `yaml:"save_pulses" doc:"save after so many pulses, too, at most ten times a second; 0: by time alone"`
}

// SetDefaults gives what holds where a file is silent.
func (c *Counter) SetDefaults() { c.PerUnit, c.Save = 1, 10*time.Second }

// Bounds of what a counter may be. Below maxPulses, each number of pulses is a
// float64 of its own.
const (
	minSave    = time.Second
	maxSave    = time.Hour
	maxPulses  = 1 << 53
	maxPerUnit = 1e9
)

func (c *Counter) validate() error {
	errs := []error{oneOf("edge", c.Edge)}
	if !(c.PerUnit >= 1/maxPerUnit && c.PerUnit <= maxPerUnit) { // also not a number
		errs = append(errs, config.Errorf("per_unit", "%g is not between %g and %g", c.PerUnit, 1/maxPerUnit, maxPerUnit))
	}
	if c.MinWidth < 0 || c.MinWidth > maxDebounce {
		errs = append(errs, config.Errorf("min_width", "%v is not between 0s and %v", c.MinWidth, maxDebounce))
	}
	if c.Save < minSave || c.Save > maxSave {
		errs = append(errs, config.Errorf("save", "%v is not between %v and %v", c.Save, minSave, maxSave))
	}
	return errors.Join(errs...)
}

// rateUnits are units per hour that have names of their own.
var rateUnits = map[string]string{"Wh": "W", "kWh": "kW", "MWh": "MW"}

// class is that of the total.
func (c *Counter) class() string {
	if c.Class == "" && rateUnits[c.Unit] != "" {
		return "energy"
	}
	return c.Class
}

// rate returns class and unit of the rate.
func (c *Counter) rate() (class, unit string) {
	if unit = rateUnits[c.Unit]; unit == "" {
		unit = c.Unit + "/h"
	}
	switch c.class() {
	case "energy":
		return "power", unit
	case "water", "gas":
		return "volume_flow_rate", unit
	}
	return "", unit
}

// decimals is how many show each pulse in the total.
func (c *Counter) decimals() int {
	d := math.Ceil(math.Log10(c.PerUnit) - 1e-9)
	if math.Abs(math.Pow(10, d)-c.PerUnit) > c.PerUnit*1e-9 {
		d++ // no power of ten: steps differ in their last digit
	}
	return int(max(d, 0))
}

// totalID and rateID are what the sensors of a counter are called.
func (p Pin) totalID() string { return p.ID + "_total" }
func (p Pin) rateID() string  { return p.ID + "_rate" }

// sensors returns the entities that an input has beside itself.
func (p Pin) sensors() (all []bridge.Entity) {
	add := func(id, suffix string, e bridge.Entity) {
		e.ID, e.Kind = id, bridge.Sensor
		if p.Name != "" {
			e.Name = p.Name + " " + suffix
		}
		all = append(all, e)
	}
	if c := p.Counter; c != nil {
		class, unit := c.rate()
		add(p.totalID(), "total", bridge.Entity{Class: c.class(), Unit: c.Unit, StateClass: bridge.TotalIncreasing, Command: true})
		add(p.rateID(), "rate", bridge.Entity{Class: class, Unit: unit, StateClass: bridge.Measurement})
	}
	for _, q := range p.Measure {
		e := quantities[q]
		e.StateClass = bridge.Measurement
		add(p.measureID(q), strings.ReplaceAll(string(q), "_", " "), e)
	}
	return all
}

// checkSensors finds pins that are called like a sensor of another one. Sensors
// of two pins have different names, since the pins have.
func (c Config) checkSensors() error {
	var errs []error
	owners := make(map[string]string)
	for _, p := range c.Pins {
		for _, e := range p.sensors() {
			owners[e.ID] = p.ID
		}
	}
	for i, p := range c.Pins {
		if owner, is := owners[p.ID]; is {
			errs = append(errs, config.Errorf(fmt.Sprintf("pins[%d].id", i), "%q is a sensor of %s", p.ID, owner))
		}
	}
	return errors.Join(errs...)
}
