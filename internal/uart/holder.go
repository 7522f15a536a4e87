package uart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Holder is a process that has a port open.
type Holder struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // its name, proc_pid_comm(5)
}

func (h Holder) String() string {
	if h.PID == os.Getpid() {
		return "this process"
	}
	return fmt.Sprintf("%s (pid %d)", h.Command, h.PID)
}

// readers are services that take ports for themselves without a lock, and the
// command that stops each; %s is the name of the port.
var readers = map[string]string{
	"ModemManager": "sudo systemctl disable --now ModemManager",
	"brltty":       "sudo systemctl mask --now brltty-udev brltty",
	"gpsd":         "sudo systemctl disable --now gpsd.socket gpsd",
	"agetty":       "sudo systemctl disable --now serial-getty@%s",
}

// Holders returns who has the device open, as far as this user may see.
func Holders(dev string) []Holder { return Host{}.Holders(dev) }

// Holders is as the function Holders.
func (h Host) Holders(dev string) []Holder { return h.holders()[dev] }

// holders looks through every process once and returns the holders of each
// file in /dev.
func (h Host) holders() map[string][]Holder {
	found := map[string][]Holder{}
	fds, _ := filepath.Glob(h.path("proc/[0-9]*/fd/*"))
	for _, fd := range fds {
		dev, err := os.Readlink(fd)
		if err != nil || !strings.Contains(dev, "/dev/") {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if slices.ContainsFunc(found[dev], func(o Holder) bool { return o.PID == pid }) {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
		found[dev] = append(found[dev], Holder{PID: pid, Command: strings.TrimSpace(string(comm))})
	}
	return found
}

// busy says who holds dev and how to make it let go.
func (h Host) busy(dev string, cause error) error {
	holders := h.Holders(dev)
	if len(holders) == 0 {
		return fmt.Errorf("%w (%w) by a process of another user; `sudo fuser -v %s` names it", ErrBusy, cause, dev)
	}
	names := make([]string, len(holders))
	for i, o := range holders {
		names[i] = o.String()
	}
	return fmt.Errorf("%w by %s%s", ErrBusy, strings.Join(names, ", "), advice(dev, holders))
}

// reader returns an error that names a holder of dev that is known to read
// without locking, since both would get half of the bytes.
func (h Host) reader(dev string) error {
	for _, o := range h.Holders(dev) {
		if _, ok := readers[o.Command]; ok {
			return fmt.Errorf("%w by %s%s", ErrBusy, o, advice(dev, []Holder{o}))
		}
	}
	return nil
}

func advice(dev string, holders []Holder) string {
	for _, o := range holders {
		if stop, ok := readers[o.Command]; ok {
			return fmt.Sprintf("; stop it with `%s`", strings.ReplaceAll(stop, "%s", filepath.Base(dev)))
		}
	}
	return ""
}
