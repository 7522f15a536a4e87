package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// This is the model: what docs/access.md says, without any thought of speed.

// modelAllows looks at every rule.
func modelAllows(c Config, p Principal, a Action, what string) bool {
	if a == Subscribe && strings.HasPrefix(what, "$share/") {
		what = strings.SplitN(what, "/", 3)[2]
	}
	allowed := false
	for role, rules := range c.Roles {
		if !slices.Contains(p.Roles, role) {
			continue
		}
		for _, r := range rules {
			all, some := modelEntities(r.Entities, "#"), modelEntities(r.Entities, "set")
			if a != Publish {
				some = all
			}
			if modelSays(r.Deny, append(all, r.Topics...), p, a, what) {
				return false
			}
			allowed = allowed || modelSays(r.Allow, append(some, r.Topics...), p, a, what)
		}
	}
	return allowed
}

func modelSays(words []Verb, filters []string, p Principal, a Action, what string) bool {
	if !slices.Contains(words, Verb(a.String())) && (a == Publish || !slices.Contains(words, Read)) {
		return false
	}
	return slices.ContainsFunc(filters, func(f string) bool {
		top := what == "#" && strings.HasPrefix(f, "+/") // + and # are the same where a level must be.
		if what[0] == '$' && (f[0] == '#' || f[0] == '+') {
			return false
		}
		return modelContains(strings.Split(f, "/"), strings.Split(what, "/"), p) || top && modelContains(strings.Split(f, "/"), []string{"+", "#"}, p)
	})
}

func modelContains(rule, what []string, p Principal) bool {
	switch {
	case len(rule) > 0 && rule[0] == "#":
		return true
	case len(rule) == 0 || len(what) == 0 || what[0] == "#":
		return len(rule) == 0 && len(what) == 0
	case rule[0] == "+" || rule[0] == what[0] && what[0] != "+", modelIs(rule[0], "%u", what[0], p.Name), modelIs(rule[0], "%c", what[0], p.ClientID):
		return modelContains(rule[1:], what[1:], p)
	}
	return false
}

func modelIs(level, own, what, name string) bool {
	return level == own && what == name && name != "" && name[0] != '$' && !strings.ContainsAny(name, "+#/")
}

func modelEntities(entities []string, tail string) (filters []string) {
	for _, e := range entities {
		bridge, name, _ := strings.Cut(strings.ReplaceAll(e, "*", "+"), ":")
		f := strings.ReplaceAll("e/h/"+bridge+"/"+name+"/"+tail, "+/+/#", "#")
		filters = append(filters, strings.ReplaceAll(f, "/+/#", "/#"))
	}
	return filters
}

// The model ends here.

var (
	someLevels   = []string{"a", "b", "", "$x", "anna", "+", "+", "%u", "%c"}
	someEntities = []string{"relay:pump", "relay:*", "*:pump", "*:*"}
	someNames    = []string{"anna", "a", "b", "", "#", "+", "a/b", "$x"}
)

func someVerbs(t *rapid.T, label string) []Verb {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]Verb{"publish", "subscribe", "receive", Read}), 0, 3, rapid.ID).Draw(t, label)
}

var someFilter = rapid.Custom(func(t *rapid.T) string {
	levels := rapid.SliceOfN(rapid.SampledFrom(someLevels), 0, 3).Draw(t, "levels")
	if len(levels) == 0 || len(levels) < 3 && rapid.Bool().Draw(t, "all") {
		levels = append(levels, "#")
	}
	if f := strings.Join(levels, "/"); f != "" {
		return f
	}
	return "/"
})

var someRule = rapid.Custom(func(t *rapid.T) Rule {
	r := Rule{Topics: rapid.SliceOfN(someFilter, 0, 3).Draw(t, "topics")}
	if len(r.Topics) == 0 {
		r.Entities = rapid.SliceOfN(rapid.SampledFrom(someEntities), 1, 2).Draw(t, "entities")
	}
	r.Allow = someVerbs(t, "allow")
	if r.Deny = someVerbs(t, "deny"); verbsOf(r.Allow)&verbsOf(r.Deny) != 0 {
		r.Deny = nil
	}
	if len(r.Allow)+len(r.Deny) == 0 {
		r.Allow = []Verb{Read}
	}
	return r
})

var someConfig = rapid.Custom(func(t *rapid.T) Config {
	c := Config{Roles: make(map[string][]Rule)}
	for _, role := range []string{"r0", "r1", "r2"} {
		c.Roles[role] = rapid.SliceOfN(someRule, 0, 4).Draw(t, role)
	}
	return c
})

var somePrincipal = rapid.Custom(func(t *rapid.T) Principal {
	name := rapid.SampledFrom(someNames)
	return Principal{
		Name: name.Draw(t, "name"), ClientID: name.Draw(t, "client"),
		Roles: rapid.SliceOfN(rapid.SampledFrom([]string{"r0", "r1", "r2", "gone"}), 1, 3).Draw(t, "has"),
	}
})

