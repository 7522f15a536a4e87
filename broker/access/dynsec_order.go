package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"edge/internal/topic"
)

// everyoneDynamic is the role for what the plugin lets everybody do.
const everyoneDynamic = "mosquitto-default"

// convert makes rules of what was read. The plugin asks the ACLs of a client one
// after the other and the first that fits decides; here a denial always does.
func (r *dynReader) convert() {
	for _, c := range r.clients {
		r.grant(c)
	}
	if r.anonymous != "" {
		if g := r.groups[r.anonymous]; g != nil {
			r.im.Config.Anonymous = r.rank(r.rolesIn(g.Roles, g.at))
		}
	}
	for _, role := range r.order {
		r.im.declare(role.name)
		for _, a := range role.acls {
			r.rule(role, a)
		}
	}
	r.unasked()
}

// unasked adds what is allowed to all.
func (r *dynReader) unasked() {
	if !r.defaults.Unsubscribe {
		r.im.warn(1, 1, "everybody may unsubscribe here")
	}
	rule := Rule{Topics: all}
	for a := range actions {
		if r.allowedToAll(Action(a)) {
			rule.Allow = append(rule.Allow, Verb(actionNames[a]))
		}
	}
	if len(rule.Allow) > 0 {
		r.im.add(everyoneDynamic, rule, 1)
		r.im.Config.Everyone = []string{everyoneDynamic}
	}
}

func (r *dynReader) allowedToAll(a Action) bool {
	return [actions]bool{r.defaults.Publish, r.defaults.Subscribe, r.defaults.Receive}[a]
}

// grant gives a client its roles.
func (r *dynReader) grant(c *dynClient) {
	if c.Username == "" {
		r.errs = append(r.errs, r.file.errorf(c.at, "a client has a username"))
		return
	}
	line, column := r.file.line(c.at.start)
	r.im.Logins = append(r.im.Logins, ImportedLogin{c.Username, c.hash(), c.Disabled, line, column})
	switch {
	case c.Disabled:
		r.warn(c.at, "user %q is disabled, and is given no roles", c.Username)
		return
	case c.ClientID != "":
		r.warn(c.at, "user %q could connect as client %q only; here the client id is free", c.Username, c.ClientID)
	}
	roles := r.rolesIn(c.Roles, c.at)
	for _, g := range r.groupsOf(c) {
		roles = append(roles, r.rolesIn(g.Roles, g.at)...)
	}
	r.im.give(c.Username, r.rank(roles)...)
}

// rolesIn returns the roles of a client or group in the order in which they are
// asked.
func (r *dynReader) rolesIn(given []dynGiven, at jsonValue) (roles []*dynRole) {
	given = slices.Clone(given)
	slices.SortFunc(given, func(a, b dynGiven) int {
		return cmp.Or(b.priority()-a.priority(), strings.Compare(a.Role, b.Role))
	})
	for _, g := range given {
		if role := r.roles[g.Role]; role != nil {
			roles = append(roles, role)
		} else {
			r.errs = append(r.errs, r.file.errorf(at, "there is no role %q", g.Role))
		}
	}
	return roles
}

// groupsOf returns the groups of a client in the order in which they are asked. A
// file names them at the client or at the group.
func (r *dynReader) groupsOf(c *dynClient) (groups []*dynGroup) {
	priority := make(map[string]int)
	for _, g := range c.Groups {
		priority[g.Group] = g.priority()
	}
	for name, g := range r.groups {
		for _, member := range g.Clients {
			if member.Username == c.Username {
				priority[name] = member.priority()
			}
		}
	}
	names := slices.SortedFunc(maps.Keys(priority), func(a, b string) int {
		return cmp.Or(priority[b]-priority[a], strings.Compare(a, b))
	})
	for _, name := range names {
		if g := r.groups[name]; g != nil {
			groups = append(groups, g)
		} else {
			r.errs = append(r.errs, r.file.errorf(c.at, "there is no group %q", name))
		}
	}
	return groups
}

// rank notes what the order of roles makes of their denials, and returns the
// names of the roles.
func (r *dynReader) rank(roles []*dynRole) (names []string) {
	var acls []*dynACL
	for _, role := range roles {
		if !slices.Contains(names, role.name) {
			names = append(names, role.name)
			acls = append(acls, role.acls...)
		}
	}
	for i, deny := range acls {
		if deny.Allow {
			continue
		}
		deny.needed = deny.needed || r.allowedToAll(deny.action) || slices.ContainsFunc(acls[i+1:], deny.meets)
		if above := slices.IndexFunc(acls[:i], deny.meets); above >= 0 {
			deny.above = acls[above]
		}
	}
	return names
}

// meets reports whether a allows something that a denial denies.
func (a *dynACL) meets(other *dynACL) bool {
	return other.Allow && other.action == a.action && topic.Overlap(own(other.Topic), own(a.Topic))
}

// rule adds what a says to a role.
func (r *dynReader) rule(role *dynRole, a *dynACL) {
	line, _ := r.file.line(a.at.start)
	verb := Verb(a.action.String())
	switch {
	case a.Allow:
		r.im.add(role.name, Rule{Allow: []Verb{verb}, Topics: []string{a.Topic}}, line)
		return
	case a.Type == "subscribeLiteral" && strings.ContainsAny(a.Topic, "+#"):
		if a.needed {
			r.warn(a.at, "denies a subscription to exactly %s but not to what is in it; left out, since what may be received stays the same", a.Topic)
		}
		return
	case a.above != nil && !a.needed:
		return // A denial that is asked last is what happens anyway.
	case a.above != nil:
		above, _ := r.file.line(a.above.at.start)
		r.warn(a.at, "denies here what line %d allows at a higher priority; narrow one of the two", above)
	}
	r.im.add(role.name, Rule{Deny: []Verb{verb}, Topics: []string{a.Topic}}, line)
}
