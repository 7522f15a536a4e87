package interop

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted is part of each password of TestPasswordsAreNeverWritten.
const planted = "gEheim7"

// A notary keeps all that a program writes.
type notary struct {
	t       *testing.T
	dir     string // of edge
	inputs  string // a folder of files with passwords in them
	written map[string]string
}

// input returns a file with a text.
func (n *notary) input(text string) string {
	n.t.Helper()
	file := filepath.Join(n.inputs, fmt.Sprintf("input-%d", len(n.written)))
	write(n.t, file, text)
	return file
}

// edge runs a command of edge with a file as its standard input, and keeps what
// it writes. ok says whether it is to succeed.
func (n *notary) edge(ok bool, stdin string, args ...string) {
	n.t.Helper()
	cmd := exec.Command(edgePath(n.t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "EDGE_DATA="+filepath.Join(n.dir, "data"))
	out, err := cmd.CombinedOutput()
	if (err == nil) != ok {
		n.t.Errorf("edge %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	n.keep("edge "+strings.Join(args, " "), string(out))
}

func (n *notary) keep(what, text string) {
	n.written[fmt.Sprintf("%d: %s", len(n.written), what)] = text
}

// files keeps what is in the folder of edge.
func (n *notary) files() {
	n.t.Helper()
	err := filepath.WalkDir(n.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		n.keep(path, string(text))
		return err
	})
	if err != nil {
		n.t.Error(err)
	}
}

// judge looks for passwords in all that was kept.
func (n *notary) judge() {
	n.t.Helper()
	numbers := strings.Trim(fmt.Sprintf("%d", []byte(planted)), "[]")
	forms := []string{planted, hex.EncodeToString([]byte(planted)), numbers}
	for skip := range 3 { // In base64 it looks different at each place.
		coded := base64.RawStdEncoding.EncodeToString([]byte("xxx"[:skip] + planted))
		forms = append(forms, coded[[]int{0, 2, 3}[skip]:len(coded)-1])
	}
	for what, text := range n.written {
		for _, form := range forms {
			if i := strings.Index(text, form); i >= 0 {
				n.t.Errorf("%s has a password: %.200q", what, text[max(0, i-100):])
			}
		}
	}
}

// TestPasswordsAreNeverWritten gives edge passwords in all ways in which one may come,
// and looks for them in what it writes: logs, answers, topics, numbers and files.
func TestPasswordsAreNeverWritten(t *testing.T) {
	t.Parallel()
	stricter(t, "it is not ours")
	metrics := freeAddress(t)
	const config = "log_level: debug\nbroker: {allow_anonymous: false, sys_interval: 1s}\nmetrics: {listen: '%s'}\n" +
		"access: {users: {anna: {roles: [admin]}}}\n"
	n := &notary{t: t, inputs: t.TempDir(), written: make(map[string]string)}
	right := planted + " is right"
	s := startWith(t, func(l *listeners) {
		l.config = fmt.Sprintf(config, metrics)
		n.dir = l.dir
		n.edge(true, right+"\n", "user", "add", "anna", "--password-stdin")
	})
	n.commands(s, right)
	n.packets(s, right)
	n.requests(s.enterWith(t, "anna", right), true)
	n.requests(s.enterWith(t, "bert", planted+" of him"), false)
	n.edge(true, "", "audit")

	c := s.enterWith(t, "anna", right)
	c.subscribe("$SYS/#", 0)
	c.subscribe("#", 0)
	for updates := 0; updates < 2; {
		m := c.take()
		n.keep(m.topic, m.payload)
		if m.topic == "$SYS/broker/uptime" && !m.retain {
			updates++
		}
	}
	r, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	n.keep("/metrics", string(body))
	write(t, filepath.Join(n.dir, "edge.yaml"), "users: {anna: {password: "+planted+"}}\npassword: "+planted+"\n")
	n.edge(false, "", "check", "-c", filepath.Join(n.dir, "edge.yaml"))
	n.edge(false, "", "reload")
	if err := os.Remove(filepath.Join(n.dir, "edge.yaml")); err != nil { // It is no output.
		t.Error(err)
	}
	n.files()
	s.stop(t)
	n.keep("the log", s.log.String())
	if !strings.Contains(s.log.String(), `"level":"DEBUG"`) || !strings.Contains(s.log.String(), "login refused") {
		t.Error("the log is not one at debug level about logins")
	}
	n.judge()
}

// commands gives passwords to commands.
func (n *notary) commands(s *server, right string) {
	n.t.Helper()
	n.edge(true, planted+" of bert\n", "user", "add", "bert", "--password-stdin")
	n.edge(true, planted+" of him\n", "user", "passwd", "bert", "--password-stdin")
	n.edge(false, planted+"\n", "user", "add", "short", "--password-stdin")
	n.edge(false, planted+strings.Repeat("x", 2000)+"\n", "user", "add", "long", "--password-stdin")
	n.edge(true, "", "user", "list")
	n.edge(false, "", "import", "mosquitto", "--password-file", n.input("carl:"+planted+"\ndora:$7$101$"+planted+"$x\n"+planted+"\n"))
	n.edge(false, "", "import", "mosquitto", "--dynamic-security", n.input(`{"clients": [{"username": "carl", "password": "`+planted+`", "salt": "`+planted+`"}]}`))
	n.edge(false, "", "import", "mosquitto", "--acl-file", n.input("user anna\npassword "+planted+"\n"))
	n.edge(false, "", "import", "mosquitto", n.input("connection x\nremote_password "+planted+"\npassword "+planted+"\n"))
	url := "tcp://" + s.tcp
	n.edge(true, "", "pub", "-L", url, "-u", "anna", "--password-file", n.input(right), "-q", "1", "garden/tap", "on")
	n.edge(false, "", "pub", "-L", url, "-u", "anna", "--password-file", n.input(planted+" is wrong"), "-q", "1", "garden/tap", "on")
	n.edge(false, "", "sub", "-L", url, "-u", "eva", "--password-file", n.input(planted+" is wrong"), "#")
	n.edge(false, "", "sub", "-L", "tcp://anna:"+planted+"@"+s.tcp, "#")
	n.edge(false, "", "sub", "-L", "tcp://anna:"+planted+"@:::", "#")
	n.edge(false, "", "run", "--data", n.inputs, "--listen", "tcp://anna:"+planted+"@"+s.tcp)
	n.edge(true, "", "acl", "denials")
}

// requests asks the hub, by MQTT, for what has to do with passwords. may says
// whether c belongs to an admin.
func (n *notary) requests(c *client, may bool) {
	n.t.Helper()
	answers := 0
	for _, m := range []message{
		{payload: `{"command": "user add", "user": "emil", "password": "` + planted + ` of emil"}`},
		{payload: `{"command": "user add", "user": "emil", "password": "` + planted + ` once more"}`},
		{payload: `{"command": "user add", "user": "e/mil", "password": "` + planted + ` once more"}`},
		{payload: `{"command": "user passwd", "user": "emil", "password": "` + planted + ` is new"}`},
		{payload: `{"command": "user passwd", "user": "emil", "password": "` + planted + `"}`}, // It is short.
		{payload: `{"command": "user passwd", "user": "emil", "passwort": "` + planted + `"}`},
		{payload: `{"command": "user passwd", "user": "emil", "password": ["` + planted + `"]}`},
		{payload: `{"command": "user passwd", "user": "emil", "password": 5 ` + planted + `}`},
		{payload: `{"command": "pair", "code": "` + planted + `", "user": "eva", "password": "` + planted + ` of eva"}`},
		{payload: `{"command": "user remove", "user": "emil", "password": "` + planted + `"}`},
		{payload: `{"command": "user remove", "user": "emil"}`, retain: true},
		{payload: `{"command": "user remove", "user": "emil"}`},
	} {
		m.topic, m.qos = "$CONTROL/edge/v1", 1
		if code := c.publish(m); code == 0 || code == 0x10 {
			answers++
		}
	}
	c.ping()
	for _, m := range c.inbox {
		n.keep(m.topic, m.payload)
	}
	if may != (answers > 8 && len(c.inbox) > 8) {
		n.t.Errorf("%d requests were done, and %d answered; may they be asked: %t", answers, len(c.inbox), may)
	}
}

// packets sends passwords in CONNECTs that are right, wrong and broken.
func (n *notary) packets(s *server, right string) {
	n.t.Helper()
	for _, v := range []version{v311, v5} {
		l := login{version: v, id: "c"}
		good := l.as("anna", right)
		cut, long := good, good
		cut.body = good.body[:len(good.body)-1]
		long.body = append(append([]byte{}, good.body...), planted...)
		flags := l.as("anna", right)
		flags.body[7] |= 0x38 // A will of QoS 3 that is not there.
		for _, p := range []packet{good, l.as("anna", planted), l.as("eva", planted), l.as("a/#", planted), cut, long, flags} {
			c := s.dial(n.t)
			c.v = v
			c.send(p)
			c.send(packet{kind: cPINGREQ})
			c.send(p) // A second CONNECT.
			c.closed()
		}
	}
}
