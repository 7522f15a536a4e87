package modbus

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edge/bridge"
)

// unitsOf are the units that go with a class of a sensor in Home Assistant
// (developer documentation, entity "Sensor", available device classes).
var unitsOf = map[string][]string{
	"apparent_power":  {"VA", "kVA"},
	"current":         {"A", "mA"},
	"duration":        {"s", "min", "h", "d"},
	"energy":          {"Wh", "kWh", "MWh"},
	"frequency":       {"Hz", "kHz"},
	"humidity":        {"%"},
	"power":           {"W", "kW"},
	"power_factor":    {"", "%"},
	"reactive_energy": {"varh", "kvarh"},
	"reactive_power":  {"var", "kvar"},
	"temperature":     {"°C", "°F", "K"},
	"voltage":         {"V", "mV"},
}

// counters are the classes of what only grows: a rate of them means nothing, and
// their sum over a day does.
var counters = []string{"energy", "reactive_energy", "duration"}

// parsed are all templates that are built in, from the files that they are made of. To
// read YAML is what costs.
var parsed = sync.OnceValues(func() (map[string]Template, error) {
	const folder = "templates"
	names, err := TemplateNames(folder)
	all := map[string]Template{}
	for _, name := range names {
		file, err := FindTemplate(folder, name)
		if err != nil {
			return nil, err
		}
		if all[name], err = file.Parse(); err != nil {
			return nil, err
		}
	}
	return all, err
})

// eachTemplate calls test for each template that is built in and all parameters that
// a configuration can have.
func eachTemplate(t *testing.T, test func(t *testing.T, tmpl Template)) {
	t.Helper()
	all, err := parsed()
	if err != nil || len(all) == 0 {
		t.Fatalf("there are %d templates, %v", len(all), err)
	}
	for name, tmpl := range all {
		for _, parameters := range combinations(tmpl.Parameters) {
			t.Run(name+" "+told(parameters), func(t *testing.T) {
				tmpl := tmpl
				tmpl.Entities = slices.Clone(tmpl.Entities)
				values, err := tmpl.values(parameters)
				if err := errors.Join(err, tmpl.choose(values), tmpl.move(values)); err != nil {
					t.Fatal(err)
				}
				test(t, tmpl)
			})
		}
	}
}

func TestTemplatesSayWhatTheyAre(t *testing.T) {
	eachTemplate(t, func(t *testing.T, tmpl Template) {
		for what, text := range map[string]string{
			"name": tmpl.Name, "manufacturer": tmpl.Manufacturer, "model": tmpl.Model, "source": tmpl.Source,
		} {
			if text == "" || strings.TrimSpace(text) != text {
				t.Errorf("%s is %q", what, text)
			}
		}
		for name, p := range tmpl.Parameters {
			if p.Doc == "" || p.Default == "" {
				t.Errorf("parameter %s has default %q and doc %q", name, p.Default, p.Doc)
			}
		}
	})
}

// Words of Home Assistant that do not go together are refused there, and the value
// is in no statistics.
func TestTemplatesClassesAndUnits(t *testing.T) {
	eachTemplate(t, func(t *testing.T, tmpl Template) {
		for _, e := range tmpl.Entities {
			if e.Class == "" {
				continue
			}
			if units, ok := unitsOf[e.Class]; !ok || !slices.Contains(units, e.Unit) {
				t.Errorf("%s: class %s has unit %q, want one of %q", e.ID, e.Class, e.Unit, units)
			}
			want := bridge.Measurement
			if slices.Contains(counters, e.Class) {
				want = bridge.TotalIncreasing
			}
			if e.kind() == bridge.Sensor && e.StateClass != want {
				t.Errorf("%s: class %s has state class %q, want %s", e.ID, e.Class, e.StateClass, want)
			}
		}
	})
}

// The same is called the same in all templates: a rule or a dashboard that was made
// for one meter fits the next.
func TestTemplatesNamesFitClasses(t *testing.T) {
	classOf := map[string]string{
		"voltage": "voltage", "current": "current", "power": "power", "apparent_power": "apparent_power",
		"reactive_power": "reactive_power", "power_factor": "power_factor", "frequency": "frequency",
		"energy_import": "energy", "energy_export": "energy", "energy_total": "energy",
		"reactive_energy_import": "reactive_energy", "reactive_energy_export": "reactive_energy", "temperature": "temperature",
	}
	eachTemplate(t, func(t *testing.T, tmpl Template) {
		for _, e := range tmpl.Entities {
			id := e.ID
			for _, phase := range []string{"_l1", "_l2", "_l3"} {
				id = strings.TrimSuffix(id, phase)
			}
			if class, ok := classOf[id]; ok && e.Class != class {
				t.Errorf("%s has class %q, want %q", e.ID, e.Class, class)
			}
		}
	})
}

