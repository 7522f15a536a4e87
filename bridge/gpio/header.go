package gpio

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
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

// The headers of 26 pins, which are 1 to 26 of the 40 but for three lines of the
// first revision.
var (
	headerRev2 = [26]string(header[:26])
	headerRev1 = first(headerRev2)
)

// first returns what the pins were before the second revision of the Model B.
func first(pins [26]string) [26]string {
	pins[3-1], pins[5-1], pins[13-1] = "GPIO0", "GPIO1", "GPIO21"
	return pins
}

// place returns the line of a pin that is called GPIO17 or 11 on this board.
func (b Board) place(pin string) (offset uint32, err error) {
	n, err := strconv.Atoi(pin)
	if err != nil {
		offset, _ = headerOffset(pin) // checked by Validate
		return offset, nil
	}
	if n < 1 || n > b.Pins() {
		return 0, fmt.Errorf("there is no pin %d on the header of this board (%s), which has %d", n, cmp.Or(b.Model, "of unknown model"), b.Pins())
	}
	offset, _ = gpioOffset(b.names()[n-1])
	return offset, nil
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
