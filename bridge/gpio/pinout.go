package gpio

import (
	"fmt"
	"strings"

	"edge/internal/gpiochip"
)

// A HeaderPin is one pin of the header: what it can be, what its line is used for
// now, and what the configuration wants of it.
type HeaderPin struct {
	Number int    `json:"pin"`  // from 1
	Name   string `json:"name"` // 3V3, 5V, GND or GPIOn
	GPIO   bool   `json:"gpio"` // false for supplies, which have nothing of the following

	Chip      string           `json:"chip,omitempty"`     // label
	Offset    int              `json:"offset"`             // of the line on the chip; -1 for supplies
	Line      string           `json:"line,omitempty"`     // the line's name in the device tree
	Used      bool             `json:"used"`               // somebody holds the line, or the kernel does
	Consumer  string           `json:"consumer,omitempty"` // who, as that one calls itself
	Holder    *gpiochip.Holder `json:"holder,omitempty"`   // who, if this user can see it
	Direction string           `json:"direction,omitempty"`
	ActiveLow bool             `json:"active_low,omitempty"`
	Bias      string           `json:"bias,omitempty"`

	// Level is "high" or "low" where that can be seen without requesting the
	// line, which would take it from what it does: a line that carries I²C or
	// an output without owner would become an input when it is given back.
	Level string `json:"level,omitempty"`

	Function   string   `json:"function,omitempty"` // alt0 to alt5 of a pin that other hardware has, where that can be seen
	PowerUp    string   `json:"power_up,omitempty"` // the pull until software changes it
	Alternates []string `json:"alternates,omitempty"`
	Role       *Role    `json:"role,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
}

// A Role is what the configuration makes of a line.
type Role struct {
	Bridge    string    `json:"bridge"`
	Entity    string    `json:"entity"`
	Direction Direction `json:"direction"`

	pin Pin
}

// Roles returns what the bridge with a name wants of lines.
func (c Config) Roles(bridge string) []Role {
	roles := make([]Role, len(c.Pins))
	for i, p := range c.Pins {
		roles[i] = Role{bridge, p.ID, p.Direction, p}
	}
	return roles
}

// String returns porch/light.
func (r Role) String() string { return r.Bridge + "/" + r.Entity }

// Consumer is what the kernel says of the line when the bridge holds it: it keeps 31
// bytes of a consumer's name.
func (r Role) Consumer() string {
	c := r.pin.consumer()
	return c[:min(len(c), 31)]
}

// A Header is the header of a board as it is now.
type Header struct {
	Board Board  `json:"board"`
	Chip  string `json:"chip"`  // label of the header's
	Name  string `json:"name"`  // of that chip, gpiochip0, which may change at each start
	Lines uint32 `json:"lines"` // of that chip

	Pins      []HeaderPin `json:"-"` // pin 1 first
	Elsewhere []Role      `json:"-"` // of lines that are on no pin of the header
}

// LookAt returns the header of a board, and the roles of its lines. boot is what the
// board's config.txt makes of them. It asks about lines and changes none.
func LookAt(open Opener, board Board, roles []Role, boot BootStates) (Header, error) {
	chip, err := open("")
	if err != nil {
		return Header{}, err
	}
	defer chip.Close()
	info, err := chip.Info()
	if err != nil {
		return Header{}, err
	}
	h := Header{Board: board, Chip: info.Label, Name: info.Name, Lines: info.Lines}
	placed, elsewhere := h.placeAll(chip, roles)
	h.Elsewhere = elsewhere
	holders := gpiochip.Holders(info.Name)
	for i, name := range board.names() {
		pin := HeaderPin{Number: i + 1, Name: name, Offset: -1}
		if offset, ok := gpioOffset(name); ok {
			line, err := chip.LineInfo(offset)
			if err != nil {
				return Header{}, fmt.Errorf("pin %d of the header: %w", i+1, err)
			}
			pin.describe(info, line)
			pin.Level, pin.Function = level(chip, offset), function(chip, offset)
			if by, ok := holders[offset]; ok {
				pin.Holder = &by
			}
			pin.Role = placed[offset]
			pin.Warnings = pin.warnings(line, boot[offset])
		}
		h.Pins = append(h.Pins, pin)
	}
	return h, nil
}

// placeAll finds out which lines of the header's chip roles are about. Those that
// are on another chip, or on no pin, are elsewhere.
func (h Header) placeAll(chip gpiochip.Chip, roles []Role) (placed map[uint32]*Role, elsewhere []Role) {
	onHeader := make(map[uint32]bool)
	for _, name := range h.Board.names() {
		if offset, ok := gpioOffset(name); ok {
			onHeader[offset] = true
		}
	}
	placed = make(map[uint32]*Role)
	for _, r := range roles {
		if r.pin.Chip == "" || r.pin.Chip == h.Chip {
			if offset, err := r.pin.locate(chip, h.Board); err == nil && onHeader[offset] {
				placed[offset] = &r
				continue
			}
		}
		elsewhere = append(elsewhere, r)
	}
	return placed, elsewhere
}

func (p *HeaderPin) describe(chip gpiochip.ChipInfo, line gpiochip.LineInfo) {
	p.GPIO, p.Chip, p.Offset = true, chip.Label, int(line.Offset)
	p.Line, p.Used, p.Consumer = line.Name, line.Used, line.Consumer
	p.Direction, p.ActiveLow = line.Config.Direction.String(), line.Config.ActiveLow
	if line.Config.Bias != gpiochip.BiasAsIs {
		p.Bias = line.Config.Bias.String()
	}
	p.PowerUp = powerUp(line.Offset).String()
	p.Alternates = alternates[line.Offset]
}

func level(chip gpiochip.Chip, offset uint32) string {
	l, ok := chip.(gpiochip.Leveler)
	if !ok {
		return ""
	}
	high, err := l.Level(offset)
	switch {
	case err != nil: // Seeing it takes rights that not everybody has.
		return ""
	case high:
		return "high"
	}
	return "low"
}

// function is empty of a pin that is the chip's own.
func function(chip gpiochip.Chip, offset uint32) string {
	m, ok := chip.(gpiochip.Muxer)
	if !ok {
		return ""
	}
	f, err := m.Function(offset)
	if err != nil || !strings.HasPrefix(f, "alt") {
		return ""
	}
	return f
}

// powerUp is what holds a line from power-up until software says otherwise: "Power-on
// reset" pulls of BCM2835 ARM Peripherals, section 6.2, and of RP1 Peripherals,
// section 3.1.4, which agree about the header.
func powerUp(offset uint32) gpiochip.Bias {
	if offset <= 8 {
		return gpiochip.PullUp
	}
	return gpiochip.PullDown
}

// alternates are the functions that overlays and HATs commonly give to lines.
var alternates = map[uint32][]string{
	0:  {"HAT EEPROM SDA"},
	1:  {"HAT EEPROM SCL"},
	2:  {"I2C1 SDA"},
	3:  {"I2C1 SCL"},
	4:  {"1-Wire", "GPCLK0"},
	5:  {"GPCLK1"},
	6:  {"GPCLK2"},
	7:  {"SPI0 CE1"},
	8:  {"SPI0 CE0"},
	9:  {"SPI0 MISO"},
	10: {"SPI0 MOSI"},
	11: {"SPI0 SCLK"},
	12: {"PWM0"},
	13: {"PWM1"},
	14: {"UART TX"},
	15: {"UART RX"},
	16: {"SPI1 CE2"},
	17: {"SPI1 CE1"},
	18: {"PWM0", "PCM CLK", "SPI1 CE0"},
	19: {"PWM1", "PCM FS", "SPI1 MISO"},
	20: {"PCM DIN", "SPI1 MOSI"},
	21: {"PCM DOUT", "SPI1 SCLK"},
}
