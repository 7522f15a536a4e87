package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A source is the text of one file. Lines are kept for excerpts.
type source struct {
	name    string
	order   int // the main file is 0, then conf.d by name
	lines   []string
	lengths []int // of lines, in characters
}

// A place is a run of characters in a source. Lines and columns count from 1,
// columns in characters; the zero place is nowhere.
type place struct {
	src       *source
	line, col int
	width     int // characters to underline
}

func (p place) String() string {
	if p.src == nil {
		return "nowhere"
	}
	return fmt.Sprintf("%s:%d:%d", p.src.name, p.line, p.col)
}

// newSource takes a file apart into lines. A byte order mark is dropped and
// CR LF becomes LF, as in YAML 1.2, sections 5.2 and 5.4.
func newSource(name string, order int, data []byte) *source {
	text := strings.TrimPrefix(string(data), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	s := &source{name: name, order: order, lines: strings.Split(text, "\n")}
	for _, line := range s.lines {
		s.lengths = append(s.lengths, utf8.RuneCountInString(line))
	}
	return s
}

// at returns a place that exists in s, the nearest to the one that is asked for.
func (s *source) at(line, col, width int) place {
	line = min(max(line, 1), len(s.lines))
	length := s.lengths[line-1]
	col = min(max(col, 1), length+1)
	return place{s, line, col, max(1, min(width, length-col+1))}
}

// check reports the lines that are no text: YAML 1.2, section 5.1, allows
// printable characters and tabs only.
func (s *source) check() Errors {
	var errs Errors
	for i, line := range s.lines {
		if col, message := illegible(line); message != "" && len(errs) < maxErrors {
			errs = append(errs, newError(s.at(i+1, col, 1), "", "%s", message))
		}
	}
	return errs
}

// illegible returns what is wrong with the characters of line, and from which
// column on.
func illegible(line string) (col int, message string) {
	valid := utf8.ValidString(line)
	for _, r := range line {
		col++
		switch {
		case r == utf8.RuneError && !valid:
			return col, "this is not UTF-8; save the file as UTF-8"
		case r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029'):
			return col, hidden(r)
		}
	}
	return 0, ""
}

func hidden(r rune) string {
	return fmt.Sprintf("the character U+%04X cannot be shown; remove it, or write it as an escape in double quotes", r)
}

// indent returns the white space that line begins with.
func indent(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

// opens reports whether line begins something at the top level: a key, not the
// inside of a block, a comment or a closing bracket.
func opens(line string) bool {
	return line != "" && !strings.ContainsRune(" \t#-]}", rune(line[0]))
}

// block returns the lines from..to (both within, from 1) of the top-level key
// that line belongs to.
func (s *source) block(line int) (from, to int) {
	from, to = line, line
	for from > 1 && !opens(s.lines[from-1]) {
		from--
	}
	for to < len(s.lines) && !opens(s.lines[to]) {
		to++
	}
	return from, to
}
