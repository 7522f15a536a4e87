package gpio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A BootLine is what the firmware of a Raspberry Pi can do about one line of the
// header before any program runs: a line of config.txt.
type BootLine struct {
	Pin     int // of the header
	Offset  uint32
	Role    Role
	Text    string // gpio=17=op,pu,dh; empty if the line is right without
	Comment string // what that makes of the pin
}

// BootLines returns lines of config.txt for the roles that are on the header of the
// board, by offset, and the other roles, for which the firmware can do nothing. A
// line that is named as the chip names it, which only the chip could tell, is among
// those unless it is called GPIO17 or the like.
//
// The directive is "gpio" of "config.txt options: GPIO control" in Raspberry Pi's
// documentation (documentation/asciidoc/computers/config_txt/gpio.adoc).
func BootLines(board Board, roles []Role) (lines []BootLine, others []Role) {
	for _, r := range roles {
		offset, ok := r.pin.onHeader(board)
		number := 1 + slices.Index(board.names(), fmt.Sprintf("GPIO%d", offset))
		if !ok || number == 0 {
			others = append(others, r)
			continue
		}
		settings, comment := r.pin.boot(offset)
		if settings != "" {
			settings = fmt.Sprintf("gpio=%d=%s", offset, settings)
		}
		lines = append(lines, BootLine{number, offset, r, settings, comment})
	}
	slices.SortStableFunc(lines, func(a, b BootLine) int { return cmp.Compare(a.Offset, b.Offset) })
	return lines, others
}

// onHeader returns the line of p without asking a chip.
func (p Pin) onHeader(board Board) (offset uint32, ok bool) {
	if p.Chip != "" && !slices.Contains(headerLabels, p.Chip) {
		return 0, false
	}
	switch {
	case p.Offset != nil:
		return uint32(*p.Offset), *p.Offset <= 27
	case p.Line != "":
		return gpioOffset(p.Line)
	}
	offset, err := board.place(p.Pin)
	return offset, err == nil
}

// atBoot is whether an output is to be on before edge runs.
func (p Pin) atBoot() bool {
	if p.Safe != "" {
		return p.Safe == On
	}
	return p.Initial == On
}

// boot returns the attributes of p's line, and what they mean. There are none if the
// line is right without.
func (p Pin) boot(offset uint32) (settings, comment string) {
	if p.Direction == Input {
		return p.bootInput(offset)
	}
	on := p.atBoot()
	high := on != p.ActiveLow
	comment = state(on) + " is " + levelName(high)
	if p.Drive == OpenDrain && high || p.Drive == OpenSource && !high {
		// Such a level is made by not driving the line.
		return strings.TrimSuffix("ip,"+pulls[p.Bias], ","), comment + ", which nobody drives"
	}
	// The pull is no load for what is driven. It keeps the level when the line becomes
	// an input, as it does in upstream's kernel when its holder is gone.
	pull := cmp.Or(pulls[p.Bias], map[bool]string{true: "pu", false: "pd"}[high])
	if high {
		return "op," + pull + ",dh", comment
	}
	return "op," + pull + ",dl", comment
}

// pulls are biases as the firmware calls them. What is left as it is has none.
var pulls = map[Bias]string{PullUp: "pu", PullDown: "pd", Disabled: "pn"}

func (p Pin) bootInput(offset uint32) (settings, comment string) {
	pull := pulls[p.Bias]
	comment = "input"
	switch {
	case pull == "":
		return "", fmt.Sprintf("input, bias as-is: it keeps the %s that it has from power-up", powerUp(offset))
	case p.Bias == Disabled:
		comment += " without a pull"
	default:
		comment += ", " + string(p.Bias)
	}
	if powerUp(offset) == biases[p.Bias] {
		comment += ", as from power-up"
	}
	return "ip," + pull, comment
}

func levelName(high bool) string {
	if high {
		return "high"
	}
	return "low"
}
