//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edge/test/rig/agent"
	"edge/test/rig/qemu"
)

// TestRaspberryPi has edge look at the header of a Raspberry Pi 3, as QEMU has it and
// Debian's kernel and device tree describe it: which chip, which lines, in whose hands.
func TestRaspberryPi(t *testing.T) {
	if why := os.Getenv("RIG_SKIP"); why != "" {
		t.Skip(why)
	}
	t.Parallel()
	kernel, dir := os.Getenv("RIG_KERNEL"), t.TempDir()
	cfg := qemu.Config{
		Kernel: filepath.Join(kernel, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"), Dir: dir,
		DeviceTree: filepath.Join(kernel, "bcm2837-rpi-3-b.dtb"), Args: []string{agent.Look},
	}
	guest, err := build("./test/rig/guest")
	if err != nil {
		t.Fatal(err)
	}
	program, err := edgeProgram()
	if err != nil {
		t.Fatal(err)
	}
	root, err := rootFS(kernel, guest, program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Initrd, root, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := qemu.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Kill()
	if err := m.AwaitLine(ctx, agent.Looked); err != nil {
		t.Fatal(err)
	}
	checkHeader(t, m.Console())
}

// checkHeader looks at what edge pins --json has said.
func checkHeader(t *testing.T, console string) {
	t.Helper()
	pins := make(map[int]pin)
	for line := range strings.Lines(console) {
		var p pin
		if json.Unmarshal([]byte(line), &p) == nil && p.Number > 0 {
			pins[p.Number] = p
		}
	}
	if len(pins) != 40 {
		t.Fatalf("edge has found %d pins, want 40; the console:\n%s", len(pins), console)
	}
	for number, want := range map[int]pin{
		1:  {Number: 1, Name: "3V3", Offset: -1},
		11: {Number: 11, Name: "GPIO17", Chip: "pinctrl-bcm2835", Offset: 17},
		40: {Number: 40, Name: "GPIO21", Chip: "pinctrl-bcm2835", Offset: 21},
	} {
		if pins[number] != want {
			t.Errorf("pin %d is %+v, want %+v", number, pins[number], want)
		}
	}
}

// A pin is as edge pins --json has it.
type pin struct {
	Number int    `json:"pin"`
	Name   string `json:"name"`
	Chip   string `json:"chip"`
	Offset int    `json:"offset"`
}
