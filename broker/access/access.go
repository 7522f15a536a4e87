// Package access decides who may publish, subscribe to and receive what. It
// decides and does nothing else: who somebody is was found out before, and the
// broker acts on the answer. docs/access.md tells users what the rules mean.
package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"edge/internal/topic"
)

// An Action is what a client does with a topic.
type Action uint8

// The actions. Publish is also that of a will, Receive that of each delivery:
// of live, queued and retained messages.
const (
	Publish Action = iota
	Subscribe
	Receive

	actions = iota // that there are
)

var actionNames = [actions]string{"publish", "subscribe", "receive"}

// String returns the word that rules have for a.
func (a Action) String() string { return actionNames[a] }

// ParseAction returns the action that String names.
func ParseAction(s string) (Action, error) {
	if i := slices.Index(actionNames[:], s); i >= 0 {
		return Action(i), nil //nolint:gosec // There are three.
	}
	return 0, fmt.Errorf("there is no action %q: want publish, subscribe or receive", s)
}

// A Principal is somebody who was let in, by whatever proof: a user, a
// certificate, a process on the same machine, a bridge within this one.
type Principal struct {
	Name     string   // what %u stands for; empty for clients without credentials
	ClientID string   // what %c stands for
	Roles    []string // all of them; see Policy.RolesOf
	Reads    []string // filters that it may read besides: those that the configuration of a bridge names
}

// A Policy is what all roles may do. It does not change.
type Policy struct {
	root  string // of the hub's topics, <prefix>/<node>
	roles map[string]*role
	given Config // of it only who has which roles
}

// A role is the rules of one role, as a tree.
type role struct {
	name  string
	rules node
}

// Compile makes a policy of c and the ready roles. The topics of entities are
// below root, <prefix>/<node>. Where returns FILE:LINE of the value at a path
// that counts from c, as config.Tree.Where does; nil if there are no files. The
// error is that of c.Validate.
func Compile(c Config, root string, where func(path string) string) (*Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if where == nil {
		where = func(path string) string { return path }
	}
	p := &Policy{root: root, roles: make(map[string]*role), given: c}
	for name, rules := range readyRoles(root) {
		p.roles[name] = p.role(name, rules, func(string) string { return readyPlace })
	}
	for name, rules := range c.Roles {
		p.roles[name] = p.role(name, rules, where)
	}
	return p, nil
}

// role compiles the rules of one role.
func (p *Policy) role(name string, rules []Rule, where func(string) string) *role {
	r := &role{name: name}
	for i, rule := range rules {
		for _, l := range rule.lines(p.root) {
			path := fmt.Sprintf("roles.%s[%d].%s", name, i, l.path)
			r.rules.add(l.filter, l.verbs, &Reason{
				Role: name, Allow: l.allow, Filter: l.filter, Entity: l.entity, Path: path, Where: where(path),
			})
		}
	}
	return r
}

// CheckRole reports what is wrong with name as a role that somebody may be given.
func (p *Policy) CheckRole(name string) error { return p.given.checkRole(name) }

// RolesOf returns the roles that the configuration gives to a user, or to
// clients without credentials if user is empty, those of everyone among them.
func (p *Policy) RolesOf(user string) []string {
	if user == "" {
		return slices.Concat(p.given.Everyone, p.given.Anonymous)
	}
	return slices.Concat(p.given.Everyone, p.given.Users[user].Roles)
}

// RolesOfBridge returns the roles of a bridge within the process: the ready one,
// and what the configuration gives to a user of its name. It is not everyone:
// a rule that keeps clients from commanding all relays must not keep the relays
// from saying what state they have.
func (p *Policy) RolesOfBridge(name string) []string {
	return append([]string{"bridge"}, p.given.Users[name].Roles...)
}

