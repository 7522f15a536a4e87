package access

import (
	"fmt"
	"regexp"
	"strings"
)

// operatorOf begins the role of an operator of one entity: operator:relay:pump.
const operatorOf = "operator:"

// readyPlace is where the rules of ready roles are.
const readyPlace = "a ready role"

// readyRoles returns the roles that exist without configuration. The topics of
// the hub begin with root.
func readyRoles(root string) map[string][]Rule {
	return map[string][]Rule{
		"admin":    {{Allow: []Verb{"publish", Read}, Topics: []string{"#", "$SYS/#", "$CONTROL/#"}}},
		"operator": operator("*:*"),
		"viewer":   {{Allow: []Verb{Read}, Topics: []string{"#"}}},
		"sensor":   {{Allow: []Verb{"publish", Read}, Topics: []string{"sensors/%u/#"}}},
		"bridge":   {{Allow: []Verb{"publish", Read}, Topics: []string{root + "/%u/#"}}},
	}
}

// operator returns the rules of who may command an entity and see what it says.
func operator(entity string) []Rule {
	return []Rule{{Allow: []Verb{"publish", Read}, Entities: []string{entity}}}
}

// A line is what a rule says about one filter.
type line struct {
	filter string
	verbs  verbs
	allow  bool
	entity string // that the filter is for
	path   string // from the rule
}

// lines takes r apart.
func (r Rule) lines(root string) []line {
	var out []line
	add := func(l line) {
		if l.verbs != 0 {
			out = append(out, l)
		}
	}
	allow, deny := verbsOf(r.Allow), verbsOf(r.Deny)
	for i, filter := range r.Topics {
		path := fmt.Sprintf("topics[%d]", i)
		add(line{filter, allow, true, "", path})
		add(line{filter, deny, false, "", path})
	}
	for i, e := range r.Entities {
		path := fmt.Sprintf("entities[%d]", i)
		add(line{commands(root, e), allow & (1 << Publish), true, e, path})
		add(line{everything(root, e), allow &^ (1 << Publish), true, e, path})
		add(line{everything(root, e), deny, false, e, path})
	}
	return out
}

var validEntity = regexp.MustCompile(`^([a-z0-9_-]+|\*):([a-z0-9_-]+|\*)$`)

func checkEntity(s string) error {
	if !validEntity.MatchString(s) {
		return fmt.Errorf("%q: want BRIDGE:ENTITY like relay:pump, or relay:* for all of a bridge", s)
	}
	return nil
}

// commands returns the filter of the commands to an entity: what it says itself
// is not for others to publish.
func commands(root, entity string) string {
	return root + "/" + strings.NewReplacer(":", "/", "*", "+").Replace(entity) + "/set"
}

// everything returns the filter of all topics of an entity. All entities of a
// bridge are the whole bridge, its status among it, so that it can be subscribed
// to at once.
func everything(root, entity string) string {
	bridge, name, _ := strings.Cut(entity, ":")
	switch {
	case bridge == "*" && name == "*":
		return root + "/#"
	case name == "*":
		return root + "/" + bridge + "/#"
	}
	return root + "/" + strings.ReplaceAll(bridge, "*", "+") + "/" + name + "/#"
}
