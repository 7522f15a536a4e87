package gpiochip

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
)

// debugfs lists the lines in use with their levels (gpiolib_dbg_show in the
// kernel's drivers/gpio/gpiolib.c). The interface of the character device has no
// such question: it would have to take the line.
const debugfs = "/sys/kernel/debug/gpio"

var (
	errNoLevel = errors.New("the level of a line that nobody uses cannot be seen")

	// gpiochip0: GPIOs 512-565, parent: platform/fe200000.gpio, pinctrl-bcm2711:
	debugChip = regexp.MustCompile(`^(gpiochip\d+): (?:GPIOs (\d+)-\d+|\d+ GPIOs)`)

	//  gpio-529 (GPIO17              |edge:pump           ) out hi ACTIVE LOW
	debugLine = regexp.MustCompile(`^ gpio-(\d+)\s*\(.*\) (?:out|in ) (hi|lo)`)
)

var _ Leveler = (*chip)(nil)

// Level implements Leveler: for all lines where the chip's registers can be seen,
// otherwise for lines in use, for those who may read debugfs: as a rule, root.
func (c *chip) Level(offset uint32) (high bool, err error) {
	if r, err := c.registers(offset); err == nil {
		return r.level(offset), nil
	}
	info, err := c.Info()
	if err != nil {
		return false, err
	}
	f, err := os.Open(debugfs)
	if err != nil {
		return false, fmt.Errorf("read the level of line %d: %w", offset, err)
	}
	defer f.Close()
	return debugLevel(f, info.Name, offset)
}

// debugLevel finds the line at offset of the chip with name in a list of
// debugfs. Older kernels number lines through all chips, from the chip's base.
func debugLevel(list io.Reader, name string, offset uint32) (high bool, err error) {
	var here bool
	var base uint64
	for s := bufio.NewScanner(list); s.Scan(); {
		if m := debugChip.FindStringSubmatch(s.Text()); m != nil {
			here = m[1] == name
			base, _ = strconv.ParseUint(m[2], 10, 32)
			continue
		}
		m := debugLine.FindStringSubmatch(s.Text())
		if !here || m == nil {
			continue
		}
		if n, err := strconv.ParseUint(m[1], 10, 32); err == nil && n == base+uint64(offset) {
			return m[2] == "hi", nil
		}
	}
	return false, errNoLevel
}
