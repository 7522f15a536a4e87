package access_test

import (
	"fmt"
	"strings"
	"testing"

	"edge/broker/access"
	"edge/internal/config"
)

// garden is a configuration as people write them.
const garden = `roles:
  garden:
    - allow: [publish, read]
      topics: [garden/#, "+/garden", "%u/state", "devices/%c"]
    - deny: [publish]
      entities: [relay:pump]
      topics: [garden/lock/#]
  helper:
    - allow: [publish, receive]
      entities: [relay:pump, "light:*"]
    - deny: [receive]
      topics: [garden/secret/#]
    - allow: [subscribe]
      topics: ["#"]
    - deny: [subscribe]
      topics: [garden/secret/#]
users:
  anna: {roles: [garden]}
everyone: [viewer]
anonymous: [sensor]
`

func load(t *testing.T, text string) *access.Policy {
	t.Helper()
	var c access.Config
	tree, err := config.Parse("access.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Decode(&c); err != nil {
		t.Fatal(err)
	}
	p, err := access.Compile(c, "edge/shed", tree.Where)
	if err != nil {
		t.Fatal(tree.Locate(err))
	}
	return p
}

func TestDecisions(t *testing.T) {
	p := load(t, garden)
	tests := []struct {
		roles  string
		action access.Action
		what   string
		want   string // the beginning of the explanation
	}{
		{"garden", access.Publish, "garden/tap", "allowed: role garden allows garden/#, access.yaml:4"},
		{"garden", access.Publish, "garden", "allowed: role garden allows garden/#"},
		{"garden", access.Publish, "gardens", "denied: no rule allows it"},
		{"garden", access.Publish, "garden/lock/front", "denied: role garden denies garden/lock/#, access.yaml:7"},
		{"garden", access.Receive, "garden/lock/front", "allowed: role garden allows garden/#"},
		{"garden", access.Publish, "anna/state", "allowed: role garden allows %u/state"},
		{"garden", access.Publish, "bert/state", "denied: no rule"},
		{"garden", access.Receive, "devices/phone", "allowed: role garden allows devices/%c"},
		{"garden", access.Receive, "devices/anna", "denied: no rule"},
		{"garden", access.Subscribe, "garden/+/x", "allowed: role garden allows garden/#"},
		{"garden", access.Subscribe, "$share/g/garden/#", "allowed: role garden allows garden/#"},
		{"garden", access.Subscribe, "#", "denied: no rule"},
		{"garden", access.Subscribe, "+/#", "denied: no rule"},
		{"garden", access.Subscribe, "$share/g/#", "denied: no rule"},
		{"garden", access.Subscribe, "$share/g", "denied: no rule"},
		{"garden", access.Subscribe, "$share/g/$share/g/garden/x", "denied: no rule"},
		{"garden", access.Publish, "$share/g/garden/x", "denied: no rule"},
		{"garden", access.Publish, "#", "denied: no rule"},
		{"garden", access.Subscribe, "+/garden", "allowed: role garden allows +/garden"},
		{"garden", access.Subscribe, "$SYS/garden", "denied: no rule"},
		{"garden", access.Publish, "$SYS/garden", "denied: no rule"},
		{"garden", access.Publish, "", "denied: no rule"},
		{"garden", access.Publish, "edge/shed/relay/pump/set", "denied: role garden denies edge/shed/relay/pump/# (entity relay:pump), access.yaml:6"},

		{"helper", access.Publish, "edge/shed/relay/pump/set", "allowed: role helper allows edge/shed/relay/pump/set (entity relay:pump), access.yaml:10"},
		{"helper", access.Publish, "edge/shed/relay/pump", "denied: no rule"},
		{"helper", access.Publish, "edge/shed/relay/lamp/set", "denied: no rule"},
		{"helper", access.Publish, "edge/barn/relay/pump/set", "denied: no rule"},
		{"helper", access.Publish, "edge/shed/light/hall/set", "allowed: role helper allows edge/shed/light/+/set (entity light:*)"},
		{"helper", access.Receive, "edge/shed/relay/pump", "allowed: role helper allows edge/shed/relay/pump/#"},
		{"helper", access.Receive, "edge/shed/relay/pump/result", "allowed"},
		{"helper", access.Receive, "edge/shed/light/status", "allowed"},
		{"helper garden", access.Publish, "edge/shed/relay/pump/set", "denied: role garden denies"},

		// What overlaps a denial is kept back when it is delivered.
		{"helper garden", access.Subscribe, "#", "allowed: role helper allows #"},
		{"helper garden", access.Subscribe, "garden/#", "allowed: role garden allows garden/#"},
		{"helper garden", access.Subscribe, "garden/secret/door", "denied: role helper denies garden/secret/#, access.yaml:16"},
		{"helper garden", access.Receive, "garden/secret/door", "denied: role helper denies garden/secret/#, access.yaml:12"},
		{"helper garden", access.Receive, "garden/tap", "allowed"},

		{"", access.Receive, "garden", "denied: no rule allows it"},
		{"unknown", access.Receive, "garden", "denied: no rule allows it"},
	}
	for _, tt := range tests {
		v := p.For(access.Principal{Name: "anna", ClientID: "phone", Roles: strings.Fields(tt.roles)})
		d := v.Ask(tt.action, tt.what)
		if got := d.String(); !strings.HasPrefix(got, tt.want) || d.Allowed != strings.HasPrefix(got, "allowed") {
			t.Errorf("%s: %v %q: %q, want %q", tt.roles, tt.action, tt.what, got, tt.want)
		}
	}
}

