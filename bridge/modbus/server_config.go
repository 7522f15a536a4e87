package modbus

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"edge/bridge"
	"edge/internal/config"
	"edge/internal/modbus"
	"edge/internal/topic"
	"edge/internal/uart"
)

// ServerConfig is the `modbus-server:` section of a bridge: a unit that others ask,
// such as a PLC, whose registers are entities of this hub.
type ServerConfig struct {
	Listen      string   `yaml:"listen" doc:"Where Modbus TCP is served, such as 127.0.0.1:1502; this or port."`
	Allow       []string `yaml:"allow" doc:"Addresses and networks that may connect, such as 192.168.1.0/24; must be set if listen can be reached by others."`
	Connections int      `yaml:"connections" doc:"How many may be connected at once."`

	Port     string      `yaml:"port" doc:"A serial port on which the unit answers, named as in bridge serial."`
	Baud     int         `yaml:"baud" doc:"Bits per second of the port."`
	DataBits int         `yaml:"data_bits" doc:"Bits of a byte on the line: 8, or 7 for framing ascii."`
	Parity   uart.Parity `yaml:"parity" doc:"The parity bit: none, odd or even."`
	StopBits int         `yaml:"stop_bits" doc:"Stop bits, 1 or 2."`

	RS485      uart.RS485 `yaml:"rs485" doc:"An RS-485 transceiver whose direction RTS switches."`
	LowLatency bool       `yaml:"low_latency" doc:"Bytes are handed over as they come; an FTDI adapter collects them for 16 ms otherwise."`

	Framing modbus.Framing `yaml:"framing" doc:"How a frame is written on the port: rtu or ascii."`

	Unit    uint8    `yaml:"unit" doc:"Its address, 1 to 247."`
	Unknown Absent   `yaml:"unknown" doc:"What is answered for a value that is not known: exception (4, device failure) or sentinel (see map)."`
	Stale   Absent   `yaml:"stale" doc:"What is answered for a value that is not good any more: exception, sentinel or keep, the last one."`
	Map     []Served `yaml:"map" doc:"The entities, and their registers."`
}

// A Served is an entity that others read and write as registers.
type Served struct {
	Topic   string           `yaml:"topic" doc:"The entity, BRIDGE/ENTITY on this node; or the whole topic of its state."`
	Kind    bridge.Kind      `yaml:"kind" doc:"What its state is: switch (ON or OFF), number or text; if absent switch for a bit, text for format string or with enum, else number."`
	Table   Table            `yaml:"table" doc:"Where it is: coil, discrete, input or holding (if absent)."`
	Address *uint16          `yaml:"address" doc:"From 0, as on the wire."`
	Format  Format           `yaml:"format" doc:"What its registers are, as in bridge modbus; u16 if absent."`
	Length  int              `yaml:"length" doc:"Registers of a string."`
	Order   Order            `yaml:"order" doc:"big (if absent), word, byte or little."`
	Scale   float64          `yaml:"scale" doc:"The state is the number in the registers times this, plus offset; 1 if absent."`
	Offset  float64          `yaml:"offset" doc:"Added after scale."`
	Enum    map[int64]string `yaml:"enum" doc:"Numbers for states that are words: {0: closed, 1: open}."`

	Sentinel string `yaml:"sentinel" doc:"What is read where there is no value, such as 0x8000; if absent what SunSpec has for the format: 0xFFFF, 0x8000, nan; a bit is 0."`
	Write    bool   `yaml:"write" doc:"What is written is sent to the entity as a command. The bridge needs a role that may."`
}

// An Absent says what is answered where there is no good value.
type Absent string

// The answers where there is no good value.
const (
	WithException Absent = "exception" // Modbus Application Protocol V1.1b3, section 7: 4, server device failure
	WithSentinel  Absent = "sentinel"
	WithLast      Absent = "keep"
)

// Values lists what an Absent may be.
func (Absent) Values() []string {
	return []string{string(WithException), string(WithSentinel), string(WithLast)}
}

