package gpio

import (
	"encoding/binary"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// A Board is what a computer's device tree says about its header.
type Board struct {
	Model  string `json:"model,omitempty"`  // "Raspberry Pi 4 Model B Rev 1.4"; empty if nothing says
	SoC    string `json:"soc,omitempty"`    // bcm2835 to bcm2712
	Module bool   `json:"module,omitempty"` // a Compute Module: the header is that of the board that it sits on

	tree   bool     // it has a device tree
	layout []string // nil: that of the 40 pins
}

// ThisBoard returns the board that this program runs on. It looks once.
var ThisBoard = sync.OnceValue(func() Board { return ReadBoard(os.DirFS("/proc/device-tree")) })

// maker is what the compatible strings of all Raspberry Pis begin with.
const maker = "raspberrypi,"

// ReadBoard reads a device tree as the kernel shows it in /proc/device-tree. What
// is not there is left empty: a PC has none.
func ReadBoard(tree fs.FS) Board {
	model := texts(tree, "model")
	compatible := texts(tree, "compatible")
	b := Board{}
	if len(model) > 0 {
		b.Model, b.tree = model[0], true
	}
	for _, c := range compatible {
		if soc, ok := strings.CutPrefix(c, "brcm,"); ok && b.SoC == "" {
			b.SoC = soc
		}
		b.Module = b.Module || strings.HasPrefix(c, maker) && strings.Contains(c, "compute-module")
	}
	b.layout = layoutOf(compatible, revision(tree))
	return b
}

// RaspberryPi reports whether the board is one.
func (b Board) RaspberryPi() bool { return strings.HasPrefix(b.SoC, "bcm2") }

// Other reports whether the board says what it is, and that it is another than a
// Raspberry Pi.
func (b Board) Other() bool { return b.tree && !b.RaspberryPi() }

// Pins is how many pins the header has: 40, or 26 on the Models A and B of 2012.
func (b Board) Pins() int { return len(b.names()) }

// names are what the pins of the header are, pin 1 first.
func (b Board) names() []string {
	if b.layout == nil {
		return header[:]
	}
	return b.layout
}

// layoutOf returns the layout of a header that has 26 pins, and nil for others. Of
// those boards the revision code tells most surely which it is: trees of kernels
// call the second revision of Model B by the first one's name, too.
func layoutOf(compatible []string, revision uint32) []string {
	const (
		warranty = 1<<24 | 1<<25 // bits that say that the warranty is void
		newStyle = 1 << 23
	)
	// Old-style codes: "Raspberry Pi revision codes" in Raspberry Pi's documentation.
	switch code := revision &^ warranty; {
	case code&newStyle != 0 || code >= 0x10:
		return nil
	case code == 0x2 || code == 0x3:
		return headerRev1[:]
	case code != 0:
		return headerRev2[:]
	}
	is := func(name string) bool { return slices.Contains(compatible, maker+name) }
	switch {
	case is("model-b-rev2") || is("model-a"):
		return headerRev2[:]
	case is("model-b"):
		return headerRev1[:]
	}
	return nil
}

// texts returns the strings of a property, each of which ends with a NUL.
func texts(tree fs.FS, property string) []string {
	b, err := fs.ReadFile(tree, property)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// revision returns the code that the firmware has found in the board's one-time
// memory, 0 if there is none.
func revision(tree fs.FS) uint32 {
	b, err := fs.ReadFile(tree, "system/linux,revision")
	if err != nil || len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b) // as all cells of a device tree
}
