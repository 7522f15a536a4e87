package serial

import "edge/internal/uart"

// count adds what went wrong on the line since the port was opened, where its
// driver counts. Pseudo-terminals and ports on the network do not.
func count(counters map[string]uint64, port interface{ Counters() (uart.Counters, error) }) {
	c, err := port.Counters()
	if err != nil {
		return
	}
	counters["frame_errors"] = c.Frame
	counters["parity_errors"] = c.Parity
	counters["overruns"] = c.Overrun
	counters["buffer_overruns"] = c.Buffer
	counters["breaks"] = c.Break
}
