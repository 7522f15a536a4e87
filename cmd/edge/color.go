package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// A color is the parameter of an ANSI "select graphic rendition" sequence
// (ECMA-48, section 8.3.117).
type color string

const (
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	blue   color = "34"
	cyan   color = "36"
)

// paint returns s in color c if what is written to w may be coloured.
func (a *app) paint(w io.Writer, c color, s string) string {
	if s == "" || !a.colored(w) {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// colored reports whether w may be coloured: flags win over NO_COLOR
// (no-color.org), which wins over what w is.
func (a *app) colored(w io.Writer) bool {
	switch {
	case a.noColor || a.color == "never":
		return false
	case a.color == "always":
		return true
	case os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb":
		return false
	}
	return isTerminal(w)
}

// isTerminal reports whether stream, a reader or a writer, is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
