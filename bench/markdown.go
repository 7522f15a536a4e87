package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// The marks of a page between which the tables belong.
const (
	markBegin = "<!-- bench -->\n"
	markEnd   = "<!-- /bench -->\n"
)

// readReport reads what JSON has written.
func readReport(path string) (Report, error) {
	var rep Report
	b, err := os.ReadFile(path)
	if err != nil {
		return rep, err
	}
	if err := json.Unmarshal(b, &rep); err != nil {
		return rep, fmt.Errorf("read %s, which should be what --json prints: %w", path, err)
	}
	return rep, nil
}

// WriteInto puts the tables into the page at path, in place of what is between
// its marks.
func (rep Report) WriteInto(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := bytes.Cut(page, []byte(markBegin))
	_, after, ended := bytes.Cut(rest, []byte(markEnd))
	if !begun || !ended {
		return fmt.Errorf("write into %s: it needs a line %s and below it a line %s",
			path, strings.TrimSpace(markBegin), strings.TrimSpace(markEnd))
	}
	var tables bytes.Buffer
	if err := rep.Markdown(&tables); err != nil {
		return err
	}
	page = slices.Concat(before, []byte(markBegin), tables.Bytes(), []byte(markEnd), after)
	return os.WriteFile(path, page, 0o644)
}

// Markdown writes the report as a part of a page: the machine, a table of what a
// message costs, one of what must survive, and one of all else.
func (rep Report) Markdown(w io.Writer) error {
	var b strings.Builder
	m := rep.Machine
	fmt.Fprintf(&b, "%s, %d cores, Linux %s, %s, %s; %s; %d-byte payloads, MQTT 3.1.1,\n",
		m.CPU, m.Cores, series(m.Kernel), m.Arch, m.Go, m.Placement, payload)
	fmt.Fprintf(&b, "%d messages in a write of a publisher. CPU time of the broker's process for each delivered message; less is better.\n", batch)
	if rep.Short {
		b.WriteString("\nA short run, of a few seconds a row: only to see that all works.\n")
	}
	var costs, others, kept, pins [][]Result
	for _, row := range rep.rows() {
		switch {
		case rowNamed(row[0].Row).Kept:
			kept = append(kept, row)
		case rowNamed(row[0].Row).Rival != "":
			pins = append(pins, row)
		case row[0].Unit == µsPerMessage:
			costs = append(costs, row)
		default:
			others = append(others, row)
		}
	}
	rep.table(&b, costs)
	rep.table(&b, others)
	rep.keptTable(&b, kept)
	rep.pinsTable(&b, pins)
	fmt.Fprintf(&b, "\n%s\n", rep.losses())
	_, err := io.WriteString(w, b.String())
	return err
}

// series returns the first two numbers of a release of the kernel; what follows
// says who built it.
func series(release string) string {
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

// rows returns the results of each row.
func (rep Report) rows() [][]Result {
	var rows [][]Result
	for _, r := range rep.Results {
		if n := len(rows); n > 0 && rows[n-1][0].Row == r.Row {
			rows[n-1] = append(rows[n-1], r)
			continue
		}
		rows = append(rows, []Result{r})
	}
	return rows
}

// called are the names of brokers for people, where they have another one.
var called = map[string]string{"mochi": "stock mochi"}

// table writes rows with a column for each broker that was measured, and one
// that compares edge with the first of the others.
func (rep Report) table(b *strings.Builder, rows [][]Result) {
	if len(rows) == 0 {
		return
	}
	head, rival := []string{"row", "goal"}, ""
	var brokers []string
	for _, broker := range rep.Brokers {
		if broker.Missing != "" {
			continue
		}
		brokers = append(brokers, broker.Name)
		head = append(head, rep.heading(broker.Name))
		if broker.Name != tested {
			rival = firstOf(rival, broker.Name)
		}
	}
	if rival != "" {
		head = append(head, rival+" ÷ "+tested)
	}
	lines := [][]string{head}
	for _, row := range rows {
		lines = append(lines, cellsOf(row, brokers, rival))
	}
	writeLines(b, lines)
}

// heading returns what the column of a broker is called: a peer has its version,
// and the name of its store if it was measured with several.
func (rep Report) heading(broker string) string {
	if broker == tested {
		return tested
	}
	base, store, _ := strings.Cut(broker, " ")
	head := []string{firstOf(called[base], base)}
	for _, b := range rep.Brokers {
		if b.Name == base {
			head = append(head, b.Version)
		}
	}
	if store != "" {
		store = ", " + store
	}
	return strings.Join(head, " ") + store
}

// writeLines writes a table, the first line of which is its head.
func writeLines(b *strings.Builder, lines [][]string) {
	b.WriteString("\n")
	for i, cells := range lines {
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
		}
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// cellsOf returns a line of the table: title, goal, brokers, comparison.
func cellsOf(row []Result, brokers []string, rival string) []string {
	var edge Result
	for _, r := range row {
		if r.Broker == tested {
			edge = r
		}
	}
	of := map[string]string{}
	for _, r := range row {
		of[r.Broker] = r.brief(edge.compared())
	}
	cells := []string{row[0].Title, edge.goal()}
	for _, name := range brokers {
		cells = append(cells, of[name])
	}
	if rival == "" {
		return cells
	}
	var ratios []string
	for _, c := range edge.Compared {
		if c.Peer == rival {
			ratios = append(ratios, number(c.Ratio))
		}
	}
	return append(cells, strings.Join(ratios, ", "))
}

// goal says what the value should not exceed: a number, or what a peer showed.
func (r Result) goal() string {
	if r.Goal > 0 {
		return "≤ " + exact(r.Goal)
	}
	for _, c := range r.Compared {
		if c.Goal == 1 {
			return "≤ " + c.Peer
		}
	}
	return ""
}

// compared returns the names of the figures that are compared beside the value.
func (r Result) compared() []string {
	var names []string
	for _, c := range r.Compared {
		if c.Figure != "" && !slices.Contains(names, c.Figure) {
			names = append(names, c.Figure)
		}
	}
	return names
}

// brief is the result in a cell: value, the figures with the given names, and
// what was lost.
func (r Result) brief(names []string) string {
	switch {
	case r.Missing != "":
		return "not measured"
	case r.Error != "":
		return "failed"
	}
	unit := r.Unit
	if unit == µsPerMessage {
		unit = "µs"
	}
	said := []string{number(r.Value) + " " + unit}
	for _, name := range names {
		f := r.figure(name)
		said = append(said, strings.TrimSpace(number(f.Value)+" "+f.Unit)+" "+name)
	}
	return strings.Join(append(said, r.harm()...), ", ")
}

// harm says what the broker did to messages that it should not have done.
func (r Result) harm() []string {
	var said []string
	if r.Lost > 0 {
		said = append(said, fmt.Sprintf("**%d lost**", r.Lost))
	}
	if r.Late > 0 {
		said = append(said, fmt.Sprintf("**%d out of order**", r.Late))
	}
	return said
}

// losses says in a sentence whether edge kept what it promises.
func (rep Report) losses() string {
	var lost, late int64
	for _, r := range rep.Results {
		if r.Broker == tested {
			lost, late = lost+r.Lost, late+r.Late
		}
	}
	if lost == 0 && late == 0 {
		return "Nothing was lost or out of order in any row of edge."
	}
	return fmt.Sprintf("In the rows of edge, %d messages were lost and %d out of order.", lost, late)
}
