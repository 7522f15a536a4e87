package uart

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// kernelSays is what the kernel tells of a new port: bytes of Linux 6.18.
const kernelSays = "add@/devices/platform/scb/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0\x00ACTION=add\x00" +
	"DEVPATH=/devices/platform/scb/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0\x00SUBSYSTEM=tty\x00MAJOR=188\x00MINOR=0\x00DEVNAME=ttyUSB0\x00SEQNUM=6017\x00"

// udevSays puts udev's header before properties.
func udevSays(properties string) string {
	b := []byte(udevTag)
	b = binary.BigEndian.AppendUint32(b, udevMagic)
	for _, n := range []int{40, 40, len(properties), 0x3a9a, 0, 0, 0} {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	return string(b[:40]) + properties
}

func TestParseUevent(t *testing.T) {
	udevs := udevSays("ACTION=add\x00SUBSYSTEM=tty\x00DEVNAME=/dev/ttyUSB0\x00DEVLINKS=/dev/serial/by-id/usb-x\x00")
	for _, tt := range []struct {
		b    string
		want uevent
	}{
		{kernelSays, uevent{"add", "tty", "ttyUSB0"}},
		{udevs, uevent{"add", "tty", "/dev/ttyUSB0"}},
		{udevs[:len(udevs)-1], uevent{}}, // cut
		{udevs[:20], uevent{}},
		{strings.Replace(udevs, "\xfe\xed", "\xed\xfe", 1), uevent{}},
		{"ACTION=add\x00SUBSYSTEM=tty\x00", uevent{}}, // no head
		{"add@/devices/x\x00ACTION=add\x00", uevent{}},
		{"", uevent{}},
	} {
		if got, ok := parseUevent([]byte(tt.b)); got != tt.want || ok != (tt.want != uevent{}) {
			if ok || (tt.want != uevent{}) {
				t.Errorf("parseUevent(%q) = %+v, %t, want %+v", tt.b, got, ok, tt.want)
			}
		}
	}
}

func FuzzParseUevent(f *testing.F) {
	f.Add([]byte(kernelSays))
	f.Add([]byte(udevSays("ACTION=add\x00SUBSYSTEM=tty\x00")))
	f.Add([]byte(udevTag + "\xfe\xed\xca\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := parseUevent(b)
		if ok && (e.Action == "" || e.Subsystem == "" || len(e.Action)+len(e.Subsystem)+len(e.DevName) > len(b)) {
			t.Errorf("parseUevent(%q) = %+v", b, e)
		}
	})
}

// A feed is a source of events that a test fills.
type feed struct {
	events chan string
	closed chan struct{}
	err    error // instead of an event
}

func newFeed() *feed { return &feed{events: make(chan string), closed: make(chan struct{})} }

func (f *feed) Read(b []byte) (int, error) {
	select {
	case e := <-f.events:
		if e == "" {
			return 0, f.err
		}
		return copy(b, e), nil
	case <-f.closed:
		return 0, os.ErrClosed
	}
}

func (f *feed) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return nil
}

