package serial

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"edge/internal/frame"
)

// A template makes the bytes of a command of an order. It is written as in Go's
// text/template, of which it is the small part that commands need: that package
// calls methods by name, for which the linker keeps the methods of everything, two
// megabytes of them (decision 8).
//
//	led {{.Raw}}      {{.Value | lower}}      {{printf "%5s" .Value}}
//
// Bytes that are no text are written as \xAA or by the function hex; a template
// that is 0x and hexadecimal digits is just bytes.
type template []piece

// A piece is text, or what stands between {{ and }}.
type piece func(order) string

func parseTemplate(text string) (t template, err error) {
	if b, err := frame.ParseBytes(text); err == nil && strings.HasPrefix(text, "0x") {
		return template{constant(b)}, nil
	}
	for {
		before, rest, found := strings.Cut(text, "{{")
		if before != "" {
			before, err = unescape(before)
			if err != nil {
				return nil, err
			}
			t = append(t, constant(before))
		}
		if !found {
			return t, nil
		}
		action, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, errors.New("there is {{ without }}")
		}
		p, err := parseAction(action)
		if err != nil {
			return nil, fmt.Errorf("{{%s}}: %w", action, err)
		}
		t = append(t, p)
		text = after
	}
}

// unescape puts bytes for \x and two hexadecimal digits.
func unescape(text string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, `\x`)
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		c, err := strconv.ParseUint(rest[:min(2, len(rest))], 16, 8)
		if err != nil || len(rest) < 2 {
			return "", errors.New(`\x wants two hexadecimal digits`)
		}
		b.WriteByte(byte(c))
		text = rest[2:]
	}
}

func constant(s string) piece { return func(order) string { return s } }

// parseAction reads values and functions with | between them: each function gets
// what is before the bar as its last argument.
func parseAction(text string) (p piece, err error) {
	words, err := wordsOf(text)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		n := 0
		for n < len(words) && words[n] != "|" {
			n++
		}
		if p, err = parseStage(words[:n], p, first); err != nil {
			return nil, err
		}
		if n == len(words) {
			return p, nil
		}
		words = words[n+1:]
	}
}

// wordsOf takes an action apart into words, texts in quotes, and bars.
func wordsOf(text string) (words []string, err error) {
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		word := text
		switch text[0] {
		case '|':
			word = "|"
		case '"':
			if word, err = strconv.QuotedPrefix(text); err != nil {
				return nil, errors.New("a text in quotes is not closed")
			}
		default:
			if end := strings.IndexAny(text, " \t|\""); end >= 0 {
				word = text[:end]
			}
		}
		words, text = append(words, word), text[len(word):]
	}
	return words, nil
}

// parseStage reads one value, or one function with its arguments; piped is the last
// of these, unless the stage is the first.
func parseStage(words []string, piped piece, first bool) (piece, error) {
	if len(words) == 0 {
		return nil, errors.New("a value or a function is missing")
	}
	if first && len(words) == 1 && (words[0][0] == '.' || words[0][0] == '"') {
		return parseValue(words[0])
	}
	var args []piece
	for _, word := range words[1:] {
		arg, err := parseValue(word)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	if !first {
		args = append(args, piped)
	}
	return call(words[0], args)
}

func parseValue(word string) (piece, error) {
	if s, err := strconv.Unquote(word); err == nil && word[0] == '"' {
		return constant(s), nil
	}
	switch word {
	case ".ID":
		return func(o order) string { return o.ID }, nil
	case ".Value":
		return func(o order) string { return o.Value }, nil
	case ".Raw":
		return func(o order) string { return o.Raw }, nil
	}
	return nil, fmt.Errorf("there is no %s; there are .Value, .Raw and .ID", word)
}

// call returns the function name with args.
func call(name string, args []piece) (piece, error) {
	switch name {
	case "lower", "upper":
		if len(args) != 1 {
			return nil, fmt.Errorf("%s wants one value", name)
		}
		change := strings.ToLower
		if name == "upper" {
			change = strings.ToUpper
		}
		return func(o order) string { return change(args[0](o)) }, nil
	case "hex":
		if len(args) != 1 || args[0](order{"a", "b", "c"}) != args[0](order{}) {
			return nil, errors.New(`hex wants a text, as in hex "AA B4"`)
		}
		b, err := frame.ParseBytes("0x" + args[0](order{}))
		return constant(b), err
	case "printf":
		if len(args) < 2 {
			return nil, errors.New(`printf wants a format and a value, as in printf "%5s" .Value`)
		}
		return func(o order) string {
			var values []any
			for _, arg := range args[1:] {
				values = append(values, arg(o))
			}
			return fmt.Sprintf(args[0](o), values...)
		}, nil
	}
	return nil, fmt.Errorf("there is no function %s; there are lower, upper, hex and printf", name)
}

func (t template) render(o order) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p(o))
	}
	return b.String()
}
