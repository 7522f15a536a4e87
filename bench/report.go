package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A Report is everything that one run has shown.
type Report struct {
	Short   bool     `json:"short,omitempty"` // a few seconds a row
	Machine Machine  `json:"machine"`
	Brokers []Broker `json:"brokers"`
	Results []Result `json:"results"`
}

// A Broker is one that was asked for, measured or not.
type Broker struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Missing string `json:"missing,omitempty"` // why it was skipped
}

// Failed says whether a result failed.
func (rep Report) Failed() bool {
	return slices.ContainsFunc(rep.Results, func(r Result) bool { return r.Failed })
}

// JSON writes the report for programs.
func (rep Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

// Table writes the report for people.
func (rep Report) Table(w io.Writer) error {
	m := rep.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, Linux %s, %s; %s", m.CPU, m.Cores, m.Arch, m.Kernel, m.Go, m.Placement)
	if m.Disk != "" {
		fmt.Fprintf(w, "; what must survive is on %s", m.Disk)
	}
	fmt.Fprintln(w)
	for _, b := range rep.Brokers {
		if b.Missing != "" {
			fmt.Fprintf(w, "%s skipped: %s\n", b.Name, b.Missing)
			continue
		}
		fmt.Fprintf(w, "%s %s\n", b.Name, b.Version)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := ""
	for _, r := range rep.Results {
		if r.Row != row {
			row = r.Row
			fmt.Fprintf(t, "\n%s\n", r.Title)
		}
		fmt.Fprintf(t, "  %s\n", strings.Join(r.cells(), "\t"))
	}
	return t.Flush()
}

func (r Result) cells() []string {
	if r.Missing != "" {
		return []string{r.Broker, "skipped: " + r.Missing}
	}
	if r.Error != "" {
		return []string{r.Broker, "FAILED: " + strings.ReplaceAll(r.Error, "\n", "\n    ")}
	}
	value := number(r.Value) + " " + r.Unit
	if r.Low != r.High {
		value += fmt.Sprintf(" (%s–%s)", number(r.Low), number(r.High))
	}
	rate := ""
	if r.Rate > 0 {
		rate = fmt.Sprintf("%.0f/s", r.Rate)
	}
	memory := ""
	if r.RSS > 0 {
		memory = fmt.Sprintf("RSS %.1f MB", float64(r.RSS)/1e6)
	}
	return []string{r.Broker, value, rate, memory, r.fate(), r.verdict(), r.more()}
}

// fate says what became of the messages.
func (r Result) fate() string {
	switch {
	case r.Expected == 0:
		return ""
	case r.Lost == 0 && r.Late == 0:
		return "all " + strconv.FormatInt(r.Expected, 10)
	}
	return fmt.Sprintf("LOST %d, out of order %d of %d", r.Lost, r.Late, r.Expected)
}

// verdict compares: edge with its goal, the others with edge.
func (r Result) verdict() string {
	var said []string
	if r.Goal > 0 {
		said = append(said, "goal ≤ "+number(r.Goal)+reached(r.Value <= r.Goal))
	}
	if r.Broker == tested {
		said = append(said, r.further(rowNamed(r.Row))...)
	}
	for _, c := range r.Compared {
		s := strings.TrimSpace(c.Peer+"/edge "+c.Figure) + " " + number(c.Ratio)
		if c.Goal > 0 {
			s += " (goal ≥ " + number(c.Goal) + reached(c.Ratio >= c.Goal) + ")"
		}
		said = append(said, s)
	}
	return strings.Join(said, "; ")
}

// further says whether the goals beside that of the value are reached.
func (r Result) further(row Row) []string {
	var said []string
	if row.Rate > 0 {
		said = append(said, "goal ≥ "+exact(row.Rate)+"/s"+reached(r.Rate >= row.Rate))
	}
	for _, f := range r.More {
		if most := row.Most[f.Name]; most > 0 {
			said = append(said, f.Name+": goal ≤ "+exact(most)+reached(f.Value <= most))
		}
	}
	return said
}

func (r Result) more() string {
	var said []string
	for _, f := range r.More {
		if f.Unit == "" {
			said = append(said, f.Name)
			continue
		}
		said = append(said, strings.TrimSpace(f.Name+" "+number(f.Value)+" "+f.Unit))
	}
	return strings.Join(said, ", ")
}

func reached(yes bool) string {
	if yes {
		return " reached"
	}
	return " MISSED"
}

// number writes v with three digits that count.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10 || v <= -10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// exact writes a number that somebody chose.
func exact(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
