package modbus

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/internal/modbus"
	"edge/internal/sim"
)

// TestTemplatesOfDevices: a meter, a relay board and a thermometer that live, on one bus,
// with the templates of their types.
func TestTemplatesOfDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meter, relays, room := sim.NewMeter(1234.5), sim.NewRelays(4), sim.NewThermometer()
		meter.Load(-180_000)
		r := connect(t, `baud: 9600
units:
- {id: house, unit: 1, template: eastron-sdm120}
- {id: board, unit: 2, template: eletechsup-r4d, parameters: {channels: "4"}}
- {id: cellar, unit: 3, template: xy-md02}
`, map[byte]modbus.Handler{1: meter, 2: relays, 3: room}, nil)

		r.expect("house_voltage", "230")
		r.expect("house_power", "-180000")
		r.expect("house_energy_import", "1234.5")
		r.expect("house_frequency", "50")
		r.expect("board_relay_4", "OFF")
		r.expect("cellar_temperature", "21.4")

		if result := r.command("board_relay_2", "ON"); result.Status != bridge.StatusOK || !relays.On(2) || relays.On(1) {
			t.Errorf("ON: %+v, relay 2 is on: %t, relay 1: %t", result, relays.On(2), relays.On(1))
		}
		r.expect("board_relay_2", "ON")
		if result := r.command("board_relay_2", "TOGGLE"); result.Status != bridge.StatusOK || relays.On(2) {
			t.Errorf("TOGGLE: %+v, relay 2 is on: %t", result, relays.On(2))
		}
		r.expect("board_relay_2", "OFF")

		if result := r.command("cellar_temperature_correction", "-10"); result.Status != bridge.StatusOK {
			t.Errorf("a correction of -10: %+v", result)
		}
		if result := r.command("cellar_temperature_correction", "-11"); result.Status != bridge.StatusRefused {
			t.Errorf("a correction of -11: %+v, want refused", result)
		}
		time.Sleep(time.Minute) // of the bubble
		bridgetest.Await(t, r.Client, testBase.State("house_energy_export"), func(m bridge.Message) bool {
			kWh, err := strconv.ParseFloat(string(m.Payload), 64)
			if err != nil || kWh > 10 {
				t.Errorf("180 kW for a minute or two are %s kWh", m.Payload)
			}
			return err != nil || kWh >= 3
		})
	})
}
