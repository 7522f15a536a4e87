package main

import (
	"fmt"
	"slices"
	"strings"
)

// keptTable writes the rows in which nothing may be lost. Each cell has the rate
// and the figures that have goals beside the value, and each store of mochi has a
// column.
func (rep Report) keptTable(b *strings.Builder, rows [][]Result) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\nWhat must survive. mosquitto saves its database at each change, or at its end where that would take too long; mochi has each of its stores.\n")
	head := []string{"row", "goal"}
	brokers := namesIn(rows)
	for _, name := range brokers {
		head = append(head, rep.heading(name))
	}
	lines := [][]string{head}
	for _, row := range rows {
		lines = append(lines, keptLine(row, brokers))
	}
	writeLines(b, lines)
	if said := rep.remarks(rows); len(said) > 0 {
		fmt.Fprintf(b, "\n%s\n", strings.Join(said, "\n"))
	}
}

// namesIn returns the brokers of rows, in the order in which they were measured.
func namesIn(rows [][]Result) []string {
	var names []string
	for _, row := range rows {
		for _, r := range row {
			if !slices.Contains(names, r.Broker) {
				names = append(names, r.Broker)
			}
		}
	}
	return names
}

func keptLine(row []Result, brokers []string) []string {
	goals := rowNamed(row[0].Row)
	cells := make([]string, 2+len(brokers))
	cells[0] = row[0].Title
	for _, r := range row {
		cells[2+slices.Index(brokers, r.Broker)] = r.keptCell(goals)
		if r.Broker == tested {
			cells[1] = goals.said(r.Goal)
		}
	}
	return cells
}

// keptCell is the result in a cell: the value, the rate, the figures that have
// goals, and what was lost.
func (r Result) keptCell(row Row) string {
	switch {
	case r.Missing != "":
		return "not measured"
	case r.Error != "":
		return "failed"
	}
	said := []string{number(r.Value) + " " + r.Unit}
	if r.Rate > 0 {
		said = append(said, number(r.Rate)+"/s")
	}
	for _, f := range r.More {
		if row.Most[f.Name] > 0 {
			said = append(said, fmt.Sprintf("%s %s %s", f.Name, number(f.Value), f.Unit))
		}
	}
	return strings.Join(append(said, r.harm()...), ", ")
}

// said are the goals of the row, for people.
func (row Row) said(most float64) string {
	var said []string
	if most > 0 {
		said = append(said, "≤ "+exact(most))
	}
	if row.Rate > 0 {
		said = append(said, "≥ "+exact(row.Rate)+"/s")
	}
	for name, most := range row.Most {
		said = append(said, name+" ≤ "+exact(most)) // one at most, so that the order does not matter
	}
	return strings.Join(said, ", ")
}

// remarks say what the table has no room for: how edge compares where that is a
// goal, how fast the disk is, and where its bytes were counted.
func (rep Report) remarks(rows [][]Result) []string {
	var said []string
	if rep.Machine.Disk != "" {
		said = append(said, "What must survive is on "+rep.Machine.Disk+".")
	}
	for _, row := range rows {
		for _, r := range row {
			if r.Broker != tested {
				continue
			}
			for _, what := range r.remarks() {
				if !slices.Contains(said, what) {
					said = append(said, what)
				}
			}
		}
	}
	return said
}

func (r Result) remarks() []string {
	var said []string
	for _, c := range r.Compared {
		if c.Goal > 0 && c.Figure == timeFigure {
			said = append(said, fmt.Sprintf("An acknowledged message takes %s %s times as long as %s (goal: %s).",
				c.Peer, number(c.Ratio), tested, exact(c.Goal)))
		}
	}
	for _, f := range r.More {
		switch {
		case f.Name == flushFigure:
			said = append(said, fmt.Sprintf("The disk takes %s %s to have 4 KiB safe (%s).", number(f.Value), f.Unit, f.Name))
		case f.Unit == "":
			said = append(said, fmt.Sprintf("Bytes to the disk are counted %s.", f.Name))
		}
	}
	return said
}
