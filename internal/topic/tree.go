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
type branches[T any] struct {
	level string // of only
	only  *Tree[T]
	more  map[string]*Tree[T] // in place of only, since there was a second
}

// child returns the branch at level, nil if there is none.
func (t *Tree[T]) child(level string) *Tree[T] {
	switch b := t.children; {
	case b == nil:
		return nil
	case b.more != nil:
		return b.more[level]
	case b.level == level:
		return b.only
	}
	return nil
}

// grow adds a branch at level, where there is none.
func (t *Tree[T]) grow(level string) *Tree[T] {
	child := new(Tree[T])
	switch b := t.children; {
	case b == nil:
		t.children = &branches[T]{level: level, only: child}
	case b.more == nil:
		t.children = &branches[T]{more: map[string]*Tree[T]{b.level: b.only, level: child}}
	default:
		b.more[level] = child
	}
	return child
}

// cut drops the branch at level.
func (t *Tree[T]) cut(level string) {
	if t.children.more != nil {
		delete(t.children.more, level)
	}
	if len(t.children.more) == 0 {
		t.children = nil
	}
}

// all calls f for each branch until f returns false, and returns what f did.
func (b *branches[T]) all(f func(level string, child *Tree[T]) bool) bool {
	switch {
	case b == nil:
		return true
	case b.more == nil:
		return f(b.level, b.only)
	}
	for level, child := range b.more {
		if !f(level, child) {
			return false
		}
	}
	return true
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
	// Wildcards do not match a first level that begins with $ (MQTT 5.0,
	// section 4.7.2); below it they do.
	if !dollar {
		t.child("#").visit(f) // "a/#" matches "a", too (section 4.7.1.2).
	}
	if !more {
		t.visit(f)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if child := t.child("+"); child != nil && !dollar {
		child.match(rest, more, false, f)
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
