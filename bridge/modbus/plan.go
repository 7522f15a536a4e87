package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/config"
)

// maxPoints bounds what one bus can have, templates included: more could not be
// read in any useful time.
const maxPoints = 4096

// busLoad is the entity that says how busy the bus is, and unitStatus what is behind
// the name of a unit for that which says whether it answers.
const (
	busLoad    = "bus_load"
	unitStatus = "status"
)

// A plan is a configuration with its templates: all that is to be read.
type plan struct {
	units  []*plannedUnit
	points []*plannedPoint
	items  []item
}

type plannedUnit struct {
	limits
	*Unit
	guard  time.Duration
	status string // the id in topics of what says whether it answers
	called string // for people
	model  string
}

// A plannedPoint is an entity of a unit, with its places in plan.items.
type plannedPoint struct {
	*point
	unit   int
	topic  string // the id in topics
	called string // for people
	item   int
	scale  int // -1: without a scale register
}

// newPlan makes a plan of c. The error has everything that is wrong, by path.
func newPlan(c *Config) (*plan, error) {
	var p plan
	var errs []error
	for i := range c.Units {
		if err := p.add(c, &c.Units[i]); err != nil {
			errs = append(errs, config.In(fmt.Sprintf("units[%d]", i), err))
		}
	}
	if len(p.points) > maxPoints {
		errs = append(errs, config.Errorf("units", "they have %d entities, more than %d", len(p.points), maxPoints))
	}
	return &p, errors.Join(append(errs, p.checkTopics())...)
}

// add plans one unit.
func (p *plan) add(c *Config, u *Unit) error {
	t, entities, err := u.expand(c.Templates)
	if err != nil {
		return err
	}
	l := u.over(t.Limits)
	planned := &plannedUnit{
		Unit: u, guard: l.Guard, called: u.Name, model: strings.TrimSpace(t.Manufacturer + " " + t.Model),
		status: u.topic(unitStatus),
		limits: limits{
			hole: 8, registers: cmp.Or(l.MaxRegisters, 60), bits: cmp.Or(l.MaxBits, 256),
			timeout: cmp.Or(u.Timeout, c.Timeout),
		},
	}
	if l.Hole != nil {
		planned.hole = *l.Hole
	}
	if planned.called == "" {
		planned.called = u.ID
	}
	p.units = append(p.units, planned)
	var errs []error
	for i := range entities {
		if err := p.addEntity(entities[i].Entity); err != nil {
			errs = append(errs, config.In(entities[i].path, err))
		}
	}
	return errors.Join(errs...)
}

func (p *plan) addEntity(e *Entity) error {
	unit := len(p.units) - 1
	u := p.units[unit]
	pt, err := compile(*e)
	if err != nil {
		return err
	}
	most := u.registers
	if e.table().bits() {
		most = u.bits
	}
	if pt.count > most {
		return config.Errorf("format", "takes %d registers, more than the unit can be asked for at once, %d", pt.count, most)
	}
	period := u.Period
	if e.Period != nil {
		period = *e.Period
	}
	planned := &plannedPoint{point: pt, unit: unit, topic: u.topic(e.ID), item: len(p.items), scale: -1}
	planned.called = strings.TrimSpace(u.called + " " + cmp.Or(e.Name, e.ID))
	p.items = append(p.items, item{unit: unit, table: e.table(), from: int(*e.Address), count: pt.count, period: period})
	if e.ScaleAddress != nil {
		planned.scale = p.scaleItem(unit, e.table(), int(*e.ScaleAddress), period)
	}
	p.points = append(p.points, planned)
	return nil
}

// scaleItem returns the item of a scale register, which several entities share: it
// is read as often as the most frequent of them.
func (p *plan) scaleItem(unit int, t Table, from int, period time.Duration) int {
	for i := range p.items {
		it := &p.items[i]
		if it.scaling && it.unit == unit && it.table == t && it.from == from {
			if period != 0 && (it.period == 0 || period < it.period) {
				it.period = period
			}
			return i
		}
	}
	p.items = append(p.items, item{unit: unit, table: t, from: from, count: 1, period: period, scaling: true})
	return len(p.items) - 1
}

