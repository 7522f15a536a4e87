package modbus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"edge/internal/config"
)

// maxEntities is a limit for files that people get from strangers.
const maxEntities = 1000

// check reports everything that is wrong with a template, by path.
func (t *Template) check() error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, config.Errorf("name", "must be set"))
	}
	if len(t.Entities) == 0 || len(t.Entities) > maxEntities {
		errs = append(errs, config.Errorf("entities", "there are %d; want 1 to %d", len(t.Entities), maxEntities))
	}
	errs = append(append(errs, t.checkParameters()...), t.Limits.check())
	seen := map[[2]string]bool{}
	for i, e := range t.Entities {
		at := fmt.Sprintf("entities[%d]", i)
		if key := [2]string{e.ID, e.When}; seen[key] {
			errs = append(errs, config.Errorf(at+".id", "%q is already the id of an earlier entity", e.ID))
		} else {
			seen[key] = true
		}
		if err := t.checkCondition(e.When); err != nil {
			errs = append(errs, config.Errorf(at+".when", "%w", err))
		}
		_, err := compile(e)
		errs = append(errs, config.In(at, err))
	}
	return errors.Join(errs...)
}

func (t *Template) checkParameters() (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		at := "parameters." + name
		if words, err := conditionWords(name); err != nil || len(words) != 1 || isMark(name) {
			errs = append(errs, config.Errorf(at, "the name %q: want a-z, 0-9, _ and -", name))
		}
		for i, v := range p.Values {
			if words, err := conditionWords(v); err != nil || len(words) != 1 || isMark(v) {
				errs = append(errs, config.Errorf(fmt.Sprintf("%s.values[%d]", at, i), "the value %q: want one word", v))
			}
		}
		if p.Default != "" {
			if err := p.accepts(name, p.Default); err != nil {
				errs = append(errs, config.Errorf(at+".default", "%w", err))
			}
		}
	}
	return errs
}

// checkCondition reports parameters and values that cannot be: with them a
// condition never holds, or always, and nobody sees it.
func (t *Template) checkCondition(text string) error {
	c, err := parseCondition(text)
	if err != nil {
		return err
	}
	for _, term := range c {
		p, ok := t.Parameters[term.name]
		if !ok {
			return fmt.Errorf("%s is no parameter of the template; %s", term.name, t.known())
		}
		for _, v := range term.values {
			if len(p.Values) > 0 && !slices.Contains(p.Values, v) {
				return fmt.Errorf("%s is never %s; it is one of %s", term.name, v, strings.Join(p.Values, ", "))
			}
		}
	}
	return nil
}
