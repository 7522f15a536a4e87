package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"

	"edge/bridge"
	"edge/bridge/gpio"
	"edge/bridge/modbus"
	"edge/bridge/serial"
	"edge/bridge/tick"
	"edge/internal/config"
	"edge/internal/uart"
)

// kinds is the table of all kinds of bridges. A new protocol is one package
// and one line here.
var kinds = []*kind{
	kindOf("gpio", gpio.DefaultConfig, gpio.New, sameLines),
	kindOf("modbus", modbus.DefaultConfig, modbus.New, nothing),
	kindOf("modbus-server", modbus.DefaultServerConfig, modbus.NewServer, nothing),
	kindOf("serial", serial.DefaultConfig, serial.New, samePort),
	kindOf("tick", tick.DefaultConfig, tick.New, nothing),
}

// A kind of bridge, without its types.
type kind struct {
	name     string
	defaults any
	decode   func(config.Section) (any, error)                               // a valid Config, or what is wrong
	conflict func(first, second any) []string                                // paths in second of what first has already
	new      func(base bridge.Base, cfg any, log *slog.Logger) bridge.Bridge // opens nothing
}

// kindOf makes a kind of the functions that a package of a bridge has.
func kindOf[C interface{ Validate() error }, B bridge.Bridge](
	name string, defaults func() C, open func(bridge.Base, C, *slog.Logger) B, conflict func(first, second C) []string,
) *kind {
	return &kind{
		name:     name,
		defaults: defaults(),
		decode: func(s config.Section) (any, error) {
			cfg := defaults()
			err := decodeSection(s, &cfg)
			return cfg, errors.Join(err, config.In(s.Path(), cfg.Validate()))
		},
		conflict: func(first, second any) []string { return conflict(first.(C), second.(C)) },
		new: func(base bridge.Base, cfg any, log *slog.Logger) bridge.Bridge {
			return open(base, cfg.(C), log)
		},
	}
}

// decodeSection reads a section over cfg, in the way of its type if that has one.
func decodeSection(s config.Section, cfg any) error {
	if own, ok := cfg.(interface{ DecodeSection(s config.Section) error }); ok {
		return own.DecodeSection(s)
	}
	return s.Decode(cfg)
}

func kindByName(name string) *kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// nothing is what kinds share whose bridges can be there any number of times.
func nothing[C any](C, C) []string { return nil }

// samePort finds a serial port that two bridges want: by its name, and where
// it is plugged in also if it is named in two ways; and an address of two taps.
func samePort(first, second serial.Config) (paths []string) {
	if uart.SamePort(first.Port, second.Port) {
		paths = append(paths, "port")
	}
	if a, b := first.Tap, second.Tap; a != nil && b != nil && a.Listen == b.Listen {
		paths = append(paths, "tap.listen")
	}
	return paths
}

// sameLines finds GPIO lines and PWM channels that two bridges want. Whether two pins are one
// line is known to the bridge: it refuses a configuration that has both.
func sameLines(first, second gpio.Config) []string {
	var paths []string
	for i, q := range second.Pins {
		for _, p := range first.Pins {
			if field, same := sameLine(p, q); same {
				paths = append(paths, fmt.Sprintf("pins[%d].%s", i, field))
			}
		}
	}
	for i, q := range second.PWM {
		for _, p := range first.PWM {
			if p.Channel == q.Channel && p.Chip == q.Chip {
				paths = append(paths, fmt.Sprintf("pwm[%d].channel", i))
			}
		}
	}
	return paths
}

func sameLine(p, q gpio.Pin) (field string, same bool) {
	p.ID, q.ID = "first", "second"
	alone := func(p gpio.Pin) bool {
		return gpio.Config{Pins: []gpio.Pin{p}}.Validate() == nil
	}
	if !alone(p) || !alone(q) {
		return "", false // told already
	}
	err := gpio.Config{Pins: []gpio.Pin{p, q}}.Validate()
	e, ok := errors.AsType[*config.FieldError](err)
	if !ok {
		return "", false
	}
	return path.Ext(e.Path)[1:], true // pins[1].offset
}
