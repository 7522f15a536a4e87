package uart_test

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"edge/internal/uart"
)

// A usbAdapter is what goes into /sys with an adapter on port `socket` of the
// USB host of a Raspberry Pi 4.
type usbAdapter struct {
	socket, tty            string
	vid, pid               string
	maker, product, serial string
	interfaceNumber        string
	usbSerial              bool // of usb-serial, with a number of the port; otherwise cdc_acm
	noNode                 bool // not in /dev
}

// host is where USB hangs on a Raspberry Pi 4.
const host = "sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1"

func (a usbAdapter) files() map[string]string {
	usb := host + "/1-1/1-" + a.socket
	iface := usb + "/1-" + a.socket + ":1.0"
	device := iface
	files := map[string]string{
		"sys/devices/platform/uevent":                                                             "",
		"sys/devices/platform/scb/subsystem->":                                                    "../../../bus/platform",
		"sys/devices/platform/scb/fd500000.pcie/subsystem->":                                      "../../../../bus/platform",
		"sys/devices/platform/scb/fd500000.pcie/pci0000:00/uevent":                                "",
		"sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/subsystem->":              "../../../../../../bus/pci",
		"sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/subsystem->": "../../../../../../../bus/pci",
		host + "/subsystem->":       "../../../../../../../../bus/usb",
		host + "/1-1/subsystem->":   "../../../../../../../../../bus/usb",
		usb + "/subsystem->":        "../../../../../../../../../../bus/usb",
		usb + "/idVendor":           a.vid + "\n",
		usb + "/idProduct":          a.pid + "\n",
		iface + "/subsystem->":      "../../../../../../../../../../../bus/usb",
		iface + "/bInterfaceNumber": a.interfaceNumber + "\n",
	}
	if a.usbSerial {
		device += "/" + a.tty
		files[device+"/port_number"] = "0\n"
	}
	for name, text := range map[string]string{"manufacturer": a.maker, "product": a.product, "serial": a.serial} {
		if text != "" { // there is no file for a string that a device does not have
			files[usb+"/"+name] = text + "\n"
		}
	}
	files[device+"/tty/"+a.tty+"/device->"] = "../../../" + filepath.Base(device)
	files["sys/class/tty/"+a.tty+"->"] = "../../" + strings.TrimPrefix(device, "sys/") + "/tty/" + a.tty
	if !a.noNode {
		files["dev/"+a.tty] = ""
	}
	return files
}

// Names as they are seen in the reports of owners, and the strings that the
// devices have.
var known = []struct {
	usbAdapter
	byID string
}{
	{
		usbAdapter{vid: "0403", pid: "6001", maker: "FTDI", product: "FT232R USB UART", serial: "A50285BI", usbSerial: true},
		"usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
	},
	{
		usbAdapter{vid: "1a86", pid: "7523", product: "USB2.0-Serial", usbSerial: true},
		"usb-1a86_USB2.0-Serial-if00-port0",
	},
	{
		usbAdapter{vid: "2341", pid: "0043", maker: "Arduino (www.arduino.cc)", serial: "75735323030351F0C1B0"},
		"usb-Arduino__www.arduino.cc__0043_75735323030351F0C1B0-if00",
	},
	{
		usbAdapter{vid: "1cf1", pid: "0030", maker: "dresden elektronik ingenieurtechnik GmbH", product: "ConBee II", serial: "DE2132111"},
		"usb-dresden_elektronik_ingenieurtechnik_GmbH_ConBee_II_DE2132111-if00",
	},
	{
		usbAdapter{vid: "10c4", pid: "ea60", maker: "ITead", product: "Sonoff Zigbee 3.0 USB Dongle Plus", serial: "00a1b2", usbSerial: true},
		"usb-ITead_Sonoff_Zigbee_3.0_USB_Dongle_Plus_00a1b2-if00-port0",
	},
	{
		usbAdapter{vid: "0658", pid: "0200", interfaceNumber: "02"}, // an Aeotec Z-Stick
		"usb-0658_0200-if02",
	},
	{ // made up: what udev replaces
		usbAdapter{vid: "0001", pid: "0002", maker: " A/B\t  c ", product: `Größe\x2f"`, serial: "1,2"},
		`usb-A_B_c_Größe\x2f_-if00`,
	},
}