// DefaultServerConfig returns what holds for a key that is absent.
func DefaultServerConfig() ServerConfig {
	return ServerConfig{
		Connections: 16, Baud: 9600, DataBits: 8, Parity: uart.NoParity, StopBits: 1, Framing: modbus.RTU,
		RS485: uart.RS485{RTSOnSend: uart.OnWire},
		Unit:  1, Unknown: WithException, Stale: WithException,
	}
}

// Reads returns what the bridge listens to.
func (c ServerConfig) Reads() []string {
	var filters []string
	for i := range c.Map {
		name := c.Map[i].absolute("+/+")
		filters = append(filters, name, name+"/attr")
	}
	return filters
}

// absolute returns the topic of the state, below root if it is relative.
func (s *Served) absolute(root string) string {
	if topic.Levels(s.Topic) == 2 {
		return root + "/" + s.Topic
	}
	return s.Topic
}

// bus returns the part of c that a Config has, too.
func (c *ServerConfig) bus() *Config {
	return &Config{
		Port: c.Port, Baud: c.Baud, DataBits: c.DataBits, Parity: c.Parity, StopBits: c.StopBits, Framing: c.Framing,
		RS485: c.RS485, LowLatency: c.LowLatency,
	}
}

// Validate reports everything that is wrong with c.
func (c ServerConfig) Validate() error {
	var errs []error
	wrong := func(path, format string, args ...any) { errs = append(errs, config.Errorf(path, format, args...)) }
	switch {
	case (c.Listen == "") == (c.Port == ""):
		wrong("listen", "either listen or port must be set")
	case c.Listen != "":
		errs = append(errs, c.checkListen()...)
	case strings.HasPrefix(c.Port, tcpScheme):
		wrong("port", "%q is no serial port; use listen", c.Port)
	default:
		errs = append(errs, c.bus().checkPort()...)
	}
	if c.Connections < 1 || c.Connections > 1000 {
		wrong("connections", "%d is not between 1 and 1000", c.Connections)
	}
	if c.Unit < 1 || c.Unit > maxUnits {
		wrong("unit", "%d is not between 1 and %d", c.Unit, maxUnits)
	}
	if c.Unknown == WithLast {
		wrong("unknown", "there is no last value to keep; use exception or sentinel")
	}
	if len(c.Map) == 0 || len(c.Map) > maxPoints {
		wrong("map", "there are %d; want 1 to %d", len(c.Map), maxPoints)
	}
	_, err := c.shelves()
	return errors.Join(append(errs, err)...)
}

func (c *ServerConfig) checkListen() (errs []error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "" {
		return []error{config.Errorf("listen", "%q is not host:port, such as 127.0.0.1:1502", c.Listen)}
	}
	if ip, err := netip.ParseAddr(host); len(c.Allow) == 0 && (err != nil || !ip.IsLoopback()) && host != "localhost" {
		errs = append(errs, config.Errorf("allow", "must be set: others can reach %s, and Modbus knows no passwords", c.Listen))
	}
	for i, text := range c.Allow {
		if _, err := parseNetwork(text); err != nil {
			errs = append(errs, config.Errorf(fmt.Sprintf("allow[%d]", i), "%w", err))
		}
	}
	return errs
}

// parseNetwork reads an address or a network.
func parseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, fmt.Errorf("%q is neither an address nor a network such as 192.168.1.0/24", text)
	}
	return network.Masked(), nil
}

// allowed returns who may connect.
func (c *ServerConfig) allowed() func(net.Addr) bool {
	if len(c.Allow) == 0 {
		return nil
	}
	var networks []netip.Prefix
	for _, text := range c.Allow {
		if network, err := parseNetwork(text); err == nil {
			networks = append(networks, network)
		}
	}
	return func(a net.Addr) bool {
		from, err := netip.ParseAddrPort(a.String())
		return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool {
			return n.Contains(from.Addr().Unmap().WithZone(""))
		})
	}
}

// A shelf is where a served entity is.
type shelf struct {
	*Served
	*point
	absent []uint16 // the sentinel
}

