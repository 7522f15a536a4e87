package access_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"edge/broker/access"
	"edge/internal/topic"
)

var (
	aclFilters = []string{"#", "a/#", "a", "+/b", "a/b", "a/+", "+", "$SYS/#", "a/b/#", "a/anna", "phone"}
	aclTopics  = []string{"a", "b", "a/b", "a/c", "c/b", "a/b/c", "$SYS/x", "a/anna", "phone"}
	ownFilters = append([]string{"a/%u", "%c", "%u/#"}, aclFilters...)
)

// mosquitto decides as mosquitto 2.0 does with an acl_file: of the topics of the
// user the first that fits, denials first, and then of the patterns.
func mosquitto(lines []string, user, client string, a access.Action, what string) bool {
	if a == access.Subscribe {
		return true
	}
	name := strings.NewReplacer("%u", user, "%c", client)
	var lists [2][]string // of the user, and patterns
	section := ""
	for _, l := range lines {
		f := strings.Fields(l)
		switch {
		case f[0] == "user":
			section = f[1]
		case f[0] == "pattern":
			if user != "" || !strings.Contains(f[2], "%u") {
				lists[1] = append(lists[1], f[1]+" "+name.Replace(f[2]))
			}
		case section == user:
			lists[0] = append(lists[0], f[1]+" "+f[2])
		}
	}
	for _, list := range lists {
		slices.SortStableFunc(list, func(a, b string) int {
			return strings.Count(b, "deny ") - strings.Count(a, "deny ")
		})
		for _, l := range list {
			access, filter, _ := strings.Cut(l, " ")
			switch {
			case !topic.Match(filter, what):
			case access == "deny":
				return false
			case strings.Contains(access, []string{"write", "", "read"}[a]):
				return true
			}
		}
	}
	return false
}

// An acl_file means the same here, or less, and then there is a warning.
func TestACLFileMeansTheSame(t *testing.T) {
	line := rapid.Custom(func(t *rapid.T) string {
		access := rapid.SampledFrom([]string{"read", "write", "readwrite", "deny"}).Draw(t, "access")
		switch rapid.SampledFrom([]string{"user", "topic", "topic", "pattern"}).Draw(t, "keyword") {
		case "user":
			return "user " + rapid.SampledFrom([]string{"anna", "bert"}).Draw(t, "user")
		case "topic":
			return "topic " + access + " " + rapid.SampledFrom(aclFilters).Draw(t, "filter")
		}
		return "pattern " + access + " " + rapid.SampledFrom(ownFilters).Draw(t, "filter")
	})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 0, 8).Draw(t, "lines")
		im, err := access.ReadACLFile("acl", []byte(strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		narrower := strings.Contains(im.Warnings.Error(), "denies here")
		readable := strings.Contains(im.Warnings.Error(), "lets all clients subscribe")
		ask(t, im, func(user string, a access.Action, what string, d access.Decision) {
			want := mosquitto(lines, user, "phone", a, what)
			if a == access.Subscribe && !readable {
				want = false // There is nothing to get.
			}
			if d.Allowed != want && (d.Allowed || !narrower) {
				t.Fatalf("%q: %v %s: %v, mosquitto says %t", user, a, what, d, want)
			}
		})
	})
}

// ask puts all questions to the imported rules.
func ask(t *rapid.T, im access.Imported, answer func(user string, a access.Action, what string, d access.Decision)) {
	p, err := access.Compile(im.Config, "edge/shed", im.Where)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"anna", "bert", "carl", ""} {
		v := p.For(access.Principal{Name: user, ClientID: "phone", Roles: p.RolesOf(user)})
		for a := access.Publish; a <= access.Receive; a++ {
			for _, what := range aclTopics {
				answer(user, a, what, v.Ask(a, what))
			}
		}
		for _, what := range aclFilters {
			answer(user, access.Subscribe, what, v.Subscribe(what))
		}
	}
}

type (
	jsonACL struct {
		Type     string `json:"acltype"`
		Topic    string `json:"topic"`
		Priority int    `json:"priority"`
		Allow    bool   `json:"allow"`
	}
	jsonRole struct {
		Name string    `json:"rolename"`
		ACLs []jsonACL `json:"acls"`
	}
	jsonGiven struct {
		Role     string `json:"rolename,omitempty"`
		Username string `json:"username,omitempty"`
		Priority int    `json:"priority"`
	}
	jsonGroup struct {
		Name    string      `json:"groupname"`
		Roles   []jsonGiven `json:"roles"`
		Clients []jsonGiven `json:"clients"`
	}
	jsonClient struct {
		Name  string      `json:"username"`
		Roles []jsonGiven `json:"roles"`
	}
	jsonFile struct {
		Default   map[string]bool `json:"defaultACLAccess"`
		Anonymous string          `json:"anonymousGroup,omitempty"`
		Clients   []jsonClient    `json:"clients"`
		Groups    []jsonGroup     `json:"groups"`
		Roles     []jsonRole      `json:"roles"`
	}
)

