package main

import "strings"

// pinsTable writes the rows that have pins, in which edge is compared with a loop that
// polls.
func (rep Report) pinsTable(b *strings.Builder, rows [][]Result) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\nPins: a hub within the load generator, with a simulated chip, beside a loop in Python (bench/peer/loop.py) that is a client of the same hub. " +
		"The loop polls a file each 100 ms, as mqtt-io polls pins by default.\n")
	brokers := namesIn(rows)
	lines := [][]string{append([]string{"row"}, brokers...)}
	lines[0] = append(lines[0], loopName+" ÷ "+tested)
	for _, row := range rows {
		cells := cellsOf(row, brokers, loopName)
		lines = append(lines, append(cells[:1], cells[2:]...)) // There are no goals.
	}
	writeLines(b, lines)
}
