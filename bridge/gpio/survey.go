package gpio

import (
	"fmt"

	"edge/internal/gpiochip"
)

// survey returns the offsets of the pins, if all of them are free. It asks and
// changes nothing.
func (g *group) survey(chip gpiochip.Chip) ([]uint32, error) {
	offsets := make([]uint32, len(g.pins))
	for i, p := range g.pins {
		var err error
		if offsets[i], err = p.locate(chip); err == nil {
			err = p.free(chip, offsets[i])
		}
		if err != nil {
			return nil, fmt.Errorf("pin %q: %w", p.ID, err)
		}
	}
	return offsets, nil
}

// free returns a *gpiochip.BusyError if the line at offset is held.
func (p Pin) free(chip gpiochip.Chip, offset uint32) error {
	line, err := chip.LineInfo(offset)
	if err != nil || !line.Used {
		return err
	}
	info, err := chip.Info()
	if err != nil {
		return err
	}
	return &gpiochip.BusyError{Chip: info.Label, Line: line, Consumer: p.consumer()}
}

// consumer is what p is called as the holder of its line.
func (p Pin) consumer() string { return "edge:" + p.ID }

// locate returns the offset of the line that p means.
func (p Pin) locate(chip gpiochip.Chip) (uint32, error) {
	if p.Offset != nil {
		return uint32(*p.Offset), nil
	}
	if p.Line == "" {
		offset, _ := headerOffset(p.Pin) // checked by Validate
		return offset, nil
	}
	info, err := chip.Info()
	if err != nil {
		return 0, err
	}
	for o := range info.Lines {
		if line, err := chip.LineInfo(o); err != nil {
			return 0, err
		} else if line.Name == p.Line {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%s has no line that is called %q; see edge pins, or name it by offset", info.Label, p.Line)
}
