package gpiochiptest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// configfs is where gpio-sim makes chips (Documentation/admin-guide/gpio/
// gpio-sim.rst in the kernel's sources).
const configfs = "/sys/kernel/config/gpio-sim"

// RequireKernelSim skips the test where the kernel has no gpio-sim. It needs root,
// modprobe gpio-sim, and configfs mounted.
func RequireKernelSim(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(configfs); err != nil {
		t.Skipf("gpio-sim is not here: %v: run as root after modprobe gpio-sim", err)
	}
}

// sims counts the chips that were made, each of which has another name.
var sims atomic.Int64

// A KernelSim is a chip of gpio-sim, by its directories in configfs and sysfs. It is the
// Wires of the chip, and can unplug it.
type KernelSim struct {
	t      *testing.T
	config string
	device string
	chip   string
}

// NewKernelSim makes a chip of so many Lines, which goes when the test ends.
func NewKernelSim(t *testing.T) *KernelSim {
	t.Helper()
	RequireKernelSim(t)
	name := fmt.Sprintf("edge-%d-%d", os.Getpid(), sims.Add(1))
	w := &KernelSim{t: t, config: filepath.Join(configfs, name)}
	bank := filepath.Join(w.config, "bank0")
	for _, dir := range []string{w.config, bank} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
	}
	w.write(filepath.Join(bank, "num_lines"), fmt.Sprint(Lines))
	w.write(filepath.Join(bank, "label"), name)
	w.write(filepath.Join(w.config, "live"), "1")
	t.Cleanup(w.Unplug)
	w.chip = w.read(filepath.Join(bank, "chip_name"))
	w.device = filepath.Join("/sys/devices/platform", w.read(filepath.Join(w.config, "dev_name")), w.chip)
	return w
}

// Path returns the chip's device.
func (w *KernelSim) Path() string { return "/dev/" + w.chip }

// Drive implements Wires.
func (w *KernelSim) Drive(offset uint32, high bool) {
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	w.write(filepath.Join(w.device, fmt.Sprintf("sim_gpio%d/pull", offset)), pull)
}

// Level implements Wires.
func (w *KernelSim) Level(offset uint32) bool {
	return w.read(filepath.Join(w.device, fmt.Sprintf("sim_gpio%d/value", offset))) == "1"
}

// Unplug implements Unplugger.
func (w *KernelSim) Unplug() { w.write(filepath.Join(w.config, "live"), "0") }

func (w *KernelSim) write(path, value string) {
	w.t.Helper()
	// gpio-sim answers EPERM to what is so already, such as "live" twice.
	if err := os.WriteFile(path, []byte(value), 0); err != nil && !errors.Is(err, os.ErrPermission) {
		w.t.Fatal(err)
	}
}

func (w *KernelSim) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
