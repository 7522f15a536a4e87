package uart

import (
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Counters are what went wrong on the line since the port was opened.
type Counters struct {
	Frame   uint64 // bytes without a stop bit: another rate, or noise
	Parity  uint64 // bytes with the wrong parity bit
	Overrun uint64 // bytes lost because the kernel did not fetch them from the UART in time
	Buffer  uint64 // bytes lost because nobody read them from the kernel in time
	Break   uint64 // breaks: the line was at 0 for longer than a byte, or is cut
}

// AddTo adds what was counted to the counters in the attributes of an entity.
func (c Counters) AddTo(counters map[string]uint64) {
	counters["frame_errors"] = c.Frame
	counters["parity_errors"] = c.Parity
	counters["overruns"] = c.Overrun
	counters["buffer_overruns"] = c.Buffer
	counters["breaks"] = c.Break
}

// icounter is struct serial_icounter_struct of linux/serial.h.
type icounter struct {
	_                                             [4]int32 // changes of CTS, DSR, ring, DCD
	_                                             [2]int32 // bytes received, sent
	frame, overrun, parity, breaks, bufferOverrun int32
	_                                             [9]int32
}

// getCounters asks the driver for its counters, which run from when it was
// loaded, and wrap at 32 bits.
func getCounters(l line) (c icounter, err error) {
	err = l.call(unix.TIOCGICOUNT, unsafe.Pointer(&c))
	return c, unable(err, "this port has no counters")
}

// since returns what was counted after old.
func (c icounter) since(old icounter) Counters {
	less := func(a, b int32) uint64 { return uint64(uint32(a) - uint32(b)) }
	return Counters{
		Frame: less(c.frame, old.frame), Parity: less(c.parity, old.parity), Overrun: less(c.overrun, old.overrun),
		Buffer: less(c.bufferOverrun, old.bufferOverrun), Break: less(c.breaks, old.breaks),
	}
}

// serialStruct is struct serial_struct of linux/serial.h, of which only the
// flags matter.
type serialStruct struct {
	_          [4]int32 // type, line, port, irq
	flags      int32
	_          [3]int32 // FIFO, divisor, base
	closeDelay uint16
	_          [2]byte
	_          int32
	_          [2]uint16
	_          uintptr
	_          uint16
	_          uint32
	_          uintptr
}

// asyncLowLatency is ASYNC_LOW_LATENCY of linux/tty_flags.h.
const asyncLowLatency = 1 << 13

// hurry has the driver of dev hand over bytes at once. An FTDI adapter collects
// them for 16 ms, unless it is told; a driver that does not collect has nothing
// to be told.
func (h Host) hurry(l line, dev string) error {
	var s serialStruct
	err := l.call(unix.TIOCGSERIAL, unsafe.Pointer(&s))
	if err == nil {
		s.flags |= asyncLowLatency
		err = l.call(unix.TIOCSSERIAL, unsafe.Pointer(&s))
	}
	if err == nil {
		return nil
	}
	timer := h.path("sys/class/tty", filepath.Base(dev), "device/latency_timer")
	if !exists(timer) {
		return nil
	}
	return os.WriteFile(timer, []byte("1"), 0)
}
