package modbus

import (
	"time"

	"edge/bridge"
	"edge/internal/modbus"
	"edge/internal/uart"
)

// Config is the `modbus:` section of a bridge: one bus and its units.
type Config struct {
	Port     string      `yaml:"port" doc:"A serial port, named as in bridge serial, or tcp://host:502."`
	Baud     int         `yaml:"baud" doc:"Bits per second of a serial port."`
	DataBits int         `yaml:"data_bits" doc:"Bits of a byte on the line: 8, or 7 for framing ascii."`
	Parity   uart.Parity `yaml:"parity" doc:"The parity bit: none, odd or even."`
	StopBits int         `yaml:"stop_bits" doc:"Stop bits, 1 or 2."`

	RS485      uart.RS485 `yaml:"rs485" doc:"An RS-485 transceiver whose direction RTS switches."`
	LowLatency bool       `yaml:"low_latency" doc:"Bytes are handed over as they come; an FTDI adapter collects them for 16 ms otherwise."`

	Framing modbus.Framing `yaml:"framing" doc:"How a frame is written: rtu, ascii or tcp; if absent, tcp for a port tcp://…, and else rtu. rtu and a port tcp://… is RTU over TCP, as of simple gateways."`

	Timeout     time.Duration `yaml:"timeout" doc:"How long a unit may take to begin its answer."`
	Guard       time.Duration `yaml:"guard" doc:"Silence before each request; 0s is that of the specification, 3.5 characters."`
	Turnaround  time.Duration `yaml:"turnaround" doc:"Silence after a request to all units."`
	WriteWindow time.Duration `yaml:"write_window" doc:"How long a command is tried again while its unit does not answer; 0s tries once."`

	Tap *uart.TapConfig `yaml:"tap" doc:"Offers the line to programs on the network between two requests, such as a maker's PC tool; not for tcp://…."`

	Templates string `yaml:"templates" doc:"A folder with templates of your own, NAME.yaml; they come before those that are built in."`
	Units     []Unit `yaml:"units" doc:"The devices on the bus."`
}

// A Unit is one device on the bus.
type Unit struct {
	ID         string            `yaml:"id" doc:"Put before the names of its entities in topics, ID_ENTITY: a-z, 0-9, _ and -. The only unit of a bus may have none."`
	Unit       uint8             `yaml:"unit" doc:"Its address on the bus, 1 to 247; 255 also for TCP."`
	Name       string            `yaml:"name" doc:"What people call it; the id if absent."`
	Template   string            `yaml:"template" doc:"The name of a template, which says what entities it has."`
	Parameters map[string]string `yaml:"parameters" doc:"What the template wants to know, such as phases: 3."`
	Period     time.Duration     `yaml:"period" doc:"How often entities are read that do not say it themselves; 0s: whenever the bus has time."`
	Timeout    time.Duration     `yaml:"timeout" doc:"How long it may take to begin its answer; that of the bus if absent."`
	Entities   []Entity          `yaml:"entities" doc:"What it has, beside what its template says; one with the id of the template's replaces that."`
	Limits     `yaml:",inline"`
}

// SetDefaults implements the reader's wish for what holds where a file is silent.
func (u *Unit) SetDefaults() { u.Period = 10 * time.Second }

// Limits say what a unit can take. In a unit of the configuration they come
// before those of its template.
type Limits struct {
	Hole         *int          `yaml:"hole" doc:"So many registers (or bits) that nobody wants are read, too, if that saves a request; 8 if absent."`
	MaxRegisters int           `yaml:"max_registers" doc:"Registers in one request, 1 to 125; 60 if absent."`
	MaxBits      int           `yaml:"max_bits" doc:"Coils or discrete inputs in one request, 1 to 2000; 256 if absent."`
	Guard        time.Duration `yaml:"guard" doc:"Silence before each request to the unit; that of the bus if absent."`
}

// A Template is a file that says what units of one type have. Its name is that of
// the file without .yaml.
type Template struct {
	Name         string               `yaml:"name" doc:"What the type is called, for people."`
	Manufacturer string               `yaml:"manufacturer" doc:"Who makes it."`
	Model        string               `yaml:"model" doc:"What it is called by its maker."`
	Source       string               `yaml:"source" doc:"The maker's document, its version and page."`
	Doc          string               `yaml:"doc" doc:"What else there is to know."`
	Parameters   map[string]Parameter `yaml:"parameters" doc:"What a configuration may or must say."`
	Line         Line                 `yaml:"line" doc:"How the line is set when the unit leaves its factory."`
	Entities     []Entity             `yaml:"entities" doc:"What units of the type have."`
	Limits       `yaml:",inline"`
}

// A Parameter of a template has a default, or must be given.
type Parameter struct {
	Default string   `yaml:"default" doc:"What holds if the configuration is silent."`
	Values  []string `yaml:"values" doc:"The only values; any if absent."`
	Doc     string   `yaml:"doc" doc:"What it is."`
}

// A Line says how a unit's line is set.
type Line struct {
	Baud     int         `yaml:"baud" doc:"Bits per second."`
	Parity   uart.Parity `yaml:"parity" doc:"none, odd or even."`
	StopBits int         `yaml:"stop_bits" doc:"1 or 2."`
}

