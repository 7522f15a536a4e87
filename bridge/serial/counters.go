package serial

import "edge/internal/uart"

// count adds what went wrong on the line since the port was opened, where its
// driver counts. Pseudo-terminals and ports on the network do not.
func count(counters map[string]uint64, port interface{ Counters() (uart.Counters, error) }) {
	if c, err := port.Counters(); err == nil {
		c.AddTo(counters)
	}
}
