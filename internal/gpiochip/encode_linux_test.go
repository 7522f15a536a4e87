package gpiochip

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestLayout holds the structures to linux/gpio.h, which lays them out alike on
// 32 and 64 bits.
func TestLayout(t *testing.T) {
	var (
		chip   unix.GPIOChipInfo
		info   unix.GPIOV2LineInfo
		req    unix.GPIOV2LineRequest
		config unix.GPIOV2LineConfig
		attr   unix.GPIOV2LineConfigAttribute
		values unix.GPIOV2LineValues
		event  unix.GPIOV2LineEvent
	)
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"sizeof gpiochip_info", unsafe.Sizeof(chip), 68},
		{"gpiochip_info.lines", unsafe.Offsetof(chip.Lines), 64},
		{"sizeof gpio_v2_line_info", unsafe.Sizeof(info), 256},
		{"gpio_v2_line_info.offset", unsafe.Offsetof(info.Offset), 64},
		{"gpio_v2_line_info.flags", unsafe.Offsetof(info.Flags), 72},
		{"gpio_v2_line_info.attrs", unsafe.Offsetof(info.Attrs), 80},
		{"sizeof gpio_v2_line_config_attribute", unsafe.Sizeof(attr), 24},
		{"gpio_v2_line_attribute.flags", unsafe.Offsetof(attr.Attr.Flags), 8},
		{"gpio_v2_line_config_attribute.mask", unsafe.Offsetof(attr.Mask), 16},
		{"sizeof gpio_v2_line_config", unsafe.Sizeof(config), 272},
		{"gpio_v2_line_config.attrs", unsafe.Offsetof(config.Attrs), 32},
		{"sizeof gpio_v2_line_request", unsafe.Sizeof(req), 592},
		{"gpio_v2_line_request.consumer", unsafe.Offsetof(req.Consumer), 256},
		{"gpio_v2_line_request.config", unsafe.Offsetof(req.Config), 288},
		{"gpio_v2_line_request.num_lines", unsafe.Offsetof(req.Num_lines), 560},
		{"gpio_v2_line_request.event_buffer_size", unsafe.Offsetof(req.Event_buffer_size), 564},
		{"gpio_v2_line_request.fd", unsafe.Offsetof(req.Fd), 588},
		{"sizeof gpio_v2_line_values", unsafe.Sizeof(values), 16},
		{"gpio_v2_line_values.mask", unsafe.Offsetof(values.Mask), 8},
		{"sizeof gpio_v2_line_event", unsafe.Sizeof(event), 48},
		{"gpio_v2_line_event.line_seqno", unsafe.Offsetof(event.Line_seqno), 20},
	} {
		if tt.got != tt.want {
			t.Errorf("%s = %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

type attr struct {
	id          uint32
	value, mask uint64
}

func attrsOf(c unix.GPIOV2LineConfig) []attr {
	var as []attr
	for _, a := range c.Attrs[:c.Num_attrs] {
		as = append(as, attr{a.Attr.Id, a.Attr.Flags, a.Mask})
	}
	return as
}

func TestEncode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		req   Request
		flags uint64
		attrs []attr
	}{
		{
			"an active-low relay that is off",
			Request{Lines: []LineConfig{{Offset: 17, Direction: Output, ActiveLow: true}}},
			0x0a,
			[]attr{{2, 0, 1}},
		},
		{
			"a debounced button",
			Request{Lines: []LineConfig{
				{Direction: Input, ActiveLow: true, Bias: PullUp, Edges: BothEdges, Debounce: 10 * time.Millisecond},
			}},
			0x136,
			[]attr{{3, 10000, 1}},
		},
		{
			"two alike and one not",
			Request{Clock: Realtime, Lines: []LineConfig{
				{Offset: 1, Direction: Input, Edges: Rising, Debounce: time.Millisecond},
				{Offset: 2, Direction: Output, Drive: OpenDrain, Value: true},
				{Offset: 3, Direction: Input, Edges: Rising, Debounce: time.Millisecond},
			}},
			0x814,
			[]attr{{3, 1000, 0b101}, {1, 0x48, 0b010}, {2, 0b010, 0b010}},
		},
		{
			"biases and drives",
			Request{Clock: HardwareClock, Lines: []LineConfig{
				{Offset: 1, Direction: Input, Edges: Falling, Bias: PullDown},
				{Offset: 2, Direction: Output, Drive: OpenSource, Bias: BiasDisabled},
			}},
			0x1224,
			[]attr{{1, 0x488, 0b10}, {2, 0, 0b10}},
		},
		{"as it is", Request{Lines: []LineConfig{{Offset: 9}}}, 0, nil},
	} {
		k, err := encode(tt.req)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if k.Config.Flags != tt.flags {
			t.Errorf("%s: flags %#x, want %#x", tt.name, k.Config.Flags, tt.flags)
		}
		if d := cmp.Diff(tt.attrs, attrsOf(k.Config), cmp.AllowUnexported(attr{})); d != "" {
			t.Errorf("%s: attributes (-want +got):\n%s", tt.name, d)
		}
		for i, l := range tt.req.Lines {
			if k.Offsets[i] != l.Offset {
				t.Errorf("%s: offset %d is %d, want %d", tt.name, i, k.Offsets[i], l.Offset)
			}
		}
	}
}

func TestEncodeConsumer(t *testing.T) {
	k, err := encode(Request{Consumer: "edge:a-name-that-is-longer-than-the-field", EventBuffer: 64, Lines: []LineConfig{{}}})
	if got, want := text(k.Consumer[:]), "edge:a-name-that-is-longer-than"; err != nil || got != want {
		t.Errorf("consumer %q, %v, want %q", got, err, want)
	}
	if k.Event_buffer_size != 64 || k.Num_lines != 1 {
		t.Errorf("event buffer %d and %d lines, want 64 and 1", k.Event_buffer_size, k.Num_lines)
	}
}

func TestEncodeTooMany(t *testing.T) {
	var r Request
	for i := range uint32(11) {
		r.Lines = append(r.Lines, LineConfig{Offset: i, Direction: Input, Debounce: time.Duration(i+1) * time.Millisecond})
	}
	if _, err := encode(r); err == nil {
		t.Error("encode of eleven debounce periods succeeds; the kernel has room for ten attributes")
	}
}

// TestLineInfo turns flags into settings and back.
func TestLineInfo(t *testing.T) {
	for _, cfg := range []LineConfig{
		{Offset: 1, Direction: Input},
		{Offset: 2, Direction: Input, ActiveLow: true, Bias: PullUp, Edges: BothEdges},
		{Offset: 3, Direction: Input, Bias: PullDown, Edges: Rising, Debounce: 5 * time.Millisecond},
		{Offset: 4, Direction: Input, Bias: BiasDisabled, Edges: Falling},
		{Offset: 5, Direction: Output, Drive: OpenDrain},
		{Offset: 6, Direction: Output, Drive: OpenSource, ActiveLow: true},
	} {
		k := unix.GPIOV2LineInfo{Offset: cfg.Offset, Flags: cfg.flags(Monotonic) | flagUsed}
		copy(k.Name[:], "GPIO5")
		copy(k.Consumer[:], "edge:pump")
		if cfg.Debounce > 0 {
			k.Num_attrs = 1
			k.Attrs[0].Id = unix.GPIO_V2_LINE_ATTR_ID_DEBOUNCE
			*debounceOf(&k.Attrs[0]) = uint32(cfg.Debounce.Microseconds())
		}
		want := LineInfo{Offset: cfg.Offset, Name: "GPIO5", Consumer: "edge:pump", Used: true, Config: cfg}
		if d := cmp.Diff(want, decodeLineInfo(k)); d != "" {
			t.Errorf("decodeLineInfo (-want +got):\n%s", d)
		}
	}
	if got := decodeLineInfo(unix.GPIOV2LineInfo{Flags: flagInput | flagRising | flagHardwareClock}); got.Clock != HardwareClock || got.Used {
		t.Errorf("decodeLineInfo = %+v, want a free line with the hardware clock", got)
	}
}

func TestChipInfoWithoutLabel(t *testing.T) {
	var k unix.GPIOChipInfo
	copy(k.Name[:], "gpiochip3")
	k.Lines = 8
	if got, want := decodeChipInfo(k), (ChipInfo{Name: "gpiochip3", Label: "gpiochip3", Lines: 8}); got != want {
		t.Errorf("decodeChipInfo = %+v, want %+v", got, want)
	}
}

// FuzzLineInfo feeds what no kernel has said yet.
func FuzzLineInfo(f *testing.F) {
	f.Add(make([]byte, 256))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k unix.GPIOV2LineInfo
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&k)), unsafe.Sizeof(k)), b)
		info := decodeLineInfo(k)
		if info.Offset != k.Offset || info.Config.Offset != k.Offset {
			t.Errorf("offset %d became %d and %d", k.Offset, info.Offset, info.Config.Offset)
		}
		_ = info.Config.Direction.String() + info.Config.Bias.String() + info.Config.Drive.String() + info.Config.Edges.String()
	})
}

