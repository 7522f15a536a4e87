package config

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A converter makes nodes of the parser's tree: keys are unique, aliases and
// merge keys (<<) resolved, and the whole is bounded.
type converter struct {
	src     *source
	broken  bool // parts of the file are missing, perhaps with anchors
	anchors map[string]*node
	size    int
	errs    Errors
	full    bool
}

func (c *converter) document(file *ast.File) *node {
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return &node{at: c.src.at(1, 1, 1), size: 1}
	}
	return c.convert(file.Docs[0].Body, c.src.at(1, 1, 1), "")
}

func (c *converter) errorf(at place, path, format string, args ...any) {
	c.errs = append(c.errs, newError(at, path, format, args...))
}

// convert returns the node for n. An empty value has no place of its own: it is
// at its key.
func (c *converter) convert(n ast.Node, key place, path string) *node {
	switch n := n.(type) {
	case *ast.AnchorNode:
		value := c.convert(n.Value, key, path)
		c.anchors[n.Name.GetToken().Value] = value
		return value
	case *ast.AliasNode:
		return c.alias(n, path)
	}
	out := c.plain(n, key, path)
	out.measure()
	if out.depth > maxDepth {
		return c.tooLarge(out.at, path, fmt.Sprintf("lists and mappings are nested more than %d deep", maxDepth))
	}
	if c.size++; c.size > maxNodes {
		return c.tooLarge(out.at, path, fmt.Sprintf("the file has more than %d values", maxNodes))
	}
	return out
}

// plain converts what is no anchor and no alias.
func (c *converter) plain(n ast.Node, key place, path string) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(n, path)
	case *ast.MappingValueNode:
		return c.mapping(&ast.MappingNode{Start: n.Start, Values: []*ast.MappingValueNode{n}}, path)
	case *ast.SequenceNode:
		out := &node{kind: sequence, at: tokenPlace(c.src, n.Start)}
		for i, v := range n.Values {
			at := out.at
			if i < len(n.Entries) && n.Entries[i].Start != nil {
				at = tokenPlace(c.src, n.Entries[i].Start)
			}
			out.items = append(out.items, c.convert(v, at, item(path, i)))
		}
		return out
	case *ast.NullNode:
		return &node{at: key}
	case *ast.LiteralNode:
		return &node{kind: scalar, at: tokenPlace(c.src, n.Start), text: n.Value.Value, quoted: true, block: true}
	case *ast.StringNode:
		quoted := n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
		return &node{kind: scalar, at: tokenPlace(c.src, n.Token), text: n.Value, quoted: quoted}
	case ast.ScalarNode:
		return &node{kind: scalar, at: tokenPlace(c.src, n.GetToken()), text: n.GetToken().Value}
	}
	at := key
	if n != nil {
		at = tokenPlace(c.src, n.GetToken())
	}
	c.errorf(at, path, "expected a value")
	return &node{kind: unknown, at: at}
}

// mapping converts the entries of n; those of merge keys come last, since they
// do not replace what is written out.
func (c *converter) mapping(n *ast.MappingNode, path string) *node {
	out := &node{kind: mapping, at: tokenPlace(c.src, n.Start)}
	if !n.IsFlowStyle && len(n.Values) > 0 {
		out.at = tokenPlace(c.src, n.Values[0].Key.GetToken())
	}
	var merges []*node
	for _, v := range n.Values {
		at := tokenPlace(c.src, v.Key.GetToken())
		if _, ok := v.Key.(*ast.MergeKeyNode); ok {
			merges = append(merges, c.convert(v.Value, at, join(path, "<<")))
			continue
		}
		c.entry(out, v, path)
	}
	for _, m := range merges {
		c.inherit(out, m, path)
	}
	return out
}

func (c *converter) entry(out *node, v *ast.MappingValueNode, path string) {
	at := tokenPlace(c.src, v.Key.GetToken())
	key, ok := keyText(v.Key)
	if !ok {
		c.errorf(at, path, "a key must be plain text")
		return
	}
	value := c.convert(v.Value, at, join(path, key))
	if old, ok := out.get(key); ok {
		c.errorf(at, join(path, key), "is set in line %d already; keep one of the two", old.at.line)
		return
	}
	out.set(entry{key, at, value})
}

// keyText returns the text of a key; keys that are anchors, aliases or
// collections have none.
func keyText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// inherit adds to out what a merge key (<<) names: a mapping or a list of them.
func (c *converter) inherit(out, from *node, path string) {
	switch from.kind {
	case mapping:
		for _, e := range from.keys {
			if _, ok := out.get(e.key); !ok {
				out.set(e)
				c.size += e.value.size
			}
		}
	case sequence:
		for _, m := range from.items {
			c.inherit(out, m, path)
		}
	case scalar:
		c.errorf(from.at, join(path, "<<"), "expected an alias of a mapping")
	}
}

func (c *converter) alias(n *ast.AliasNode, path string) *node {
	at := tokenPlace(c.src, n.Start)
	name := n.Value.GetToken().Value
	value, ok := c.anchors[name]
	if !ok {
		if !c.broken {
			c.errorf(at, path, "no anchor &%s above%s", name, suggestionOf(name, c.anchors))
		}
		return &node{kind: unknown, at: at, size: 1}
	}
	if c.size += value.size; c.size > maxNodes {
		return c.tooLarge(at, path, fmt.Sprintf("with its aliases the file has more than %d values", maxNodes))
	}
	return value
}

func suggestionOf(name string, anchors map[string]*node) string {
	var known []string
	for k := range anchors {
		known = append(known, k)
	}
	slices.Sort(known)
	if near := nearest(name, known, nil); near != "" {
		return "; did you mean " + quote("*"+near) + "?"
	}
	return ""
}

// tooLarge reports a limit once, and stands in for what is above it.
func (c *converter) tooLarge(at place, path, message string) *node {
	if !c.full {
		c.full = true
		c.errorf(at, path, "%s", message)
	}
	return &node{kind: unknown, at: at, size: 1}
}