func TestReadyRoles(t *testing.T) {
	p := load(t, "")
	tests := []struct {
		role string
		can  string // publish, subscribe and receive, or - in their place
		what string
	}{
		{"admin", "psr", "a/b"},
		{"admin", "psr", "edge/shed/relay/pump/set"},
		{"admin", "psr", "$SYS/broker/uptime"},
		{"admin", "psr", "$CONTROL/users"},
		{"admin", "---", "$other"},
		{"operator", "psr", "edge/shed/relay/pump/set"},
		{"operator", "-sr", "edge/shed/relay/pump"},
		{"operator", "-sr", "edge/shed/status"},
		{"operator", "---", "edge/barn/relay/pump/set"},
		{"operator", "---", "garden/tap"},
		{"operator:relay:pump", "psr", "edge/shed/relay/pump/set"},
		{"operator:relay:pump", "-sr", "edge/shed/relay/pump/attr"},
		{"operator:relay:pump", "---", "edge/shed/relay/lamp/set"},
		{"operator:relay:*", "psr", "edge/shed/relay/lamp/set"},
		{"operator:relay:*", "---", "edge/shed/light/lamp/set"},
		{"operator:relay:+", "---", "edge/shed/relay/+/set"},
		{"operator:", "---", "edge/shed/relay/pump/set"},
		{"viewer", "-sr", "a/b"},
		{"viewer", "---", "$SYS/broker/uptime"},
		{"sensor", "psr", "sensors/relay/temperature"},
		{"sensor", "---", "sensors/other/temperature"},
		{"sensor", "---", "relay"},
		{"bridge", "psr", "edge/shed/relay/pump/set"},
		{"bridge", "psr", "edge/shed/relay/status"},
		{"bridge", "---", "edge/shed/light/status"},
	}
	for _, tt := range tests {
		v := p.For(access.Principal{Name: "relay", Roles: []string{tt.role}})
		got := []byte("---")
		for i, d := range []access.Decision{v.Publish(tt.what), v.Subscribe(tt.what), v.Receive(tt.what)} {
			if d.Allowed {
				got[i] = "psr"[i]
			}
		}
		if string(got) != tt.can {
			t.Errorf("%s can %s %s, want %s", tt.role, got, tt.what, tt.can)
		}
	}
}

// A name is text: one that looks like part of a filter gives nothing
// (CVE-2017-7650, NanoMQ #2344).
func TestNamesAreNoSyntax(t *testing.T) {
	p := load(t, "roles: {own: [{allow: [publish, read], topics: ['%u/x', '%u', 'c/%c/#', '%u/%c']}]}")
	for _, name := range []string{"", "#", "+", "a/b", "a/#", "+/+", "/", "$SYS", "a+b", "a#", "%u", "%c", "a\x00b"} {
		v := p.For(access.Principal{Name: name, ClientID: name, Roles: []string{"own"}})
		for _, what := range []string{
			"#", "+", "+/x", "a/x", "/x", "x", "a/b/x", "a/b", "c/a", "c/+/#", "c/#", "c//y", "+/+", "$SYS/x", "$SYS", "a", "/", "a+b/x",
		} {
			for a := access.Publish; a <= access.Receive; a++ {
				if d := v.Ask(a, what); d.Allowed {
					t.Errorf("%q may %v %q: %v", name, a, what, d)
				}
			}
		}
	}
	v := p.For(access.Principal{Name: "anna", ClientID: "%u", Roles: []string{"own"}})
	for what, want := range map[string]bool{"anna/x": true, "anna": true, "anna/%u": true, "anna/anna": false, "c/%u/y": true, "%u/x": false} {
		if got := v.Publish(what).Allowed; got != want {
			t.Errorf("anna may publish to %q: %t, want %t", what, got, want)
		}
	}
}

