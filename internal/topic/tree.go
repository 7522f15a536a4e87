package topic

import "strings"

// A Tree maps topic filters or topic names to values. It is not safe for
// concurrent use. The zero value is empty.
type Tree[T any] struct {
	children *branches[T] // nil: there are none
	path     string       // the whole filter or name; "" where no value is kept
	value    T
}

// branches are what is below a level. Most levels have one, for which a map takes
// five times the memory: strangers subscribe to filters as deep as they may be.
// Wildcards are found without a map, since each match looks for them at each level.
type branches[T any] struct {
	plus, hash *Tree[T]            // at + and #
	level      string              // of only
	only       *Tree[T]            // the one that is neither
	more       map[string]*Tree[T] // in place of only, while there are several
}

// place returns where the branch at level is, nil if that is in more.
func (b *branches[T]) place(level string) **Tree[T] {
	switch {
	case level == "+":
		return &b.plus
	case level == "#":
		return &b.hash
	case b.more == nil && (b.only == nil || b.level == level):
		return &b.only
	}
	return nil
}

// child returns the branch at level, nil if there is none.
func (t *Tree[T]) child(level string) *Tree[T] {
	b := t.children
	if b == nil {
		return nil
	}
	if at := b.place(level); at != nil {
		return *at
	}
	return b.more[level]
}

// grow adds a branch at level, where there is none.
func (t *Tree[T]) grow(level string) *Tree[T] {
	child := new(Tree[T])
	if t.children == nil {
		t.children = new(branches[T])
	}
	b := t.children
	switch at := b.place(level); {
	case at == &b.only:
		b.level, b.only = level, child
	case at != nil:
		*at = child
	case b.more == nil:
		b.more = map[string]*Tree[T]{b.level: b.only, level: child}
		b.level, b.only = "", nil
	default:
		b.more[level] = child
	}
	return child
}

// cut drops the branch at level.
func (t *Tree[T]) cut(level string) {
	b := t.children
	if at := b.place(level); at != nil {
		*at = nil
	}
	if delete(b.more, level); len(b.more) == 0 {
		b.more = nil
	}
	if b.plus == nil && b.hash == nil && b.only == nil && b.more == nil {
		t.children = nil
	}
}

// all calls f for each branch until f returns false, and returns what f did.
func (b *branches[T]) all(f func(level string, child *Tree[T]) bool) bool {
	if b == nil {
		return true
	}
	ok := (b.plus == nil || f("+", b.plus)) && (b.hash == nil || f("#", b.hash)) && (b.only == nil || f(b.level, b.only))
	for level, child := range b.more {
		if !ok || !f(level, child) {
			return false
		}
	}
	return ok
}

// At returns the value kept for path, which it adds if there was none.
func (t *Tree[T]) At(path string) *T {
	n := t
	for rest, more := path, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		child := n.child(level)
		if child == nil {
			child = n.grow(level)
		}
		n = child
	}
	n.path = path
	return &n.value
}

// Get returns the value kept for exactly path, nil if there is none.
func (t *Tree[T]) Get(path string) *T {
	n := t
	for rest, more := path, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if n = n.child(level); n == nil {
			return nil
		}
	}
	if n.path == "" {
		return nil
	}
	return &n.value
}

// Remove forgets path and the branches that end nowhere without it.
func (t *Tree[T]) Remove(path string) {
	level, rest, more := strings.Cut(path, "/")
	child := t.child(level)
	switch {
	case child == nil:
		return
	case more:
		child.Remove(rest)
	default:
		var none T
		child.path, child.value = "", none
	}
	if child.path == "" && child.children == nil {
		t.cut(level)
	}
}

// Match calls f for the value of each filter in the tree that matches name.
func (t *Tree[T]) Match(name string, f func(filter string, v *T)) {
	t.match(name, true, strings.HasPrefix(name, "$"), f)
}

func (t *Tree[T]) match(rest string, more, dollar bool, f func(string, *T)) {
	if !more {
		t.visit(f)
	}
	b := t.children
	if b == nil {
		return
	}
	// Wildcards do not match a first level that begins with $ (MQTT 5.0,
	// section 4.7.2); below it they do.
	if !dollar {
		b.hash.visit(f) // "a/#" matches "a", too (section 4.7.1.2).
	}
	if !more {
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if b.plus != nil && !dollar {
		b.plus.match(rest, more, false, f)
	}
	if child := t.child(level); child != nil && level != "+" && level != "#" {
		child.match(rest, more, false, f)
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
	t.sel(filter, true, true, f)
}

func (t *Tree[T]) sel(rest string, more, top bool, f func(string, *T) bool) bool {
	if !more {
		return t.path == "" || f(t.path, &t.value)
	}
	level, rest, more := strings.Cut(rest, "/")
	switch level {
	case "#":
		return t.all(top, f)
	case "+":
		return t.children.all(func(name string, child *Tree[T]) bool {
			return top && strings.HasPrefix(name, "$") || child.sel(rest, more, false, f)
		})
	}
	child := t.child(level)
	return child == nil || child.sel(rest, more, false, f)
}

func (t *Tree[T]) all(top bool, f func(string, *T) bool) bool {
	if t.path != "" && !f(t.path, &t.value) {
		return false
	}
	return t.children.all(func(name string, child *Tree[T]) bool {
		return top && strings.HasPrefix(name, "$") || child.all(false, f)
	})
}
