package uart_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"edge/internal/uart"
)

// baud reads the rate of a line that has a constant.
func baud(t *testing.T, path string) int {
	t.Helper()
	return map[uint32]int{unix.B9600: 9600, unix.B19200: 19200}[settings(t, path, unix.TCGETS).Cflag&unix.CBAUD]
}

// settings reads those of a line through a descriptor of its own.
func settings(t *testing.T, path string, request uint) *unix.Termios {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EBUSY) {
		t.Skip("TIOCEXCL keeps this user from looking; run as root")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	tio, err := unix.IoctlGetTermios(fd, request)
	if err != nil {
		t.Fatal(err)
	}
	return tio
}

// machine writes the files of a made-up machine: a path that ends in -> is a
// link to its content.
func machine(t *testing.T, files map[string]string) uart.Host {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, strings.TrimSuffix(name, "->"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "->") {
			err = os.Symlink(strings.ReplaceAll(content, "ROOT", root), path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return uart.Host{Root: root}
}

// board is a Raspberry Pi 4 with Linux 6.6, an FTDI adapter and two nameless
// CH340 adapters; links and attributes as sysfs has them.
var board = map[string]string{
	"dev/ttyUSB0":  "",
	"dev/ttyUSB1":  "",
	"dev/ttyUSB10": "",
	"dev/ttyAMA0":  "",
	"dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0->":                                     "../../ttyUSB0",
	"dev/serial/by-id/usb-1a86_USB_Serial-if00-port0->":                                                   "../../ttyUSB10",
	"dev/serial/by-id/usb-Gone_1-if00->":                                                                  "../../ttyACM7",
	"dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.1:1.0->":                          "../../ttyUSB0",
	"dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0->":                          "../../ttyUSB1",
	"dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0->":                          "../../ttyUSB10",
	"sys/class/tty/tty0/active":                                                                           "tty1\n",
	"sys/class/tty/ttyUSB0->":                                                                             "../../devices/usb1/1-1.1/1-1.1:1.0/ttyUSB0/tty/ttyUSB0",
	"sys/devices/usb1/1-1.1/1-1.1:1.0/ttyUSB0/tty/ttyUSB0/device->":                                       "../../../ttyUSB0",
	"sys/devices/usb1/1-1.1/1-1.1:1.0/ttyUSB0/driver->":                                                   "../../../../../bus/usb-serial/drivers/ftdi_sio",
	"sys/devices/usb1/1-1.1/1-1.1:1.0/driver->":                                                           "../../../../bus/usb/drivers/ftdi_sio",
	"sys/devices/usb1/1-1.1/idVendor":                                                                     "0403\n",
	"sys/devices/usb1/1-1.1/idProduct":                                                                    "6001\n",
	"sys/devices/usb1/1-1.1/manufacturer":                                                                 "FTDI\n",
	"sys/devices/usb1/1-1.1/product":                                                                      "FT232R USB UART\n",
	"sys/devices/usb1/1-1.1/serial":                                                                       "A50285BI\n",
	"sys/class/tty/ttyUSB10->":                                                                            "../../devices/usb1/1-1.3/1-1.3:1.0/ttyUSB10/tty/ttyUSB10",
	"sys/devices/usb1/1-1.3/1-1.3:1.0/ttyUSB10/tty/ttyUSB10/device->":                                     "../../../ttyUSB10",
	"sys/devices/usb1/1-1.3/1-1.3:1.0/ttyUSB10/driver->":                                                  "../../../../../bus/usb-serial/drivers/ch341-uart",
	"sys/devices/usb1/1-1.3/idVendor":                                                                     "1a86\n",
	"sys/devices/usb1/1-1.3/idProduct":                                                                    "7523\n",
	"sys/class/tty/ttyAMA0->":                                                                             "../../devices/platform/soc/fe201000.serial/fe201000.serial:0/fe201000.serial:0.0/tty/ttyAMA0",
	"sys/devices/platform/soc/fe201000.serial/fe201000.serial:0/fe201000.serial:0.0/tty/ttyAMA0/type":     "32\n",
	"sys/devices/platform/soc/fe201000.serial/fe201000.serial:0/fe201000.serial:0.0/tty/ttyAMA0/device->": "../../../fe201000.serial:0.0",
	"sys/devices/platform/soc/fe201000.serial/fe201000.serial:0/fe201000.serial:0.0/driver->":             "../../../../../../bus/serial-base/drivers/port",
	"sys/devices/platform/soc/fe201000.serial/fe201000.serial:0/driver->":                                 "../../../../../bus/serial-base/drivers/ctrl",
	"sys/devices/platform/soc/fe201000.serial/driver->":                                                   "../../../../bus/amba/drivers/uart-pl011",
	"sys/class/tty/ttyS3->":                                                                               "../../devices/platform/serial8250/tty/ttyS3",
	"sys/devices/platform/serial8250/tty/ttyS3/type":                                                      "0\n",
	"sys/devices/platform/serial8250/tty/ttyS3/device->":                                                  "../../../serial8250",
	"proc/512/comm":   "ModemManager\n",
	"proc/512/fd/3->": "ROOT/dev/ttyUSB0",
	"proc/512/fd/4->": "ROOT/dev/ttyUSB0",
	"proc/513/comm":   "agetty\n",
	"proc/513/fd/0->": "ROOT/dev/ttyAMA0",
	"proc/514/comm":   "bash\n",
	"proc/514/fd/0->": "ROOT/dev/pts/1",
	"proc/self->":     "514",
}

func TestList(t *testing.T) {
	h := machine(t, board)
	got, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	dev := func(name string) string { return filepath.Join(h.Root, "dev", name) }
	path := func(hub string) string {
		return dev("serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:" + hub + ":1.0")
	}
	want := []uart.Info{
		{Path: dev("ttyAMA0"), Driver: "uart-pl011", Holders: []uart.Holder{{PID: 513, Command: "agetty"}}},
		{
			Path: dev("ttyUSB0"), Driver: "ftdi_sio", VID: "0403", PID: "6001",
			ByID:   dev("serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"),
			ByPath: path("1.1"), Manufacturer: "FTDI", Product: "FT232R USB UART", Serial: "A50285BI",
			Holders: []uart.Holder{{PID: 512, Command: "ModemManager"}},
		},
		{
			Path: dev("ttyUSB10"), Driver: "ch341-uart", VID: "1a86", PID: "7523",
			ByID: dev("serial/by-id/usb-1a86_USB_Serial-if00-port0"), ByPath: path("1.3"),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if _, err := uart.List(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("List of this machine: %v", err)
	}
}

func TestFind(t *testing.T) {
	h := machine(t, board)
	for _, tt := range []struct{ name, want, err string }{
		{name: "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0", want: "ttyUSB0"},
		{name: "usb-FTDI_*", want: "ttyUSB0"},
		{name: "*-usb-0:1.2:*", want: "ttyUSB1"},
		{name: "ttyUSB1", want: "ttyUSB1"},
		{name: h.Root + "/dev/ttyUSB1", want: "ttyUSB1"},
		{name: h.Root + "/dev/serial/by-id/usb-FTDI*", want: "ttyUSB0"},
		{name: "usb-*-port0", err: "more than one port matches: "},
		{name: "usb-Gone_1-if00", err: "file does not exist"},
		{name: "usb-Nobody", err: "plugged in: usb-1a86_USB_Serial-if00-port0, usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0, usb-Gone"},
	} {
		got, err := h.Find(tt.name)
		if tt.err == "" && (err != nil || got != filepath.Join(h.Root, "dev", tt.want)) {
			t.Errorf("Find(%q) = %q, %v, want %q", tt.name, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("Find(%q) = %q, %v, want %q within", tt.name, got, err, tt.err)
		}
	}
}

func TestOpenNamesReaderAndTheCommandThatStopsIt(t *testing.T) {
	for comm, want := range map[string]string{
		"ModemManager": "ModemManager (pid 512); stop it with `sudo systemctl disable --now ModemManager`",
		"brltty":       "brltty (pid 512); stop it with `sudo systemctl mask --now brltty-udev brltty`",
		"gpsd":         "gpsd (pid 512); stop it with `sudo systemctl disable --now gpsd.socket gpsd`",
		"agetty":       "agetty (pid 512); stop it with `sudo systemctl disable --now serial-getty@%s`",
	} {
		_, path := newPTY(t)
		h := machine(t, map[string]string{"proc/512/comm": comm + "\n"})
		link(t, path, filepath.Join(h.Root, "proc/512/fd/3"))
		_, err := h.Open(t.Context(), uart.Config{Port: path})
		want = strings.ReplaceAll(want, "%s", filepath.Base(path))
		if !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open beside %s: %v, want %q within", comm, err, want)
		}
	}
}

func TestBusyWithoutRights(t *testing.T) {
	_, path := newPTY(t)
	open(t, uart.Config{Port: path})
	h := machine(t, map[string]string{"proc/" + strconv.Itoa(os.Getpid()) + "/comm": "edge\n"})
	_, err := h.Open(t.Context(), uart.Config{Port: path})
	if !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), "sudo fuser -v "+path) {
		t.Errorf("Open: %v, want the command that names the holder", err)
	}
}

// Who has the lock is for everybody to see, what others have open is not.
func TestBusyByALockOfAnotherUser(t *testing.T) {
	_, path := newPTY(t)
	open(t, uart.Config{Port: path})
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	locks := fmt.Sprintf("1: POSIX  ADVISORY  READ 811 00:05:99 0 EOF\n"+
		"2: FLOCK  ADVISORY  WRITE 812 00:05:98 0 EOF\n"+
		"3: FLOCK  ADVISORY  WRITE 813 %02x:%02x:%d 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 814 %02[1]x:%02[2]x:%[3]d 0 EOF\n",
		unix.Major(s.Dev), unix.Minor(s.Dev), s.Ino)
	h := machine(t, map[string]string{"proc/locks": locks, "proc/813/comm": "picocom\n", "proc/900/comm": "cat\n"})
	link(t, path, filepath.Join(h.Root, "proc/900/fd/3"))
	_, err := h.Open(t.Context(), uart.Config{Port: path})
	if want := "the port is in use by picocom (pid 813), cat (pid 900)"; !errors.Is(err, uart.ErrBusy) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Open: %v, want %q", err, want)
	}
	if _, err := uart.Open(t.Context(), uart.Config{Port: path}); err == nil || !strings.Contains(err.Error(), "in use by this process") {
		t.Errorf("Open beside this process: %v, want it named", err)
	}
}

// What services of root have open is not for the hub to see. Of a login the
// kernel tells everybody; one who may have refused the port is a suspect.
func TestHoldersOfRoot(t *testing.T) {
	_, path := newPTY(t)
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	minor := unix.Minor(s.Rdev)
	number := minor&0xff | unix.Major(s.Rdev)<<8 | minor&^0xff<<12
	h := machine(t, map[string]string{
		"proc/513/comm": "agetty\n", "proc/513/stat": fmt.Sprintf("513 (agetty) S 1 513 513 %d 513 4194560\n", number),
		"proc/514/comm": "a) b (c\n", "proc/514/stat": "514 (a) b (c) S 1 514 514 0 -1 4194560\n",
	})
	_, err := h.Open(t.Context(), uart.Config{Port: path})
	if want := "agetty (pid 513); stop it with `sudo systemctl disable --now serial-getty@"; !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open beside a login: %v, want %q", err, want)
	}
	open(t, uart.Config{Port: path})
	h = machine(t, map[string]string{"proc/512/comm": "ModemManager\n"})
	_, err = h.Open(t.Context(), uart.Config{Port: path})
	if want := "of another user, perhaps ModemManager (pid 512); stop it with `sudo systemctl disable --now ModemManager`; `sudo fuser"; !errors.Is(err, uart.ErrBusy) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open of a port that is refused: %v, want %q", err, want)
	}
}