func TestRolesOf(t *testing.T) {
	p := load(t, garden)
	for user, want := range map[string]string{"anna": "[viewer garden]", "bert": "[viewer]", "": "[viewer sensor]"} {
		if got := fmt.Sprint(p.RolesOf(user)); got != want {
			t.Errorf("RolesOf(%q) = %s, want %s", user, got, want)
		}
	}
	for role, want := range map[string]string{
		"garden": "", "admin": "", "operator:relay:pump": "", "operator:relay": "BRIDGE:ENTITY",
		"gardn": `there is no role "gardn"; there are admin, bridge, garden, helper, operator, sensor, viewer`,
	} {
		err := p.CheckRole(role)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckRole(%q) = %v, want %q", role, err, want)
		}
	}
}

func TestParseAction(t *testing.T) {
	for a := access.Publish; a <= access.Receive; a++ {
		if got, err := access.ParseAction(a.String()); got != a || err != nil {
			t.Errorf("ParseAction(%q) = %v, %v", a.String(), got, err)
		}
	}
	if _, err := access.ParseAction("read"); err == nil {
		t.Error("read is no single action")
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ready role", "roles: {admin: []}", "access.yaml:1:9: roles.admin: is a ready role; give yours another name"},
		{"role name", "roles: {'a:b': []}", `access.yaml:1:9: roles.a:b: "a:b": a role's name may have letters, digits, _, . and - only`},
		{"nothing said", "roles:\n  x:\n    - topics: [a]", "access.yaml:3:7: roles.x[0]: a rule needs allow or deny"},
		{"about nothing", "roles:\n  x:\n    - allow: [read]", "access.yaml:3:7: roles.x[0]: a rule needs topics or entities; topics: [\"#\"] are all"},
		{"both", "roles:\n  x:\n    - allow: [read]\n      deny: [receive]\n      topics: [a]", "access.yaml:4:7: roles.x[0].deny: the rule allows the same; keep one of the two"},
		{"verb", "roles:\n  x:\n    - allow: [write]\n      topics: [a]", "access.yaml:3:15: roles.x[0].allow[0]: expected one of `publish`, `subscribe`, `receive` or `read`, found `write`"},
		{"filter", "roles:\n  x:\n    - allow: [read]\n      topics: [a, b#]", `access.yaml:4:19: roles.x[0].topics[1]: topic filter "b#": a wildcard must be a whole level, not part of "b#"`},
		{"shared", "roles:\n  x:\n    - allow: [read]\n      topics: [$share/g/a]", `access.yaml:4:16: roles.x[0].topics[0]: shared subscriptions are allowed like others; write "a"`},
		{"part of a level", "roles:\n  x:\n    - allow: [read]\n      topics: [tele-%u/#]", `access.yaml:4:16: roles.x[0].topics[0]: %u must be a whole level, not part of "tele-%u"`},
		{"entity", "roles:\n  x:\n    - allow: [read]\n      entities: [pump]", `access.yaml:4:18: roles.x[0].entities[0]: "pump": want BRIDGE:ENTITY like relay:pump, or relay:* for all of a bridge`},
		{"unknown role", "users: {anna: {roles: [cook]}}", `access.yaml:1:24: users.anna.roles[0]: there is no role "cook"; there are admin, bridge, operator, sensor, viewer`},
		{"unknown role of all", "everyone: [cook]\nanonymous: [operator:x]", "access.yaml:1:12: everyone[0]: there is no role \"cook\"; there are admin, bridge, operator, sensor, viewer\naccess.yaml:2:13: anonymous[0]: \"x\": want BRIDGE:ENTITY like relay:pump, or relay:* for all of a bridge"},
		{"no name", "users: {'': {}}", "access.yaml:1:1: users: a user has a name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c access.Config
			tree, err := config.Parse("access.yaml", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			err = tree.Decode(&c)
			if err == nil {
				_, err = access.Compile(c, "edge/shed", nil)
			}
			if got := fmt.Sprint(tree.Locate(err)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if err := (access.Config{Roles: map[string][]access.Rule{"x": {{Deny: []access.Verb{"pub"}, Topics: []string{"a"}}}}}).Validate(); err == nil {
		t.Error("a verb that does not exist is taken for nothing")
	}
}

// It is asked for each message and each of its receivers.
func TestNoAllocations(t *testing.T) {
	v := load(t, garden).For(access.Principal{Name: "anna", ClientID: "phone", Roles: []string{"garden", "helper", "viewer"}})
	n := testing.AllocsPerRun(100, func() {
		v.Publish("garden/lock/front")
		v.Subscribe("$share/g/garden/+/x/#")
		v.Receive("anna/state")
	})
	if n != 0 {
		t.Errorf("three decisions make %v allocations, want 0", n)
	}
}
