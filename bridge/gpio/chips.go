package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/host/v3/gpioioctl"

	"edge/internal/gpiochip"
)

// An Opener opens the GPIO chip with a label. The empty label means the chip
// whose lines are on the board's 40-pin header. Open is one; a simulated board
// has another.
type Opener func(label string) (gpiochip.Chip, error)

// headerLabels are the chips of the header on the models of the Raspberry Pi: 1
// to 3 and Zero, 4, and 5. A chip's number says nothing: the header of a Pi 5 is
// gpiochip0 or gpiochip4, depending on the kernel.
var headerLabels = []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"}

var _ Opener = Open

// Open opens the GPIO chip of this machine that has the label. No line is
// changed by that.
func Open(label string) (gpiochip.Chip, error) {
	labels := []string{label}
	if label == "" {
		labels = headerLabels
	}
	return find(label, labels, append(discovered(labels), devices()...))
}

// find opens the first chip of paths that has one of labels, which are those
// that label means.
func find(label string, labels, paths []string) (gpiochip.Chip, error) {
	var seen []string
	var errs []error
	for _, path := range paths {
		chip, info, err := open(path)
		if errors.Is(err, os.ErrNotExist) { // It was unplugged since periph looked.
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.Contains(labels, info.Label) {
			return chip, nil
		}
		chip.Close()
		seen = append(seen, info.Label)
	}
	return nil, notFound(label, ThisBoard(), seen, errs)
}

func open(path string) (gpiochip.Chip, gpiochip.ChipInfo, error) {
	chip, err := gpiochip.Open(path)
	if err != nil {
		return nil, gpiochip.ChipInfo{}, err
	}
	info, err := chip.Info()
	if err != nil {
		chip.Close()
		return nil, info, fmt.Errorf("open GPIO chip %s: %w", path, err)
	}
	return chip, info, nil
}

func notFound(label string, board Board, seen []string, errs []error) error {
	what := fmt.Sprintf("no GPIO chip is labelled %q", label)
	switch {
	case label == "" && board.Other():
		what = fmt.Sprintf("this is a %s, whose header edge does not know; name lines by chip and offset", board.Model)
	case label == "":
		what = "no GPIO chip is that of a Raspberry Pi's header; name one by chip and offset"
	}
	switch {
	case len(errs) > 0:
		return fmt.Errorf("%s, but not all could be opened: %w", what, errors.Join(errs...))
	case len(seen) == 0:
		return fmt.Errorf("%s: this machine has no /dev/gpiochip*", what)
	}
	slices.Sort(seen)
	return fmt.Errorf("%s: there are %s", what, strings.Join(slices.Compact(seen), ", "))
}

// initPeriph lets periph's ioctl driver look for chips, once. Of periph nothing
// else is used: host.Init would add drivers that write to registers, and the
// ioctl driver's Read and Func turn an output into an input.
var initPeriph = sync.OnceFunc(func() {
	// Where two names lead to one chip, as the symbolic link on a Pi 5 does,
	// the driver closes the chip twice and then descriptor 0 (host v3.8.5,
	// GPIOChip.Close). It is not asked then; devices finds the chip too.
	if !ambiguous(devices()) {
		// An error is not about GPIO: the driver skips what it cannot have.
		_, _ = driverreg.Init()
	}
	chip, err := openHeader()
	if err == nil {
		chip.Close()
	}
	// What cannot be registered, periph's drivers do not find.
	_ = register(gpioioctl.Chips, err == nil)
})

// discovered returns the paths of the chips with the labels that periph found.
// It looks once in a process, so that a path may be another chip's by now.
func discovered(labels []string) []string {
	initPeriph()
	var paths []string
	for _, c := range gpioioctl.Chips {
		if slices.Contains(labels, c.Label()) {
			paths = append(paths, c.Path())
		}
	}
	return paths
}

// devices returns the paths of all chips that are there now, which has those
// that were plugged in later or again.
func devices() []string {
	paths, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		panic(err) // The pattern is bad.
	}
	return paths
}

// ambiguous reports whether two of paths are the same device.
func ambiguous(paths []string) bool {
	var infos []os.FileInfo
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(infos, func(i os.FileInfo) bool { return os.SameFile(i, info) }) {
			return true
		}
		infos = append(infos, info)
	}
	return false
}
