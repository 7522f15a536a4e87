package uart

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Info describes a serial port of a machine. Fields that do not apply, such as
// those of USB for a port on the board, are empty.
type Info struct {
	Path         string   `json:"path"`              // /dev/ttyUSB0
	ByID         string   `json:"by_id,omitempty"`   // the link in /dev/serial/by-id, the best name to configure; without udev, only its name
	ByPath       string   `json:"by_path,omitempty"` // the same in /dev/serial/by-path: the socket, whatever is in it
	Driver       string   `json:"driver,omitempty"`  // ftdi_sio, cdc_acm, uart-pl011
	VID          string   `json:"vid,omitempty"`     // four hexadecimal digits
	PID          string   `json:"pid,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Product      string   `json:"product,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Holders      []Holder `json:"holders,omitempty"` // who has it open, as far as this user may see
}

// List returns the serial ports of this machine in the order of their names.
func List() ([]Info, error) { return Host{}.List() }

// List is as the function List.
func (h Host) List() ([]Info, error) {
	entries, err := os.ReadDir(h.path("sys/class/tty"))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { // ttyUSB2 before ttyUSB10
		return cmp.Or(cmp.Compare(len(a.Name()), len(b.Name())), cmp.Compare(a.Name(), b.Name()))
	})
	ids, paths, holders := h.links("by-id"), h.links("by-path"), h.holders()
	var ports []Info
	for _, e := range entries {
		p, ok := h.describe(e.Name())
		if !ok {
			continue
		}
		p.ByID, p.ByPath = cmp.Or(ids[e.Name()], p.ByID), cmp.Or(paths[e.Name()], p.ByPath)
		p.Holders = holders[p.Path]
		ports = append(ports, p)
	}
	return ports, nil
}

// Describe says what is known of the device of an open port, but not who holds it,
// which takes a look at every process. A port on the network is not known.
func Describe(dev string) (p Info, ok bool) { return Host{}.describe(filepath.Base(dev)) }

// describe says what /sys knows of a terminal, if it is a serial port.
func (h Host) describe(name string) (p Info, ok bool) {
	dir := h.path("sys/class/tty", name)
	device, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil || content(dir, "type") == "0" {
		return Info{}, false // a virtual terminal; a place on the board without a UART (PORT_UNKNOWN)
	}
	p = Info{Path: h.path("dev", name), Driver: h.driver(device)}
	h.usb(device, &p)
	return p, true
}

// links returns the links of a directory in /dev/serial by the name of the
// device that each points to.
func (h Host) links(dir string) map[string]string {
	links := map[string]string{}
	for _, l := range matches(h.path("dev/serial", dir, "*")) {
		if to, err := os.Readlink(l); err == nil {
			links[filepath.Base(to)] = l
		}
	}
	return links
}

// driver goes up from a device to the first driver that means something: since
// Linux 6.5 a UART on the board has the drivers "port" and "ctrl" of the bus
// serial-base below its own.
func (h Host) driver(device string) string {
	for d := device; h.within(d); d = filepath.Dir(d) {
		if name := linked(d, "driver"); name != "" && name != "port" && name != "ctrl" {
			return name
		}
	}
	return ""
}

func (h Host) within(device string) bool {
	return strings.HasPrefix(device, h.path("sys/devices")+"/")
}

// content returns what a file in /sys says, or nothing.
func content(dir, file string) string {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(b))
}

// linked returns the name of what a link in /sys points to, or nothing.
func linked(dir, link string) string {
	to, err := os.Readlink(filepath.Join(dir, link))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
