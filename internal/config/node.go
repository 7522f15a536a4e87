package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Limits of what is read. They are far above any configuration and keep a wrong
// file from taking the memory of the machine.
const (
	maxFile   = 1 << 20 // bytes of one file
	maxFiles  = 256     // in conf.d
	maxDepth  = 64      // lists and mappings within each other
	maxNodes  = 100_000 // values of one file, those behind aliases counted each time
	maxErrors = 20      // that keep a file from being read at all
)

type kind uint8

const (
	nothing kind = iota // `key:` and null
	unknown             // could not be read, and was reported
	scalar
	sequence
	mapping
)

// A node is a value of the tree. It is not changed after it was made: an alias
// is the node of its anchor once more.
type node struct {
	kind   kind
	at     place
	text   string // of a scalar, as written or unquoted
	quoted bool   // a scalar in quotes or a block, so always text
	block  bool   // a scalar that has lines of its own (| and >)
	items  []*node
	keys   []entry
	index  map[string]int // of keys

	size  int // values in it, itself included
	depth int // lists and mappings within each other, itself included
}

// An entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    place
	value *node
}

// place is where to point for the whole entry: at a value on one line, else at
// the key. Items of a list have no key.
func (e entry) place() place {
	if e.at.src == nil || e.value.kind == scalar && !e.value.block {
		return e.value.at
	}
	return e.at
}

// get returns the entry for key.
func (n *node) get(key string) (entry, bool) {
	if n == nil || n.kind != mapping {
		return entry{}, false
	}
	i, ok := n.index[key]
	if !ok {
		return entry{}, false
	}
	return n.keys[i], true
}

// set adds an entry or replaces the value of one.
func (n *node) set(e entry) {
	if i, ok := n.index[e.key]; ok {
		n.keys[i].value = e.value
		return
	}
	if n.index == nil {
		n.index = make(map[string]int)
	}
	n.index[e.key] = len(n.keys)
	n.keys = append(n.keys, e)
}

// measure sets size and depth from those of what is in n.
func (n *node) measure() {
	n.size, n.depth = 1, 0
	add := func(c *node) {
		n.size += c.size
		n.depth = max(n.depth, c.depth)
	}
	for _, c := range n.items {
		add(c)
	}
	for _, e := range n.keys {
		add(e.value)
	}
	if n.kind == sequence || n.kind == mapping {
		n.depth++
	}
}

// merge returns the value of old with what more adds. Mappings become one; anything else may be
// in one of the two only.
func merge(old, more entry, path string) (*node, Errors) {
	a, b := old.value, more.value
	switch {
	case a == nil || a.kind == nothing:
		return b, nil
	case b == nil || b.kind == nothing:
		return a, nil
	case a.kind != mapping || b.kind != mapping:
		return a, Errors{newError(more.place(), path, "is set in %s already; keep one of the two", old.place())}
	}
	both := &node{kind: mapping, at: a.at, keys: slices.Clone(a.keys), index: maps.Clone(a.index)}
	var errs Errors
	for _, e := range b.keys {
		old, _ := a.get(e.key)
		value, more := merge(old, e, join(path, e.key))
		both.set(entry{e.key, e.at, value})
		errs = append(errs, more...)
	}
	both.measure()
	return both, errs
}

// find returns the place of path below n, or the place of the nearest parent
// that exists; exact tells them apart. A key may contain dots: the longest one
// that fits is taken.
func (n *node) find(path string) (at place, exact bool) {
	if n == nil {
		return place{}, false
	}
	at = n.at
	for path != "" {
		e, rest := n.step(path)
		if e.value == nil {
			return at, false
		}
		n, path, at = e.value, rest, e.place()
	}
	return at, true
}

// step returns the entry or item that path begins with, and what is behind it.
func (n *node) step(path string) (e entry, rest string) {
	if path[0] == '[' {
		index, rest, _ := strings.Cut(path[1:], "]")
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(n.items) {
			return entry{}, ""
		}
		return entry{value: n.items[i]}, strings.TrimPrefix(rest, ".")
	}
	for end := len(path); end > 0; end = strings.LastIndexAny(path[:end], ".[") {
		if e, ok := n.get(path[:end]); ok {
			return e, strings.TrimPrefix(path[end:], ".")
		}
	}
	return entry{}, ""
}
