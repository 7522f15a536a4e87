package main

import (
	"strings"

	"edge/bridge/modbus"
	"edge/bridge/serial"
	"edge/internal/uart"
)

// shared returns the paths in b of what a has already.
func shared(a, b planned) []string {
	if a.kind == b.kind {
		if paths := a.kind.conflict(a.config, b.config); len(paths) > 0 {
			return paths
		}
	}
	first, second := serialPort(a.config), serialPort(b.config)
	if a.kind.name == "serial" && b.kind.name == "serial" || first == "" || second == "" {
		return nil // Two of kind serial have been compared.
	}
	if uart.SamePort(first, second) {
		return []string{"port"}
	}
	return nil
}

// serialPort returns the serial port that a bridge of any kind opens, or nothing. A
// gateway on the network can have several clients.
func serialPort(cfg any) (port string) {
	switch c := cfg.(type) {
	case serial.Config:
		port = c.Port
	case modbus.Config:
		port = c.Port
	case modbus.ServerConfig:
		port = c.Port
	}
	if strings.Contains(port, "://") {
		return ""
	}
	return port
}
