package uart_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/internal/uart"
)

// termios reads the settings of a port from its far end.
func termios(t *testing.T, far *os.File) *unix.Termios {
	t.Helper()
	tio, err := unix.IoctlGetTermios(int(far.Fd()), unix.TCGETS2)
	if errors.Is(err, unix.ENOSYS) {
		t.Skip("no TCGETS2 here: qemu-user")
	}
	if err != nil {
		t.Fatal(err)
	}
	return tio
}

// IEC 62056-21 mode C begins with 300 7E1 and goes on with what the meter offers.
func TestSetRateOfAnOpenPort(t *testing.T) {
	far, path := newPTY(t)
	p := open(t, uart.Config{Port: path, Baud: 300, DataBits: 7, Parity: uart.EvenParity})
	if got := termios(t, far); got.Cflag&unix.HUPCL != 0 {
		t.Error("the port hangs up when it is closed, want DTR left as it is")
	}
	if err := p.SetRate(19200, 8, uart.NoParity); err != nil {
		t.Fatal(err)
	}
	if got := termios(t, far); got.Ospeed != 19200 || got.Cflag&unix.CSIZE != unix.CS8 || got.Iflag&unix.INPCK != 0 {
		t.Errorf("after SetRate the line is %+v, want 19200 8N1", got)
	}
	carry(t, far, p, []byte{0, 0x7f, 0x80, 0xff})
	carry(t, p, far, []byte{0, 0x7f, 0x80, 0xff})
	if err := p.SetRate(49, 9, "strange"); err == nil {
		t.Error("SetRate to 49 baud, 9 bits, strange parity: no error")
	}
	if got := termios(t, far); got.Ospeed != 19200 {
		t.Errorf("a refused SetRate has set %d baud, want 19200 as before", got.Ospeed)
	}
	p.Close()
	if err := p.SetRate(300, 7, uart.EvenParity); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SetRate of a closed port: %v, want %v", err, os.ErrClosed)
	}
}

// A pseudo-terminal has neither wires nor counters, and says so; a break is
// taken and does nothing.
func TestWhatAPortCannot(t *testing.T) {
	_, path := newPTY(t)
	p := open(t, uart.Config{Port: path})
	_, lines := p.Lines()
	_, counters := p.Counters()
	for what, err := range map[string]error{"SetDTR": p.SetDTR(false), "SetRTS": p.SetRTS(true), "Lines": lines, "Counters": counters} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want %v", what, err, errors.ErrUnsupported)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Break(ctx, time.Hour); !errors.Is(err, context.Canceled) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Break whose context has ended: %v, want %v", err, context.Canceled)
	}
	if _, err := uart.Open(t.Context(), uart.Config{Port: path + "x"}); err == nil {
		t.Error("Open of no port: no error")
	}
	_, path = newPTY(t)
	if p, err := uart.Open(t.Context(), uart.Config{Port: path, DTR: uart.OffWire}); err == nil {
		p.Close()
		t.Error("Open with DTR off of a port without DTR: no error")
	}
}
