package serial

import (
	"strings"
	"testing"

	"edge/internal/codec"
)

func TestValueConvertsUnits(t *testing.T) {
	for _, tt := range []struct{ text, unit, want, state string }{
		{"671.578", "kWh", "kWh", "671.578"},
		{"000671.578", "kWh", "Wh", "671578"},
		{"12", "Wh", "kWh", "0.012"},
		{"3", "kW", "MW", "0.003"},
		{"7.5", "m3", "m³", "7.5"},
		{"10", "kn", "km/h", "18.52"},
		{"10", "m/s", "km/h", "36"},
		{"950", "hPa", "kPa", "95"},
		{"1", "", "W", "1"},
		{"1", "W", "", "1"},
		{"1", "kWh", "kW", `the unit is "kWh", not kW`},
		{"1", "min", "in", `the unit is "min", not in`},
		{"1", "V", "A", `the unit is "V", not A`},
		{"x", "kW", "W", `"x" is not a number`},
	} {
		e := Entity{Unit: tt.want}
		got, err := e.value(codec.Value{Text: tt.text, Unit: tt.unit})
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.state) || err == nil && got != tt.state {
			t.Errorf("%s %s as %s = %q, want %q", tt.text, tt.unit, tt.want, got, tt.state)
		}
	}
}
