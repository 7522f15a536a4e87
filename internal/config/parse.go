package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parse reads one file. Where the YAML is broken, the top-level key around it is
// left out and named in lost, so that the rest of the file can still be checked.
func parse(src *source) (root *node, lost []string, errs Errors) {
	if errs := src.check(); len(errs) > 0 {
		return nil, nil, errs
	}
	lines := append([]string(nil), src.lines...)
	for range maxErrors {
		file, err := syntax(src, strings.Join(lines, "\n"))
		if err == nil {
			c := converter{src: src, broken: len(errs) > 0, anchors: make(map[string]*node)}
			root := c.document(file)
			return root, lost, append(errs, c.errs...)
		}
		errs = append(errs, err)
		key, ok := cut(src, lines, err.Line)
		if !ok {
			break
		}
		lost = append(lost, key)
	}
	return nil, lost, errs
}

// cut empties the lines of the top-level key that line belongs to, and returns
// the key. It fails if they are empty already.
func cut(src *source, lines []string, line int) (key string, ok bool) {
	from, to := src.block(line)
	key, _, _ = strings.Cut(src.lines[from-1], ":")
	for i := from - 1; i < to; i++ {
		ok = ok || lines[i] != ""
		lines[i] = ""
	}
	return strings.Trim(key, `"' `), ok
}

// syntax parses text, which is that of src but for lines that were cut.
func syntax(src *source, text string) (file *ast.File, err *Error) {
	defer func() { // The parser panics on some input that is no YAML.
		if r := recover(); r != nil {
			file, err = nil, newError(src.at(1, 1, 1), "", "cannot be read as YAML (%v)", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	if err := refuse(src, tokens); err != nil {
		return nil, err
	}
	file, cause := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if cause == nil {
		return file, nil
	}
	var e yaml.Error
	if !errors.As(cause, &e) || e.GetToken() == nil {
		return nil, newError(src.at(1, 1, 1), "", "%w", cause)
	}
	return nil, explain(src, tokens, e)
}

// refuse reports what this package does not read although it is YAML, and what
// would let the parser, which recurses, go too deep.
func refuse(src *source, tokens token.Tokens) *Error {
	var d depth
	for i, tk := range tokens {
		if tk.Type == token.InvalidType {
			return nil // The parser says why, and there is nothing behind it.
		}
		message := ""
		switch {
		case tk.Type == token.TagType:
			message = "tags are not read; remove " + quote(tk.Value) + ", and put a text in quotes"
		case tk.Type == token.DirectiveType:
			message = "directives (%) are not read; remove the line"
		case tk.Type == token.MappingKeyType:
			message = "`?` is not read; write `key: value`"
		case tk.Type == token.DocumentHeaderType && i > 0:
			message = "a second document begins here; write one document per file"
		case tk.Type == token.AnchorType && i >= 2 && tokens[i-2].Type == token.AnchorType:
			message = "a value has one anchor only"
		case d.after(tk) > maxDepth:
			message = fmt.Sprintf("lists and mappings are nested more than %d deep", maxDepth)
		}
		if message != "" {
			return newError(tokenPlace(src, tk), "", "%s", message)
		}
	}
	return nil
}

// A depth follows how deep lists and mappings are nested: those in brackets by
// counting, the others by their columns.
type depth struct {
	brackets int
	columns  []int
}

func (d *depth) after(tk *token.Token) int {
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		d.brackets++
	case token.MappingEndType, token.SequenceEndType:
		d.brackets = max(0, d.brackets-1)
	case token.SequenceEntryType:
		d.push(tk)
	case token.MappingValueType:
		if tk.Prev != nil {
			d.push(tk.Prev)
		}
	}
	return d.brackets + len(d.columns)
}

func (d *depth) push(tk *token.Token) {
	if d.brackets > 0 {
		return
	}
	for n := len(d.columns); n > 0 && d.columns[n-1] >= tk.Position.Column; n-- {
		d.columns = d.columns[:n-1]
	}
	d.columns = append(d.columns, tk.Position.Column)
}

// tokenPlace is where a token is written.
func tokenPlace(src *source, tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return src.at(1, 1, 1)
	}
	written := strings.TrimSpace(tk.Origin)
	if strings.ContainsAny(written, "\n") {
		written = ""
	}
	return src.at(tk.Position.Line, tk.Position.Column, len([]rune(written)))
}

// explain says what the parser's message means to people. Messages that are
// clear as they are pass unchanged.
func explain(src *source, tokens token.Tokens, e yaml.Error) *Error {
	tk, at, message := e.GetToken(), tokenPlace(src, e.GetToken()), e.GetMessage()
	switch {
	case strings.Contains(message, "found character '\t'"):
		tabs := len([]rune(indent(src.lines[at.line-1])))
		at, message = src.at(at.line, at.col, tabs-at.col+1), "a tab cannot indent; use spaces"
	case strings.HasPrefix(message, "mapping value is not allowed"):
		if rest := strings.Count(strings.TrimSpace(tk.Origin), "\n"); rest > 0 {
			at = src.below(at.line + rest)
			message = "is indented as part of the value above; indent it like the key above"
			break
		}
		message = "a value cannot contain `: `; put it in quotes"
	case strings.Contains(message, "value is not allowed in this context") && swallowed(tk.Prev):
		at = tokenPlace(src, tk.Prev)
		message = fmt.Sprintf("this quote is closed in line %d only; is its end missing?", tk.Position.Line)
	case strings.Contains(message, "value is not allowed in this context"):
		message = "does not belong here; the indentation fits no line above, or something stands behind a complete value"
	case strings.Contains(message, "could not find end character of"):
		message = "this quote is never closed"
	case strings.Contains(message, "' or '") || strings.Contains(message, "end token"):
		at, message = unclosed(src, tokens, tk)
	case message == "non-map value is specified" || message == "unexpected key name":
		message = "expected `key: value`"
	case strings.HasSuffix(message, "is a reserved character"):
		message = "a value cannot begin with " + strings.TrimSuffix(message, " is a reserved character") + "; put it in quotes"
	}
	return newError(at, "", "%s", message)
}

// swallowed reports whether tk is a quoted text over several lines: what follows
// it on its last line was probably meant to be in the next quotes.
func swallowed(tk *token.Token) bool {
	return tk != nil && (tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType) &&
		strings.Contains(strings.TrimSpace(tk.Origin), "\n")
}

// below is the place of what is written on a line.
func (s *source) below(line int) place {
	line = min(line, len(s.lines))
	text := s.lines[line-1]
	start := len(indent(text))
	return s.at(line, start+1, len([]rune(text[start:])))
}

// unclosed finds the bracket that the parser missed the end of at tk. Mostly it
// sees that only at the next key, lines below.
func unclosed(src *source, tokens token.Tokens, tk *token.Token) (place, string) {
	var open []*token.Token
	for _, t := range tokens {
		if t == tk && t.Type != token.MappingStartType && t.Type != token.SequenceStartType {
			break
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			open = append(open, t)
		case token.MappingEndType, token.SequenceEndType:
			open = open[:max(0, len(open)-1)]
		}
	}
	if len(open) == 0 {
		return tokenPlace(src, tk), "expected a comma or a closing bracket"
	}
	last := open[len(open)-1]
	at := tokenPlace(src, tk)
	if at.line == last.Position.Line && tk != last {
		return at, fmt.Sprintf("expected a comma, or the end of the %s at column %d", last.Value, last.Position.Column)
	}
	return tokenPlace(src, last), fmt.Sprintf("this %s is never closed", last.Value)
}
