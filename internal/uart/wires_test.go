package uart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The kernel reads and writes these; their sizes are those of C.
func TestStructsAreTheKernels(t *testing.T) {
	word := unsafe.Sizeof(uintptr(0))
	for name, sizes := range map[string][2]uintptr{
		"serial_rs485":           {unsafe.Sizeof(serialRS485{}), 32},
		"serial_icounter_struct": {unsafe.Sizeof(icounter{}), 80},
		"serial_struct":          {unsafe.Sizeof(serialStruct{}), map[uintptr]uintptr{4: 60, 8: 72}[word]},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s has %d bytes, want %d", name, sizes[0], sizes[1])
		}
	}
}

func TestParityIsNoticed(t *testing.T) {
	const bits = unix.PARENB | unix.PARODD | unix.CMSPAR
	for parity, want := range map[Parity]uint32{
		NoParity: 0, EvenParity: unix.PARENB, OddParity: unix.PARENB | unix.PARODD,
		MarkParity: bits, SpaceParity: unix.PARENB | unix.CMSPAR,
	} {
		l := &fakeLine{t: unix.Termios{Iflag: unix.IGNPAR, Cflag: unix.CS8 | unix.CRTSCTS | unix.B9600}}
		if err := reset(l, 300, 7, parity); err != nil {
			t.Errorf("reset to %s: %v", parity, err)
		}
		if got := l.t.Cflag & bits; got != want {
			t.Errorf("parity %s: flags %#x, want %#x", parity, got, want)
		}
		if noticed := l.t.Iflag&(unix.INPCK|unix.IGNPAR) == unix.INPCK; noticed != (parity != NoParity) {
			t.Errorf("parity %s: wrong bits are noticed is %t", parity, noticed)
		}
		if l.t.Cflag&unix.CSIZE != unix.CS7 || l.t.Ospeed != 300 || l.t.Ispeed != 300 || l.t.Cflag&unix.CRTSCTS == 0 {
			t.Errorf("the line is %+v, want 300 baud, 7 bits, and its flow control kept", l.t)
		}
	}
}

func TestResetRefused(t *testing.T) {
	for want, l := range map[string]*fakeLine{
		"take one of the rates":           {refuse: map[uint]error{unix.TCGETS2: unix.ENOSYS}},
		"the nearest that it can is 9600": {nearest: 9600},
		"the adapter cannot":              {noMarks: true},
		unix.EIO.Error():                  {refuse: map[uint]error{unix.TCSETS2: unix.EIO}},
	} {
		if err := reset(l, 300, 7, MarkParity); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reset: %v, want %q", err, want)
		}
	}
}

func TestWiresAtOpen(t *testing.T) {
	const both = unix.TIOCM_DTR | unix.TIOCM_RTS // as the kernel leaves them
	for _, tt := range []struct {
		dtr, rts Wire
		want     int32
		asked    int
	}{
		{"", "", both, 0},
		{LeaveWire, LeaveWire, both, 0},
		{OffWire, LeaveWire, unix.TIOCM_RTS, 1},
		{LeaveWire, OffWire, unix.TIOCM_DTR, 1},
		{OffWire, OffWire, 0, 2},
		{OnWire, OnWire, both, 2},
	} {
		l := &fakeLine{modem: both}
		if err := tune(l, Config{DTR: tt.dtr, RTS: tt.rts}.withDefaults()); err != nil || l.modem != tt.want || len(l.asked) != tt.asked {
			t.Errorf("DTR %q, RTS %q: %#x by %d requests, %v, want %#x by %d", tt.dtr, tt.rts, l.modem, len(l.asked), err, tt.want, tt.asked)
		}
	}
	l := &fakeLine{refuse: map[uint]error{unix.TIOCMBIC: unix.ENOTTY}}
	err := tune(l, Config{DTR: OffWire, RTS: OffWire}.withDefaults())
	if !errors.Is(err, errors.ErrUnsupported) || strings.Count(fmt.Sprint(err), "this port has no such wire") != 2 {
		t.Errorf("tune without wires: %v, want both named", err)
	}
}

