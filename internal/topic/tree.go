package topic

import "strings"

// A Tree maps topic filters or topic names to values. It is not safe for
// concurrent use. The zero value is empty.
type Tree[T any] struct {
	children map[string]*Tree[T]
	path     string // the whole filter or name; "" where no value is kept
	value    T
}

// At returns the value kept for path, which it adds if there was none.
func (t *Tree[T]) At(path string) *T {
	n := t
	for rest, more := path, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*Tree[T])
			}
			child = new(Tree[T])
			n.children[level] = child
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
		if n = n.children[level]; n == nil {
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
	child := t.children[level]
	switch {
	case child == nil:
		return
	case more:
		child.Remove(rest)
	default:
		var none T
		child.path, child.value = "", none
	}
	if child.path == "" && len(child.children) == 0 {
		delete(t.children, level)
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
		t.children["#"].visit(f) // "a/#" matches "a", too (section 4.7.1.2).
	}
	if !more {
		t.visit(f)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if child := t.children["+"]; child != nil && !dollar {
		child.match(rest, more, false, f)
	}
	if child := t.children[level]; child != nil && level != "+" && level != "#" {
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
		for name, child := range t.children {
			if top && strings.HasPrefix(name, "$") {
				continue
			}
			if !child.sel(rest, more, false, f) {
				return false
			}
		}
		return true
	}
	child := t.children[level]
	return child == nil || child.sel(rest, more, false, f)
}

func (t *Tree[T]) all(top bool, f func(string, *T) bool) bool {
	if t.path != "" && !f(t.path, &t.value) {
		return false
	}
	for name, child := range t.children {
		if top && strings.HasPrefix(name, "$") {
			continue
		}
		if !child.all(false, f) {
			return false
		}
	}
	return true
}