// told is a machine where events tell of every port.
func told(t *testing.T, w *watch) Host {
	t.Helper()
	h := Host{Root: t.TempDir(), watch: w}
	for name, text := range map[string]string{
		"dev/null":             "",
		"proc/self/uid_map":    "         0          0 4294967295\n",
		"proc/self/mountinfo":  "23 27 0:5 / /sys rw - sysfs sysfs rw\n24 27 0:6 / /dev rw,relatime shared:2 - devtmpfs udev rw,size=1k\n",
		"dev/serial/by-id/not": "",
	} {
		path := h.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestTold(t *testing.T) {
	h := told(t, nil)
	for name, want := range map[string]bool{
		"ttyUSB0": true, "usb-FTDI_*": true, "0403:6001": true, h.Root + "/dev/serial/by-id/usb-x": true,
		h.Root + "/dev/pts/3": false, "/tmp/usb-x": false,
	} {
		if got := h.told(name); got != want {
			t.Errorf("told(%s) = %t, want %t", name, got, want)
		}
	}
	for file, text := range map[string]string{
		"proc/self/uid_map":   "0 100000 65536\n",
		"proc/self/mountinfo": "24 27 0:6 / /dev rw - tmpfs tmpfs rw\n",
	} {
		h := told(t, nil)
		if err := os.WriteFile(h.path(file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if h.told("ttyUSB0") {
			t.Errorf("told with %s %q, want not: it is a container", file, text)
		}
	}
}

// Without an event Wait does not look at all: there is no timer, so the port
// that came unsaid is not seen. With one it is, also when its name comes later.
func TestWaitCostsNothingWhileEventsTell(t *testing.T) {
	far, port := pty(t)
	defer far.Close()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed()
		h := told(t, &watch{open: func() (io.ReadCloser, error) { return f, nil }})
		found := make(chan string, 1)
		go func() {
			dev, err := h.Wait(t.Context(), "usb-x")
			if err != nil {
				t.Errorf("Wait: %v", err)
			}
			found <- dev
		}()
		time.Sleep(time.Hour)
		if err := os.Symlink(port, h.path("dev/serial/by-id/usb-x")); err != nil {
			t.Fatal(err)
		}
		f.events <- strings.Replace(kernelSays, "SUBSYSTEM=tty", "SUBSYSTEM=usb", 1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(found) != 0 {
			t.Error("Wait found a port without an event of a terminal: it looks by itself")
		}
		if err := os.Remove(h.path("dev/serial/by-id/usb-x")); err != nil {
			t.Fatal(err)
		}
		f.events <- kernelSays
		time.Sleep(300 * time.Millisecond) // of the bubble: udev at work
		if err := os.Symlink(port, h.path("dev/serial/by-id/usb-x")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if dev := <-found; dev != port || time.Since(start) > time.Second {
			t.Errorf("Wait = %q after %v, want %q within 1s", dev, time.Since(start), port)
		}
		<-f.closed // nobody waits any more
	})
}

// When events end, by whatever, Wait looks by itself.
func TestWaitWithoutEventsAnyMore(t *testing.T) {
	far, port := pty(t)
	defer far.Close()
	for name, spoil := range map[string]func(f *feed, h Host){
		"the listener fails": func(f *feed, _ Host) { f.err = unix.EBADF; f.events <- "" },
		"events are lost": func(f *feed, h Host) {
			_ = os.Symlink(port, h.path("dev/serial/by-id/usb-x"))
			f.err = unix.ENOBUFS
			f.events <- ""
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFeed()
			h := told(t, &watch{open: func() (io.ReadCloser, error) { return f, nil }})
			found := make(chan string, 1)
			go func() {
				dev, _ := h.Wait(t.Context(), "usb-x")
				found <- dev
			}()
			time.Sleep(time.Hour)
			spoil(f, h)
			time.Sleep(time.Minute)
			_ = os.Symlink(port, h.path("dev/serial/by-id/usb-x"))
			time.Sleep(time.Second)
			synctest.Wait()
			if len(found) != 1 || <-found != port {
				t.Errorf("%s: Wait has not found the port", name)
				t.FailNow()
			}
		})
	}
}

func TestWaitWithoutListener(t *testing.T) {
	far, port := pty(t)
	defer far.Close()
	synctest.Test(t, func(t *testing.T) {
		h := told(t, &watch{open: func() (io.ReadCloser, error) { return nil, unix.EPROTONOSUPPORT }})
		found := make(chan string, 1)
		go func() {
			dev, _ := h.Wait(t.Context(), "usb-x")
			found <- dev
		}()
		time.Sleep(time.Minute)
		_ = os.Symlink(port, h.path("dev/serial/by-id/usb-x"))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(found) != 1 || <-found != port {
			t.Error("Wait has not found the port")
		}
	})
}

// All who wait share one listener, which ends with the last of them.
func TestOneListenerForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened, open atomic.Int32
		w := &watch{open: func() (io.ReadCloser, error) {
			opened.Add(1)
			open.Add(1)
			f := newFeed()
			go func() { <-f.closed; open.Add(-1) }()
			return f, nil
		}}
		h := told(t, w)
		for round := int32(1); round <= 3; round++ {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			for range 16 {
				go func() {
					_, err := h.Wait(ctx, "usb-x")
					ended <- err
				}()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if opened.Load() != round || open.Load() != 1 {
				t.Errorf("round %d: %d listeners opened, %d open, want one", round, opened.Load(), open.Load())
			}
			cancel()
			for range 16 {
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("Wait: %v, want %v", err, context.Canceled)
				}
			}
			synctest.Wait()
			if open.Load() != 0 {
				t.Errorf("round %d: a listener outlives those who waited", round)
			}
		}
	})
}

// The kernel of this machine tells, where it lets somebody ask for it.
func TestKernelTells(t *testing.T) {
	w := &watch{open: openUevents}
	news, leave, err := w.join()
	if err != nil {
		t.Skipf("no events of devices here: %v", err)
	}
	defer leave()
	if err := os.WriteFile("/sys/class/tty/tty/uevent", []byte("change"), 0); err != nil {
		t.Skipf("only root can ask the kernel for an event: %v", err)
	}
	if !(Host{}).told("ttyUSB0") {
		t.Skip("events do not reach this container")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case _, ok := <-news:
		if !ok {
			t.Error("the listener ended")
		}
	case <-ctx.Done():
		t.Error("no event of a terminal came")
	}
}
