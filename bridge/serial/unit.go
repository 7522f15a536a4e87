package serial

import (
	"slices"
	"strings"
)

// spellings has the units that sticks write without the signs that a terminal
// of 1980 lacks.
var spellings = strings.NewReplacer("m3", "m³", "degC", "°C", "ug/", "µg/", "μ", "µ", "um", "µm")

// spelled writes a unit as people do.
func spelled(unit string) string { return spellings.Replace(strings.TrimSpace(unit)) }

func sameUnit(a, b string) bool { return spelled(a) == spelled(b) }

// speeds has what is not a power of ten apart; a knot is 1852 m in an hour.
var speeds = map[string]float64{"km/h": 1, "kn": 1.852, "m/s": 3.6}

// convert returns by what a number in the unit from is to be multiplied for the
// unit to. ok is false where they do not measure the same.
func convert(from, to string) (factor float64, ok bool) {
	from, to = spelled(from), spelled(to)
	if speeds[from] != 0 && speeds[to] != 0 {
		return speeds[from] / speeds[to], true
	}
	for _, f := range prefixed(from) {
		for _, t := range prefixed(to) {
			if f.base == t.base {
				return f.factor / t.factor, true
			}
		}
	}
	return 0, false
}

// A measure is a unit without its prefix.
type measure struct {
	base   string
	factor float64
}

// bases are the units that have prefixes here: min is not a thousandth of an
// inch.
var bases = []string{"W", "Wh", "VA", "VAh", "var", "varh", "V", "A", "Hz", "J", "Pa", "bar", "g", "m", "s", "Ω"}

// prefixed returns the ways to read a unit: as itself, and behind a prefix.
func prefixed(unit string) []measure {
	all := []measure{{unit, 1}}
	for prefix, factor := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9, "h": 1e2, "c": 1e-2, "m": 1e-3, "µ": 1e-6} {
		if base, found := strings.CutPrefix(unit, prefix); found && slices.Contains(bases, base) {
			all = append(all, measure{base, factor})
		}
	}
	return all
}
