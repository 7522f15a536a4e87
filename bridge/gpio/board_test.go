package gpio_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/fstest"

	"edge/bridge/gpio"
	"edge/internal/sim"
)

// tree makes a device tree as it is in /proc. The strings are those of Raspberry Pi's
// and upstream's trees, the codes those of "Raspberry Pi revision codes".
func tree(model, compatible string, revision uint32) fstest.MapFS {
	fs := fstest.MapFS{}
	add := func(name string, data []byte) { fs[name] = &fstest.MapFile{Data: data} }
	if model != "" {
		add("model", []byte(model+"\x00"))
	}
	if compatible != "" {
		add("compatible", []byte(strings.ReplaceAll(compatible, " ", "\x00")+"\x00"))
	}
	if revision != 0 {
		add("system/linux,revision", binary.BigEndian.AppendUint32(nil, revision))
	}
	return fs
}

func TestReadBoard(t *testing.T) {
	for _, tt := range []struct {
		model, compatible string
		revision          uint32
		soc               string
		pins              int
		module, pi        bool
	}{
		{"Raspberry Pi Model B Rev 1", "raspberrypi,model-b brcm,bcm2835", 0x2, "bcm2835", 26, false, true},
		{"Raspberry Pi Model B Rev 2", "raspberrypi,model-b brcm,bcm2835", 0x100000e, "bcm2835", 26, false, true},
		{"Raspberry Pi Model A Rev 2", "raspberrypi,model-a brcm,bcm2835", 0, "bcm2835", 26, false, true},
		{"Raspberry Pi Model B rev2", "raspberrypi,model-b-rev2 brcm,bcm2835", 0, "bcm2835", 26, false, true},
		{"Raspberry Pi Model B Plus Rev 1.2", "raspberrypi,model-b-plus brcm,bcm2835", 0x10, "bcm2835", 40, false, true},
		{"Raspberry Pi Zero W Rev 1.1", "raspberrypi,model-zero-w brcm,bcm2835", 0x9000c1, "bcm2835", 40, false, true},
		{"Raspberry Pi 2 Model B Rev 1.1", "raspberrypi,2-model-b brcm,bcm2836", 0xa01041, "bcm2836", 40, false, true},
		{"Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w brcm,bcm2837", 0x902120, "bcm2837", 40, false, true},
		{"Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi,3-model-b-plus brcm,bcm2837", 0xa020d3, "bcm2837", 40, false, true},
		{"Raspberry Pi Compute Module 3 Plus Rev 1.0", "raspberrypi,3-compute-module brcm,bcm2837", 0xa02100, "bcm2837", 40, true, true},
		{"Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b brcm,bcm2711", 0xc03114, "bcm2711", 40, false, true},
		{"Raspberry Pi Compute Module 4 Rev 1.1", "raspberrypi,4-compute-module brcm,bcm2711", 0xa03141, "bcm2711", 40, true, true},
		{"Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b brcm,bcm2712", 0xc04170, "bcm2712", 40, false, true},
		{"Xunlong Orange Pi Zero", "xunlong,orangepi-zero allwinner,sun8i-h2-plus", 0, "", 40, false, false},
		{"", "", 0, "", 40, false, false},
	} {
		b := gpio.ReadBoard(tree(tt.model, tt.compatible, tt.revision))
		if b.Model != tt.model || b.SoC != tt.soc || b.Pins() != tt.pins || b.Module != tt.module || b.RaspberryPi() != tt.pi {
			t.Errorf("ReadBoard(%s, %#x) = %+v with %d pins, a Raspberry Pi: %t; want %+v", tt.compatible, tt.revision, b, b.Pins(), b.RaspberryPi(), tt)
		}
	}
}

// TestOldHeaders checks what the pins of the headers of 2012 are, which differ
// between the revisions of the Model B.
func TestOldHeaders(t *testing.T) {
	for code, want := range map[uint32]map[int]string{
		0x3: {3: "GPIO0", 5: "GPIO1", 13: "GPIO21", 11: "GPIO17", 26: "GPIO7"},
		0xe: {3: "GPIO2", 5: "GPIO3", 13: "GPIO27", 11: "GPIO17", 26: "GPIO7"},
	} {
		board := gpio.ReadBoard(tree("Raspberry Pi Model B", "raspberrypi,model-b brcm,bcm2835", code))
		h, err := gpio.LookAt(sim.NewBoard().Open, board, nil, nil)
		if err != nil || len(h.Pins) != 26 {
			t.Fatalf("LookAt = %d pins, %v, want 26", len(h.Pins), err)
		}
		for pin, name := range want {
			if got := h.Pins[pin-1].Name; got != name {
				t.Errorf("revision %#x: pin %d is %s, want %s", code, pin, got, name)
			}
		}
	}
}
