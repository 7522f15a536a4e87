package gpiochip

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Holder is a process that holds a line.
type Holder struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // its name, proc_pid_comm(5)
}

// String returns gpioset (pid 812).
func (h Holder) String() string {
	if h.PID == os.Getpid() {
		return "this process"
	}
	return fmt.Sprintf("%s (pid %d)", h.Command, h.PID)
}

// Holders returns the processes that hold lines of the chip that the kernel calls
// name, such as gpiochip0, by the lines' offsets. Processes are missing whose files
// this user may not see, and those that use the first version of the interface; and
// all of them on a kernel before Linux 6.0, which does not tell.
func Holders(name string) map[uint32]Holder { return holders("/proc", name) }

// Bounds of a search. A board has a few hundred processes; those with more files
// than this do not switch relays.
const (
	maxProcesses = 4096
	maxFiles     = 1024
)

func holders(proc, chip string) map[uint32]Holder {
	held := make(map[uint32]Holder)
	for _, dir := range list(proc, maxProcesses) {
		pid, err := strconv.Atoi(dir)
		if err != nil {
			continue
		}
		process := filepath.Join(proc, dir)
		for _, fd := range list(filepath.Join(process, "fd"), maxFiles) {
			if target, err := os.Readlink(filepath.Join(process, "fd", fd)); err != nil || target != "anon_inode:gpio-line" {
				continue
			}
			info, err := os.ReadFile(filepath.Join(process, "fdinfo", fd))
			if err != nil {
				continue
			}
			comm, _ := os.ReadFile(filepath.Join(process, "comm"))
			for _, offset := range requested(string(info), chip) {
				held[offset] = Holder{pid, strings.TrimSpace(string(comm))}
			}
		}
	}
	return held
}

// requested returns the lines of a request from what the kernel tells about its
// descriptor (linereq_show_fdinfo in the kernel's drivers/gpio/gpiolib-cdev.c), none
// if it is of another chip.
func requested(info, chip string) []uint32 {
	var offsets []uint32
	here := false
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); name {
		case "gpio-chip":
			here = value == chip
		case "gpio-line":
			if n, err := strconv.ParseUint(value, 10, 32); err == nil && here {
				offsets = append(offsets, uint32(n))
			}
		}
	}
	return offsets
}

// list returns at most so many names in a directory, none if it cannot be read.
func list(dir string, most int) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(most)
	return names
}

// Busy returns the error of a request by consumer for a line that is held already,
// with the process that holds it.
func Busy(chip ChipInfo, line LineInfo, consumer string) *BusyError {
	busy := &BusyError{Chip: chip.Label, Line: line, Consumer: consumer}
	if h, ok := Holders(chip.Name)[line.Offset]; ok {
		busy.Holder = &h
	}
	return busy
}

// drivers are the beginnings of what drivers of the kernel call themselves as
// consumers, and what makes each let go.
var drivers = []struct{ consumer, advice string }{
	{"spi", "that is a chip select of SPI: put dtparam=spi=off into config.txt, or choose another line"},
	{"onewire", "that is 1-Wire: take dtoverlay=w1-gpio out of config.txt or give it another gpiopin=, or choose another line"},
	{"w1", "that is 1-Wire: take dtoverlay=w1-gpio out of config.txt or give it another gpiopin=, or choose another line"},
	{"sysfs", "that is an export of /sys/class/gpio: write the line's number into its unexport, or choose another line"},
}

// advice says what can be done about a line that is held.
func (e *BusyError) advice() string {
	consumer := e.Line.Consumer
	if e.Holder != nil && e.Holder.PID == os.Getpid() {
		return "two pins of the configuration are the same line"
	}
	for _, d := range drivers {
		if strings.HasPrefix(consumer, d.consumer) {
			return d.advice
		}
	}
	stop := "stop that one"
	if strings.HasPrefix(consumer, "edge:") {
		stop = "that is another edge, and two hubs cannot have the same line: stop that one"
	}
	switch {
	case e.Holder != nil:
		return fmt.Sprintf("%s, as with kill %d, or choose another line", stop, e.Holder.PID)
	case consumer == "":
		return "stop that one, such as an overlay in config.txt, or choose another line"
	}
	return stop + " or choose another line; edge pins, run by root, says which process it is"
}

// heldBy says who holds the line.
func (e *BusyError) heldBy() string {
	consumer := e.Line.Consumer
	switch {
	case e.Holder != nil && consumer == "":
		return e.Holder.String()
	case e.Holder != nil:
		return fmt.Sprintf("%s as %q", e.Holder, consumer)
	case consumer == "":
		return "a driver of the kernel or by a program that gives no name"
	}
	return fmt.Sprintf("%q", consumer)
}
