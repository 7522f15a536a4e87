package gpiochip

import (
	"errors"
	"strings"
	"testing"
)

func TestDebugLevel(t *testing.T) {
	// The format of gpiolib_dbg_show in Linux 6.1 and 6.12.
	const list = `gpiochip0: GPIOs 512-565, parent: platform/fe200000.gpio, pinctrl-bcm2711:
 gpio-512 (ID_SDA              )
 gpio-516 (GPIO4 (old)         |w1                  ) in  lo IRQ 
 gpio-529 (GPIO17              |edge:pump           ) out hi ACTIVE LOW
 gpio-530 (GPIO18              |edge:fan            ) out ?  

gpiochip1: GPIOs 566-573, parent: platform/soc:firmware:gpio, raspberrypi-exp-gpio, can sleep:
 gpio-566 (BT_ON               |shutdown            ) out lo
`
	const local = "gpiochip0: 54 GPIOs, parent: platform/x, pinctrl-rp1:\n gpio-17  (GPIO17              |edge:pump           ) out lo \n"
	for _, tt := range []struct {
		list, chip string
		offset     uint32
		high, ok   bool
	}{
		{list, "gpiochip0", 17, true, true},
		{list, "gpiochip0", 4, false, true},
		{list, "gpiochip0", 0, false, false},  // Nobody uses it.
		{list, "gpiochip0", 18, false, false}, // The driver cannot tell.
		{list, "gpiochip0", 54, false, false}, // That is line 0 of the next chip.
		{list, "gpiochip1", 0, false, true},
		{list, "gpiochip2", 17, false, false},
		{local, "gpiochip0", 17, false, true},
	} {
		high, err := debugLevel(strings.NewReader(tt.list), tt.chip, tt.offset)
		if high != tt.high || (err == nil) != tt.ok || !tt.ok && !errors.Is(err, errNoLevel) {
			t.Errorf("level of line %d of %s = %t, %v; want %t, found %t", tt.offset, tt.chip, high, err, tt.high, tt.ok)
		}
	}
}
