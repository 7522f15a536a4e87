// Package config reads YAML strictly into typed structs and says on which line a
// mistake is. It finds all mistakes in one pass, merges several files, and makes
// a JSON schema of the same structs. It does not know what it configures: each
// package has its own Config.
//
// # Structs
//
// Only fields with a `yaml:"key"` tag are read; `yaml:",inline"` takes the keys
// of an embedded struct. A `doc:"…"` tag describes a field in the schema. What a
// file does not mention keeps the value that it has, so decoding over a
// DefaultConfig keeps the defaults; a list replaces the default list. A type
// with a method SetDefaults() on its pointer is given its defaults by it where
// it is an item of a list or a new value of a map.
//
// A field can be a bool, string, integer, float, time.Duration (`1d12h`, `10s`),
// a pointer, slice, map or struct of such, a [Section], an
// encoding.TextUnmarshaler, or of type any. A string type with the method
// Values() []string takes only these values.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is the folder beside the main file whose *.yaml files are read too, in
// the order of their names.
const Folder = "conf.d"

// A Tree is what one or several files say, before anybody knows what it means.
type Tree struct {
	root *node
	lost []string // top-level keys that could not be read
}

// Load reads the file name and conf.d/*.yaml beside it. Mappings of several
// files become one; a value or list that two files set is an error.
//
// The error is nil or of type Errors and contains all that is wrong with the
// files as YAML. The tree is never nil: it holds what could be read, so that
// Decode can look for more mistakes.
func Load(name string) (*Tree, error) { return loadFiles(name, "", nil) }

// LoadWith is Load as it will be when data are the file called fragment of Folder,
// so that what is wrong with it is known before it is written.
func LoadWith(name, fragment string, data []byte) (*Tree, error) {
	return loadFiles(name, filepath.Join(filepath.Dir(name), Folder, fragment), data)
}

// loadFiles is Load, with data in the place of the file next, if that is not empty.
func loadFiles(name, next string, data []byte) (*Tree, error) {
	names, errs := fragments(name)
	if next != "" && !slices.Contains(names, next) {
		names = append(names, next)
		slices.Sort(names)
	}
	tree := new(Tree)
	for i, name := range append([]string{name}, names...) {
		data, err := data, error(nil)
		if name != next {
			data, err = read(name)
		}
		if err != nil {
			errs = append(errs, newError(place{src: &source{name: name, order: i}}, "", "%w", err))
			continue
		}
		errs = append(errs, tree.add(newSource(name, i, data))...)
	}
	return tree, errs.orNil()
}

// Parse is Load for one file that has been read already; name is for messages.
func Parse(name string, data []byte) (*Tree, error) {
	tree := new(Tree)
	if len(data) > maxFile {
		src := &source{name: name}
		return tree, Errors{newError(place{src: src}, "", "%w", errTooLong)}
	}
	return tree, tree.add(newSource(name, 0, data)).orNil()
}

func (t *Tree) add(src *source) Errors {
	root, lost, errs := parse(src)
	t.lost = append(t.lost, lost...)
	if root != nil && t.root != nil && root.kind != mapping && root.kind != nothing {
		return append(errs, newError(root.at, "", "expected a mapping (`key: value`), found %s", describe(root)))
	}
	merged, more := merge(entry{value: t.root}, entry{value: root}, "")
	t.root = merged
	return append(errs, more...)
}

var errTooLong = fmt.Errorf("is larger than %d KiB; this cannot be a configuration", maxFile>>10)

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, cannotRead(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, cannotRead(err)
	}
	if len(data) > maxFile {
		return nil, errTooLong
	}
	return data, nil
}

// cannotRead leaves the name out: the message has it before the colon.
func cannotRead(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// fragments lists the files of conf.d beside name.
func fragments(name string) (names []string, errs Errors) {
	dir := filepath.Join(filepath.Dir(name), Folder)
	refuse := func(file, format string, args ...any) {
		errs = append(errs, newError(place{src: &source{name: file, order: maxFiles}}, "", format, args...))
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		refuse(dir, "%w", cannotRead(err))
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		switch ext := filepath.Ext(file); {
		case strings.HasPrefix(e.Name(), "."):
		case ext == ".yml":
			refuse(file, "is not read; rename it to %s.yaml", strings.TrimSuffix(e.Name(), ext))
		case ext == ".yaml":
			names = append(names, file)
		}
	}
	if len(names) > maxFiles {
		refuse(dir, "has %d files, more than %d", len(names), maxFiles)
		names = names[:maxFiles]
	}
	return names, errs
}

// Decode reads the tree into what into points to, over the values that are
// there. The error is nil or of type Errors and contains every mistake; fields
// with a mistake keep their value.
func (t *Tree) Decode(into any) error {
	return decode(t.root, "", into)
}

// Locate gives errors their places: each FieldError that is joined in err
// becomes an Error at the value of its path, or at the nearest parent that is in
// a file. Errors from Load and Decode may be joined too. What only follows from
// another mistake is left out. Locate of nil is nil, everything else becomes
// Errors. The tree may be nil.
func (t *Tree) Locate(err error) error {
	if t == nil {
		t = new(Tree)
	}
	var placed Errors
	var fields []*FieldError
	flatten(err, &placed, &fields)
	seen := make(map[string]bool)
	var out Errors
	add := func(e *Error) {
		if key := e.Error(); !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	for _, e := range placed {
		add(e)
	}
	for _, f := range fields {
		if t.follows(f.Path, placed) {
			continue
		}
		at, _ := t.root.find(f.Path)
		e := newError(at, f.Path, "%w", f.Err)
		add(e)
	}
	return out.orNil()
}

// Where returns FILE:LINE of the value at path, or of the nearest parent that is
// in a file; "" if no file is. The path is that of a FieldError.
func (t *Tree) Where(path string) string {
	at, _ := t.root.find(path)
	if at.src == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", at.src.name, at.line)
}

// flatten takes joined errors apart.
func flatten(err error, placed *Errors, fields *[]*FieldError) {
	switch e := err.(type) { //nolint:errorlint // The tree of joined errors is walked here, node by node.
	case nil:
	case *Error:
		*placed = append(*placed, e)
	case Errors:
		*placed = append(*placed, e...)
	case *FieldError:
		*fields = append(*fields, e)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			flatten(err, placed, fields)
		}
	default:
		*fields = append(*fields, &FieldError{"", err})
	}
}

// follows reports whether a mistake at path may only be there because of one
// that is known already: at the path, around it or in it.
func (t *Tree) follows(path string, known Errors) bool {
	for _, key := range t.lost {
		if within(path, key) {
			return true
		}
	}
	for _, e := range known {
		if e.Path != "" && path != "" && (within(path, e.Path) || within(e.Path, path)) {
			return true
		}
		if e.hint != "" && within(path, e.hint) {
			return true
		}
	}
	return false
}

// within reports whether path is parent or below it.
func within(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