func TestNamesWithoutUdev(t *testing.T) {
	for _, k := range known {
		k.socket, k.tty = "1.3", "ttyACM4"
		if k.usbSerial {
			k.tty = "ttyUSB4"
		}
		if k.interfaceNumber == "" {
			k.interfaceNumber = "00"
		}
		h := machine(t, k.files())
		ports, err := h.List()
		if err != nil || len(ports) != 1 || ports[0].ByID != k.byID {
			t.Errorf("List = %+v, %v, want the name %s", ports, err, k.byID)
			continue
		}
		socket := "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0"
		if k.usbSerial {
			socket += "-port0"
		}
		for _, name := range []string{
			k.byID, socket, "usb-*", k.vid + ":" + k.pid, strings.ToUpper(k.vid + ":" + k.pid),
			h.Root + "/dev/serial/by-id/" + k.byID, h.Root + "/dev/serial/by-path/" + socket,
			k.vid + ":" + k.pid + ":" + k.serial,
		} {
			if k.serial == "" && strings.HasSuffix(name, ":") {
				continue
			}
			want := filepath.Join(h.Root, "dev", k.tty)
			if got, err := h.Find(name); err != nil || got != want {
				t.Errorf("Find(%q) = %q, %v, want %q", name, got, err, want)
			}
		}
		for _, name := range []string{k.byID + "-port1", "ffff:" + k.pid, k.vid + ":" + k.pid + ":other", h.Root + "/dev/" + k.byID} {
			if got, err := h.Find(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Find(%q) = %q, %v, want %v", name, got, err, fs.ErrNotExist)
			}
		}
	}
}

// udev makes one link for two adapters without serial numbers, and it is not
// said to which of them.
func TestTwinsAreToldApartBySocket(t *testing.T) {
	twin := usbAdapter{vid: "1a86", pid: "7523", product: "USB Serial", usbSerial: true, interfaceNumber: "00"}
	files := map[string]string{"dev/serial/by-id/usb-1a86_USB_Serial-if00-port0->": "../../ttyUSB1"}
	for i, tty := range []string{"ttyUSB0", "ttyUSB1"} {
		twin.tty, twin.socket = tty, []string{"1.1", "1.2"}[i]
		maps.Copy(files, twin.files())
	}
	h := machine(t, files)
	const socket = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1."
	want := "more than one port matches: " + socket + "1:1.0-port0, " + socket + "2:1.0-port0"
	for _, name := range []string{"usb-1a86_USB_Serial-if00-port0", "1a86:7523", "usb-1a86*"} {
		got, err := h.Find(name)
		if !errors.Is(err, uart.ErrAmbiguous) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Find(%q) = %q, %v, want %q", name, got, err, want)
		}
	}
	if got, err := h.Find(socket + "2:1.0-port0"); err != nil || filepath.Base(got) != "ttyUSB1" {
		t.Errorf("Find(socket 2) = %q, %v, want ttyUSB1", got, err)
	}
}

func TestAmbiguousIdentityListsSerialNumbers(t *testing.T) {
	files := map[string]string{}
	for i, tty := range []string{"ttyUSB0", "ttyUSB1"} {
		maps.Copy(files, usbAdapter{
			vid: "0403", pid: "6001", maker: "FTDI", product: "UART", serial: "A" + tty[6:], usbSerial: true, interfaceNumber: "00",
			tty: tty, socket: []string{"1.1", "1.2"}[i],
		}.files())
	}
	h := machine(t, files)
	_, err := h.Find("0403:6001")
	if want := "more than one port matches: usb-FTDI_UART_A0-if00-port0, usb-FTDI_UART_A1-if00-port0"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Find: %v, want %q", err, want)
	}
	if got, err := h.Find("0403:6001:A1"); err != nil || filepath.Base(got) != "ttyUSB1" {
		t.Errorf("Find(0403:6001:A1) = %q, %v, want ttyUSB1", got, err)
	}
	if got, err := h.Find("0403:6001:?0"); err != nil || filepath.Base(got) != "ttyUSB0" {
		t.Errorf("Find(0403:6001:?0) = %q, %v, want ttyUSB0", got, err)
	}
}

// A container sees every adapter in /sys and is given some of them.
func TestAdapterWithoutNodeIsNotThere(t *testing.T) {
	h := machine(t, usbAdapter{vid: "0403", pid: "6001", tty: "ttyUSB0", socket: "1.1", interfaceNumber: "00", usbSerial: true, noNode: true}.files())
	if got, err := h.Find("0403:6001"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no USB adapter is plugged in") {
		t.Errorf("Find = %q, %v, want %v", got, err, fs.ErrNotExist)
	}
}

// Whatever a device calls itself, its name stays in its directory.
func FuzzNamesWithoutUdev(f *testing.F) {
	for _, k := range known {
		f.Add(k.maker, k.product, k.serial)
	}
	f.Add("..", "/", "\x00\xff\\x")
	f.Fuzz(func(t *testing.T, maker, product, serial string) {
		name := uart.ByID(uart.Info{VID: "0403", PID: "6001", Manufacturer: maker, Product: product, Serial: serial}, "00", "")
		if strings.ContainsAny(name, "/\x00 \n") || name != filepath.Base(name) || len(name) > 1024 {
			t.Errorf("name %q is no name of a file", name)
		}
	})
}
