package modbus

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"edge/internal/config"
)

// maxTemplate keeps a file that is no template from filling the memory; the
// longest that is built in has 6 KiB.
const maxTemplate = 256 << 10

// A TemplateFile is where a template was found.
type TemplateFile struct {
	Name    string // as a configuration says it
	File    string // empty if it is built in
	Text    []byte
	builtIn string
}

// place is what messages call the file.
func (f TemplateFile) place() string {
	if f.File != "" {
		return f.File
	}
	return f.builtIn
}

// FindTemplate returns the template name of the user's folder or else the one that
// is built in. The folder may be empty.
func FindTemplate(folder, name string) (TemplateFile, error) {
	if !isTemplateName(name) {
		return TemplateFile{}, fmt.Errorf("the name %q: want a-z, 0-9, _ and -", name)
	}
	if folder != "" {
		file := filepath.Join(folder, name+".yaml")
		text, err := readBounded(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return TemplateFile{Name: name, File: file, Text: text}, err
		}
	}
	all, err := builtIn()
	if err != nil {
		return TemplateFile{}, err
	}
	text, ok := all[name]
	if !ok {
		return TemplateFile{}, fmt.Errorf("there is no template %q; edge modbus templates lists them", name)
	}
	return TemplateFile{Name: name, Text: text, builtIn: "templates/" + name + ".yaml"}, nil
}

func isTemplateName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read a template: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(text) > maxTemplate {
		err = fmt.Errorf("is larger than %d KiB; this cannot be a template", maxTemplate>>10)
	}
	if err != nil {
		return nil, fmt.Errorf("read template %s: %w", file, err)
	}
	return text, nil
}

// TemplateNames returns the names of all templates, those of the user's folder and
// those that are built in, in alphabetical order.
func TemplateNames(folder string) ([]string, error) {
	all, err := builtIn()
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(all))
	if folder != "" {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, fmt.Errorf("list templates: %w", err)
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok && isTemplateName(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Parse reads the template. The error is of type config.Errors and has all that is
// wrong with the file, each with its line.
func (f TemplateFile) Parse() (Template, error) {
	t, _, err := f.parse()
	return t, err
}

func (f TemplateFile) parse() (Template, *config.Tree, error) {
	var t Template
	tree, err := config.Parse(f.place(), f.Text)
	err = tree.Locate(errors.Join(err, tree.Decode(&t)))
	if err == nil {
		err = tree.Locate(t.check())
	}
	for i := range t.Entities {
		t.Entities[i].Name = orTitle(t.Entities[i].Name, t.Entities[i].ID)
	}
	return t, tree, err
}

// orTitle returns name, or what people call an entity with the id voltage_l1:
// Voltage L1.
func orTitle(name, id string) string {
	if name != "" {
		return name
	}
	words := strings.Split(id, "_")
	for i, w := range words {
		if i == 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
		switch w {
		case "l1", "l2", "l3", "n", "ac", "dc", "thd":
			words[i] = strings.ToUpper(w)
		}
	}
	return strings.Join(words, " ")
}

// resolve returns the template name for a unit with these parameters: entities
// whose condition does not hold are left out, and addresses count from the
// parameter base, if there is one. Errors have their place in the template's file,
// or the path of a key of the unit.
func resolve(folder, name string, parameters map[string]string) (Template, error) {
	file, err := FindTemplate(folder, name)
	if err != nil {
		return Template{}, config.Errorf("template", "%w", err)
	}
	t, tree, err := file.parse()
	if err != nil {
		return t, err
	}
	values, err := t.values(parameters)
	if err != nil {
		return t, err
	}
	if err := t.choose(values); err != nil {
		return t, tree.Locate(err)
	}
	return t, t.move(values)
}

// choose leaves out the entities whose condition does not hold. Their conditions
// have been checked.
func (t *Template) choose(values map[string]string) error {
	var chosen []Entity
	var errs []error
	first := map[string]bool{}
	for i, e := range t.Entities {
		c, err := parseCondition(e.When)
		if err != nil || !c.holds(values) {
			continue
		}
		if first[e.ID] {
			errs = append(errs, config.Errorf(fmt.Sprintf("entities[%d].id", i), "%q is already the id of an earlier entity, with %s", e.ID, told(values)))
		}
		first[e.ID] = true
		e.When = ""
		chosen = append(chosen, e)
	}
	t.Entities = chosen
	return errors.Join(errs...)
}

// told writes parameters as in a condition.
func told(values map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name+" == "+values[name])
	}
	if len(parts) == 0 {
		return "no parameters"
	}
	return strings.Join(parts, " and ")
}