// someQuestions draws with a generator of its own: 1000 of rapid's would be the
// time of the test.
func someQuestions(t *rapid.T, n int, ask func(Action, string)) {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)) //nolint:gosec // A test.
	entity := []string{"e/h/relay/pump", "e/h/relay/pump/set", "e/h/relay/status", "e/h/x/pump/set", "e/h/relay/x/set", "e/h/#", "e/h/relay/#"}
	for range n {
		a := Action(r.IntN(int(actions))) //nolint:gosec // There are three.
		levels := []string{"a", "b", "", "$x", "anna"}
		if a == Subscribe {
			levels = append(levels, "+", "+", "#")
		}
		what := make([]string, 1+r.IntN(3))
		for i := range what {
			what[i] = levels[r.IntN(len(levels))]
			if what[i] == "#" {
				what = what[:i+1]
				break
			}
		}
		s := strings.Join(what, "/")
		switch {
		case s == "":
			s = "/"
		case r.IntN(8) == 0:
			s = entity[r.IntN(len(entity))]
		}
		if a != Subscribe {
			s = strings.TrimSuffix(s, "/#")
		} else if r.IntN(8) == 0 {
			s = "$share/g/" + s
		}
		ask(a, s)
	}
}

func compile(t rapid.TB, c Config) *Policy {
	t.Helper()
	p, err := Compile(c, "e/h", nil)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return p
}

// The tree says what the model says: 10⁵ decisions here, as many more as
// -rapid.checks is above 100.
func TestModel(t *testing.T) {
	var asked, allowed int
	rapid.Check(t, func(t *rapid.T) {
		c, pr := someConfig.Draw(t, "config"), somePrincipal.Draw(t, "principal")
		v := compile(t, c).For(pr)
		someQuestions(t, 1000, func(a Action, s string) {
			got, want := v.Ask(a, s), modelAllows(c, pr, a, s)
			if got.Allowed != want {
				t.Fatalf("%+v %v %q = %v, want %t", pr, a, s, got, want)
			}
			if asked++; want {
				allowed++
			}
		})
	})
	t.Logf("%d decisions are those of the model; %d allow", asked, allowed)
}

// One rule more that denies never allows what was denied, and one more that
// allows never denies what was allowed.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, pr, more := someConfig.Draw(t, "config"), somePrincipal.Draw(t, "principal"), someRule.Draw(t, "more")
		before := compile(t, c).For(pr)
		with := func(r Rule) *View {
			next := Config{Roles: map[string][]Rule{"r0": c.Roles["r0"], "r1": c.Roles["r1"], "r2": c.Roles["r2"]}}
			next.Roles["r1"] = append(slices.Clone(c.Roles["r1"]), r)
			return compile(t, next).For(pr)
		}
		words := slices.Concat(more.Allow, more.Deny)
		denying := with(Rule{Deny: words, Topics: more.Topics, Entities: more.Entities})
		allowing := with(Rule{Allow: words, Topics: more.Topics, Entities: more.Entities})
		someQuestions(t, 200, func(a Action, s string) {
			if !before.Ask(a, s).Allowed && denying.Ask(a, s).Allowed {
				t.Fatalf("%v %q is allowed by a denial: %v", a, s, denying.Ask(a, s))
			}
			if d := allowing.Ask(a, s); before.Ask(a, s).Allowed && !d.Allowed {
				t.Fatalf("%v %q is denied by what allows: %v", a, s, d)
			}
		})
	})
}

// The order of rules, of what is in them and of roles makes no difference, not
// even to the filter that decides.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, pr := someConfig.Draw(t, "config"), somePrincipal.Draw(t, "principal")
		shuffled := Config{Roles: make(map[string][]Rule)}
		for role, rules := range c.Roles {
			for _, r := range rapid.Permutation(rules).Draw(t, "rules") {
				r.Topics = rapid.Permutation(r.Topics).Draw(t, "topics")
				r.Entities = rapid.Permutation(r.Entities).Draw(t, "entities")
				shuffled.Roles[role] = append(shuffled.Roles[role], r)
			}
		}
		other := pr
		other.Roles = rapid.Permutation(pr.Roles).Draw(t, "roles")
		one, two := compile(t, c).For(pr), compile(t, shuffled).For(other)
		because := func(d Decision) string {
			if d.Reason == nil {
				return fmt.Sprint(d.Allowed)
			}
			return fmt.Sprint(d.Allowed, d.Reason.Allow, d.Reason.Role, d.Reason.Filter)
		}
		someQuestions(t, 200, func(a Action, s string) {
			if x, y := because(one.Ask(a, s)), because(two.Ask(a, s)); x != y {
				t.Fatalf("%v %q is %s, in another order %s", a, s, x, y)
			}
		})
	})
}
