package gpiochip

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A process is a directory of /proc, with what its descriptors lead to and what the
// kernel says about them.
type process struct {
	comm  string
	files map[string]string
	infos map[string]string
}

// newProc makes a /proc with processes by pid. The texts are those of Linux 6.12
// with gpioset of libgpiod 2.
func newProc(t *testing.T, processes map[int]process) string {
	t.Helper()
	proc := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(proc, "meminfo"), "MemTotal: 1 kB\n")
	for pid, p := range processes {
		dir := filepath.Join(proc, fmt.Sprint(pid))
		write(filepath.Join(dir, "comm"), p.comm+"\n")
		for fd, target := range p.files {
			write(filepath.Join(dir, "fdinfo", fd), "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1059\n"+p.infos[fd])
			if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, filepath.Join(dir, "fd", fd)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return proc
}

func TestHolders(t *testing.T) {
	const request = "anon_inode:gpio-line"
	proc := newProc(t, map[int]process{
		1:   {comm: "systemd"},
		412: {comm: "gpiomon", files: map[string]string{"3": "/dev/gpiochip0", "4": request}, infos: map[string]string{"4": "gpio-chip:\tgpiochip1\ngpio-line:\t17\n"}},
		812: {
			comm:  "gpioset",
			files: map[string]string{"0": "/dev/pts/0", "3": "/dev/gpiochip0", "4": request, "5": request, "6": "anon_inode:[eventpoll]"},
			infos: map[string]string{
				"4": "gpio-chip:\tgpiochip0\ngpio-line:\t17\ngpio-line:\t27\n", "5": "gpio-chip:\tgpiochip0\ngpio-line:\t4\n",
				"6": "gpio-chip:\tgpiochip0\ngpio-line:\t5\n", // It only looks like it.
			},
		},
		900: {comm: "old", files: map[string]string{"3": "anon_inode:gpio-linehandle"}},
		901: {comm: "strange", files: map[string]string{"3": request}, infos: map[string]string{"3": "gpio-line:\t6\ngpio-chip:\tgpiochip0\ngpio-line:\tx\n"}},
	})
	gpioset := Holder{812, "gpioset"}
	for chip, want := range map[string]map[uint32]Holder{
		"gpiochip0": {17: gpioset, 27: gpioset, 4: gpioset},
		"gpiochip1": {17: {412, "gpiomon"}},
		"gpiochip":  {},
	} {
		if d := cmp.Diff(want, holders(proc, chip)); d != "" {
			t.Errorf("holders of %s (-want +got):\n%s", chip, d)
		}
	}
	if got := holders(filepath.Join(proc, "none"), "gpiochip0"); len(got) != 0 {
		t.Errorf("holders without a /proc = %v, want none", got)
	}
}

func TestBusyErrorSaysWhoAndWhat(t *testing.T) {
	line := func(consumer string) LineInfo {
		return LineInfo{Offset: 17, Name: "GPIO17", Consumer: consumer, Used: true}
	}
	gpioset := &Holder{812, "gpioset"}
	for _, tt := range []struct {
		consumer string
		holder   *Holder
		want     string
	}{
		{"gpioset", gpioset, `gpioset (pid 812) as "gpioset": stop that one, as with kill 812, or choose another line`},
		{"", gpioset, `gpioset (pid 812): stop that one, as with kill 812, or choose another line`},
		{"gpiomon", nil, `"gpiomon": stop that one or choose another line; edge pins, run by root, says which process it is`},
		{"spi0 CS0", nil, `"spi0 CS0": that is a chip select of SPI: put dtparam=spi=off into config.txt, or choose another line`},
		{"onewire@11", nil, `"onewire@11": that is 1-Wire: take dtoverlay=w1-gpio out of config.txt or give it another gpiopin=, or choose another line`},
		{"sysfs", nil, `"sysfs": that is an export of /sys/class/gpio: write the line's number into its unexport, or choose another line`},
		{"edge:door", nil, `"edge:door": that is another edge, and two hubs cannot have the same line: stop that one or choose another line; edge pins, run by root, says which process it is`},
		{"edge:door", &Holder{os.Getpid(), "edge"}, `this process as "edge:door": two pins of the configuration are the same line`},
		{"edge:door", &Holder{811, "edge"}, `edge (pid 811) as "edge:door": that is another edge, and two hubs cannot have the same line: stop that one, as with kill 811, or choose another line`},
	} {
		err := &BusyError{Chip: "pinctrl-rp1", Line: line(tt.consumer), Holder: tt.holder}
		if want := "line 17 (GPIO17) of pinctrl-rp1 is held by " + tt.want; err.Error() != want {
			t.Errorf("Error() = %s\nwant      %s", err, want)
		}
	}
}
