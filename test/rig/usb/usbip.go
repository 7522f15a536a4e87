// Package usb is serial adapters as the kernel's USB/IP client sees them: they are
// plugged into its virtual host controller, vhci_hcd, and the drivers of the real
// ones take them for such. What is at the adapter's serial end is a program's.
//
// Not simulated are the speed of the line and of the bus, and modem lines.
package usb

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The kinds of packets (Documentation/usb/usbip_protocol.rst in the kernel's sources).
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4
)

// headerSize is that of each packet, in bytes; data is behind it.
const headerSize = 48

// What the kernel may be told of a transfer, as errno(3) negated.
const (
	okay     = 0
	stalled  = -32  // EPIPE: the endpoint does not know this request
	unlinked = -104 // ECONNRESET: taken back before it was done
)

// A urb is a transfer that the kernel has asked for.
type urb struct {
	sequence uint32
	endpoint byte
	in       bool // from the device to the host
	length   int  // bytes at most, for in
	setup    [8]byte
	data     []byte // for out
}

// An unlink takes back the transfer of the number victim.
type unlink struct{ sequence, victim uint32 }

// longest bounds what is believed of a length: four times that of the longest transfer that
// these drivers ask for.
const longest = 64 << 10

// read returns the next packet, a urb or an unlink.
//
//	command | sequence | device | direction | endpoint | flags | length | … | setup:8 | data
//	command | sequence | device | direction | endpoint | victim | …
func read(r io.Reader) (any, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
	switch command := word(0); command {
	case cmdUnlink:
		return unlink{sequence: word(1), victim: word(5)}, nil
	case cmdSubmit:
		u := urb{sequence: word(1), in: word(3) == 1, endpoint: byte(word(4)), length: int(word(6))}
		copy(u.setup[:], h[40:])
		if u.length < 0 || u.length > longest {
			return nil, fmt.Errorf("a transfer of %d bytes", u.length)
		}
		if u.in {
			return u, nil
		}
		u.data = make([]byte, u.length)
		_, err := io.ReadFull(r, u.data)
		return u, err
	default:
		return nil, fmt.Errorf("unknown command %d", command)
	}
}

// answer is the packet that ends a transfer. n is how many bytes were transferred.
func answer(u urb, status int32, n int, data []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(data))
	binary.BigEndian.PutUint32(b[0:], retSubmit)
	binary.BigEndian.PutUint32(b[4:], u.sequence)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
	binary.BigEndian.PutUint32(b[24:], uint32(n))
	return append(b, data...)
}

// answerUnlink is the packet that ends an unlink.
func answerUnlink(u unlink, status int32) []byte {
	b := make([]byte, headerSize)
	binary.BigEndian.PutUint32(b[0:], retUnlink)
	binary.BigEndian.PutUint32(b[4:], u.sequence)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
	return b
}
