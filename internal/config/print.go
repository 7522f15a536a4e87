package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	contextLines = 2   // shown above the line with the mistake
	excerptWidth = 100 // characters of a line shown
)

// A style is a pair of escape sequences, or of nothing.
type style struct{ on, off string }

func (s style) paint(text string) string { return s.on + text + s.off }

// Text returns the mistakes as people read them, each with the lines around it
// and a mark under the place. With colour it contains ANSI escape sequences.
func (es Errors) Text(colour bool) string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Text(colour))
	}
	return b.String()
}

// Text returns one mistake as people read it; it ends with a line feed.
func (e *Error) Text(colour bool) string {
	var bold, red, dim style
	if colour {
		bold, red, dim = style{"\x1b[1m", "\x1b[0m"}, style{"\x1b[31m", "\x1b[0m"}, style{"\x1b[2m", "\x1b[0m"}
	}
	var b strings.Builder
	if where := e.where(); where != "" {
		b.WriteString(bold.paint(where+":") + " ")
	}
	if e.Path != "" {
		b.WriteString(bold.paint(printable(e.Path)+":") + " ")
	}
	b.WriteString(red.paint(printable(e.Message)) + "\n")
	if e.Line > 0 && !e.at.src.blank() {
		e.lines(&b, red, dim)
	}
	return b.String()
}

// lines writes the line with the mistake, those above it, and the mark.
func (e *Error) lines(b *strings.Builder, red, dim style) {
	for n := max(1, e.Line-contextLines); n <= e.Line; n++ {
		text, _ := excerpt(veil(e.at.src.lines[n-1]), e.Column)
		mark := " "
		if n == e.Line {
			mark = ">"
		}
		b.WriteString(dim.paint(fmt.Sprintf("%s %4d |", mark, n)))
		b.WriteString(strings.TrimRight(" "+text, " ") + "\n")
	}
	shown, before := excerpt(e.at.src.lines[e.Line-1], e.Column)
	width := max(1, min(e.at.width, len([]rune(shown))-before))
	b.WriteString(dim.paint("       |") + " " + strings.Repeat(" ", before) + red.paint(strings.Repeat("^", width)) + "\n")
}

// secret finds what somebody may have written for a password. There is no place for
// one in a configuration, so this is a mistake, and it ends in a log.
var secret = regexp.MustCompile(`(?i)(?:pass|passwd|password|passphrase|secret|token|psk)["']?\s*[:=]\s*(\S.*)`)

// veil returns a line without the secret in it. The number of characters stays the
// same.
func veil(line string) string {
	m := secret.FindStringSubmatchIndex(line)
	if m == nil {
		return line
	}
	return line[:m[2]] + strings.Repeat("•", utf8.RuneCountInString(line[m[2]:]))
}

func (s *source) blank() bool {
	for _, line := range s.lines {
		if strings.TrimSpace(line) != "" {
			return false
		}
	}
	return true
}

// excerpt returns the part of line around column col, fit for a terminal, and
// how many characters of it are before that column.
func excerpt(line string, col int) (text string, before int) {
	runes := []rune(printable(line))
	before = col - 1
	if before > excerptWidth*3/4 {
		cut := before - excerptWidth/2
		runes = append([]rune{'…'}, runes[min(cut, len(runes)):]...)
		before = before - cut + 1
	}
	if len(runes) > excerptWidth {
		runes = append(runes[:excerptWidth:excerptWidth], '…')
	}
	return string(runes), before
}

// printable keeps what a file contains from moving the cursor. The number of
// characters stays the same; a tab becomes one space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case !unicode.IsPrint(r):
			return '�'
		}
		return r
	}, s)
}

// quote returns s in backquotes, shortened to what fits on a line.
func quote(s string) string {
	return "`" + printable(short(s)) + "`"
}

// list returns `a`, `b` or `c`.
func list(words []string, last string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" " + last + " ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(quote(w))
	}
	return b.String()
}
