package access

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"edge/internal/config"
	"edge/internal/topic"
)

// Config is the `access:` section of the configuration. The zero Config lets
// nobody do anything.
type Config struct {
	Roles     map[string][]Rule `yaml:"roles" doc:"What a role may do: under its name a list of rules. What no rule allows is denied, and what one denies no other allows. Ready are admin, operator, operator:BRIDGE:ENTITY, viewer, sensor and bridge."`
	Users     map[string]User   `yaml:"users" doc:"Users by name; those of the users file need no entry."`
	Everyone  []string          `yaml:"everyone" doc:"Roles of all clients, whoever they are."`
	Anonymous []string          `yaml:"anonymous" doc:"Roles of clients that show no credentials, where they are let in."`
}

// A User is somebody who has roles. How users prove who they are is not said
// here.
type User struct {
	Roles []string `yaml:"roles" doc:"Roles of the user, besides those that the users file gives."`
}

// A Rule allows or denies actions on topics.
type Rule struct {
	Allow    []Verb   `yaml:"allow" doc:"What is allowed: publish, subscribe, receive, or read for the latter two."`
	Deny     []Verb   `yaml:"deny" doc:"What is denied, whatever else is allowed."`
	Topics   []string `yaml:"topics" doc:"Topic filters. A level %u is the name of the user, a level %c the client id."`
	Entities []string `yaml:"entities" doc:"Entities of the hub, BRIDGE:ENTITY, where * is any. To be allowed to publish is to be allowed to command them."`
}

// A Verb is a word for actions.
type Verb string

// Read is to subscribe and to receive.
const Read Verb = "read"

// Values lists the words.
func (Verb) Values() []string { return append(slices.Clone(actionNames[:]), string(Read)) }

// verbsOf returns the actions that words stand for.
func verbsOf(words []Verb) (v verbs) {
	for _, w := range words {
		if w == Read {
			v |= 1<<Subscribe | 1<<Receive
		} else if a, err := ParseAction(string(w)); err == nil {
			v |= 1 << a
		}
	}
	return v
}

// Validate reports everything that is wrong with c, by path.
func (c Config) Validate() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		path := "roles." + name
		errs = append(errs, checkRoleName(path, name))
		for i, rule := range c.Roles[name] {
			errs = append(errs, config.In(fmt.Sprintf("%s[%d]", path, i), rule.validate()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		if name == "" {
			errs = append(errs, config.Errorf("users", "a user has a name"))
		}
		errs = append(errs, c.checkRoles("users."+name+".roles", c.Users[name].Roles))
	}
	errs = append(errs, c.checkRoles("everyone", c.Everyone), c.checkRoles("anonymous", c.Anonymous))
	return errors.Join(errs...)
}

var validRole = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func checkRoleName(path, name string) error {
	switch _, ready := readyRoles("")[name]; {
	case ready:
		return config.Errorf(path, "is a ready role; give yours another name")
	case !validRole.MatchString(name):
		return config.Errorf(path, "%q: a role's name may have letters, digits, _, . and - only", name)
	}
	return nil
}

func (c Config) checkRoles(path string, names []string) error {
	var errs []error
	for i, name := range names {
		if err := c.checkRole(name); err != nil {
			errs = append(errs, config.Errorf(fmt.Sprintf("%s[%d]", path, i), "%w", err))
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkRole(name string) error {
	ready := readyRoles("")
	if entity, ok := strings.CutPrefix(name, operatorOf); ok {
		return checkEntity(entity)
	}
	if _, ok := c.Roles[name]; ok || ready[name] != nil {
		return nil
	}
	known := slices.Concat(slices.Collect(maps.Keys(c.Roles)), slices.Collect(maps.Keys(ready)))
	slices.Sort(known)
	return fmt.Errorf("there is no role %q; there are %s", name, strings.Join(known, ", "))
}

func (r Rule) validate() error {
	var errs []error
	if len(r.Allow) == 0 && len(r.Deny) == 0 {
		errs = append(errs, config.Errorf("", "a rule needs allow or deny"))
	}
	if len(r.Topics) == 0 && len(r.Entities) == 0 {
		errs = append(errs, config.Errorf("", "a rule needs topics or entities; topics: [\"#\"] are all"))
	}
	errs = append(errs, checkVerbs("allow", r.Allow), checkVerbs("deny", r.Deny))
	if verbsOf(r.Allow)&verbsOf(r.Deny) != 0 {
		errs = append(errs, config.Errorf("deny", "the rule allows the same; keep one of the two"))
	}
	for i, s := range r.Topics {
		errs = append(errs, config.In(fmt.Sprintf("topics[%d]", i), checkFilter(s)))
	}
	for i, s := range r.Entities {
		errs = append(errs, config.In(fmt.Sprintf("entities[%d]", i), checkEntity(s)))
	}
	return errors.Join(errs...)
}

// checkVerbs matters for rules that were read by no decoder.
func checkVerbs(path string, words []Verb) error {
	for i, w := range words {
		if !slices.Contains(w.Values(), string(w)) {
			return config.Errorf(fmt.Sprintf("%s[%d]", path, i), "%q: want publish, subscribe, receive or read", string(w))
		}
	}
	return nil
}

// checkFilter checks a filter of a rule.
func checkFilter(s string) error {
	if err := topic.CheckFilter(s); err != nil {
		return err
	}
	if group, rest := topic.Share(s); group != "" {
		return fmt.Errorf("shared subscriptions are allowed like others; write %q", rest)
	}
	for level := range strings.SplitSeq(s, "/") {
		for _, own := range []string{"%u", "%c"} {
			if strings.Contains(level, own) && level != own {
				return fmt.Errorf("%s must be a whole level, not part of %q", own, level)
			}
		}
	}
	return nil
}
