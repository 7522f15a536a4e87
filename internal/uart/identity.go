package uart

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An identity is `VID:PID` or `VID:PID:serial`, as lsusb(8) writes it.
var identity = regexp.MustCompile(`^([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?::(.+))?$`)

// adapters describes the USB adapters whose devices this process can see. A
// container has all of /sys and only some of /dev.
func (h Host) adapters() (found []Info) {
	for _, pattern := range []string{"ttyUSB[0-9]*", "ttyACM[0-9]*"} {
		for _, dir := range matches(h.path("sys/class/tty", pattern)) {
			p, ok := h.describe(filepath.Base(dir))
			if ok && p.VID != "" && exists(p.Path) {
				found = append(found, p)
			}
		}
	}
	return found
}

// answers reports whether name means the adapter p, by its identity or by the
// names that udev gives it.
func (h Host) answers(p Info, name string) bool {
	if id := identity.FindStringSubmatch(name); id != nil {
		return strings.EqualFold(id[1], p.VID) && strings.EqualFold(id[2], p.PID) &&
			(id[3] == "" || fits(id[3], p.Serial))
	}
	switch dir, base := filepath.Split(name); dir {
	case "":
	case h.path("dev/serial/by-id") + "/":
		return fits(base, p.ByID)
	case h.path("dev/serial/by-path") + "/":
		return fits(base, p.ByPath)
	default:
		return false
	}
	return fits(name, p.ByID) || fits(name, p.ByPath)
}

// fits takes a name literally first, as matches does.
func fits(pattern, name string) bool {
	ok, _ := filepath.Match(pattern, name)
	return name != "" && (ok || pattern == name)
}

// usb goes up from a device to the USB device that carries it, and makes the
// names that udev's rules give it (systemd, rules.d/60-serial.rules), so that
// they hold where there is no udev.
func (h Host) usb(device string, p *Info) {
	var port, number, iface string
	for d := device; h.within(d); d = filepath.Dir(d) {
		port = cmp.Or(port, content(d, "port_number")) // of usb-serial; cdc_acm has none
		if number == "" {
			number, iface = content(d, "bInterfaceNumber"), d
		}
		if p.VID = content(d, "idVendor"); p.VID == "" {
			continue
		}
		p.PID = content(d, "idProduct")
		p.Manufacturer = content(d, "manufacturer")
		p.Product = content(d, "product")
		p.Serial = content(d, "serial")
		if port != "" {
			port = "-port" + port
		}
		if number != "" {
			p.ByID = p.byID(number, port)
			p.ByPath = h.udevPath(iface) + port
		}
		return
	}
}

func (p Info) byID(number, port string) string {
	return "usb-" + p.udevSerial() + "-if" + number + port
}

// udevSerial is what udev calls ID_SERIAL (udev-builtin-usb_id.c): the maker,
// or the number that stands for it, the product and its serial number.
func (p Info) udevSerial() string {
	const most, mostSerial = 63, 511 // bytes, of which udev has one more
	id := udevName(cmp.Or(p.Manufacturer, p.VID), most) + "_" + udevName(cmp.Or(p.Product, p.PID), most)
	// A serial number with a comma or beyond ASCII is none, for Windows' sake.
	odd := func(r rune) bool { return r < ' ' || r > 0x7f || r == ',' }
	if serial := udevName(p.Serial, mostSerial); serial != "" && !strings.ContainsFunc(p.Serial, odd) {
		id += "_" + serial
	}
	return id
}

// udevName makes s fit into the name of a device as udev does: white space
// becomes one underscore, and so does each byte that is neither a letter, a
// digit, one of #+-.:=@_, UTF-8, nor the beginning of \x.
func udevName(s string, most int) string {
	s = strings.Join(strings.FieldsFunc(s[:min(len(s), most)], isSpace), "_")
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case strings.HasPrefix(s, `\x`):
			n = 2
			b.WriteString(`\x`)
		case n > 1, r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("#+-.:=@_", r)):
			b.WriteString(s[:n])
		default:
			b.WriteByte('_')
		}
		s = s[n:]
	}
	return b.String()
}

// isSpace is isspace(3) in the C locale.
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

// udevPath is what udev calls ID_PATH (udev-builtin-path_id.c): from the bus of
// the machine to the socket, whatever is in it. Of parents on the same bus the
// nearest counts, and the number of the USB host does not.
func (h Host) udevPath(iface string) string {
	_, socket, _ := strings.Cut(filepath.Base(iface), "-")
	path, last := "usb-0:"+socket, "usb"
	for d := filepath.Dir(iface); h.within(d); d = filepath.Dir(d) {
		bus := linked(d, "subsystem")
		if bus != last && (bus == "pci" || bus == "platform") {
			path = bus + "-" + filepath.Base(d) + "-" + path
		}
		if bus != "" || exists(filepath.Join(d, "uevent")) { // otherwise a mere directory
			last = bus
		}
	}
	return path
}