// TestSetConfig has the number that linux/gpio.h gives where most machines are.
func TestSetConfig(t *testing.T) {
	if unix.GPIO_V2_LINE_SET_VALUES_IOCTL != 0xc010b40f {
		t.Skip("this machine numbers its calls in another way")
	}
	if setConfig != 0xc110b40d {
		t.Errorf("GPIO_V2_LINE_SET_CONFIG_IOCTL is %#x, want 0xc110b40d", setConfig)
	}
}

func TestFoundValues(t *testing.T) {
	r := Request{Lines: []LineConfig{
		{Offset: 1, Direction: Output, Found: true},
		{Offset: 2, Direction: Output, Found: true, ActiveLow: true},
		{Offset: 3, Direction: Output, Value: true},
		{Offset: 4, Direction: Output, Found: true, ActiveLow: true, Safe: true},
	}}
	got := found(r, 0b0011).Lines
	want := []LineConfig{
		{Offset: 1, Direction: Output, Value: true},
		{Offset: 2, Direction: Output, ActiveLow: true},
		{Offset: 3, Direction: Output, Value: true},
		{Offset: 4, Direction: Output, Value: true, ActiveLow: true, Safe: true},
	}
	if !slices.Equal(got, want) || !r.Lines[0].Found {
		t.Errorf("found is %+v, want %+v, and what was asked for unchanged", got, want)
	}
}
