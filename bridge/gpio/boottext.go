package gpio

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// A BootState is what config.txt makes of a line, as far as it says: what stands
// later wins, each kind of attribute for itself.
type BootState struct {
	Function string // ip, op or a0 to a5
	Drive    string // dh or dl
	Pull     string // pu, pd or np
}

// BootStates are the states of lines by offset.
type BootStates map[uint32]BootState

const (
	maxBootText = 1 << 20 // bytes; a config.txt has a few thousand
	maxBootLine = 53      // the last line of the chip of any model's header
)

// ReadBootText returns what a config.txt makes of lines, by its directives gpio. It
// looks at what holds for all boards: filters such as [pi4] are left to the firmware.
func ReadBootText(r io.Reader) (BootStates, error) {
	states := make(BootStates)
	forAll := true
	s := bufio.NewScanner(io.LimitReader(r, maxBootText))
	for s.Scan() {
		text, _, _ := strings.Cut(s.Text(), "#")
		text = strings.TrimSpace(text)
		if filter, ok := strings.CutPrefix(text, "["); ok {
			forAll = filter == "all]"
			continue
		}
		directive, ok := strings.CutPrefix(text, "gpio=")
		lines, attributes, also := strings.Cut(directive, "=")
		if !ok || !also || !forAll {
			continue
		}
		for _, offset := range bootOffsets(lines) {
			states[offset] = states[offset].with(attributes)
		}
	}
	return states, s.Err()
}

// bootOffsets returns the lines of 3-4,6,8.
func bootOffsets(lines string) []uint32 {
	var offsets []uint32
	for part := range strings.SplitSeq(lines, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 8)
		last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 8)
		if err1 != nil || err2 != nil || last > maxBootLine {
			continue
		}
		for n := first; n <= last; n++ {
			offsets = append(offsets, uint32(n))
		}
	}
	return offsets
}

// with returns s after the attributes op,pu,dh.
func (s BootState) with(attributes string) BootState {
	for a := range strings.SplitSeq(attributes, ",") {
		switch a = strings.TrimSpace(a); a {
		case "ip", "op", "a0", "a1", "a2", "a3", "a4", "a5":
			s.Function = a
		case "dh", "dl":
			s.Drive = a
		case "pu", "pd", "np":
			s.Pull = a
		case "pn":
			s.Pull = "np"
		}
	}
	return s
}

// high reports whether the line is high when the firmware is done with it, if nothing
// else drives it. pulledUp is its pull before that.
func (s BootState) high(pulledUp bool) bool {
	switch {
	case s.Function == "op":
		return s.Drive == "dh" // Without, the latch of a reset is low.
	case s.Pull == "pu":
		return true
	case s.Pull == "pd":
		return false
	}
	return pulledUp
}
