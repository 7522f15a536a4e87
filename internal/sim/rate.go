package sim

import (
	"math/bits"

	"golang.org/x/sys/unix"
)

// A Rate is how the bytes of a serial line are: their bits, and how fast.
type Rate struct {
	Baud  int
	Seven bool // seven bits of data with even parity, and not eight without
}

// Rate returns how the near end is set. Pseudo-terminals have bytes of eight bits,
// whatever one sets (the kernel's pty_set_termios).
func (p *PTY) Rate() (r Rate, err error) {
	rc, err := p.SyscallConn()
	if err != nil {
		return r, err
	}
	var t *unix.Termios
	// Of the far end, the kernel gives the settings of the near one.
	if cerr := rc.Control(func(fd uintptr) { t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS2) }); cerr != nil {
		return r, cerr
	}
	if err != nil {
		return r, err
	}
	return Rate{Baud: int(t.Ospeed)}, nil
}

// Resample returns what a receiver gets of bytes that were sent at another rate:
// the line is low for a start bit, has the bits of the byte, the lowest first,
// and is high for a stop bit; the receiver waits for a start and then looks at
// the middle of each bit. Pseudo-terminals pass bytes at any rate, unharmed.
func Resample(b []byte, sent, received Rate) []byte {
	var line []bool
	for _, c := range b {
		line = append(line, false)
		c = parity(c, sent)
		for i := range 8 {
			line = append(line, c>>i&1 != 0)
		}
		line = append(line, true)
	}
	length := float64(sent.Baud) / float64(received.Baud) // of a received bit, in bits sent
	level := func(at float64) bool { return int(at) >= len(line) || line[int(at)] }
	var out []byte
	for at := 0.0; int(at) < len(line); {
		if level(at) {
			at = float64(int(at) + 1) // idle, or a stop bit: the next edge is at a bit of the sender
			continue
		}
		var c byte
		for i := range 8 {
			if level(at + (1.5+float64(i))*length) {
				c |= 1 << i
			}
		}
		if received.Seven {
			c &= 0x7f
		}
		out = append(out, c)
		at += 9.5 * length
		for !level(at) { // a break lasts until the line is high
			at++
		}
	}
	return out
}

// parity puts the parity into the eighth bit.
func parity(c byte, r Rate) byte {
	if r.Seven && bits.OnesCount8(c&0x7f)%2 != 0 {
		return c&0x7f | 0x80
	}
	if r.Seven {
		return c & 0x7f
	}
	return c
}
