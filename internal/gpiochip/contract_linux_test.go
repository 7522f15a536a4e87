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

// TestKernelChip holds the kernel's chips to the contract. It needs root and
// gpio-sim: modprobe gpio-sim, with configfs mounted.
func TestKernelChip(t *testing.T) {
	gpiochiptest.RequireKernelSim(t)
	gpiochiptest.TestChip(t, func(t *testing.T) (gpiochip.Chip, gpiochiptest.Wires) {
		if strings.HasSuffix(t.Name(), "/unplug") && !since(t, 6, 6) {
			t.Skip("a kernel before Linux 6.6 does not wake those who wait when the chip goes")
		}
		w := gpiochiptest.NewKernelSim(t)
		c, err := gpiochip.Open(w.Path())
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
	w := gpiochiptest.NewKernelSim(t)
	c, err := gpiochip.Open(w.Path())
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
	if got := gpiochip.Holders(filepath.Base(w.Path())); len(got) != 2 || got[5].PID != os.Getpid() {
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
