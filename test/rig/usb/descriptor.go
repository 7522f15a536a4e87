package usb

import (
	"encoding/binary"
	"unicode/utf16"
)

// Types of descriptors (USB 2.0, table 9-5; CDC 1.2, table 12).
const (
	deviceDescriptor        = 1
	configurationDescriptor = 2
	stringDescriptor        = 3
	interfaceDescriptor     = 4
	endpointDescriptor      = 5
	classInterface          = 0x24
)

// Kinds of endpoints.
const (
	bulk      = 2
	interrupt = 3
)

// An iface is one interface of a device.
type iface struct {
	class     [3]byte // class, subclass, protocol
	extra     []byte  // descriptors of its class
	endpoints []endpoint
}

type endpoint struct {
	address byte // with 0x80 for in
	kind    byte
	packet  uint16 // bytes of the longest
}

// The numbers of strings in the device descriptor.
const (
	manufacturerString = iota + 1
	productString
	serialString
)

// device is the device descriptor (USB 2.0, table 9-8).
func (m model) device(serial string) []byte {
	b := []byte{18, deviceDescriptor, 0x00, 0x02, m.class, 0, 0, 64}
	for _, v := range []uint16{m.vid, m.pid, m.release} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	index := func(text string, n byte) byte {
		if text == "" {
			return 0
		}
		return n
	}
	return append(b, index(m.manufacturer, manufacturerString), index(m.product, productString), index(serial, serialString), 1)
}

// configuration is the configuration descriptor with all that belongs to it (USB 2.0,
// tables 9-10, 9-12 and 9-13).
func (m model) configuration() []byte {
	var body []byte
	for i, f := range m.interfaces {
		body = append(body, 9, interfaceDescriptor, byte(i), 0, byte(len(f.endpoints)), f.class[0], f.class[1], f.class[2], 0)
		body = append(body, f.extra...)
		for _, e := range f.endpoints {
			body = append(body, 7, endpointDescriptor, e.address, e.kind)
			body = binary.LittleEndian.AppendUint16(body, e.packet)
			body = append(body, 10) // ms between two polls, for interrupt
		}
	}
	head := []byte{9, configurationDescriptor}
	head = binary.LittleEndian.AppendUint16(head, uint16(9+len(body)))
	head = append(head, byte(len(m.interfaces)), 1, 0, 0x80, 50) // powered by the bus, 100 mA
	return append(head, body...)
}

// text is a string descriptor (USB 2.0, table 9-16); that of number 0 is the languages.
func text(s string) []byte {
	b := []byte{0, stringDescriptor}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	b[0] = byte(len(b))
	return b
}

// languages is US English alone.
var languages = []byte{4, stringDescriptor, 0x09, 0x04}