// roles returns those of a user as the plugin asks them.
func (f jsonFile) roles(user string) (out []jsonRole) {
	var given []jsonGiven
	byRank := func(a, b jsonGiven) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.Role, b.Role)
	}
	add := func(list []jsonGiven) {
		list = slices.Clone(list)
		slices.SortFunc(list, byRank)
		given = append(given, list...)
	}
	for _, c := range f.Clients {
		if c.Name == user {
			add(c.Roles)
		}
	}
	for _, g := range f.Groups { // There is one.
		if g.Name == f.Anonymous && user == "" || slices.ContainsFunc(g.Clients, func(c jsonGiven) bool { return c.Username == user }) {
			add(g.Roles)
		}
	}
	for _, g := range given {
		for _, r := range f.Roles {
			if r.Name == g.Role {
				out = append(out, r)
			}
		}
	}
	return out
}

// allows decides as the plugin does: the first ACL that fits.
func (f jsonFile) allows(user string, a access.Action, what string) bool {
	name := strings.NewReplacer("%u", user, "%c", "phone")
	for _, role := range f.roles(user) {
		acls := slices.Clone(role.ACLs)
		slices.SortStableFunc(acls, func(a, b jsonACL) int { return b.Priority - a.Priority })
		for _, kind := range [][]string{{"publishClientSend"}, {"subscribeLiteral", "subscribePattern"}, {"publishClientReceive"}}[a] {
			for _, acl := range acls {
				if acl.Type != kind || user == "" && strings.Contains(acl.Topic, "%u") {
					continue
				}
				if own := name.Replace(acl.Topic); own == what || kind != "subscribeLiteral" && topic.Contains(own, what) {
					return acl.Allow
				}
			}
		}
	}
	return f.Default[[]string{"publishClientSend", "subscribe", "publishClientReceive"}[a]]
}

// A dynamic security file means the same here, or less, and then there is a
// warning. A subscription may be allowed that is a part of one that is allowed
// literally, and one that is denied literally; what is received is the same.
func TestDynamicSecurityMeansTheSame(t *testing.T) {
	acl := rapid.Custom(func(t *rapid.T) jsonACL {
		return jsonACL{
			rapid.SampledFrom([]string{"publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern"}).Draw(t, "type"),
			rapid.SampledFrom(ownFilters).Draw(t, "topic"), rapid.IntRange(-1, 2).Draw(t, "priority"), rapid.Bool().Draw(t, "allow"),
		}
	})
	given := rapid.Custom(func(t *rapid.T) jsonGiven {
		return jsonGiven{Role: rapid.SampledFrom([]string{"r", "s"}).Draw(t, "role"), Priority: rapid.IntRange(-1, 2).Draw(t, "priority")}
	})
	has := rapid.SliceOfNDistinct(given, 0, 2, func(g jsonGiven) string { return g.Role })
	rapid.Check(t, func(t *rapid.T) {
		acls := rapid.SliceOfN(acl, 0, 4)
		f := jsonFile{
			Default: map[string]bool{}, Anonymous: rapid.SampledFrom([]string{"", "g"}).Draw(t, "anonymous"),
			Clients: []jsonClient{{"anna", has.Draw(t, "anna")}, {"bert", has.Draw(t, "bert")}},
			Groups:  []jsonGroup{{"g", has.Draw(t, "group"), []jsonGiven{{Username: "anna"}}}},
			Roles:   []jsonRole{{"r", acls.Draw(t, "r")}, {"s", acls.Draw(t, "s")}},
		}
		for _, kind := range []string{"publishClientSend", "subscribe", "publishClientReceive"} {
			f.Default[kind] = rapid.IntRange(0, 3).Draw(t, kind) == 0
		}
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		im, err := access.ReadDynamicSecurity("ds", data)
		if err != nil {
			t.Fatal(err)
		}
		warned := fmt.Sprint(im.Warnings)
		narrower := strings.Contains(warned, "at a higher priority")
		ask(t, im, func(user string, a access.Action, what string, d access.Decision) {
			want := f.allows(user, a, what)
			wider := a == access.Subscribe && strings.Contains(string(data), "subscribeLiteral")
			if d.Allowed != want && (d.Allowed && !wider || !d.Allowed && !narrower) {
				t.Fatalf("%q: %v %s: %v, mosquitto says %t\n%s\n%s", user, a, what, d, want, warned, data)
			}
		})
	})
}