// topic returns what an entity of the unit is called in topics.
func (u *Unit) topic(entity string) string {
	switch {
	case u.ID != "":
		return u.ID + "_" + entity
	case entity == unitStatus:
		return "unit_" + unitStatus // …/status is the bridge's
	}
	return entity
}

// over returns l, and what it does not say from other.
func (l Limits) over(other Limits) Limits {
	if l.Hole == nil {
		l.Hole = other.Hole
	}
	l.MaxRegisters = cmp.Or(l.MaxRegisters, other.MaxRegisters)
	l.MaxBits = cmp.Or(l.MaxBits, other.MaxBits)
	l.Guard = cmp.Or(l.Guard, other.Guard)
	return l
}

// A placedEntity is an entity and the path of the key that has it.
type placedEntity struct {
	*Entity
	path string
}

// expand returns the template of u and all entities that u has: those of the
// template, and its own in their place or behind them.
func (u *Unit) expand(folder string) (t *Template, all []placedEntity, err error) {
	t = new(Template)
	values := u.Parameters
	if u.Template != "" {
		if *t, err = resolve(folder, u.Template, u.Parameters); err != nil {
			return nil, nil, err
		}
		if values, err = t.values(u.Parameters); err != nil {
			return t, nil, err
		}
	} else if len(u.Parameters) > 0 && !slices.ContainsFunc(u.Entities, func(e Entity) bool { return e.When != "" }) {
		return t, nil, config.Errorf("parameters", "nobody asks for them: there is no template, and no entity says when")
	}
	for i := range t.Entities {
		all = append(all, placedEntity{&t.Entities[i], "template"})
	}
	var errs []error
	seen := map[string]bool{}
	for i := range u.Entities {
		e := &u.Entities[i]
		path := fmt.Sprintf("entities[%d]", i)
		when, err := parseCondition(e.When)
		if err != nil {
			errs = append(errs, config.Errorf(path+".when", "%w", err))
		}
		if !when.holds(values) {
			continue
		}
		if seen[e.ID] {
			errs = append(errs, config.Errorf(path+".id", "%q is already the id of an earlier entity", e.ID))
		}
		seen[e.ID] = true
		all = slices.DeleteFunc(all, func(o placedEntity) bool { return o.ID == e.ID && o.path == "template" })
		all = append(all, placedEntity{e, path})
	}
	if len(all) == 0 {
		errs = append(errs, config.Errorf("entities", "there are none, and no template has any"))
	}
	return t, all, errors.Join(errs...)
}

// checkTopics finds names that two would have.
func (p *plan) checkTopics() error {
	taken := map[string]int{"status": -1, "meta": -1, busLoad: -1}
	var errs []error
	take := func(topic string, unit int) {
		if other, ok := taken[topic]; ok {
			who := "the bridge itself"
			if other >= 0 {
				who = fmt.Sprintf("units[%d]", other)
			}
			errs = append(errs, config.Errorf(fmt.Sprintf("units[%d]", unit), "the topic %q is taken by %s; choose another id", topic, who))
		}
		taken[topic] = unit
	}
	for i, u := range p.units {
		take(u.status, i)
	}
	for _, pt := range p.points {
		take(pt.topic, pt.unit)
	}
	return errors.Join(errs...)
}

// device returns what the hub is told of the bus.
func (p *plan) device(base bridge.Base) bridge.Device {
	d := bridge.Device{Base: base}
	if len(p.units) == 1 {
		d.Name, d.Model = p.units[0].called, p.units[0].model
	}
	for _, pt := range p.points {
		d.Entities = append(d.Entities, pt.announced(pt.topic, pt.called))
	}
	for _, u := range p.units {
		d.Entities = append(d.Entities, bridge.Entity{
			ID: u.status, Name: strings.TrimSpace(u.called + " status"), Kind: bridge.Sensor,
			Class: "enum", Options: []string{bridge.Offline, bridge.Online},
		})
	}
	d.Entities = append(d.Entities, bridge.Entity{
		ID: busLoad, Name: "Bus load", Kind: bridge.Sensor, Unit: "%", StateClass: bridge.Measurement,
	})
	return d
}
