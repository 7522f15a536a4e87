package gpiochip

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// newRegisters makes a file that begins as the registers of a chip do.
func newRegisters(t *testing.T, words map[int]uint32) string {
	t.Helper()
	page := make([]byte, os.Getpagesize())
	for at, word := range words {
		binary.NativeEndian.PutUint32(page[at:], word)
	}
	path := filepath.Join(t.TempDir(), "gpiomem")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRegisters has I²C on lines 2 and 3 (ALT0), an output at 17 and the mini-UART on
// 14 and 15 (ALT5), as on a Raspberry Pi 4.
func TestRegisters(t *testing.T) {
	path := newRegisters(t, map[int]uint32{
		0x00: 0b100<<6 | 0b100<<9,
		0x04: 0b010<<12 | 0b010<<15 | 0b001<<21,
		0x14: 0b111 << 9,
		0x34: 1<<2 | 1<<3 | 1<<17 | 1<<31,
		0x38: 1 << 21,
	})
	for _, label := range []string{"pinctrl-bcm2835", "pinctrl-bcm2711"} {
		r, err := readRegisters(path, label)
		if err != nil {
			t.Fatal(err)
		}
		for offset, want := range map[uint32]struct {
			function string
			high     bool
		}{
			0: {"input", false}, 2: {"alt0", true}, 3: {"alt0", true}, 4: {"input", false}, 14: {"alt5", false}, 15: {"alt5", false},
			17: {"output", true}, 31: {"input", true}, 32: {"input", false}, 53: {"alt3", true},
		} {
			if f, high := r.function(offset), r.level(offset); f != want.function || high != want.high {
				t.Errorf("line %d is %s, high: %t; want %+v", offset, f, high, want)
			}
		}
	}
}

func TestNoRegisters(t *testing.T) {
	path := newRegisters(t, nil)
	for _, label := range []string{"pinctrl-rp1", "pcf8574", ""} {
		if _, err := readRegisters(path, label); !errors.Is(err, errNoRegisters) {
			t.Errorf("readRegisters of %q = %v, want errNoRegisters", label, err)
		}
	}
	if _, err := readRegisters(path+".none", "pinctrl-bcm2835"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("readRegisters without a file = %v, want ErrNotExist", err)
	}
	if err := os.Truncate(path, 16); err != nil {
		t.Fatal(err)
	}
	if _, err := readRegisters(path, "pinctrl-bcm2835"); !errors.Is(err, errNoRegisters) {
		t.Errorf("readRegisters of a short file = %v, want errNoRegisters", err)
	}
	c := &chip{call: fake} // pinctrl-bcm2711, which this machine does not have
	if f, err := c.Function(54); err == nil {
		t.Errorf("Function(54) = %q, want an error", f)
	}
}
