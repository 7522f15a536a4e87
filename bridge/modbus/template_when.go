package modbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A condition is what stands behind `when`: terms that must all hold. No term is
// always true.
//
//	condition = term { "and" term }
//	term      = name ( "==" | "!=" ) value | name "in" "(" value { "," value } ")"
type condition []term

// A term compares one parameter.
type term struct {
	name   string
	not    bool
	values []string // the parameter is one of these, or with not, none
}

func (c condition) holds(parameters map[string]string) bool {
	for _, t := range c {
		if slices.Contains(t.values, parameters[t.name]) == t.not {
			return false
		}
	}
	return true
}

// parseCondition reads a condition. The empty text is the one that always holds.
func parseCondition(text string) (condition, error) {
	words, err := conditionWords(text)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	var c condition
	for {
		t, rest, err := parseTerm(words)
		if err != nil {
			return nil, err
		}
		c = append(c, t)
		if len(rest) == 0 {
			return c, nil
		}
		if rest[0] != "and" {
			return nil, fmt.Errorf("%q is not expected here; conditions are joined by and", rest[0])
		}
		words = rest[1:]
	}
}

// parseTerm reads the term at the beginning of words and returns what is behind it.
func parseTerm(words []string) (t term, rest []string, err error) {
	if len(words) < 3 {
		return t, nil, errors.New("want a comparison such as phases == 3")
	}
	t.name = words[0]
	switch operator := words[1]; operator {
	case "==", "!=":
		t.not = operator == "!="
		t.values, rest, err = parseValues(words[2:3], words[3:])
	case "in":
		end := slices.Index(words, ")")
		if words[2] != "(" || end < 0 {
			return t, nil, errors.New("want values in brackets, such as in (1, 3)")
		}
		t.values, rest, err = parseValues(words[3:end], words[end+1:])
	default:
		return t, nil, fmt.Errorf("%q is no comparison; want ==, != or in", operator)
	}
	return t, rest, err
}

// parseValues checks that words are values with commas between them.
func parseValues(words, rest []string) (values, behind []string, err error) {
	for i, w := range words {
		if comma := i%2 == 1; comma != (w == ",") || isMark(w) && !comma {
			return nil, nil, fmt.Errorf("%q is not expected among values", w)
		}
		if w != "," {
			values = append(values, w)
		}
	}
	if len(words)%2 == 0 {
		return nil, nil, errors.New("a value is missing")
	}
	return values, rest, nil
}

func isMark(word string) bool {
	return slices.Contains([]string{"==", "!=", "(", ")", ",", "and", "in"}, word)
}

// conditionWords takes a condition apart into names, values and marks.
func conditionWords(text string) (words []string, err error) {
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		n := strings.IndexFunc(text, func(r rune) bool { return !isConditionRune(r) })
		if n < 0 {
			n = len(text)
		}
		if n == 0 {
			switch {
			case strings.HasPrefix(text, "=="), strings.HasPrefix(text, "!="):
				n = 2
			case strings.ContainsRune("(),", rune(text[0])):
				n = 1
			default:
				return nil, fmt.Errorf("%q is not expected here; want a comparison such as phases == 3", text)
			}
		}
		words, text = append(words, text[:n]), text[n:]
	}
	return words, nil
}

func isConditionRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.+", r)
}
