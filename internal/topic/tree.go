package topic

import "strings"

// A Tree maps topic filters or topic names to values. It is not safe for
// concurrent use. The zero value is empty.
//
// A node stands for all levels between two branchings: strangers subscribe to
// filters as deep as they may be, and a node for each level would take more memory
// than the filter itself, and more time to walk through.
type Tree[T any] struct {
	label    string // the levels from the node above to this one
	children *branches[T]
	path     string // the whole filter or name; "" where no value is kept
	value    T
}

// At returns the value kept for path, which it adds if there was none.
func (t *Tree[T]) At(path string) *T {
	n, rest := t, path
	for {
		child, size := n.branch(rest)
		if size == len(rest) {
			child.path = path
			return &child.value
		}
		n, rest = child, rest[size+1:]
	}
}

// branch returns the node below t for the first levels of rest, which it adds or
// splits off if there is none, and how many bytes these levels have.
func (t *Tree[T]) branch(rest string) (child *Tree[T], size int) {
	level := first(rest)
	child = t.children.at(level)
	if child == nil {
		child = &Tree[T]{label: rest}
		t.put(level, child)
	}
	if size = common(child.label, rest); size == len(child.label) {
		return child, size
	}
	upper := &Tree[T]{label: child.label[:size]}
	t.put(level, upper)
	child.label = child.label[size+1:]
	upper.put(first(child.label), child)
	return upper, size
}

// Get returns the value kept for exactly path, nil if there is none.
func (t *Tree[T]) Get(path string) *T {
	n, rest := t, path
	for {
		n = n.children.at(first(rest))
		if n == nil || common(n.label, rest) < len(n.label) {
			return nil
		}
		if len(rest) == len(n.label) {
			break
		}
		rest = rest[len(n.label)+1:]
	}
	if n.path == "" {
		return nil
	}
	return &n.value
}

// Remove forgets path and the branches that end nowhere without it.
func (t *Tree[T]) Remove(path string) {
	level := first(path)
	child := t.children.at(level)
	if child == nil || common(child.label, path) < len(child.label) {
		return
	}
	if len(path) > len(child.label) {
		child.Remove(path[len(child.label)+1:])
	} else {
		var none T
		child.path, child.value = "", none
	}
	if child.path == "" {
		t.put(level, child.joined())
	}
}

// joined returns what takes the place of t, which keeps no value: nothing, if
// nothing is below it; if one node is, that for both.
func (t *Tree[T]) joined() *Tree[T] {
	if t.children == nil {
		return nil
	}
	if only := t.children.single(); only != nil {
		only.label = t.label + "/" + only.label
		return only
	}
	return t
}

// put makes child, which may be nil, the branch at level.
func (t *Tree[T]) put(level string, child *Tree[T]) {
	if t.children == nil {
		t.children = new(branches[T])
	}
	if t.children.put(level, child); t.children.empty() {
		t.children = nil
	}
}

// Match calls f for the value of each filter in the tree that matches name.
func (t *Tree[T]) Match(name string, f func(filter string, v *T)) {
	t.match(name, strings.HasPrefix(name, "$"), f)
}

// match looks below t for rest, the last levels of a name.
func (t *Tree[T]) match(rest string, dollar bool, f func(string, *T)) {
	b := t.children
	if b == nil {
		return
	}
	// Wildcards do not match a first level that begins with $ (MQTT 5.0,
	// section 4.7.2); below it they do.
	if !dollar {
		b.hash.visit(f)
		b.plus.follow(rest, f)
	}
	if b.more != nil {
		b.more[first(rest)].follow(rest, f)
	} else {
		b.only.follow(rest, f)
	}
}

// follow is match for the levels of t itself, and for those below if they match.
func (t *Tree[T]) follow(rest string, f func(string, *T)) {
	if t == nil {
		return
	}
	for label := t.label; label != "#"; {
		i, j, ok := same(label, rest)
		switch {
		case !ok:
			return
		case j == len(rest):
			t.end(label[i:], f)
			return
		case i == len(label):
			t.match(rest[j+1:], false, f)
			return
		}
		label, rest = label[i+1:], rest[j+1:]
	}
	t.visit(f)
}

// end is follow where the name has ended and left is what has not of the levels of
// t: "a/#" matches "a", too (section 4.7.1.2).
func (t *Tree[T]) end(left string, f func(string, *T)) {
	if left == "" || left == "/#" {
		t.visit(f)
	}
	if left == "" && t.children != nil {
		t.children.hash.visit(f)
	}
}

