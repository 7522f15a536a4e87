//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"edge/test/rig/agent"
	"edge/test/rig/usb"
)

// attach is where the virtual host controller takes connections to devices
// (Documentation/ABI/testing/sysfs-platform-vhci_hcd is silent; tools/usb/usbip has it).
const attach = "/sys/devices/platform/vhci_hcd.0/attach"

// fullSpeed is USB_SPEED_FULL of linux/usb/ch9.h: 12 Mbit/s, as of these adapters.
const fullSpeed = 2

// PlugUSB implements agent.Client.
func (a *Agent) PlugUSB(u agent.USB, _ *agent.None) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sticks[u.Port] != nil {
		return fmt.Errorf("port %d is taken", u.Port)
	}
	s := new(stick)
	device, err := usb.New(u.Driver, u.Serial, s.take)
	if err != nil {
		return err
	}
	conn, err := connect(u.Port)
	if err != nil {
		return err
	}
	s.device, s.conn, s.over = device, conn, make(chan struct{})
	go func() { _ = device.Serve(conn) }() // until it is unplugged
	go s.measure()
	a.sticks[u.Port] = s
	return nil
}

// UnplugUSB implements agent.Client.
func (a *Agent) UnplugUSB(port int, at *time.Time) error {
	*at = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sticks[port]
	if s == nil {
		return fmt.Errorf("nothing is in port %d", port)
	}
	delete(a.sticks, port)
	close(s.over)
	return s.conn.Close()
}

// connect gives the host controller one end of a connection, which is as if a cable
// were plugged into its port, and returns the other.
func connect(port int) (io.ReadWriteCloser, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ends[1]) // The kernel keeps it.
	f := os.NewFile(uintptr(ends[0]), "usb")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("%d %d %d %d", port, ends[1], port+1, fullSpeed)
	if err := os.WriteFile(attach, []byte(line), 0); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// A stick is what is at an adapter's serial end: it counts, ten times a second, and has
// an LED:
//
//	{"count":17}
//	led on  {"led":"on"}
type stick struct {
	device *usb.Device
	conn   io.Closer
	over   chan struct{}
	line   []byte // begun
}

func (s *stick) measure() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for count := 1; ; count++ {
		if _, err := fmt.Fprintf(s.device, "{\"count\":%d}\n", count); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.over:
			return
		}
	}
}

// maxLine bounds a command in bytes.
const maxLine = 256

func (s *stick) take(b []byte) {
	s.line = append(s.line, b...)
	for {
		line, rest, found := bytes.Cut(s.line, []byte("\n"))
		if !found {
			break
		}
		s.line = rest
		if state, ok := bytes.CutPrefix(line, []byte("led ")); ok {
			fmt.Fprintf(s.device, "{\"led\":%q}\n", state)
		}
	}
	if len(s.line) > maxLine {
		s.line = nil
	}
}
