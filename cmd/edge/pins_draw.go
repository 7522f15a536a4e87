package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"edge/bridge/gpio"
)

// Columns of a picture. Those that it always has are in its middle: names, levels,
// and numbers of two pins.
const (
	minColumns  = 80
	maxColumns  = 160
	middle      = 32
	nameColumns = 7 // GPIO17 and a space
)

// columns returns how wide a picture may be.
func (a *app) columns() int {
	width, _ := strconv.Atoi(os.Getenv("COLUMNS"))
	if f, ok := a.out.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = w
		}
	}
	return min(max(width, minColumns), maxColumns)
}

// drawHeader draws the header, below it what its signs mean, and what is wrong.
func (a *app) drawHeader(h gpio.Header, file string, columns int) string {
	var b strings.Builder
	title := cmp.Or(h.Board.Model, "Board of a model that it does not say")
	if h.Board.Module {
		title += ", on an IO board"
	}
	about := fmt.Sprintf("%d pins, lines of %s (%s)", len(h.Pins), h.Name, h.Chip)
	if file != "" {
		about += ", names of " + file
	}
	fmt.Fprintf(&b, "%s\n%s\n\n", a.paint(a.out, bold, printable(title)), a.paint(a.out, dim, printable(about)))
	side := (columns - middle) / 2
	for i := 0; i+1 < len(h.Pins); i += 2 {
		b.WriteString(a.drawRow(h.Pins[i], h.Pins[i+1], side))
	}
	legend := "● high  ○ low  · not visible   ↑ ↓ pull at power-up   ! see below"
	fmt.Fprintf(&b, "\n%s%s\n", strings.Repeat(" ", (columns-utf8.RuneCountInString(legend))/2), a.paint(a.out, dim, legend))
	a.writeWarnings(&b, h.Pins, columns)
	a.writeElsewhere(&b, h.Elsewhere, columns)
	return b.String()
}

// drawRow draws two pins as they lie on the board: pin 1 is at the upper left, where
// the board has a square pad.
func (a *app) drawRow(left, right gpio.HeaderPin, side int) string {
	// Each side is what the pin is for, its name and its level; numbers are between.
	name, alternates := usage(left, side)
	row := strings.Repeat(" ", side-utf8.RuneCountInString(alternates+name)) + a.paint(a.out, dim, alternates) + name
	row += strings.Repeat(" ", nameColumns-utf8.RuneCountInString(left.Name)) + a.pinMark(left) + a.pinName(left)
	row += " " + pinPull(left) + a.pinLevel(left) + a.paint(a.out, dim, fmt.Sprintf(" %2d", left.Number))
	row += " │"
	row += a.paint(a.out, dim, fmt.Sprintf(" %-2d ", right.Number)) + a.pinLevel(right) + pinPull(right) + " "
	row += a.pinName(right) + a.pinMark(right) + strings.Repeat(" ", nameColumns-utf8.RuneCountInString(right.Name))
	name, alternates = usage(right, side)
	return strings.TrimRight(row+name+a.paint(a.out, dim, alternates), " ") + "\n"
}

// usage says in a few words what a line is used for, and, as far as there is room,
// what else it could be. The pin of the left side has the room on its left.
func usage(p gpio.HeaderPin, side int) (name, alternates string) {
	name = cut(printable(use(p)), side)
	alternates = strings.Join(p.Alternates, ", ")
	switch room := side - utf8.RuneCountInString(name); {
	case name == "":
		return "", cut(alternates, side)
	case utf8.RuneCountInString(alternates)+2 > room:
		return name, ""
	case p.Number%2 == 1:
		return name, alternates + "  "
	}
	return name, "  " + alternates
}

// use is empty if nobody has the pin and nobody wants it.
func use(p gpio.HeaderPin) string {
	holder := cmp.Or(p.Consumer, "kernel")
	if p.Holder != nil && (p.Consumer == "" || p.Consumer == p.Holder.Command) {
		holder = p.Holder.String()
	}
	switch {
	case p.Role != nil && p.Used && p.Consumer != p.Role.Consumer():
		return holder + " has " + p.Role.String()
	case p.Role != nil:
		return string(p.Role.Direction) + " " + p.Role.String()
	case p.Used:
		return p.Direction + " " + holder
	case p.Direction == gpio.Output && p.Function == "":
		return "output of nobody"
	}
	return p.Function
}

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func (a *app) pinName(p gpio.HeaderPin) string {
	c := cyan
	switch {
	case p.Name == "GND":
		c = dim
	case !p.GPIO:
		c = red
	case p.Used || p.Role != nil:
		c = bold
	}
	return a.paint(a.out, c, p.Name)
}

func (a *app) pinMark(p gpio.HeaderPin) string {
	if len(p.Warnings) == 0 {
		return " "
	}
	return a.paint(a.out, yellow, "!")
}

func pinPull(p gpio.HeaderPin) string {
	switch p.PowerUp {
	case gpio.PullUp:
		return "↑"
	case gpio.PullDown:
		return "↓"
	}
	return " "
}

func (a *app) pinLevel(p gpio.HeaderPin) string {
	switch {
	case !p.GPIO:
		return " "
	case p.Level == "high":
		return a.paint(a.out, green, "●")
	case p.Level == "low":
		return a.paint(a.out, blue, "○")
	}
	return a.paint(a.out, dim, "·")
}

// writeWarnings says each warning once, with the pins that have it.
func (a *app) writeWarnings(b *strings.Builder, pins []gpio.HeaderPin, columns int) {
	var texts []string
	having := make(map[string][]string)
	for _, p := range pins {
		for _, text := range p.Warnings {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
			pin := fmt.Sprintf("%d %s", p.Number, p.Name)
			if p.Role != nil {
				pin += " " + p.Role.String()
			}
			having[text] = append(having[text], pin)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(b, "\n%s pin %s\n", a.paint(a.out, yellow, "!"), printable(strings.Join(having[text], ", ")))
		b.WriteString(wrap(printable(text), "  ", columns))
	}
}

func (a *app) writeElsewhere(b *strings.Builder, roles []gpio.Role, columns int) {
	if len(roles) == 0 {
		return
	}
	var names []string
	for _, r := range roles {
		names = append(names, r.String())
	}
	b.WriteString("\n" + wrap("On no pin of this header: "+strings.Join(names, ", "), "", columns))
}

// wrap breaks text into lines of so many columns that begin with indent.
func wrap(text, indent string, columns int) string {
	var b strings.Builder
	width := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case width == 0:
			b.WriteString(indent + word)
			width = len(indent) + n
			continue
		case width+1+n > columns:
			b.WriteString("\n" + indent + word)
			width = len(indent) + n
			continue
		}
		b.WriteString(" " + word)
		width += 1 + n
	}
	return b.String() + "\n"
}