// An Entity is one value of a unit, in a configuration or in a template.
type Entity struct {
	ID         string            `yaml:"id" doc:"The name in topics, behind that of the unit: a-z, 0-9, _ and -."`
	Name       string            `yaml:"name" doc:"What people call it; the id if absent."`
	Kind       bridge.Kind       `yaml:"kind" doc:"sensor (if absent), binary_sensor, switch, number or text."`
	Class      string            `yaml:"class" doc:"What is measured or switched, such as energy or power."`
	Unit       string            `yaml:"unit" doc:"The unit of the published value, such as kWh."`
	StateClass bridge.StateClass `yaml:"state_class" doc:"measurement, or total_increasing for a meter."`
	When       string            `yaml:"when" doc:"The entity is there only if this holds: phases == 3, model != a, model in (a, b), joined by and."`

	Table   Table   `yaml:"table" doc:"Where it is: coil, discrete, input or holding (if absent)."`
	Address *uint16 `yaml:"address" doc:"As on the wire, from 0: what many manuals call 40001 is 0 in table holding. 0x… is hexadecimal."`
	Format  Format  `yaml:"format" doc:"What its registers are: u16 (if absent), s16, u32, s32, u64, s64, f32, f64, bcd16, bcd32, string or bool; bits are always bool."`
	Length  int     `yaml:"length" doc:"Registers of a string, two bytes each."`
	Order   Order   `yaml:"order" doc:"How its bytes are sent: big (ABCD, if absent), word (CDAB), byte (BADC) or little (DCBA)."`
	Bits    string  `yaml:"bits" doc:"Only these bits of the number count, shift:width; 0:1 is the lowest bit."`

	Scale        float64 `yaml:"scale" doc:"The published value is the read one times this, plus offset; 1 if absent."`
	Offset       float64 `yaml:"offset" doc:"Added to the value after scale."`
	Round        float64 `yaml:"round" doc:"The published value is rounded to a multiple of this, such as 0.1."`
	ScaleAddress *uint16 `yaml:"scale_address" doc:"A register of the same table with a power of ten, s16, by which the value is multiplied, as SunSpec has it."`

	ErrorValues       []string         `yaml:"error_values" doc:"Read numbers, before scale, that say that there is no value now, such as 0x8000; for floats also nan."`
	UnsupportedValues []string         `yaml:"unsupported_values" doc:"The same for a value that the unit never has; it is asked for seldom then."`
	Enum              map[int64]string `yaml:"enum" doc:"Names of read numbers: {0: \"off\", 1: heating}."`
	OnValue           string           `yaml:"on_value" doc:"The read number that is ON, before scale; any but 0 if absent."`
	OffValue          string           `yaml:"off_value" doc:"The read number that is OFF; any but on_value if absent."`

	Period *time.Duration `yaml:"period" doc:"How often it is read; as the unit says if absent; 0s: whenever the bus has time."`

	Write         bool     `yaml:"write" doc:"It takes commands."`
	WriteTable    Table    `yaml:"write_table" doc:"Where commands go, coil or holding; table if absent."`
	WriteAddress  *uint16  `yaml:"write_address" doc:"The same; address if absent."`
	WriteFunction uint8    `yaml:"write_function" doc:"The function code that writes: 5, 6, 15, 16 or 22; if absent 5 for a coil, 6 for one register, 16 for more and 22 (mask write) for bits."`
	WriteOn       string   `yaml:"write_on" doc:"What is written for ON; on_value if absent."`
	WriteOff      string   `yaml:"write_off" doc:"What is written for OFF; off_value if absent."`
	Min           *float64 `yaml:"min" doc:"Commands below are refused; values below are bad."`
	Max           *float64 `yaml:"max" doc:"Commands above are refused; values above are bad."`
}

// A Table is one of the four that a unit has (Modbus Application Protocol
// V1.1b3, section 4.3).
type Table string

// The tables. The empty one is Holding.
const (
	Coil     Table = "coil"     // bits, read and written
	Discrete Table = "discrete" // bits, read
	Input    Table = "input"    // registers, read
	Holding  Table = "holding"  // registers, read and written
)

// Values lists what a Table may be.
func (Table) Values() []string {
	return []string{string(Coil), string(Discrete), string(Input), string(Holding)}
}

// A Format says what number, or text, registers are.
type Format string

// The formats. The empty one is U16, or Bool for bits.
const (
	U16    Format = "u16"
	S16    Format = "s16"
	U32    Format = "u32"
	S32    Format = "s32"
	U64    Format = "u64"
	S64    Format = "s64"
	F32    Format = "f32"    // IEEE 754 binary32
	F64    Format = "f64"    // IEEE 754 binary64
	BCD16  Format = "bcd16"  // four decimal digits, four bits each
	BCD32  Format = "bcd32"  // eight decimal digits
	String Format = "string" // two bytes a register; it ends at the first zero byte
	Bool   Format = "bool"   // a register that is 0 or not
)

// Values lists what a Format may be.
func (Format) Values() []string {
	return []string{
		string(U16), string(S16), string(U32), string(S32), string(U64), string(S64),
		string(F32), string(F64), string(BCD16), string(BCD32), string(String), string(Bool),
	}
}

// An Order says in which order the bytes ABCD of a number are sent. The
// specification says it for 16 bits only (V1.1b3, section 4.2).
type Order string

// The orders. The empty one is Big.
const (
	Big    Order = "big"    // ABCD
	Word   Order = "word"   // CDAB: the low word first
	Byte   Order = "byte"   // BADC: the bytes of each word the other way round
	Little Order = "little" // DCBA
)

// Values lists what an Order may be.
func (Order) Values() []string {
	return []string{string(Big), string(Word), string(Byte), string(Little)}
}

// DefaultConfig returns what holds for a key that is absent. 19200 baud, even
// parity is the default that V1.02, section 2.5.1 demands; what is sold is set to
// 9600 without.
func DefaultConfig() Config {
	return Config{
		Baud: 9600, DataBits: 8, Parity: uart.NoParity, StopBits: 1, RS485: uart.RS485{RTSOnSend: uart.OnWire},
		Timeout: 500 * time.Millisecond, Turnaround: 100 * time.Millisecond, WriteWindow: 10 * time.Minute,
	}
}
