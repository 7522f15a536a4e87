package serial

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/config"
	"edge/internal/frame"
	"edge/internal/uart"
)

// Config is the `serial:` section of a bridge.
type Config struct {
	Known `yaml:",inline"`

	Name         string `yaml:"name" doc:"What people call the stick; the bridge's name if absent."`
	Manufacturer string `yaml:"manufacturer" doc:"Who made it; what its USB descriptor says if absent."`
	Model        string `yaml:"model" doc:"What it is; what its USB descriptor says if absent."`

	Port     string      `yaml:"port" doc:"A name in /dev/serial/by-id or by-path (edge ports lists them), with or without udev; VID:PID or VID:PID:serial of a USB adapter; a pattern such as usb-FTDI_* that matches a single one; a path; or tcp://HOST:PORT or rfc2217://HOST:PORT of a serial server, or replay:FILE, a capture."`
	Baud     int         `yaml:"baud" doc:"Bits per second; any rate that the adapter can do."`
	DataBits int         `yaml:"data_bits" doc:"Bits of a byte on the line, 5 to 8."`
	Parity   uart.Parity `yaml:"parity" doc:"The parity bit: none, odd, even, mark (always 1) or space (always 0)."`
	StopBits int         `yaml:"stop_bits" doc:"Stop bits, 1 or 2."`
	Flow     uart.Flow   `yaml:"flow" doc:"Flow control: none, rtscts (two wires) or xonxoff (two reserved bytes)."`

	DTR        uart.Wire  `yaml:"dtr" doc:"What DTR does when the port has been opened, which turns it on for a moment: leave it so, on or off."`
	RTS        uart.Wire  `yaml:"rts" doc:"The same for RTS."`
	RS485      uart.RS485 `yaml:"rs485" doc:"An RS-485 transceiver whose direction RTS switches."`
	LowLatency bool       `yaml:"low_latency" doc:"Bytes are handed over as they come; an FTDI adapter collects them for 16 ms otherwise."`

	Tap *uart.TapConfig `yaml:"tap" doc:"Offers the line to programs on the network, such as a maker's PC tool, while the hub uses it."`

	Delimiter      string      `yaml:"delimiter" doc:"What ends a line; before a line feed, a carriage return does not count."`
	MaxLine        int         `yaml:"max_line" doc:"Bytes of the longest line that is read; longer ones are counted as bad."`
	Framing        *frame.Spec `yaml:"framing" doc:"How frames are told apart that are no lines."`
	CommandFraming bool        `yaml:"command_framing" doc:"What templates of commands and requests make is the content of a frame as framing describes it: start, end, length, checksum and escapes are added."`
	Format         Format      `yaml:"format" doc:"What a line or frame is: value (nothing but a value), json, cbor or msgpack (an object), regex (see pattern), columns, csv or pairs (key=value; see text), binary (see fields), obis or sml (what meters say), nmea (receivers of GPS)."`
	Pattern        string      `yaml:"pattern" doc:"For format regex: a regular expression (RE2) with a named group for each entity, such as T=(?P<temperature>[-.0-9]+)."`
	Layout         `yaml:",inline"`

	Heartbeat    time.Duration `yaml:"heartbeat" doc:"An unchanged value is published again when it comes after this long; 0s publishes every value that comes."`
	StaleAfter   time.Duration `yaml:"stale_after" doc:"An entity without a new value for this long is marked bad; 0s never does that."`
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"How long the stick may take to accept a command."`

	Start    []Exchange `yaml:"start" doc:"What is sent when the port is open, in this order."`
	Requests []Request  `yaml:"requests" doc:"What the stick is asked, again and again."`

	Entities []Entity `yaml:"entities" doc:"What the stick measures and can be told."`
}

// Entity says what one value of the stick is.
type Entity struct {
	ID    string      `yaml:"id" doc:"The name in topics: a-z, 0-9, _ and -."`
	Name  string      `yaml:"name" doc:"What people call it; the id if absent."`
	Key   string      `yaml:"key" doc:"Where the value is: for json, cbor and msgpack a path such as bme.temperature or list.0, for regex the name of a group, for columns and csv a name or an index from 0, for pairs a key, for binary that of a field, for obis and sml a code such as 1-0:1.8.0 or 0-gas:24.2.1, for nmea a name such as latitude; the id if absent."`
	Kind  bridge.Kind `yaml:"kind" doc:"sensor (if absent), binary_sensor, switch, number, text or button."`
	Class string      `yaml:"class" doc:"What is measured or switched, such as temperature or door."`
	Unit  string      `yaml:"unit" doc:"The unit of the published value, such as °C; what has a unit must be a number."`

	Scale  float64  `yaml:"scale" doc:"The published value is the received one times this, plus offset; 1 if absent."`
	Offset float64  `yaml:"offset" doc:"Added to the value after scale."`
	Min    *float64 `yaml:"min" doc:"Values below are bad, commands below are refused."`
	Max    *float64 `yaml:"max" doc:"Values above are bad, commands above are refused."`

	OnValue  string   `yaml:"on_value" doc:"What the stick says for ON; on, true, 1 or yes if absent."`
	OffValue string   `yaml:"off_value" doc:"What the stick says for OFF; off, false, 0 or no if absent."`
	Options  []string `yaml:"options" doc:"The only values that the entity can have."`

	Command    string `yaml:"command" doc:"What is sent to the stick on a command, a template: {{.Value}} is the value as in the topic, {{.Raw}} as the stick knows it (without scale and offset, on_value for ON), {{.ID}} the id; {{.Value | lower}} and upper change case, {{printf \"%5s\" .Value}} formats. End it with a line feed if the stick wants one."`
	Encode     Encode `yaml:"encode" doc:"Instead of command, for sticks that do not take text."`
	Reply      *Reply `yaml:"reply" doc:"How the stick answers a command: its result is ok when that has come. If absent, it is ok when the command was sent."`
	Request    string `yaml:"request" doc:"The request whose answer it reads; any frame if absent."`
	Optimistic bool   `yaml:"optimistic" doc:"The stick never says how the entity is: a command that was sent is taken for its state."`
}

// DefaultConfig returns what holds for a key that is absent.
func DefaultConfig() Config {
	return Config{
		Baud: 115200, DataBits: 8, Parity: uart.NoParity, StopBits: 1, Flow: uart.NoFlow,
		DTR: uart.LeaveWire, RTS: uart.LeaveWire, RS485: uart.RS485{RTSOnSend: uart.OnWire},
		Delimiter: "\n", MaxLine: 1024, Format: JSON,
		Known:     Known{DevicesDir: "/etc/edge/devices"},
		Heartbeat: time.Minute, WriteTimeout: 2 * time.Second,
	}
}

// line returns the part of c that package uart needs.
func (c *Config) line() uart.Config {
	return uart.Config{
		Port: c.Port, Baud: c.Baud, DataBits: c.DataBits,
		Parity: c.Parity, StopBits: c.StopBits, Flow: c.Flow,
		DTR: c.DTR, RTS: c.RTS, RS485: c.RS485, LowLatency: c.LowLatency,
	}
}

// Validate reports everything that is wrong with c.
func (c Config) Validate() error {
	errs := append(c.checkLine(), c.checkTap())
	errs = append(errs, c.checkFraming()...)
	if !slices.Contains(c.Format.Values(), string(c.Format)) {
		errs = append(errs, config.Errorf("format", "%q is not one of %s", c.Format, strings.Join(c.Format.Values(), ", ")))
	}
	if c.Heartbeat < 0 {
		errs = append(errs, config.Errorf("heartbeat", "%v is negative", c.Heartbeat))
	}
	if c.StaleAfter < 0 {
		errs = append(errs, config.Errorf("stale_after", "%v is negative", c.StaleAfter))
	}
	if c.WriteTimeout <= 0 || c.WriteTimeout > time.Minute {
		errs = append(errs, config.Errorf("write_timeout", "%v is not between 0s and 1m", c.WriteTimeout))
	}
	keys, err := c.checkFormat()
	if err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.checkEntities(keys)...)
	return errors.Join(append(errs, c.checkRequests()...)...)
}

// checkLine gives the mistakes in what package uart needs their places.
func (c *Config) checkLine() (errs []error) {
	all, _ := c.line().Validate().(interface{ Unwrap() []error })
	if all == nil {
		return nil
	}
	for _, err := range all.Unwrap() {
		if field, ok := errors.AsType[*uart.FieldError](err); ok {
			errs = append(errs, config.Errorf(field.Field, "%w", field.Err))
		}
	}
	return errs
}

func (c *Config) checkEntities(keys []string) (errs []error) {
	if len(c.Entities) == 0 {
		errs = append(errs, config.Errorf("entities", "at least one must be given"))
	}
	reported := 0
	for i, e := range c.Entities {
		at := fmt.Sprintf("entities[%d]", i)
		if slices.ContainsFunc(c.Entities[:i], func(o Entity) bool { return o.ID == e.ID }) {
			errs = append(errs, config.Errorf(at+".id", "%q is already the id of an earlier entity", e.ID))
		}
		errs = append(errs, config.In(at, e.validate()))
		if !e.reported() {
			continue
		}
		if reported++; c.Format == Value && reported == 2 {
			errs = append(errs, config.Errorf(at, "a line of format value has a single value, and an earlier entity takes it; use json or regex, or set optimistic"))
		}
		if keys != nil && !slices.Contains(keys, c.within(e.key())) {
			errs = append(errs, config.Errorf(at+".key", "%q is not in the %s, which has %s", e.key(), c.Format.keysIn(), strings.Join(keys, ", ")))
		}
	}
	return errs
}
