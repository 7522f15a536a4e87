package access_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"edge/broker/access"
	"edge/internal/config"
)

const aclFile = `# For clients without a name.
topic read $SYS/#

user anna
topic garden/#
topic deny garden/secret/#
topic   write   alarm/my house

pattern readwrite devices/%u/%c/#
pattern deny garden/lock
user bert smith
topic read garden/+

user anna
topic read weather/#
`

// views returns what users may do by imported rules.
func views(t *testing.T, im access.Imported, users ...string) map[string]*access.View {
	t.Helper()
	p, err := access.Compile(im.Config, "edge/shed", im.Where)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*access.View)
	for _, user := range users {
		out[user] = p.For(access.Principal{Name: user, ClientID: "phone", Roles: p.RolesOf(user)})
	}
	return out
}

func TestReadACLFile(t *testing.T) {
	im, err := access.ReadACLFile("acl", []byte(strings.ReplaceAll(aclFile, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	user := views(t, im, "anna", "bert smith", "carl", "", "#")
	tests := []struct {
		user string
		a    access.Action
		what string
		want string
	}{
		{"anna", access.Publish, "garden/tap", "allowed: role mosquitto-user-anna allows garden/#, acl:5"},
		{"anna", access.Receive, "garden/secret/x", "denied: role mosquitto-user-anna denies garden/secret/#, acl:6"},
		{"anna", access.Publish, "alarm/my house", "allowed: role mosquitto-user-anna allows alarm/my house, acl:7"},
		{"anna", access.Receive, "alarm/my house", "denied: no rule"},
		{"anna", access.Receive, "weather/rain", "allowed: role mosquitto-user-anna allows weather/#, acl:15"},
		{"anna", access.Publish, "weather/rain", "denied: no rule"},
		{"anna", access.Publish, "devices/anna/phone/x", "allowed: role mosquitto-everyone allows devices/%u/%c/#, acl:9"},
		{"anna", access.Subscribe, "#", "allowed: role mosquitto-everyone allows #, acl:2"},
		{"anna", access.Receive, "$SYS/x", "denied: no rule"},
		{"bert smith", access.Receive, "garden/tap", "allowed: role mosquitto-1"},
		{"bert smith", access.Receive, "garden/lock", "denied: role mosquitto-everyone denies garden/lock, acl:10"},
		{"bert smith", access.Publish, "garden/tap", "denied: no rule"},
		{"carl", access.Receive, "garden/tap", "denied: no rule"},
		{"carl", access.Receive, "devices/carl/phone/x", "allowed"},
		{"", access.Receive, "$SYS/x", "allowed: role mosquitto-anonymous allows $SYS/#, acl:2"},
		{"", access.Receive, "garden/tap", "denied: no rule"},
		{"#", access.Receive, "devices/carl/phone/x", "denied: no rule"},
	}
	for _, tt := range tests {
		if got := user[tt.user].Ask(tt.a, tt.what).String(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %v %s: %s, want %s", tt.user, tt.a, tt.what, got, tt.want)
		}
	}
	want := "acl:2:1: mosquitto lets all clients subscribe to everything, and delivers what they may read; role mosquitto-everyone keeps it so. " +
		"Without its last rule, clients subscribe to what they may read only\n" +
		"acl:10:1: denies here what line 5 allows; in mosquitto a topic of the user is above a pattern"
	if got := im.Warnings.Error(); got != want {
		t.Errorf("warnings:\n%s\nwant\n%s", got, want)
	}
}

// A file that allows nothing lets nobody do anything.
func TestEmptyACLFile(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", "user anna\n", "topic deny a\n"} {
		im, err := access.ReadACLFile("acl", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for user, v := range views(t, im, "anna", "") {
			for a := access.Publish; a <= access.Receive; a++ {
				if d := v.Ask(a, "b"); d.Allowed {
					t.Errorf("%q: %q may %v: %v", text, user, a, d)
				}
			}
		}
	}
}

func TestMistakesInACLFile(t *testing.T) {
	text := "topic\nuser  \n topic reed a/b\ntopic read a/#/b\npattern tele-%u/#\ntopic read  é/%u/#\nacl a\npattern read $share/g/a\ntopic \xff\n"
	_, err := access.ReadACLFile("acl", []byte(text))
	want := `acl:1:1: nothing follows topic
acl:2:1: nothing follows user
acl:3:8: there is no access "reed": want read, write, readwrite or deny, and then the topic
acl:4:12: topic filter "a/#/b": # must be the last level
acl:5:9: %u must be a whole level, not part of "tele-%u"
acl:6:13: mosquitto takes %u and %c for text in a topic line, and here they are names; is ` + "`pattern`" + ` meant?
acl:7:1: a line begins with user, topic, pattern or #, not with "acl"
acl:8:14: shared subscriptions are allowed like others; write "a"
acl:9:1: this line is not UTF-8`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// dynsec returns what mosquitto_ctrl 2.0.11 writes first, with more added.
func dynsec(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/dynamic-security.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadDynamicSecurity(t *testing.T) {
	im, err := access.ReadDynamicSecurity("ds", dynsec(t))
	if err != nil {
		t.Fatal(err)
	}
	user := views(t, im, "admin", "anna", "bert", "carl", "")
	tests := []struct {
		user string
		a    access.Action
		what string
		want string
	}{
		{"admin", access.Publish, "$CONTROL/dynamic-security/v1", "allowed: role mosquitto-role-admin allows $CONTROL/dynamic-security/#, ds:"},
		{"admin", access.Publish, "garden/tap", "denied: no rule"},
		{"admin", access.Subscribe, "#", "allowed: role mosquitto-role-admin allows #"},
		{"anna", access.Publish, "garden/tap", "allowed: role mosquitto-role-gardener allows garden/#"},
		{"anna", access.Publish, "garden/lock", "denied: role mosquitto-role-gardener denies garden/lock"},
		{"anna", access.Subscribe, "garden/lock", "allowed: role mosquitto-role-gardener allows garden/#"},
		{"anna", access.Subscribe, "#", "denied: no rule"},
		{"anna", access.Publish, "house/anna/x", "denied: no rule"},
		{"anna", access.Receive, "anything", "allowed: role mosquitto-default allows #, ds:1"},
		{"bert", access.Publish, "garden/tap", "denied: no rule"}, // Is disabled.
		{"carl", access.Publish, "house/carl/x", "allowed"},
		{"carl", access.Publish, "garden/tap", "denied: no rule"},
		{"", access.Publish, "house/x/x", "denied: no rule"},
		{"", access.Subscribe, "public/#", "allowed: role mosquitto-3 allows public/#"},
	}
	for _, tt := range tests {
		if got := user[tt.user].Ask(tt.a, tt.what).String(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: %v %s: %s, want %s", tt.user, tt.a, tt.what, got, tt.want)
		}
	}
	want := `ds:18:4: user "bert" is disabled, and is given no roles
ds:19:4: user "carl" could connect as client "phone" only; here the client id is free
ds:57:5: denies here what line 56 allows at a higher priority; narrow one of the two
ds:59:5: denies a subscription to exactly garden/# but not to what is in it; left out, since what may be received stays the same
ds:60:5: everybody may unsubscribe here
ds:69:13: mosquitto before 2.1 takes %u and %c for text; here they are names`
	if diff := cmp.Diff(want, im.Warnings.Error()); diff != "" {
		t.Errorf("warnings: -want +got\n%s", diff)
	}
}

// The file was written by mosquitto 2.0.11, which then decided like this.
func TestDynamicSecurityAsItWas(t *testing.T) {
	data, err := os.ReadFile("testdata/mosquitto-2.0.11.json")
	if err != nil {
		t.Fatal(err)
	}
	im, err := access.ReadDynamicSecurity("ds", data)
	if err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]bool{
		"a/#": true, "a/b": false, "a/c": true, // Literal ACLs are asked first, whatever their priority.
		"c/#": false,             // The client's role is asked before that of its group.
		"d/x": true, "d/y": true, // The same priority: in the order of the file.
		"e/x": false, "e/y": true,
		"h/x": true, "h/y": true, // The higher priority is first.
		"f/anna": true, // Here it was text; there is a warning.
	} {
		if d := views(t, im, "anna")["anna"].Subscribe(filter); d.Allowed != want {
			t.Errorf("%s: %v, want %t", filter, d, want)
		}
	}
	if n := len(im.Warnings); n != 1 || !strings.Contains(im.Warnings.Error(), "before 2.1") {
		t.Errorf("warnings: %v, want one about %%u", im.Warnings)
	}
}

func TestMistakesInDynamicSecurity(t *testing.T) {
	tests := []struct{ text, want string }{
		{``, "ds:1:1: cannot be read as JSON: unexpected end of JSON input"},
		{"{\n \"roles\": [}", "ds:2:12: cannot be read as JSON: invalid character '}' looking for beginning of value"},
		{`[]`, ""},
		{`{"roles": 5}`, "ds:1:11: want an object or an array, not 5"},
		{`{"roles": [{"rolename": 5}]}`, "ds:1:12: json: cannot unmarshal number into Go struct field dynRole.rolename of type string"},
		{"{\"roles\": [{\"rolename\": \"a\", \"acls\": [\n{\"acltype\": \"publish\"}]}]}", `ds:2:1: there is no acltype "publish"`},
		{`{"roles": [{"rolename": "a", "acls": [{"acltype": "subscribePattern", "topic": "a#"}]}]}`, `ds:1:39: topic filter "a#": a wildcard must be a whole level, not part of "a#"`},
		{`{"roles": [{"rolename": "a"}, {"rolename": "a"}]}`, `ds:1:31: there is a role "a" already`},
		{`{"clients": [{}]}`, "ds:1:14: a client has a username"},
		{`{"clients": [{"username": "a", "roles": [{"rolename": "b"}]}]}`, `ds:1:14: there is no role "b"`},
		{`{"clients": [{"username": "a", "groups": [{"groupname": "b"}]}]}`, `ds:1:14: there is no group "b"`},
	}
	for _, tt := range tests {
		_, err := access.ReadDynamicSecurity("ds", []byte(tt.text))
		if got := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

// What is imported can be written into a configuration, whatever it is called.
func TestYAML(t *testing.T) {
	acl, err := access.ReadACLFile("a\nb", []byte(aclFile))
	if err != nil {
		t.Fatal(err)
	}
	dyn, err := access.ReadDynamicSecurity("ds", dynsec(t))
	if err != nil {
		t.Fatal(err)
	}
	odd, err := access.ReadACLFile("acl", []byte("user \"a\": 'é\x01{\ntopic read \"x\": 'y\\ z\u00a0/+\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range []access.Imported{acl, dyn, odd, {}} {
		yaml(t, im)
	}
}

func yaml(t *testing.T, im access.Imported) {
	t.Helper()
	text := im.YAML()
	var file struct {
		Access access.Config `yaml:"access"`
	}
	tree, err := config.Parse("edge.yaml", text)
	if err == nil {
		err = tree.Decode(&file)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(im.Config, file.Access, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got\n%s\n%s", diff, text)
	}
}

func FuzzReadACLFile(f *testing.F) {
	f.Add(aclFile)
	f.Add("topic reed x\nuser\npattern %u\n")
	f.Fuzz(func(t *testing.T, text string) {
		im, err := access.ReadACLFile("acl", []byte(text))
		check(t, im, err)
	})
}

func FuzzReadDynamicSecurity(f *testing.F) {
	data, err := os.ReadFile("testdata/dynamic-security.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add(`{"clients":[{"username":"a","groups":[{"groupname":"g","priority":3}]}],"groups":[{"groupname":"g","roles":[]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		im, err := access.ReadDynamicSecurity("ds", []byte(text))
		check(t, im, err)
	})
}

// check: what was read is a valid configuration, or every mistake has a place.
func check(t *testing.T, im access.Imported, err error) {
	t.Helper()
	if err == nil {
		if _, err := access.Compile(im.Config, "edge/shed", im.Where); err != nil {
			t.Fatal(err)
		}
		yaml(t, im)
		return
	}
	for _, e := range err.(config.Errors) { //nolint:errorlint // It is of this type.
		if e.Line < 1 || e.Column < 1 {
			t.Errorf("%v has no place", e)
		}
	}
}