func TestLines(t *testing.T) {
	l := &fakeLine{modem: unix.TIOCM_RTS | unix.TIOCM_CTS | unix.TIOCM_CD}
	if got, err := getLines(l); err != nil || got != (Lines{RTS: true, CTS: true, DCD: true}) {
		t.Errorf("getLines = %+v, %v", got, err)
	}
	l.modem = unix.TIOCM_DTR | unix.TIOCM_DSR | unix.TIOCM_RNG
	if got, err := getLines(l); err != nil || got != (Lines{DTR: true, DSR: true, RNG: true}) {
		t.Errorf("getLines = %+v, %v", got, err)
	}
	l.refuse = map[uint]error{unix.TIOCMGET: unix.EINVAL, unix.TIOCSBRK: unix.ENOTTY}
	if _, err := getLines(l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("getLines of a port without: %v, want %v", err, errors.ErrUnsupported)
	}
	if err := setBreak(l, true); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("setBreak of a port that cannot: %v, want %v", err, errors.ErrUnsupported)
	}
	l.asked = nil
	if err := errors.Join(setBreak(&fakeLine{}, true), setBreak(l, false)); err != nil || !slices.Equal(l.asked, []uint{unix.TIOCCBRK}) {
		t.Errorf("setBreak: %v by %#x", err, l.asked)
	}
}

func TestRS485(t *testing.T) {
	l := &fakeLine{}
	cfg := RS485{Enabled: true, RTSOnSend: OnWire, DelayBefore: time.Millisecond, DelayAfter: 2 * time.Millisecond}
	if err := tune(l, Config{RS485: cfg}.withDefaults()); err != nil {
		t.Error(err)
	}
	if want := (serialRS485{flags: rs485Enabled | rs485OnSend, beforeSend: 1, afterSend: 2}); l.rs485 != want {
		t.Errorf("the driver got %+v, want %+v", l.rs485, want)
	}
	cfg.RTSOnSend = OffWire
	if err := setRS485(l, cfg); err != nil || l.rs485.flags != rs485Enabled|rs485AfterSend {
		t.Errorf("RTS off: %v with flags %#x", err, l.rs485.flags)
	}
	for want, l := range map[string]*fakeLine{
		"this adapter switches by itself, or cannot": {refuse: map[uint]error{unix.TIOCSRS485: unix.ENOTTY}},
		"the driver has left it off":                 {rs485Is: func(s *serialRS485) { s.flags = 0 }},
		"cannot have RTS off while it sends":         {rs485Is: func(s *serialRS485) { s.flags = rs485Enabled | rs485OnSend }},
		"can only have delays of 0 ms before":        {rs485Is: func(s *serialRS485) { s.beforeSend = 0 }},
	} {
		if err := tune(l, Config{RS485: cfg}.withDefaults()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tune: %v, want %q", err, want)
		}
	}
	l = &fakeLine{}
	if err := tune(l, Config{}.withDefaults()); err != nil || len(l.asked) != 0 {
		t.Errorf("without rs485: %v by requests %#x, want none: the board may have switched it on", err, l.asked)
	}
}

func TestCountersRunFromOpen(t *testing.T) {
	old := icounter{frame: 5, parity: -1, overrun: 7, bufferOverrun: 0, breaks: 3}
	l := &fakeLine{counted: icounter{frame: 6, parity: 1, overrun: 7, bufferOverrun: 9, breaks: 3}}
	now, err := getCounters(l)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Counters{Frame: 1, Parity: 2, Buffer: 9}, now.since(old)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	l.refuse = map[uint]error{unix.TIOCGICOUNT: unix.ENOTTY}
	if _, err := getCounters(l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("getCounters of a port that does not count: %v, want %v", err, errors.ErrUnsupported)
	}
}

func TestLowLatency(t *testing.T) {
	h := Host{Root: t.TempDir()}
	timer := h.path("sys/class/tty/ttyUSB0/device/latency_timer")
	if err := os.MkdirAll(filepath.Dir(timer), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(timer, []byte("16\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := &fakeLine{serial: serialStruct{flags: 1 << 4, closeDelay: 50}}
	if err := h.hurry(l, "/dev/ttyUSB0"); err != nil || l.serial != (serialStruct{flags: 1<<4 | asyncLowLatency, closeDelay: 50}) {
		t.Errorf("hurry: %v with %+v, want one flag more", err, l.serial)
	}
	if content(filepath.Dir(timer), "latency_timer") != "16" {
		t.Error("the timer was written although the driver took the request")
	}
	l.refuse = map[uint]error{unix.TIOCSSERIAL: unix.EPERM}
	if err := h.hurry(l, "/dev/ttyUSB0"); err != nil || content(filepath.Dir(timer), "latency_timer") != "1" {
		t.Errorf("hurry by the timer: %v, timer %s, want 1", err, content(filepath.Dir(timer), "latency_timer"))
	}
	if err := h.hurry(l, "/dev/ttyACM0"); err != nil {
		t.Errorf("hurry of a driver that does not collect: %v, want nothing to be done", err)
	}
}
