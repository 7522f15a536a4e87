package gpio

import (
	"fmt"
	"strconv"
	"strings"

	"edge/internal/gpiochip"
)

// header is the 40-pin header of every Raspberry Pi since the Model B+, pin 1
// first. GPIO n is line n of the header's chip on all of them.
var header = [40]string{
	"3V3", "5V",
	"GPIO2", "5V",
	"GPIO3", "GND",
	"GPIO4", "GPIO14",
	"GND", "GPIO15",
	"GPIO17", "GPIO18",
	"GPIO27", "GND",
	"GPIO22", "GPIO23",
	"3V3", "GPIO24",
	"GPIO10", "GND",
	"GPIO9", "GPIO25",
	"GPIO11", "GPIO8",
	"GND", "GPIO7",
	"GPIO0", "GPIO1",
	"GPIO5", "GND",
	"GPIO6", "GPIO12",
	"GPIO13", "GND",
	"GPIO19", "GPIO16",
	"GPIO26", "GPIO20",
	"GND", "GPIO21",
}

// A HeaderPin is one pin of the 40-pin header and how its line is used now.
type HeaderPin struct {
	Number int    `json:"pin"`  // 1 to 40
	Name   string `json:"name"` // 3V3, 5V, GND or GPIOn
	GPIO   bool   `json:"gpio"` // false for supplies, which have nothing of the following

	Chip      string `json:"chip,omitempty"`     // label
	Offset    int    `json:"offset"`             // of the line on the chip; -1 for supplies
	Line      string `json:"line,omitempty"`     // the line's name in the device tree
	Used      bool   `json:"used"`               // somebody holds the line, or the kernel does
	Consumer  string `json:"consumer,omitempty"` // who
	Direction string `json:"direction,omitempty"`
	ActiveLow bool   `json:"active_low,omitempty"`
	Bias      string `json:"bias,omitempty"`

	// Level is "high" or "low" where that can be seen without requesting the
	// line, which would take it from what it does: a line that carries I²C or
	// an output without owner would become an input when it is given back.
	Level string `json:"level,omitempty"`
}

// Header returns the 40 pins of the header, pin 1 first. It asks about lines and
// changes none.
func Header(open Opener) ([]HeaderPin, error) {
	chip, err := open("")
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	info, err := chip.Info()
	if err != nil {
		return nil, err
	}
	pins := make([]HeaderPin, len(header))
	for i, name := range header {
		pins[i] = HeaderPin{Number: i + 1, Name: name, Offset: -1}
		offset, ok := gpioOffset(name)
		if !ok {
			continue
		}
		line, err := chip.LineInfo(offset)
		if err != nil {
			return nil, fmt.Errorf("pin %d of the header: %w", i+1, err)
		}
		pins[i].describe(info.Label, line)
		if l, ok := chip.(gpiochip.Leveler); ok {
			pins[i].Level = level(l, offset)
		}
	}
	return pins, nil
}

func (p *HeaderPin) describe(chip string, line gpiochip.LineInfo) {
	p.GPIO, p.Chip, p.Offset = true, chip, int(line.Offset)
	p.Line, p.Used, p.Consumer = line.Name, line.Used, line.Consumer
	p.Direction, p.ActiveLow = line.Config.Direction.String(), line.Config.ActiveLow
	if line.Config.Bias != gpiochip.BiasAsIs {
		p.Bias = line.Config.Bias.String()
	}
}

func level(l gpiochip.Leveler, offset uint32) string {
	high, err := l.Level(offset)
	switch {
	case err != nil: // Seeing it takes rights that not everybody has.
		return ""
	case high:
		return "high"
	}
	return "low"
}

// headerOffset returns the line of a pin that is called GPIO17 or 11.
func headerOffset(pin string) (offset uint32, ok bool) {
	if n, err := strconv.Atoi(pin); err == nil {
		if n < 1 || n > len(header) {
			return 0, false
		}
		pin = header[n-1]
	}
	return gpioOffset(strings.ToUpper(pin))
}

func gpioOffset(name string) (offset uint32, ok bool) {
	digits, ok := strings.CutPrefix(name, "GPIO")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n > 27 || strconv.Itoa(n) != digits {
		return 0, false
	}
	return uint32(n), true
}
