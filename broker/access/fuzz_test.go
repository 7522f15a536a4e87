package access_test

import (
	"strings"
	"testing"

	"edge/broker/access"
	"edge/internal/config"
	"edge/internal/topic"
)

// A rule that is valid grants what its filter matches with the names in it, and
// nothing else; a denial of the same leaves nothing.
func FuzzRule(f *testing.F) {
	f.Add("garden/#", "anna", "phone", "garden/tap")
	f.Add("%u/%c/+", "anna", "phone", "anna/phone/x")
	f.Add("%u/#", "#", "+", "a")
	f.Add("$SYS/+", "$SYS", "a/b", "$SYS/x")
	f.Fuzz(func(t *testing.T, filter, name, client, what string) {
		rule := access.Rule{Allow: []access.Verb{"publish", access.Read}, Topics: []string{filter}}
		p, err := access.Compile(access.Config{Roles: map[string][]access.Rule{"x": {rule}}}, "e/h", nil)
		if err != nil || topic.CheckFilter(what) != nil {
			t.Skip()
		}
		if group, _ := topic.Share(what); group != "" {
			t.Skip()
		}
		v := p.For(access.Principal{Name: name, ClientID: client, Roles: []string{"x"}})
		want := false
		if own, ok := substitute(filter, name, client); ok {
			want = topic.Contains(own, what)
		}
		if d := v.Subscribe(what); d.Allowed != want {
			t.Errorf("%q for %q, %q: %q: %v, want %t", filter, name, client, what, d, want)
		}
		if d := v.Publish(what); topic.CheckName(what) == nil && d.Allowed != want {
			t.Errorf("%q for %q, %q: publish %q: %v, want %t", filter, name, client, what, d, want)
		}
		rule.Allow, rule.Deny = rule.Deny, rule.Allow
		both := access.Config{Roles: map[string][]access.Rule{"no": {rule}}}
		if p, err = access.Compile(both, "e/h", nil); err != nil {
			t.Fatal(err)
		}
		v = p.For(access.Principal{Name: name, ClientID: client, Roles: []string{"admin", "no"}})
		if d := v.Subscribe(what); want && d.Allowed {
			t.Errorf("deny %q for %q, %q: %q: %v", filter, name, client, what, d)
		}
	})
}

// substitute returns filter with names in the place of %u and %c; not ok is a
// name that cannot be a level.
func substitute(filter, name, client string) (string, bool) {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		own := map[string]*string{"%u": &name, "%c": &client}[level]
		switch {
		case own == nil:
			continue
		case *own == "" || (*own)[0] == '$' || strings.ContainsAny(*own, "+#/\x00"):
			return "", false
		}
		levels[i] = *own
	}
	return strings.Join(levels, "/"), true
}

// Whatever a file says, it is a policy or it is refused.
func FuzzConfig(f *testing.F) {
	f.Add(garden)
	f.Add("roles: {x: [{allow: [read], topics: [a/+/#], entities: ['relay:*']}]}")
	f.Add("users: {anna: {roles: ['operator:a:b']}}")
	f.Fuzz(func(t *testing.T, text string) {
		var c access.Config
		tree, err := config.Parse("f", []byte(text))
		if err != nil || tree.Decode(&c) != nil {
			t.Skip()
		}
		p, err := access.Compile(c, "e/h", tree.Where)
		if err != nil {
			t.Skip()
		}
		for _, name := range p.Roles() {
			if err := p.CheckRole(name); err != nil {
				t.Error(err)
			}
			v := p.For(access.Principal{Name: "a", ClientID: "b", Roles: []string{name}})
			for _, what := range []string{"a", "b/+", "#", "$share/g/a/#", "e/h/relay/pump/set"} {
				_ = v.Subscribe(what).String()
			}
		}
	})
}
