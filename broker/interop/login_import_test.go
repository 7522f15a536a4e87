package interop

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The password of a user of these tests.
func passwordOf(user string) string { return user + "'s password" }

// hashOf is what mosquitto keeps of it, in two parts.
func hashOf(t testing.TB, user string) (salt, sum string) {
	t.Helper()
	s := []byte("salt of " + user + "....")[:12]
	b, err := pbkdf2.Key(sha512.New, passwordOf(user), s, 101, sha512.Size)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(s), base64.StdEncoding.EncodeToString(b)
}

// as is l with a user and his password.
func (l login) as(user, password string) packet {
	l.user = user
	p := l.packet()
	p.body[7] |= 0x40
	p.body = appendString(p.body, password)
	return p
}

// enter connects as a user of these tests.
func (s *server) enter(t testing.TB, user string) *client {
	t.Helper()
	return s.enterWith(t, user, passwordOf(user))
}

// enterWith connects as a user with a password. The client id is the user's name
// and -id.
func (s *server) enterWith(t testing.TB, user, password string) *client {
	t.Helper()
	c := s.dial(t)
	c.v = v5
	c.send(login{version: v5, id: user + "-id"}.as(user, password))
	if a := c.answer(cCONNACK); a.code != 0 {
		t.Fatalf("%s was refused with %#x", user, a.code)
	}
	return c
}

// twins starts mosquitto with conf, whose files are in dir, and edge with what it
// imports of it.
func twins(t *testing.T, dir, conf string) (mosquitto, ours *server) {
	t.Helper()
	stricter(t, "it imports nothing")
	path, err := findMosquitto()
	if err != nil {
		t.Skip("mosquitto is not installed")
	}
	tcp := freeAddress(t)
	host, port, _ := strings.Cut(tcp, ":")
	file := filepath.Join(dir, "mosquitto.conf")
	write(t, file, fmt.Sprintf("log_dest stderr\nlog_timestamp false\nuser root\nlistener %s %s\n%s", port, host, conf))
	r := launchClient(t, "sh", "-c", `exec "$0" -c "$1" 2>&1`, path, file)
	for line := ""; !strings.HasSuffix(line, " running"); {
		line = r.line("mosquitto version")
	}
	mosquitto = &server{listeners: listeners{tcp: tcp}}
	return mosquitto, startWith(t, func(l *listeners) {
		l.config = "broker: {allow_anonymous: false}\n"
		write(t, filepath.Join(l.dir, "edge.yaml"), l.config)
		importInto(t, l.dir, file)
	})
}

