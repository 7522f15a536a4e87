package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got), run with -update after reading:\n%s", file, d)
	}
}

// load does what a program does: read, decode, decode the sections, validate.
func load(name string) (hub, error) {
	tree, err := Load(name)
	return finish(tree, err)
}

func finish(tree *Tree, err error) (hub, error) {
	h := defaultHub()
	errs := []error{err, tree.Decode(&h)}
	for name, kinds := range h.Bridges {
		for kind, section := range kinds {
			if kind != "gpio" {
				errs = append(errs, UnknownKey("bridges."+name+"."+kind, []string{"gpio"}))
				continue
			}
			var r relay
			errs = append(errs, section.Decode(&r), In(section.Path(), r.validate()))
		}
	}
	return h, tree.Locate(errors.Join(errs...))
}

func (r relay) validate() error {
	var errs []error
	seen := make(map[int]int)
	for i, p := range r.Pins {
		if first, ok := seen[p.Line]; ok {
			errs = append(errs, Errorf(item("pins", i)+".line", "GPIO%d is already pin %d", p.Line, first))
		}
		seen[p.Line] = i
		if p.Name == "" {
			errs = append(errs, Errorf(item("pins", i)+".name", "must be set"))
		}
	}
	return errors.Join(errs...)
}

// Each folder of testdata/bad is one configuration: edge.yaml, perhaps conf.d,
// and what is printed for it.
func TestMistakesAreShown(t *testing.T) {
	dirs, err := filepath.Glob("testdata/bad/*/edge.yaml")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no testdata (%v)", err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			_, err := load(file)
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("load %s: %v, want Errors", file, err)
			}
			golden(t, filepath.Join(dir, "want.txt"), strings.ReplaceAll(errs.Text(false), dir+"/", ""))
		})
	}
}
