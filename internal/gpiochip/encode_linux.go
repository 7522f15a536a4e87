package gpiochip

import (
	"bytes"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags of a line, enum gpio_v2_line_flag of linux/gpio.h.
const (
	flagUsed uint64 = 1 << iota
	flagActiveLow
	flagInput
	flagOutput
	flagRising
	flagFalling
	flagOpenDrain
	flagOpenSource
	flagPullUp
	flagPullDown
	flagBiasDisabled
	flagRealtime
	flagHardwareClock
)

var (
	directionFlags = [...]uint64{AsIs: 0, Input: flagInput, Output: flagOutput}
	biasFlags      = [...]uint64{BiasAsIs: 0, BiasDisabled: flagBiasDisabled, PullUp: flagPullUp, PullDown: flagPullDown}
	driveFlags     = [...]uint64{PushPull: 0, OpenDrain: flagOpenDrain, OpenSource: flagOpenSource}
	edgeFlags      = [...]uint64{0, Rising: flagRising, Falling: flagFalling, BothEdges: flagRising | flagFalling}
	clockFlags     = [...]uint64{Monotonic: 0, Realtime: flagRealtime, HardwareClock: flagHardwareClock}
)

// maxAttrs is how many exceptions from the first line's flags, together with
// output values and debounce periods, one request can hold.
const maxAttrs = len(unix.GPIOV2LineConfig{}.Attrs)

func (l LineConfig) flags(clock Clock) uint64 {
	f := directionFlags[l.Direction] | biasFlags[l.Bias] | driveFlags[l.Drive] | edgeFlags[l.Edges]
	if l.ActiveLow {
		f |= flagActiveLow
	}
	if l.Edges != 0 {
		f |= clockFlags[clock]
	}
	return f
}

// encode makes the kernel's form of r. The flags of the first line are the
// default; lines that differ share an attribute with those that are like them.
func encode(r Request) (unix.GPIOV2LineRequest, error) {
	var k unix.GPIOV2LineRequest
	if err := r.Validate(); err != nil {
		return k, err
	}
	copy(k.Consumer[:len(k.Consumer)-1], r.Consumer)
	k.Num_lines = uint32(len(r.Lines))
	k.Event_buffer_size = r.EventBuffer
	k.Config.Flags = r.Lines[0].flags(r.Clock)
	var attrs attributes
	for i, l := range r.Lines {
		k.Offsets[i] = l.Offset
		bit := uint64(1) << i
		if f := l.flags(r.Clock); f != k.Config.Flags {
			attrs.add(unix.GPIO_V2_LINE_ATTR_ID_FLAGS, f, bit)
		}
		if l.Debounce > 0 {
			attrs.add(unix.GPIO_V2_LINE_ATTR_ID_DEBOUNCE, uint64(l.Debounce/time.Microsecond), bit)
		}
	}
	attrs.addValues(r.Lines)
	if len(attrs) > maxAttrs {
		return k, fmt.Errorf("the lines differ in %d ways and the kernel takes %d in one request: split it", len(attrs), maxAttrs)
	}
	k.Config.Num_attrs = uint32(len(attrs))
	for i, a := range attrs {
		k.Config.Attrs[i] = a.encode()
	}
	return k, nil
}

type attribute struct {
	id          uint32
	value, mask uint64
}

type attributes []attribute

func (as *attributes) add(id uint32, value, bit uint64) {
	for i, a := range *as {
		if a.id == id && a.value == value {
			(*as)[i].mask |= bit
			return
		}
	}
	*as = append(*as, attribute{id, value, bit})
}

// addValues gives the outputs their first values in the request itself. Without
// it the kernel drives 0 until the next call, and a relay clicks.
func (as *attributes) addValues(lines []LineConfig) {
	var values, mask uint64
	for i, l := range lines {
		if l.Direction != Output {
			continue
		}
		mask |= 1 << i
		if l.Value {
			values |= 1 << i
		}
	}
	if mask != 0 {
		*as = append(*as, attribute{unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES, values, mask})
	}
}

func (a attribute) encode() unix.GPIOV2LineConfigAttribute {
	k := unix.GPIOV2LineConfigAttribute{Mask: a.mask}
	k.Attr.Id = a.id
	if a.id == unix.GPIO_V2_LINE_ATTR_ID_DEBOUNCE {
		*debounceOf(&k.Attr) = uint32(a.value)
	} else {
		k.Attr.Flags = a.value
	}
	return k
}

// debounceOf is debounce_period_us, the 32-bit member of the union that begins
// where flags begins, whatever the byte order.
func debounceOf(a *unix.GPIOV2LineAttribute) *uint32 {
	return (*uint32)(unsafe.Pointer(&a.Flags))
}

func decodeChipInfo(k unix.GPIOChipInfo) ChipInfo {
	info := ChipInfo{Name: text(k.Name[:]), Label: text(k.Label[:]), Lines: k.Lines}
	if info.Label == "" {
		info.Label = info.Name
	}
	return info
}

func decodeLineInfo(k unix.GPIOV2LineInfo) LineInfo {
	info := LineInfo{
		Offset:   k.Offset,
		Name:     text(k.Name[:]),
		Consumer: text(k.Consumer[:]),
		Used:     k.Flags&flagUsed != 0,
		Clock:    Clock(which(k.Flags, clockFlags[:])),
		Config: LineConfig{
			Offset:    k.Offset,
			ActiveLow: k.Flags&flagActiveLow != 0,
			Direction: Direction(which(k.Flags, directionFlags[:])),
			Bias:      Bias(which(k.Flags, biasFlags[:])),
			Drive:     Drive(which(k.Flags, driveFlags[:])),
			Edges:     Edge(which(k.Flags, edgeFlags[:])),
		},
	}
	for i := range min(int(k.Num_attrs), len(k.Attrs)) {
		if a := &k.Attrs[i]; a.Id == unix.GPIO_V2_LINE_ATTR_ID_DEBOUNCE {
			info.Config.Debounce = time.Duration(*debounceOf(a)) * time.Microsecond
		}
	}
	return info
}

// which returns the last index of table whose bits are all in flags.
func which(flags uint64, table []uint64) int {
	for i := len(table) - 1; i > 0; i-- {
		if flags&table[i] == table[i] {
			return i
		}
	}
	return 0
}

const eventSize = int(unsafe.Sizeof(unix.GPIOV2LineEvent{}))

func decodeEvent(k unix.GPIOV2LineEvent) (Event, error) {
	e := Event{Offset: k.Offset, Time: time.Duration(k.Timestamp_ns), Seq: k.Seqno, LineSeq: k.Line_seqno}
	switch k.Id {
	case unix.GPIO_V2_LINE_EVENT_RISING_EDGE:
		e.Edge = Rising
	case unix.GPIO_V2_LINE_EVENT_FALLING_EDGE:
		e.Edge = Falling
	default:
		return e, fmt.Errorf("line %d: event of unknown kind %d", k.Offset, k.Id)
	}
	return e, nil
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
