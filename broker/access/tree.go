package access

import "strings"

// A node is a level in the tree of a role's filters. Topic.Tree knows no %u and
// no %c, and finds filters in no order.
type node struct {
	levels            map[string]*node
	any, name, client *node // +, %u, %c
	exact             ruling
	below             ruling // of filters that go on with # only

	denies, allows verbs // of all filters from here on
}

// A ruling is what the rules of one filter say about each action. Of several that
// say the same the first counts.
type ruling struct{ deny, allow [actions]*Reason }

// verbs is a set of actions.
type verbs uint8

func (v verbs) has(a Action) bool { return v&(1<<a) != 0 }

// add enters what r says about filter.
func (n *node) add(filter string, v verbs, r *Reason) {
	n.reach(v, r)
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" {
			n.below.add(v, r)
			return
		}
		n = n.child(level)
		n.reach(v, r)
	}
	n.exact.add(v, r)
}

// reach notes that r can be found from here.
func (n *node) reach(v verbs, r *Reason) {
	if r.Allow {
		n.allows |= v
	} else {
		n.denies |= v
	}
}

func (l *ruling) add(v verbs, r *Reason) {
	says := &l.deny
	if r.Allow {
		says = &l.allow
	}
	for a := range says {
		if v.has(Action(a)) && says[a] == nil { //nolint:gosec // There are three.
			says[a] = r
		}
	}
}

// child returns the node of a level below n, which it makes if there is none.
func (n *node) child(level string) *node {
	at := n.wild(level)
	switch {
	case at == nil && n.levels[level] == nil:
		if n.levels == nil {
			n.levels = make(map[string]*node)
		}
		n.levels[level] = new(node)
		fallthrough
	case at == nil:
		return n.levels[level]
	case *at == nil:
		*at = new(node)
	}
	return *at
}

// wild returns the place of a level that stands for others, nil for any other.
func (n *node) wild(level string) **node {
	switch level {
	case "+":
		return &n.any
	case "%u":
		return &n.name
	case "%c":
		return &n.client
	}
	return nil
}

// A question is put to one tree after the other.
type question struct {
	action       Action
	name, client string
	allow        *Reason // the first, and most specific, that was found
}

// denial returns the most specific rule that denies a filter, and notes one that
// allows it. Rest of it is still to be looked at, if there is more. A rule is
// about a filter if its own contains it, as topic.Contains has it; a topic name
// is a filter that matches only itself.
func (q *question) denial(n *node, rest string, more, dollar bool) *Reason {
	if !more {
		return q.hear(&n.exact, &n.below) // a/# is about a, too.
	}
	level, rest, more := strings.Cut(rest, "/")
	for _, next := range q.ways(n, level, dollar) {
		if !q.wants(next) {
			continue
		}
		if deny := q.denial(next, rest, more, false); deny != nil {
			return deny
		}
	}
	if dollar {
		return nil // Wildcards do not match it (MQTT 5.0, section 4.7.2).
	}
	return q.hear(&n.below)
}

// wants reports whether there is something from n on that could decide.
func (q *question) wants(n *node) bool {
	return n != nil && (n.denies.has(q.action) || q.allow == nil && n.allows.has(q.action))
}

// ways returns the nodes below n that have level, or stand for it.
func (q *question) ways(n *node, level string, dollar bool) (next [4]*node) {
	next[0] = n.levels[level]
	if level == q.name {
		next[1] = n.name
	}
	if level == q.client {
		next[2] = n.client
	}
	if !dollar && level != "#" {
		next[3] = n.any
	}
	return next
}

// hear returns the first denial of some rulings.
func (q *question) hear(rulings ...*ruling) *Reason {
	for _, r := range rulings {
		if q.allow == nil {
			q.allow = r.allow[q.action]
		}
		if deny := r.deny[q.action]; deny != nil {
			return deny
		}
	}
	return nil
}
