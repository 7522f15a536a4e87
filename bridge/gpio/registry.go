package gpio

import (
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/host/v3/gpioioctl"

	"edge/internal/gpiochip"
	"edge/internal/periphpin"
)

// register makes pins of ours known to periph in place of those of chips that
// gpioioctl has registered, so that a driver of periph finds none that switches a relay
// when it is asked for its function. If this board has a header, its lines are
// registered as GPIO0 to GPIO27, whatever the device tree calls them. Nothing is
// requested by that.
func register(chips []*gpioioctl.GPIOChip, hasHeader bool) error {
	var pins []*periphpin.Pin
	for _, c := range chips {
		open := func() (gpiochip.Chip, error) { return find(c.Label(), []string{c.Label()}, devices()) }
		for _, l := range c.Lines() {
			if gpioreg.ByName(l.Name()) == gpio.PinIO(l) {
				pins = append(pins, periphpin.New(open, l.Name(), uint32(l.Number()), gpio.PullNoChange))
			}
		}
	}
	if hasHeader {
		pins = append(pins, headerPins()...)
	}
	return periphpin.Register(pins...)
}

// headerPins returns the lines of the header as pins of periph.
func headerPins() []*periphpin.Pin {
	var pins []*periphpin.Pin
	for _, name := range header {
		if offset, ok := gpioOffset(name); ok {
			pull := gpio.PullDown
			if powerUp(offset) == gpiochip.PullUp {
				pull = gpio.PullUp
			}
			pins = append(pins, periphpin.New(openHeader, name, offset, pull))
		}
	}
	return pins
}

// openHeader opens the chip of the header without periph.
func openHeader() (gpiochip.Chip, error) { return find("", headerLabels, devices()) }