// For returns what pr may do. A role that does not exist grants nothing.
func (p *Policy) For(pr Principal) *View {
	v := &View{name: levelOf(pr.Name), client: levelOf(pr.ClientID)}
	names := slices.Clone(pr.Roles)
	slices.Sort(names) // The same roles in another order decide the same, for the same reason.
	for _, name := range slices.Compact(names) {
		if r := p.find(name); r != nil {
			v.roles = append(v.roles, r)
		}
	}
	if len(pr.Reads) > 0 {
		own := []Rule{{Allow: []Verb{Read}, Topics: pr.Reads}}
		v.roles = append(v.roles, p.role("bridge", own, func(string) string { return "its own configuration" }))
	}
	return v
}

// find returns a role, nil if there is none.
func (p *Policy) find(name string) *role {
	if entity, ok := strings.CutPrefix(name, operatorOf); ok && checkEntity(entity) == nil {
		return p.role(name, operator(entity), func(string) string { return readyPlace })
	}
	return p.roles[name]
}

// noLevel is where a level of a topic is expected and equal to none: a level
// contains no slash.
const noLevel = "/"

// levelOf returns what %u or %c stand for. A name that would be more or less
// than one level, or a wildcard, stands for nothing, so that rules with it do not
// apply to who has thought of it (CVE-2017-7650).
func levelOf(name string) string {
	if name == "" || name[0] == '$' || strings.ContainsAny(name, "+#/\x00") {
		return noLevel
	}
	return name
}

// A View is what one principal may do. Its methods may be called at once from
// several goroutines and do not allocate.
type View struct {
	name, client string
	roles        []*role
}

// Publish decides whether the principal may publish to a topic.
func (v *View) Publish(name string) Decision { return v.Ask(Publish, name) }

// Subscribe decides whether the principal may subscribe to a filter, that of a
// shared subscription ($share/GROUP/FILTER) among them: some rule must allow all
// that the filter matches, and none deny all of it. What is denied in part is for
// Receive to keep back.
func (v *View) Subscribe(filter string) Decision { return v.Ask(Subscribe, filter) }

// Receive decides whether a message of a topic may be delivered to the principal.
func (v *View) Receive(name string) Decision { return v.Ask(Receive, name) }

// Ask decides about any action: on a filter for Subscribe, else on a topic name.
func (v *View) Ask(a Action, what string) Decision {
	if a == Subscribe {
		_, what = topic.Share(what)
	}
	switch what {
	case "": // What is left of $share/g.
		return Decision{}
	case "#":
		what = "+/#" // The same: a name has at least one level.
	}
	q := question{action: a, name: v.name, client: v.client}
	for _, r := range v.roles {
		if !q.wants(&r.rules) {
			continue
		}
		if deny := q.denial(&r.rules, what, true, what[0] == '$'); deny != nil {
			return Decision{Reason: deny}
		}
	}
	return Decision{Allowed: q.allow != nil, Reason: q.allow}
}

// A Decision is yes or no, and why. The zero Decision is no, since no rule allows
// it.
type Decision struct {
	Allowed bool
	Reason  *Reason // the rule that decided; nil if none did
}

// String explains d on one line.
func (d Decision) String() string {
	switch {
	case d.Reason == nil:
		return "denied: no rule allows it"
	case d.Allowed:
		return "allowed: " + d.Reason.String()
	}
	return "denied: " + d.Reason.String()
}

// A Reason is a rule as far as it is about one filter.
type Reason struct {
	Role   string
	Allow  bool   // else it denies
	Filter string // with %u and %c as they were written
	Entity string // as it was written, if it is about one
	Path   string // in the configuration, from Config: roles.garden[1].topics[0]
	Where  string // FILE:LINE, or what else is known of the place
}

// String names the rule, its role and its place.
func (r *Reason) String() string {
	verb, of := "denies ", ""
	if r.Allow {
		verb = "allows "
	}
	if r.Entity != "" {
		of = " (entity " + r.Entity + ")"
	}
	return "role " + r.Role + " " + verb + r.Filter + of + ", " + r.Where
}

// Roles returns the names of all roles, sorted.
func (p *Policy) Roles() []string { return slices.Sorted(maps.Keys(p.roles)) }
