package gpio

import (
	"cmp"
	"fmt"
	"strings"

	"edge/internal/gpiochip"
)

// What somebody should know who uses one of these lines of the header.
const (
	warnClicksLow  = "It is ON from power-up until edge runs, since ON is low and the pin is pulled down: " + bootHint
	warnClicksHigh = "It is ON from power-up until edge runs, since ON is high and the pin is pulled up: " + bootHint
	warnBootOn     = "It is ON from the start of the board until edge runs, since config.txt drives it so: " + bootHint
	bootHint       = "edge pins --boot-config prints what prevents that."

	// "Raspberry Pi 4 Model B" datasheet, section 5.1.2, and the schematics of all
	// models.
	warnBoardPull = "The board pulls this line up with 1.8 kΩ: no bias is stronger, and an open input is high."

	warnFunction = "Other hardware has this pin now (%s; commonly %s), and edge would take it from that: switch it off in config.txt, or choose another pin."

	// HAT design guide, "ID EEPROM".
	warnEEPROM = "The firmware looks here for the EEPROM of a HAT at each start: the line toggles."

	// "Configuring UARTs" in Raspberry Pi's documentation.
	warnTX = "The line toggles while the board starts, if the firmware or Linux has its console here: put enable_uart=0 into config.txt, and take console=serial0 out of cmdline.txt."
	warnRX = "Linux takes what comes in for commands, if it has its console here: put enable_uart=0 into config.txt, and take console=serial0 out of cmdline.txt."

	// README of the overlays of Raspberry Pi's kernel, w1-gpio.
	warnOneWire = "dtoverlay=w1-gpio in config.txt takes this line for 1-Wire, unless it names another by gpiopin=."
)

// general are the warnings for any use of a line.
var general = map[int]string{0: warnEEPROM, 1: warnEEPROM, 2: warnBoardPull, 3: warnBoardPull, 4: warnOneWire, 14: warnTX, 15: warnRX}

// warnings returns what is dangerous about the pin as it is configured or used. A
// pin that nobody wants has none.
func (p *HeaderPin) warnings(line gpiochip.LineInfo, boot BootState) []string {
	if p.Role == nil && (!p.Used || p.Direction != Output) {
		return nil
	}
	var warnings []string
	if p.Role != nil && p.Used && p.Consumer != p.Role.Consumer() {
		busy := &gpiochip.BusyError{Chip: p.Chip, Line: line, Holder: p.Holder}
		warnings = append(warnings, "L"+strings.TrimPrefix(busy.Error(), "l")+".")
	}
	if p.Role != nil && p.Function != "" {
		warnings = append(warnings, fmt.Sprintf(warnFunction, p.Function, cmp.Or(strings.Join(p.Alternates, ", "), "a function of the chip")))
	}
	if text := p.atPowerUp(boot); text != "" {
		warnings = append(warnings, text)
	}
	if text := general[p.Offset]; text != "" {
		warnings = append(warnings, text)
	}
	return warnings
}

// atPowerUp warns of an output that is to begin off and that is on before edge runs.
// The seconds until the firmware has done its part it does not count.
func (p *HeaderPin) atPowerUp(boot BootState) string {
	activeLow, on := p.ActiveLow, false
	direction := Direction(p.Direction)
	if p.Role != nil {
		activeLow, on, direction = p.Role.pin.ActiveLow, p.Role.pin.atBoot(), p.Role.Direction
	}
	if direction != Output || on {
		return ""
	}
	high := boot.high(powerUp(uint32(p.Offset)) == gpiochip.PullUp)
	switch driven := boot.Function == "op"; {
	case activeLow == high:
		return ""
	case driven:
		return warnBootOn
	case activeLow:
		return warnClicksLow
	}
	return warnClicksHigh
}
