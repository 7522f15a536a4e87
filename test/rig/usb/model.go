package usb

import (
	"maps"
	"slices"
)

// A model is what differs between adapters.
type model struct {
	vid, pid, release     uint16
	class                 byte
	manufacturer, product string
	serial                bool // whether it has a serial number
	interfaces            []iface
	in, out               byte   // the endpoints that carry data
	packet                int    // bytes of their longest packet
	status                []byte // stands before the data of each packet to the host
	open                  byte   // the request by which the driver opens the port: what was said before is lost

	// answers are what the driver is told when it asks by a request of the maker;
	// what is not here is zeros.
	answers map[byte][]byte
}

var vendor = [3]byte{0xFF, 0xFF, 0xFF}

// models are by the name of their driver. What they answer is what the drivers ask for when
// they take a device or open it, by the kernel's drivers/usb/serial.
var models = map[string]model{
	"ftdi_sio": { // FT232R
		vid: 0x0403, pid: 0x6001, release: 0x0600, manufacturer: "FTDI", product: "FT232R USB UART", serial: true,
		interfaces: []iface{{class: vendor, endpoints: []endpoint{{0x81, bulk, 64}, {0x02, bulk, 64}}}},
		in:         1, out: 2, packet: 64,
		open:   0x00,               // reset
		status: []byte{0x31, 0x60}, // CTS, DSR; the transmitter is empty
		answers: map[byte][]byte{
			0x05: {0x31, 0x60}, // modem status
			0x0A: {16},         // the latency timer, in ms
		},
	},
	"cp210x": { // CP2102
		vid: 0x10C4, pid: 0xEA60, release: 0x0100,
		manufacturer: "Silicon Labs", product: "CP2102 USB to UART Bridge Controller", serial: true,
		interfaces: []iface{{class: vendor, endpoints: []endpoint{{0x81, bulk, 64}, {0x01, bulk, 64}}}},
		in:         1, out: 1, packet: 64, open: 0x00, // enable the interface
		answers: map[byte][]byte{
			0xFF: {0x02},                   // the part: CP2102
			0x1D: {0x00, 0xC2, 0x01, 0x00}, // 115200 baud
			0x04: {0x00, 0x08},             // 8 data bits
		},
	},
	"ch341": { // CH340
		vid: 0x1A86, pid: 0x7523, release: 0x0254, class: 0xFF, product: "USB2.0-Serial",
		interfaces: []iface{{class: [3]byte{0xFF, 0x01, 0x02}, endpoints: []endpoint{
			{0x82, bulk, 32}, {0x02, bulk, 32}, {0x81, interrupt, 8},
		}}},
		in: 2, out: 2, packet: 32, open: 0xA4, // modem lines
		answers: map[byte][]byte{0x5F: {0x31, 0x00}}, // the version of the chip
	},
	"cdc_acm": { // as of Zigbee sticks and boards with a USB of their own
		vid: 0x1CF1, pid: 0x0030, release: 0x0100, class: 0x02,
		manufacturer: "dresden elektronik", product: "ConBee II", serial: true,
		interfaces: []iface{
			{
				class: [3]byte{0x02, 0x02, 0x01}, // communications, abstract control model
				extra: []byte{
					5, classInterface, 0x00, 0x10, 0x01, // header, CDC 1.10
					5, classInterface, 0x01, 0x00, 1, // calls are not managed
					4, classInterface, 0x02, 0x02, // line coding and state can be set
					5, classInterface, 0x06, 0, 1, // union of interfaces 0 and 1
				},
				endpoints: []endpoint{{0x82, interrupt, 16}},
			},
			{class: [3]byte{0x0A, 0, 0}, endpoints: []endpoint{{0x81, bulk, 64}, {0x01, bulk, 64}}},
		},
		in: 1, out: 1, packet: 64, open: 0x22, // control line state
	},
}

// Drivers are the names of the drivers for which there is an adapter.
func Drivers() []string { return slices.Sorted(maps.Keys(models)) }