func (t *Tree[T]) visit(f func(string, *T)) {
	if t != nil && t.path != "" {
		f(t.path, &t.value)
	}
}

// Select calls f for the value of each name in the tree that filter matches,
// until f returns false.
func (t *Tree[T]) Select(filter string, f func(name string, v *T) bool) {
	t.sel(filter, true, f)
}

// sel looks below t for what rest, the last levels of a filter, matches.
func (t *Tree[T]) sel(rest string, top bool, f func(string, *T) bool) bool {
	level := first(rest)
	if level != "+" && level != "#" {
		return t.children.at(level).pick(rest, f)
	}
	return t.children.all(func(child *Tree[T]) bool {
		return top && strings.HasPrefix(child.label, "$") || child.pick(rest, f)
	})
}

// pick is sel for the levels of t itself, and for those below if they match.
func (t *Tree[T]) pick(rest string, f func(string, *T) bool) bool {
	if t == nil {
		return true
	}
	for label := t.label; rest != "#"; {
		i, j, ok := same(rest, label)
		switch {
		case !ok || i == len(rest) && j < len(label):
			return true
		case i == len(rest):
			return t.path == "" || f(t.path, &t.value)
		case j == len(label) && rest[i:] != "/#":
			return t.sel(rest[i+1:], false, f)
		}
		rest, label = rest[i+1:], label[min(j+1, len(label)):]
	}
	return t.each(f)
}

// each calls f for t and all that is below it.
func (t *Tree[T]) each(f func(string, *T) bool) bool {
	if t.path != "" && !f(t.path, &t.value) {
		return false
	}
	return t.children.all(func(child *Tree[T]) bool { return child.each(f) })
}

// branches are what is below a node, by the first level of each. Most are one or
// two, for which a map takes five times the memory. Wildcards are found without,
// since a match looks for them wherever something branches off.
type branches[T any] struct {
	plus, hash *Tree[T]            // at + and #
	only       *Tree[T]            // at any other level
	more       map[string]*Tree[T] // in place of only, since there were several
}

// at returns the branch at level, nil if there is none.
func (b *branches[T]) at(level string) *Tree[T] {
	switch {
	case b == nil:
		return nil
	case level == "+":
		return b.plus
	case level == "#":
		return b.hash
	case b.more != nil:
		return b.more[level]
	case b.only != nil && first(b.only.label) == level:
		return b.only
	}
	return nil
}

// put makes child, which may be nil, the branch at level.
func (b *branches[T]) put(level string, child *Tree[T]) {
	switch {
	case level == "+":
		b.plus = child
	case level == "#":
		b.hash = child
	case b.more != nil && child == nil:
		delete(b.more, level)
	case b.more != nil:
		b.more[level] = child
	case b.only == nil || first(b.only.label) == level:
		b.only = child
	default:
		b.more = map[string]*Tree[T]{first(b.only.label): b.only, level: child}
		b.only = nil
	}
}

func (b *branches[T]) empty() bool {
	return b.plus == nil && b.hash == nil && b.only == nil && len(b.more) == 0
}

// single returns the branch if there is one alone.
func (b *branches[T]) single() (one *Tree[T]) {
	b.all(func(child *Tree[T]) bool {
		if one != nil {
			one = nil
			return false
		}
		one = child
		return true
	})
	return one
}

// all calls f for each branch until f returns false, and returns what f did.
func (b *branches[T]) all(f func(child *Tree[T]) bool) bool {
	if b == nil {
		return true
	}
	for _, child := range [...]*Tree[T]{b.plus, b.hash, b.only} {
		if child != nil && !f(child) {
			return false
		}
	}
	for _, child := range b.more {
		if !f(child) {
			return false
		}
	}
	return true
}

// same reports whether the first level of a filter matches that of a name, and
// returns how long they are. It does so byte by byte: levels are short.
func same(filter, name string) (i, j int, ok bool) {
	if filter != "" && filter[0] == '+' { // a level of its own
		for j < len(name) && name[j] != '/' {
			j++
		}
		return 1, j, true
	}
	for i < len(filter) && filter[i] != '/' {
		if i == len(name) || name[i] != filter[i] {
			return i, i, false
		}
		i++
	}
	return i, i, i == len(name) || name[i] == '/'
}

// first returns the first level of a name or filter.
func first(path string) string {
	level, _, _ := strings.Cut(path, "/")
	return level
}

// common returns how many bytes the levels have with which both a and b begin. The
// first level of both is the same.
func common(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return strings.LastIndexByte(a[:i], '/')
}
