package config

import (
	"errors"
	"fmt"
	"reflect"
)

// A Section is a part of the tree whose type is not known while the rest is
// decoded. The zero Section is one that no file mentions.
type Section struct {
	node *node
	path string
}

// Present reports whether a file mentions the section, if only by `key:`.
func (s Section) Present() bool { return s.node != nil }

// Path returns the path of the section from the root: `bridges.porch.gpio`. It
// is the prefix that In needs to make what Validate finds known to Locate.
func (s Section) Path() string { return s.path }

// Decode reads the section into what into points to, over the values that are
// there, as Tree.Decode does. Paths of errors count from the root of the tree.
func (s Section) Decode(into any) error { return decode(s.node, s.path, into) }

func decode(n *node, path string, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return errors.New("config: Decode needs a pointer, not " + fmt.Sprintf("%T", into))
	}
	if n == nil || n.kind == nothing {
		return nil
	}
	var d decoder
	d.value(n, path, v.Elem())
	return d.errs.orNil()
}
