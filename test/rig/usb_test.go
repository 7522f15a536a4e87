//go:build linux

package rig

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/test/rig/agent"
	"edge/test/rig/usb"
)

// sticks are the names of the adapters as udev makes them, by driver. There is no udev in
// the guest: edge makes them itself.
var sticks = map[string]string{
	"cdc_acm":  "usb-dresden_elektronik_ConBee_II_EDGE1-if00",
	"ch341":    "usb-1a86_USB2.0-Serial-if00-port0",
	"cp210x":   "usb-Silicon_Labs_CP2102_USB_to_UART_Bridge_Controller_EDGE1-if00-port0",
	"ftdi_sio": "usb-FTDI_FT232R_USB_UART_EDGE1-if00-port0",
}

// TestUSB has a stick on each kind of adapter, with the kernel's own drivers, and takes them
// out and puts them back, again and again: each is gone and back at once, reads and obeys, and
// nothing is left behind.
func TestUSB(t *testing.T) {
	h := newIdleHub(startBare(t))
	var yaml strings.Builder
	for _, driver := range usb.Drivers() {
		fmt.Fprintf(&yaml, `
  %s:
    serial:
      port: %s
      entities:
        - {id: count}
        - {id: led, kind: switch, command: "led {{.Raw | lower}}\n"}
`, driver, sticks[driver])
	}
	h.bridges(yaml.String())
	h.launch()
	for port, driver := range usb.Drivers() {
		s := h.stick(port, driver)
		s.plug()
		s.unplug() // The first time is no coming back, and is not logged.
		s.plug()
	}
	// What is used for the first time stays: a file of the poller, threads.
	threads, files := h.threads(), h.files()
	for port, driver := range usb.Drivers() {
		s := h.stick(port, driver)
		var gone, back times
		for i := range number(t, "RIG_REPLUGS", 3) {
			gone = append(gone, s.unplug())
			back = append(back, s.plug())
			s.obey(map[bool]string{true: "ON", false: "OFF"}[i%2 == 0])
		}
		t.Logf("%-8s offline after %v; online after %v", driver, gone, back)
		for what, all := range map[string]times{"gone": gone, "back": back} {
			for _, took := range all {
				if limit := 10 * time.Second; took > limit {
					t.Errorf("%s: %s after %v, and even here it should be within %v", driver, what, took, limit)
				}
			}
		}
	}
	if n := h.files(); n > files {
		t.Errorf("%d files are open, and were %d before", n, files)
	}
	if n := h.threads(); n > threads+slackThreads {
		t.Errorf("there are %d threads, and were %d before", n, threads)
	}
	h.end(syscall.SIGTERM)
}

// slackThreads is how many threads Go's runtime may make in its own time: it does so when one is in
// a system call.
const slackThreads = 3

// A pluggable is a stick of the guest's, and its bridge in the hub.
type pluggable struct {
	*hub
	port   int
	driver string
}

func (h *hub) stick(port int, driver string) pluggable { return pluggable{h, port, driver} }

func (s pluggable) topic(levels ...string) string {
	return "edge/pi/" + s.driver + "/" + strings.Join(levels, "/")
}

// plug returns how long after the node was there the bridge was online, in the guest's time.
// By then it has read, too.
func (s pluggable) plug() time.Duration {
	s.t.Helper()
	s.forget(s.topic("status"), s.topic("count"))
	s.ok(s.agent.PlugUSB(s.ctx, agent.USB{Port: s.port, Driver: s.driver, Serial: "EDGE1"}))
	there, err := s.agent.Appear(s.ctx, "/sys/bus/usb/drivers/"+s.driver+"/*:1.0/tty*")
	s.ok(err)
	s.await(s.topic("status"), "online")
	s.awaitThat(s.topic("count"), "a number", func(n string) bool { _, err := strconv.Atoi(n); return err == nil })
	return s.logged("bridge is back").Sub(there)
}

// unplug returns after how long the bridge was offline, in the guest's time.
func (s pluggable) unplug() time.Duration {
	s.t.Helper()
	out, err := s.agent.UnplugUSB(s.ctx, s.port)
	s.ok(err)
	s.await(s.topic("status"), "offline")
	return s.logged("bridge lost; trying again").Sub(out)
}

// logged returns when the bridge last said message, by edge's log. Times by MQTT would be those
// of the host, which may have much else to do; the zero time is never.
func (s pluggable) logged(message string) (at time.Time) {
	s.t.Helper()
	log, err := s.agent.Read(s.ctx, logFile)
	s.ok(err)
	for line := range strings.Lines(log) {
		var said struct {
			Time        time.Time
			Msg, Bridge string
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == message && said.Bridge == s.driver {
			at = said.Time
		}
	}
	return at
}

// obey commands the stick, and waits for what it says itself.
func (s pluggable) obey(state string) {
	s.t.Helper()
	s.forget(s.topic("led"), s.topic("led", "result"))
	s.send(s.topic("led", "set"), state)
	s.awaitThat(s.topic("led", "result"), "a good result", func(r string) bool { return strings.Contains(r, `"ok"`) })
	s.await(s.topic("led"), state)
}

func (h *hub) files() int {
	h.t.Helper()
	n, err := h.agent.Files(h.ctx, h.pid)
	h.ok(err)
	return n
}

func (h *hub) threads() int {
	h.t.Helper()
	status, err := h.agent.Read(h.ctx, fmt.Sprintf("/proc/%d/status", h.pid))
	h.ok(err)
	m := regexp.MustCompile(`Threads:\s+(\d+)`).FindStringSubmatch(status)
	if m == nil {
		h.t.Fatalf("no threads in %q", status)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