// Nothing is asked for so often that a bus of 9600 baud is busy with it, and what
// nobody looks at each minute waits for time to spare.
func TestTemplatesPeriods(t *testing.T) {
	eachTemplate(t, func(t *testing.T, tmpl Template) {
		for _, e := range tmpl.Entities {
			slow := slices.Contains(counters, e.Class) || strings.Contains(e.ID, "thd") || strings.Contains(e.ID, "demand")
			switch {
			case e.Period == nil && slow:
				t.Errorf("%s is read as often as power", e.ID)
			case e.Period == nil || *e.Period == 0:
			case *e.Period < time.Second || *e.Period > 10*time.Minute:
				t.Errorf("%s has period %v", e.ID, *e.Period)
			}
		}
	})
}

// The registers of one value are read in one request, and two entities of different
// formats do not overlap: one of the two would be a slip.
func TestTemplatesRegisters(t *testing.T) {
	eachTemplate(t, func(t *testing.T, tmpl Template) {
		most := tmpl.MaxRegisters
		if most == 0 {
			most = 60
		}
		taken := map[Table]map[int]string{}
		for _, e := range tmpl.Entities {
			p, err := compile(e)
			if err != nil {
				t.Errorf("%s: %v", e.ID, err)
				continue
			}
			if !p.table().bits() && p.count > most {
				t.Errorf("%s has %d registers, and a request %d", e.ID, p.count, most)
			}
			if taken[p.table()] == nil {
				taken[p.table()] = map[int]string{}
			}
			for i := range p.count {
				at := int(*e.Address) + i
				if other := taken[p.table()][at]; other != "" {
					t.Errorf("%s and %s share register %d", e.ID, other, at)
				}
				taken[p.table()][at] = e.ID
			}
		}
	})
}

// All templates are in the program: they may take 60 kB of it.
func TestTemplatesAreSmall(t *testing.T) {
	names, err := TemplateNames("")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, name := range names {
		file, err := FindTemplate("", name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(file.Text)
	}
	if total == 0 || total > 60_000 {
		t.Errorf("the templates have %d bytes, want at most 60000", total)
	}
}

// makersMost is how many registers a unit answers at once, as its document says.
var makersMost = map[string]int{
	"Eastron SDM120": 80, "Eastron SDM230": 80, "Eastron SDM630": 80,
	"Carlo Gavazzi EM24": 11, "Carlo Gavazzi EM111": 50, "Growatt inverter": 45,
}

// Reads that are merged stay below what the maker allows, and everything is read.
func TestTemplatesReadInOne(t *testing.T) {
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	for name, tmpl := range all {
		for _, parameters := range combinations(tmpl.Parameters) {
			p, err := newPlan(&Config{Units: []Unit{{Unit: 1, Template: name, Parameters: parameters, Period: 10 * time.Second}}})
			if err != nil {
				t.Errorf("%s with %s: %v", name, told(parameters), err)
				continue
			}
			t.Run(name+" "+told(parameters), func(t *testing.T) { readInOne(t, p, cmp.Or(makersMost[tmpl.Name], 125)) })
		}
	}
}

func readInOne(t *testing.T, p *plan, most int) {
	now := time.Now()
	s, _ := newSchedule([]limits{p.units[0].limits}, p.items, now)
	requests := 0
	for a, ok, _ := s.next(now); ok; a, ok, _ = s.next(now) {
		if !a.table.bits() && a.count > most {
			t.Errorf("a request reads %d registers from %d on, and the maker allows %d", a.count, a.from, most)
		}
		if requests++; requests > len(s.items) {
			t.Fatalf("%d requests for %d items", requests, len(s.items))
		}
		s.done(a, good, now)
	}
	for _, it := range s.items {
		if !it.due.After(now) {
			t.Errorf("nothing has read %s %d", it.table, it.from)
		}
	}
	if requests*2 > len(s.items) && len(s.items) > 8 {
		t.Errorf("%d requests for %d items: what lies together is not read in one", requests, len(s.items))
	}
}
