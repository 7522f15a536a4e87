package modbus

import (
	"strings"
	"testing"
)

func TestCondition(t *testing.T) {
	three := map[string]string{"phases": "3", "model": "7m.38"}
	for text, want := range map[string]bool{
		"":                                 true,
		"phases == 3":                      true,
		"phases==3":                        true,
		"phases == 1":                      false,
		"phases != 1":                      true,
		"phases != 3":                      false,
		"phases in (1, 3)":                 true,
		"phases in (1,2)":                  false,
		"phases in (3) and model == 7m.38": true,
		"phases == 3 and model != 7m.38":   false,
		"other == 3":                       false,
		"other != 3":                       true,
	} {
		c, err := parseCondition(text)
		if err != nil || c.holds(three) != want {
			t.Errorf("%q holds: %t, %v, want %t", text, c.holds(three), err, want)
		}
	}
}

func TestConditionMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"phases":                  "want a comparison",
		"phases = 3":              "is not expected here",
		"phases == 3 or x == 1":   "joined by and",
		"phases == 3 and":         "want a comparison",
		"phases > 3":              "is not expected here",
		"phases in 1, 3":          "in brackets",
		"phases in (1, 3":         "in brackets",
		"phases in ()":            "a value is missing",
		"phases in (1,)":          "a value is missing",
		"phases in (1 3)":         "is not expected among values",
		"phases == and":           "is not expected among values",
		"phases near 3":           "is no comparison",
		"phases == 3) and x == 1": "joined by and",
		"phases == \"3\"":         "is not expected here",
	} {
		c, err := parseCondition(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseCondition(%q) = %v, %v, want an error with %q", text, c, err, want)
		}
	}
}

// FuzzCondition: what is read can be written and read again, and means the same.
func FuzzCondition(f *testing.F) {
	for _, seed := range []string{"", "phases == 3", "a != b and c in (d, e)", "a in (", "and and and", "a==b and c==d", "(,)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCondition(text)
		if err != nil {
			return
		}
		again, err := parseCondition(conditionText(c))
		if err != nil || conditionText(again) != conditionText(c) {
			t.Errorf("%q is %q, which is %q, %v", text, conditionText(c), conditionText(again), err)
		}
		for _, term := range c {
			values := map[string]string{term.name: term.values[0]}
			if one := (condition{term}); one.holds(values) == term.not {
				t.Errorf("%q holds with %v: %t", conditionText(one), values, !term.not)
			}
		}
	})
}

func conditionText(c condition) string {
	var terms []string
	for _, t := range c {
		switch {
		case t.not:
			terms = append(terms, t.name+" != "+t.values[0])
		default:
			terms = append(terms, t.name+" in ("+strings.Join(t.values, ", ")+")")
		}
	}
	return strings.Join(terms, " and ")
}
