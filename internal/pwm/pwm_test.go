package pwm_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edge/internal/pwm"
	"edge/internal/pwm/pwmtest"
)

const (
	device = "fe20c000.pwm"
	us     = time.Microsecond
)

// kernel returns one with the PWM chip of a Raspberry Pi 4.
func kernel() *pwmtest.Kernel {
	k := new(pwmtest.Kernel)
	k.Add("pwmchip0", device, 2)
	return k
}

func open(t testing.TB, k pwm.Tree, n int) *pwm.Channel {
	t.Helper()
	c, err := pwm.Open(k, device, n)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func set(t testing.TB, c *pwm.Channel, w pwm.Wave) {
	t.Helper()
	if err := c.Set(w); err != nil {
		t.Fatalf("Set(%+v) = %v", w, err)
	}
	if got, enabled, err := c.Wave(); got != w || !enabled || err != nil {
		t.Fatalf("Wave = %+v, %t, %v; want %+v, true", got, enabled, err, w)
	}
}

func wantLevels(t testing.TB, k *pwmtest.Kernel, want ...float64) {
	t.Helper()
	if got := k.Levels("pwmchip0", 1); !slices.Equal(got, want) {
		t.Errorf("the pin was high for %v of the time, want %v", got, want)
	}
}

func TestSet(t *testing.T) {
	k := kernel()
	c := open(t, k, 1)
	for _, w := range []pwm.Wave{
		{Period: 40 * us, Duty: 0},
		{Period: 40 * us, Duty: 20 * us},
		{Period: 40 * us, Duty: 40 * us}, // steady
		{Period: 10 * us, Duty: 10 * us},
		{Period: 100 * us, Duty: 25 * us},
	} {
		set(t, c, w)
	}
	wantLevels(t, k, 0, 0.5, 1, 0.25, 1, 0.1, 0.25)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Wave(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Wave after Close = %v, want that there is none", err)
	}
}

// TestInverted has a channel whose pin is high while it is off: from the moment on at
// which it is enabled, and when it was given back.
func TestInverted(t *testing.T) {
	k := kernel()
	c := open(t, k, 1)
	set(t, c, pwm.Wave{Period: 40 * us, Inverted: true})
	set(t, c, pwm.Wave{Period: 40 * us, Duty: 10 * us, Inverted: true})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantLevels(t, k, 0, 1, 0.75, 1)
}

// TestTakeOver finds a channel that runs: it is not switched off in between.
func TestTakeOver(t *testing.T) {
	k := kernel()
	set(t, open(t, k, 1), pwm.Wave{Period: 40 * us, Duty: 20 * us})
	set(t, open(t, k, 1), pwm.Wave{Period: 40 * us, Duty: 30 * us})
	wantLevels(t, k, 0, 0.5, 0.75)
	// It has to be, to turn its polarity.
	set(t, open(t, k, 1), pwm.Wave{Period: 40 * us, Duty: 30 * us, Inverted: true})
	wantLevels(t, k, 0, 0.5, 0.75, 0, 0.25)
}

// TestSetNeverMore goes from any wave to any other: the pin is never high for more of
// the time than before or after.
func TestSetNeverMore(t *testing.T) {
	wave := rapid.Custom(func(t *rapid.T) pwm.Wave {
		period := rapid.IntRange(1, 1000).Draw(t, "period")
		return pwm.Wave{Period: time.Duration(period) * us, Duty: time.Duration(rapid.IntRange(0, period).Draw(t, "duty")) * us}
	})
	rapid.Check(t, func(t *rapid.T) {
		k := kernel()
		c, err := pwm.Open(k, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		before := 0.0
		for _, w := range rapid.SliceOfN(wave, 1, 5).Draw(t, "waves") {
			seen := len(k.Levels("pwmchip0", 1))
			if err := c.Set(w); err != nil {
				t.Fatalf("Set(%+v) = %v", w, err)
			}
			after := float64(w.Duty) / float64(w.Period)
			for _, level := range k.Levels("pwmchip0", 1)[seen:] {
				if level > max(before, after) {
					t.Fatalf("from %v to %v by way of %v", before, after, level)
				}
			}
			before = after
		}
	})
}

func TestErrors(t *testing.T) {
	two := kernel()
	two.Add("pwmchip2", "1f00098000.pwm", 4)
	held := kernel()
	held.Hold("pwmchip0", 0)
	for _, tt := range []struct {
		name   string
		tree   pwm.Tree
		device string
		n      int
		want   string
	}{
		{"no chip", new(pwmtest.Kernel), "", 0, "dtoverlay=pwm-2chan"},
		{"several", two, "", 0, "name one: 1f00098000.pwm, fe20c000.pwm"},
		{"another", two, "x", 0, `no PWM chip is that of the device "x": there are 1f00098000.pwm, fe20c000.pwm`},
		{"no channel", kernel(), "", 2, "pwmchip0 has no channel 2: it has 2, from 0"},
		{"held", held, "", 0, "held by a driver of the kernel"},
		{"no rights", denied{kernel()}, "", 0, "a rule of udev"},
	} {
		if _, err := pwm.Open(tt.tree, tt.device, tt.n); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	c := open(t, kernel(), 0)
	if err := c.Set(pwm.Wave{Period: us, Duty: 2 * us}); err == nil || !strings.Contains(err.Error(), "2µs of 1µs") {
		t.Errorf("Set = %v, want it refused", err)
	}
	k := kernel()
	c = open(t, k, 0)
	k.Remove("pwmchip0")
	if err := c.Set(pwm.Wave{Period: us}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Set without a chip = %v, want that it is gone", err)
	}
}

// A denied tree is one of another user.
type denied struct{ pwm.Tree }

func (denied) Write(string, string) error { return syscall.EACCES }

// TestSysfs has files as the kernel lays them out.
func TestSysfs(t *testing.T) {
	root := t.TempDir()
	soc := filepath.Join(root, "devices", device, "pwm", "pwmchip0")
	class := filepath.Join(root, "class")
	for _, dir := range []string{filepath.Join(soc, "pwm1"), class} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"npwm": "2\n", "pwm1/enable": "0\n", "pwm1/period": "40000\n", "pwm1/duty_cycle": "0\n", "pwm1/polarity": "normal\n",
	} {
		if err := os.WriteFile(filepath.Join(soc, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{filepath.Join(soc, "device"): "../../../" + device, filepath.Join(class, "pwmchip0"): soc} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, pwm.Sysfs(class), 1)
	if w, enabled, err := c.Wave(); w != (pwm.Wave{Period: 40 * us}) || enabled || err != nil {
		t.Errorf("Wave = %+v, %t, %v", w, enabled, err)
	}
	if err := c.Set(pwm.Wave{Period: 40 * us, Duty: 10 * us}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"duty_cycle": "10000", "enable": "1\n"} {
		// A plain file keeps the end of what was longer before.
		if got, err := os.ReadFile(filepath.Join(soc, "pwm1", file)); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", file, got, err, want)
		}
	}
	if _, err := pwm.Open(pwm.Sysfs(class), device, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open without the file export = %v, want that it is not there", err)
	}
	if _, err := pwm.Open(pwm.Sysfs(filepath.Join(root, "none")), "", 0); err == nil || !strings.Contains(err.Error(), "dtoverlay") {
		t.Errorf("Open without a tree = %v, want advice", err)
	}
}
