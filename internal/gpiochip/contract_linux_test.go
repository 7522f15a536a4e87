package gpiochip_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"edge/internal/gpiochip"
	"edge/internal/gpiochip/gpiochiptest"
)

// configfs is where gpio-sim makes chips (Documentation/admin-guide/gpio/
// gpio-sim.rst in the kernel's sources).
const configfs = "/sys/kernel/config/gpio-sim"

// TestKernelChip holds the kernel's chips to the contract. It needs root and
// gpio-sim: modprobe gpio-sim, with configfs mounted.
func TestKernelChip(t *testing.T) {
	if _, err := os.Stat(configfs); err != nil {
		t.Skipf("gpio-sim is not here: %v: run as root after modprobe gpio-sim", err)
	}
	n := 0
	gpiochiptest.TestChip(t, func(t *testing.T) (gpiochip.Chip, gpiochiptest.Wires) {
		if strings.HasSuffix(t.Name(), "/unplug") && !since(t, 6, 6) {
			t.Skip("a kernel before Linux 6.6 does not wake those who wait when the chip goes")
		}
		n++
		w := newSim(t, fmt.Sprintf("edge-%d-%d", os.Getpid(), n))
		c, err := gpiochip.Open("/dev/" + w.chip)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, w
	})
	t.Run("holder", testKernelHolder)
}

// testKernelHolder has a line that this process holds: whoever asks for it is told so.
func testKernelHolder(t *testing.T) {
	if !since(t, 6, 0) {
		t.Skip("a kernel before Linux 6.0 does not tell which lines a descriptor has")
	}
	w := newSim(t, fmt.Sprintf("edge-%d-holder", os.Getpid()))
	c, err := gpiochip.Open("/dev/" + w.chip)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := gpiochip.Request{Consumer: "holder", Lines: []gpiochip.LineConfig{{Offset: 2}, {Offset: 5}}}
	lines, err := c.Request(request)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	_, err = c.Request(request)
	busy, ok := errors.AsType[*gpiochip.BusyError](err)
	if !ok || busy.Holder == nil || busy.Holder.PID != os.Getpid() {
		t.Errorf("Request of a line that this process holds = %v, want a BusyError that names it", err)
	}
	if got := gpiochip.Holders(w.chip); len(got) != 2 || got[5].PID != os.Getpid() {
		t.Errorf("Holders = %v, want this process for lines 2 and 5", got)
	}
}

// since reports whether the kernel is of a version, or newer.
func since(t *testing.T, wantMajor, wantMinor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}

// A kernelSim is a chip of gpio-sim, by its directories in configfs and sysfs.
type kernelSim struct {
	t      *testing.T
	config string
	device string
	chip   string
}

func newSim(t *testing.T, name string) *kernelSim {
	w := &kernelSim{t: t, config: filepath.Join(configfs, name)}
	bank := filepath.Join(w.config, "bank0")
	for _, dir := range []string{w.config, bank} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
	}
	w.write(filepath.Join(bank, "num_lines"), fmt.Sprint(gpiochiptest.Lines))
	w.write(filepath.Join(bank, "label"), name)
	w.write(filepath.Join(w.config, "live"), "1")
	t.Cleanup(w.Unplug)
	w.chip = w.read(filepath.Join(bank, "chip_name"))
	w.device = filepath.Join("/sys/devices/platform", w.read(filepath.Join(w.config, "dev_name")), w.chip)
	return w
}

// Drive implements gpiochiptest.Wires.
func (w *kernelSim) Drive(offset uint32, high bool) {
	pull := "pull-down"
	if high {
		pull = "pull-up"
	}
	w.write(filepath.Join(w.device, fmt.Sprintf("sim_gpio%d/pull", offset)), pull)
}

// Level implements gpiochiptest.Wires.
func (w *kernelSim) Level(offset uint32) bool {
	return w.read(filepath.Join(w.device, fmt.Sprintf("sim_gpio%d/value", offset))) == "1"
}

// Unplug implements gpiochiptest.Unplugger.
func (w *kernelSim) Unplug() { w.write(filepath.Join(w.config, "live"), "0") }

func (w *kernelSim) write(path, value string) {
	w.t.Helper()
	// gpio-sim answers EPERM to what is so already, such as "live" twice.
	if err := os.WriteFile(path, []byte(value), 0); err != nil && !errors.Is(err, os.ErrPermission) {
		w.t.Fatal(err)
	}
}

func (w *kernelSim) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
