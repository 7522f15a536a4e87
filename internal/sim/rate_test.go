package sim

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func TestResample(t *testing.T) {
	text := []byte("1-0:1.7.0(01.193*kW)\r\n\x00\xff")
	eight, seven := Rate{9600, false}, Rate{9600, true}
	if got := Resample(text, eight, eight); !bytes.Equal(got, text) {
		t.Errorf("at its rate %q is %q", text, got)
	}
	if got := Resample(text[:20], seven, seven); !bytes.Equal(got, text[:20]) {
		t.Errorf("with parity %q is %q", text[:20], got)
	}
	if got := Resample([]byte("1A"), seven, eight); string(got) != "\xb1A" {
		t.Errorf("1A with parity is %q for who takes eight bits, want the parity in the eighth", got)
	}
	for _, baud := range []int{300, 2400, 4800, 19200, 57600, 115200} {
		if got := Resample(text, eight, Rate{Baud: baud}); bytes.Contains(got, text[:4]) || len(got) == 0 {
			t.Errorf("9600 at %d baud is %q", baud, got)
		}
	}
}

func TestRateOfTheNearEnd(t *testing.T) {
	p, err := NewPTY("")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	near, err := unix.Open(p.Port(), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(near)
	term := &unix.Termios{Cflag: unix.CREAD | unix.CLOCAL | unix.CS8 | unix.BOTHER, Ispeed: 12345, Ospeed: 12345}
	if err := unix.IoctlSetTermios(near, unix.TCSETS2, term); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Rate(); err != nil || r != (Rate{Baud: 12345}) {
		t.Errorf("rate %+v, %v, want 12345 baud", r, err)
	}
}