// minicom and cu lock by a file.
func TestLockFile(t *testing.T) {
	_, path := newPTY(t)
	file := "run/lock/LCK.." + filepath.Base(path)
	for pid, want := range map[string]string{"       512\n": "in use by minicom (pid 512), which has made ", "       513\n": "", "garbage": "", "": ""} {
		h := machine(t, map[string]string{file: pid, "proc/512/comm": "minicom\n"})
		p, err := h.Open(t.Context(), uart.Config{Port: path})
		if err == nil {
			p.Close()
		}
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Open beside a lock file with %q: %v, want %q", pid, err, want)
		}
	}
}

func TestWaitSeesPortComing(t *testing.T) {
	_, path := newPTY(t)
	name := filepath.Join(t.TempDir(), "by-id", "usb-stick")
	synctest.Test(t, func(t *testing.T) {
		found := make(chan string)
		start := time.Now()
		go func() {
			dev, err := uart.Wait(t.Context(), name)
			if err != nil {
				t.Errorf("Wait: %v", err)
			}
			found <- dev
		}()
		time.Sleep(time.Minute) // in the bubble's time
		link(t, path, name)
		if dev := <-found; dev != path {
			t.Errorf("Wait = %q, want %q", dev, path)
		}
		if late := time.Since(start) - time.Minute; late > 500*time.Millisecond {
			t.Errorf("Wait needed %v, want at most 500ms", late)
		}
	})
}

func TestWaitEnds(t *testing.T) {
	h := machine(t, board)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.Wait(ctx, "usb-Nobody"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := h.Wait(t.Context(), "usb-*-port0"); !errors.Is(err, uart.ErrAmbiguous) {
			t.Errorf("Wait = %v, want %v", err, uart.ErrAmbiguous)
		}
	})
}

// The old node that is still there for a moment is not the stick coming back.
func TestReplugged(t *testing.T) {
	far, path := newPTY(t)
	name := filepath.Join(t.TempDir(), "usb-stick")
	link(t, path, name)
	p := open(t, uart.Config{Port: name})
	far.Close()
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, uart.ErrGone) {
		t.Errorf("Read: %v, want %v", err, uart.ErrGone)
	}
	p.Close()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	back := make(chan error, 1)
	go func() { back <- p.Replugged(t.Context()) }()
	_, path = newPTY(t)
	link(t, path, name)
	if err := within(t, "Replugged", back); err != nil {
		t.Errorf("Replugged: %v", err)
	}
	p = open(t, uart.Config{Port: name})
	p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Replugged(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Replugged of a port that is there all the time: %v, want %v", err, context.DeadlineExceeded)
	}
}
