package main

import (
	"strings"
	"testing"

	"edge/internal/config"
)

func TestPortsAcrossKinds(t *testing.T) {
	const (
		stick  = "  stick: {serial: {port: /dev/ttyX7, entities: [{id: a}]}}\n"
		bus    = "  bus: {modbus: {port: PORT, units: [{unit: 1, entities: [{id: a, address: 0}]}]}}\n"
		second = "  second: {modbus: {port: PORT, units: [{unit: 1, entities: [{id: a, address: 0}]}]}}\n"
		plc    = "  plc: {modbus-server: {port: PORT, map: [{topic: stick/a, address: 0}]}}\n"
	)
	for _, tt := range []struct{ name, bridges, port, want string }{
		{"serial and modbus", bus + stick, "ttyX7", "stick.serial.port: bridge bus has it already"},
		{"modbus twice", bus + second, "/dev/ttyX7", "second.modbus.port: bridge bus has it already"},
		{"modbus and its server", bus + plc, "ttyX7", "plc.modbus-server.port: bridge bus has it already"},
		{"another port", bus + stick, "ttyX8", ""},
		{"a gateway", bus + second, "tcp://127.0.0.1:502", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "bridges:\n" + strings.ReplaceAll(tt.bridges, "PORT", tt.port)
			tree, err := config.Parse("edge.yaml", []byte(text))
			_, err = newPlan("", tree, err, nil)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("newPlan: %v, want no mistake", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("newPlan: %v, want %q", err, tt.want)
			}
		})
	}
}