// importInto imports mosquitto.conf into the configuration and the data of edge.
func importInto(t testing.TB, dir, conf string) {
	t.Helper()
	cmd := exec.Command(edgePath(t), "import", "mosquitto", conf, "-c", filepath.Join(dir, "edge.yaml"), "--data", filepath.Join(dir, "data"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
}

// edgePath is the path of edge.
func edgePath(t testing.TB) string {
	t.Helper()
	b, err := peer()
	if err != nil {
		t.Fatal(err)
	}
	return b.(edge).path
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A questionnaire is what each user is to try. Root may do everything, and all may
// receive end.
type questionnaire struct{ users, topics, filters []string }

// ask returns which of it s allows: "anna publish garden/tap".
func (q questionnaire) ask(t *testing.T, s *server) map[string]bool {
	t.Helper()
	yes := make(map[string]bool)
	root := s.enter(t, "root")
	for _, user := range q.users {
		c := s.enter(t, user)
		for _, filter := range q.filters {
			yes[user+" subscribe "+filter] = c.subscribe(filter, 1) < 0x80
		}
		for _, name := range q.topics {
			yes[user+" publish "+name] = c.publish(message{qos: 1, topic: name, payload: "by " + user}) < 0x80
			yes[user+" receive "+name] = false
			root.publish(message{qos: 1, topic: name, payload: "by root"})
		}
		root.publish(message{qos: 1, topic: "end"})
		for m := c.receive(); m.topic != "end"; m = c.receive() {
			if m.payload == "by root" {
				yes[user+" receive "+m.topic] = true
			}
		}
		c.disconnect()
	}
	return yes
}

// compare asks both brokers, and expects the same answers, some of each kind.
func (q questionnaire) compare(t *testing.T, mosquitto, ours *server) {
	t.Helper()
	want, got := q.ask(t, mosquitto), q.ask(t, ours)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-mosquitto +edge\n%s", diff)
	}
	for _, action := range []string{" publish ", " receive "} {
		answers := make(map[bool]int)
		for question, ok := range maps.All(want) {
			if strings.Contains(question, action) {
				answers[ok]++
			}
		}
		if answers[true] < 5 || answers[false] < 5 {
			t.Errorf("%s: %v are too few answers of one kind", action, answers)
		}
	}
}

var importedTopics = []string{
	"garden", "garden/tap", "garden/bed/1", "garden/secret", "garden/secret/x", "alarm/my house", "alarm",
	"weather/now", "weather/a/now", "weather/a/b/now", "anna/inbox", "bert/inbox", "other",
	"devices/anna/anna-id/x", "devices/bert/bert-id/x", "devices/anna/bert-id/x", "devices/anna", "é/ü",
}

// TestImportedACLFile has mosquitto and edge decide by the same acl_file.
func TestImportedACLFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := []string{"root", "anna", "bert", "dora", "é"}
	var passwd strings.Builder
	for _, user := range users {
		salt, sum := hashOf(t, user)
		fmt.Fprintf(&passwd, "%s:$7$101$%s$%s\n", user, salt, sum)
	}
	write(t, filepath.Join(dir, "passwd"), passwd.String())
	write(t, filepath.Join(dir, "acl"), `user root
topic #
user anna
topic garden/#
topic deny garden/secret/#
topic write alarm/my house
topic read weather/+/now
user bert
topic read garden/+
topic deny garden/tap
topic readwrite é/#
user dora
pattern read end
pattern readwrite devices/%u/%c/#
pattern write %u/inbox
`)
	conf := fmt.Sprintf("password_file %s/passwd\nacl_file %[1]s/acl\n", dir)
	mosquitto, ours := twins(t, dir, conf)
	questionnaire{users[1:], importedTopics, []string{"#", "garden/#"}}.compare(t, mosquitto, ours)
}

// TestImportedDynamicSecurity has both decide by the same file of mosquitto's
// plugin.
func TestImportedDynamicSecurity(t *testing.T) {
	t.Parallel()
	plugins, _ := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if len(plugins) == 0 {
		t.Skip("mosquitto's dynamic security plugin is not installed")
	}
	dir := t.TempDir()
	client := func(user, more string) string {
		salt, sum := hashOf(t, user)
		return fmt.Sprintf(`{"username": %q, "salt": %q, "password": %q, "iterations": 101, %s}`, user, salt, sum, more)
	}
	write(t, filepath.Join(dir, "ds.json"), `{
 "defaultACLAccess": {"publishClientSend": false, "publishClientReceive": false, "subscribe": false, "unsubscribe": true},
 "clients": [`+strings.Join([]string{
		client("root", `"roles": [{"rolename": "all"}]`),
		client("anna", `"roles": [{"rolename": "gardener"}, {"rolename": "end"}]`),
		client("bert", `"roles": [{"rolename": "end"}]`),
		client("dora", `"roles": [{"rolename": "end"}]`),
	}, ",\n  ")+`],
 "groups": [{"groupname": "family", "roles": [{"rolename": "weather"}], "clients": [{"username": "bert"}, {"username": "anna"}]}],
 "roles": [
  {"rolename": "all", "acls": [
   {"acltype": "publishClientSend", "topic": "#", "allow": true}]},
  {"rolename": "end", "acls": [
   {"acltype": "subscribeLiteral", "topic": "end", "allow": true},
   {"acltype": "publishClientReceive", "topic": "end", "allow": true}]},
  {"rolename": "gardener", "acls": [
   {"acltype": "publishClientSend", "topic": "garden/secret/#", "priority": 5, "allow": false},
   {"acltype": "publishClientSend", "topic": "garden/#", "allow": true},
   {"acltype": "publishClientReceive", "topic": "garden/+", "allow": true},
   {"acltype": "subscribePattern", "topic": "garden/#", "allow": true}]},
  {"rolename": "weather", "acls": [
   {"acltype": "publishClientReceive", "topic": "weather/#", "allow": true},
   {"acltype": "publishClientSend", "topic": "alarm/my house", "allow": true},
   {"acltype": "publishClientSend", "topic": "+/inbox", "allow": true},
   {"acltype": "subscribePattern", "topic": "weather/+/now", "allow": true},
   {"acltype": "subscribeLiteral", "topic": "weather/now", "allow": true}]}]
}`)
	conf := fmt.Sprintf("plugin %s\nplugin_opt_config_file %s/ds.json\n", plugins[0], dir)
	mosquitto, ours := twins(t, dir, conf)
	filters := []string{"end", "#", "garden/#", "garden/+", "garden/secret/x", "weather/a/now", "weather/+/now", "weather/#", "weather/now", "+/now"}
	questionnaire{[]string{"anna", "bert", "dora"}, importedTopics, filters}.compare(t, mosquitto, ours)
}