func (s *shelf) end() int { return int(*s.Address) + s.count }

// shelves returns what c serves, and everything that is
// wrong with it, by path.
func (c *ServerConfig) shelves() ([]*shelf, error) {
	var out []*shelf
	var errs []error
	for i := range c.Map {
		s, err := c.Map[i].shelf()
		if err != nil {
			errs = append(errs, config.In(fmt.Sprintf("map[%d]", i), err))
			continue
		}
		for _, o := range out {
			if o.table() == s.table() && int(*o.Address) < s.end() && int(*s.Address) < o.end() {
				errs = append(errs, config.Errorf(fmt.Sprintf("map[%d].address", i), "%s has these registers already", o.Topic))
			}
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// shelf returns s ready to be read and written. For those who read, it is what a
// command would be on a bus, and the other way round.
func (s *Served) shelf() (*shelf, error) {
	var errs []error
	if err := topic.CheckName(s.Topic); err != nil {
		errs = append(errs, config.Errorf("topic", "%w", err))
	} else if topic.Levels(s.Topic) < 2 || strings.HasPrefix(s.Topic, "$") {
		errs = append(errs, config.Errorf("topic", "%q is neither BRIDGE/ENTITY nor the topic of a state", s.Topic))
	}
	e := Entity{
		ID: "entity", Kind: s.kind(), Table: s.Table, Address: s.Address, Format: s.Format, Length: s.Length,
		Order: s.Order, Scale: s.Scale, Offset: s.Offset, Enum: s.Enum, Write: true, WriteTable: Holding,
	}
	if e.table().bits() {
		e.WriteTable = Coil
	}
	if k := s.kind(); k != bridge.Switch && k != bridge.Number && k != bridge.Text {
		return nil, config.Errorf("kind", "%q is not one of switch, number, text", k)
	}
	if s.Write && (e.table() == Discrete || e.table() == Input) {
		errs = append(errs, config.Errorf("write", "nobody can write to table %s; use coil or holding", e.table()))
	}
	p, err := compile(e)
	errs = append(errs, err)
	if err != nil {
		return nil, errors.Join(errs...)
	}
	absent, err := s.sentinel(p)
	if err != nil {
		errs = append(errs, config.Errorf("sentinel", "%w", err))
	}
	return &shelf{s, p, absent}, errors.Join(errs...)
}

func (s *Served) kind() bridge.Kind {
	switch {
	case s.Kind != "":
		return s.Kind
	case s.Table.bits() || s.Format == Bool:
		return bridge.Switch
	case s.Format == String || len(s.Enum) > 0:
		return bridge.Text
	}
	return bridge.Number
}

// sentinel returns the registers where there is no value: what SunSpec has for a
// point that is not implemented (Information Model Specification, section 4.3).
func (s *Served) sentinel(p *point) ([]uint16, error) {
	f := p.format()
	bits := uint(16 * p.count)
	switch text := s.Sentinel; {
	case f == String || p.table().bits():
		if text != "" {
			return nil, fmt.Errorf("a %s has none", cmp.Or(s.Format, Format(p.table())))
		}
		return make([]uint16, p.count), nil
	case strings.EqualFold(text, "nan") && f.floating(), text == "" && f == F32:
		if f == F64 {
			return fromRaw(0x7FF8<<48, p.count, p.order()), nil
		}
		return fromRaw(0x7FC0<<16, p.count, p.order()), nil
	case text == "" && f == F64:
		return fromRaw(0x7FF8<<48, p.count, p.order()), nil
	case text == "" && f.signed():
		return fromRaw(1<<(bits-1), p.count, p.order()), nil
	case text == "":
		return fromRaw(mask(bits), p.count, p.order()), nil
	default:
		raw, err := f.parseRaw(text)
		return fromRaw(raw, p.count, p.order()), err
	}
}

// publishTime bounds how long the broker may take for a command, since the client
// waits for its answer meanwhile.
const publishTime = 2 * time.Second
