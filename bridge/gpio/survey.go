package gpio

import (
	"fmt"
	"slices"

	"edge/internal/gpiochip"
)

// survey returns the offsets of the pins, if all of them are free. It asks and
// changes nothing.
func (g *group) survey(chip gpiochip.Chip) ([]uint32, error) {
	offsets := make([]uint32, len(g.pins))
	for i, p := range g.pins {
		var err error
		if offsets[i], err = p.locate(chip, boardOf(chip)); err == nil {
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
	return gpiochip.Busy(info, line, p.consumer())
}

// consumer is what p is called as the holder of its line.
func (p Pin) consumer() string { return "edge:" + p.ID }

// boardOf returns the board whose header the lines of chip are on. A simulated chip
// is on a board of its own, whatever it runs on.
func boardOf(chip gpiochip.Chip) Board {
	if info, err := chip.Info(); err == nil && slices.Contains(headerLabels, info.Label) {
		return ThisBoard()
	}
	return Board{}
}

// locate returns the offset of the line that p means on chip, if that is the
// header's of board.
func (p Pin) locate(chip gpiochip.Chip, board Board) (uint32, error) {
	if p.Offset != nil {
		return uint32(*p.Offset), nil
	}
	if p.Line == "" {
		return board.place(p.Pin)
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
