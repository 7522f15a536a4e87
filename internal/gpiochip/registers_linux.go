package gpiochip

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gpiomem is where the kernels of Raspberry Pis let the registers of the header's chip
// be seen by the group gpio (drivers/char/broadcom/bcm2835-gpiomem.c there). They are
// mapped for reading only: nothing can be changed by that.
const gpiomem = "/dev/gpiomem"

// Registers by their offset in bytes: BCM2835 ARM Peripherals, section 6.1, and BCM2711
// ARM Peripherals, section 5.2, which agree about these. The chip of a Raspberry Pi 5 is
// another.
const (
	selectRegisters = 0x00 // GPFSEL0 to GPFSEL5: 3 bits for each of 10 lines
	levelRegisters  = 0x34 // GPLEV0 and GPLEV1: 1 bit for each of 32 lines
)

// functions are what the three bits of a line select.
var functions = [8]string{0: "input", 1: "output", 4: "alt0", 5: "alt1", 6: "alt2", 7: "alt3", 3: "alt4", 2: "alt5"}

var errNoRegisters = errors.New("the registers of this chip cannot be seen")

// registers are those of a chip, as of the moment when they were read.
type registers struct {
	selected [6]uint32
	levels   [2]uint32
}

func (r registers) level(offset uint32) bool { return r.levels[offset/32]&(1<<(offset%32)) != 0 }

func (r registers) function(offset uint32) string {
	return functions[r.selected[offset/10]>>(offset%10*3)&7]
}

// readRegisters reads the registers of the chip with a label at path.
func readRegisters(path, label string) (r registers, err error) {
	if label != "pinctrl-bcm2835" && label != "pinctrl-bcm2711" {
		return r, errNoRegisters
	}
	f, err := os.Open(path)
	if err != nil {
		return r, fmt.Errorf("read the registers of %s: %w", label, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().IsRegular() && info.Size() < int64(os.Getpagesize()) {
		return r, errNoRegisters // To read behind the end of a file would be fatal.
	}
	page, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return r, fmt.Errorf("map the registers of %s: %w", label, err)
	}
	defer func() { _ = unix.Munmap(page) }()
	// A register is read as a whole: 32 bits, little-endian as the processor.
	load := func(at int) uint32 { return *(*uint32)(unsafe.Pointer(&page[at])) }
	for i := range r.selected {
		r.selected[i] = load(selectRegisters + 4*i)
	}
	for i := range r.levels {
		r.levels[i] = load(levelRegisters + 4*i)
	}
	return r, nil
}

// lastLine is the last line that the registers have.
const lastLine = 53

// registers reads those of the chip for a line.
func (c *chip) registers(offset uint32) (registers, error) {
	info, err := c.Info()
	if err != nil {
		return registers{}, err
	}
	if offset > lastLine {
		return registers{}, errNoRegisters
	}
	return readRegisters(gpiomem, info.Label)
}

var _ Muxer = (*chip)(nil)

// Function implements Muxer.
func (c *chip) Function(offset uint32) (string, error) {
	r, err := c.registers(offset)
	if err != nil {
		return "", err
	}
	return r.function(offset), nil
}
