package interop

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The topics of administration (docs/admin.md).
const (
	adminTopic  = "$CONTROL/edge/v1"
	answerTopic = adminTopic + "/response"
)

// A told is what the hub answers.
type told struct {
	Command string          `json:"command"`
	ID      string          `json:"id"`
	OK      bool            `json:"ok"`
	Error   string          `json:"error"`
	Result  json.RawMessage `json:"result"`
}

// startAdmin starts a hub with a unix socket, at which the user of this process is an
// admin; at its TCP listener clients without credentials may do everything.
func startAdmin(t testing.TB) *server {
	t.Helper()
	stricter(t, "it is administered in another way")
	return startWith(t, func(l *listeners) { l.unix = socketPath(t) })
}

// admin logs in as an admin.
func (s *server) admin(t testing.TB, l login) *client {
	t.Helper()
	conn, err := net.DialTimeout("unix", s.unix, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := over(t, conn)
	if a := c.login(l); a.code != 0 {
		t.Fatalf("CONNECT %+v was refused with %#x", l, a.code)
	}
	return c
}

// ask sends a request, and returns the answer, the reason code of PUBACK and the message
// that the answer was in.
func (c *client) ask(request string, m message) (told, byte, message) {
	c.t.Helper()
	m.topic, m.payload, m.qos = adminTopic, request, max(m.qos, 1)
	code := c.publish(m)
	in := c.receive()
	var a told
	if err := json.Unmarshal([]byte(in.payload), &a); err != nil {
		c.t.Fatalf("answer to %s: %q: %v", request, in.payload, err)
	}
	return a, code, in
}

// done is ask for what must succeed.
func (c *client) done(request string) json.RawMessage {
	c.t.Helper()
	a, code, _ := c.ask(request, message{})
	if !a.OK || code != 0 {
		c.t.Fatalf("%s: %+v, PUBACK %#x", request, a, code)
	}
	return a.Result
}

// enters tries a password, and returns the code of CONNACK.
func (s *server) enters(t testing.TB, user, password string) byte {
	t.Helper()
	p := login{version: v311, id: "who-" + user, user: user}.packet()
	p.body[7] |= 0x40 // There is a password.
	p.body = appendString(p.body, password)
	c := s.dial(t)
	c.send(p)
	a := c.answer(cCONNACK)
	c.drop()
	return a.code
}

// TestAdminUsers makes a user, and has him come and go, with the answers for who has
// asked and nobody else, and the passwords nowhere.
func TestAdminUsers(t *testing.T) {
	for _, v := range []version{v311, v5} {
		t.Run(v.String(), func(t *testing.T) {
			s := startAdmin(t)
			c := s.admin(t, login{version: v, id: "boss", keep: true})
			spy := s.admin(t, login{version: v, id: "spy"})
			spy.subscribe("$CONTROL/#", 2)
			spy.subscribe("#", 2)
			c.done(`{"command":"user add","user":"anna","password":"planted-secret","roles":["viewer"]}`)
			var made struct{ Password string }
			if err := json.Unmarshal(c.done(`{"command":"user add","user":"pump","generate":true}`), &made); err != nil || len(made.Password) != 26 {
				t.Fatalf("a generated password is %q, %v", made.Password, err)
			}
			if got := s.enters(t, "pump", made.Password); got != 0 {
				t.Errorf("the generated password is refused with %d", got)
			}
			for _, step := range []struct {
				request string
				want    byte // of CONNACK with MQTT 3.1.1
			}{
				{`{"command":"user list"}`, 0},
				{`{"command":"user disable","user":"anna"}`, 4},
				{`{"command":"user enable","user":"anna"}`, 0},
				{`{"command":"user roles","user":"anna","roles":[]}`, 0},
				{`{"command":"user passwd","user":"anna","password":"another-secret"}`, 4},
				{`{"command":"user passwd","user":"anna","password":"planted-secret"}`, 0},
				{`{"command":"user remove","user":"anna"}`, 4},
			} {
				c.done(step.request)
				if got := s.enters(t, "anna", "planted-secret"); got != step.want {
					t.Errorf("after %s: CONNACK %d, want %d", step.request, got, step.want)
				}
			}
			if text := string(c.done(`{"command":"user list"}`)); !strings.Contains(text, `"name":"pump"`) || strings.Contains(text, "anna") {
				t.Errorf("the users are %s", text)
			}
			spy.ping()
			for _, m := range spy.inbox {
				if strings.HasPrefix(m.topic, "$") {
					t.Errorf("others see %+v", m)
				}
			}
			s.kill(t)
			s.hides(t, "planted-secret", "another-secret", made.Password)
		})
	}
}

// hides checks that no file of the hub has one of the words.
func (s *server) hides(t testing.TB, words ...string) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range words {
			if strings.Contains(string(b), word) {
				t.Errorf("%q is in %s", word, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range words {
		if strings.Contains(s.log.String(), word) {
			t.Errorf("%q is in the log", word)
		}
	}
}

// TestAdminAnswer has the answer come where the client wants it.
func TestAdminAnswer(t *testing.T) {
	s := startAdmin(t)
	const request = `{"command":"password","id":"seven"}`
	old := s.admin(t, login{version: v311, id: "old"})
	if a, code, m := old.ask(request, message{}); !a.OK || a.ID != "seven" || code != 0 || m.topic != answerTopic || m.qos != 0 || m.retain {
		t.Errorf("%+v, %#x, %+v", a, code, m)
	}
	c := s.admin(t, login{version: v5, id: "new"})
	for _, qos := range []byte{1, 2} {
		m := message{qos: qos, props: properties{text(responseTopic, "answers/new"), text(correlationData, "\x00seven")}}
		a, code, in := c.ask(request, m)
		if !a.OK || code != 0 || in.topic != "answers/new" || in.props.text(correlationData) != "\x00seven" {
			t.Errorf("QoS %d: %+v, %#x, %+v", qos, a, code, in)
		}
	}
}

// TestAdminRefuses has requests that nobody must be able to make.
func TestAdminRefuses(t *testing.T) {
	s := startAdmin(t)
	const list = `{"command":"user list"}`
	admin := s.admin(t, login{version: v5, id: "admin"})
	nobody := s.connect(t, login{version: v5, id: "nobody"})
	for _, tt := range []struct {
		name    string
		c       *client
		request string
		m       message
		code    byte
		want    string
	}{
		{"a client without credentials", nobody, list, message{}, 0x87, "only who has logged in"},
		{"the same with QoS 2", nobody, list, message{qos: 2}, 0x87, "only who has logged in"},
		{"a code where there is none", nobody, `{"command":"pair","code":"a","user":"anna","password":"long enough"}`, message{}, 0, "no longer valid"},
		{"retained", admin, list, message{retain: true}, 0x83, "must not be retained"},
		{"sent again", admin, list, message{dup: true}, 0x83, "was sent before"},
		{"no JSON", admin, "users", message{}, 0, "a request is JSON like"},
		{"two requests", admin, list + list, message{}, 0, "more behind it"},
		{"a key that there is not", admin, `{"command":"user list","usr":"x"}`, message{}, 0, `unknown field "usr"`},
		{"a password of the wrong type", admin, `{"command":"user add","password":12345678}`, message{}, 0, `"password" is not of the right type`},
		{"a command that there is not", admin, `{"command":"rm"}`, message{}, 0, "there is no such command; there are acl denials,"},
		{"a long one", admin, `{"command":"` + strings.Repeat("x", 16<<10) + `"}`, message{}, 0, "at most 16384 bytes"},
		{"a user that there is not", admin, `{"command":"user enable","user":"eva"}`, message{}, 0, "there is no user eva"},
		{"a name that is none", admin, `{"command":"user add","user":"a/b","generate":true}`, message{}, 0, "not allowed"},
		{"no password", admin, `{"command":"user add","user":"eva"}`, message{}, 0, "give a password"},
		{"a short password", admin, `{"command":"user add","user":"eva","password":"short"}`, message{}, 0, "at least 8 characters"},
		{"no roles", admin, `{"command":"user roles","user":"eva"}`, message{}, 0, "name the roles"},
		{"nothing to reload", admin, `{"command":"reload"}`, message{}, 0, "runs without a configuration file"},
	} {
		a, code, _ := tt.c.ask(tt.request, tt.m)
		if a.OK || code != tt.code || !strings.Contains(a.Error, tt.want) {
			t.Errorf("%s: %+v, reason %#x; want %#x, %q", tt.name, a, code, tt.code, tt.want)
		}
		if strings.Contains(a.Error, "12345678") {
			t.Errorf("%s: the answer has the password: %q", tt.name, a.Error)
		}
	}
	if a, _, _ := admin.ask(`{"command":"user add","user":"eva","generate":true,"roles":["gadren"]}`, message{}); !strings.Contains(string(a.Result), `"warning":"there is no role \"gadren\"`) {
		t.Errorf("a role that nobody has described: %s", a.Result)
	}
	if audit := s.audit(t); !strings.Contains(audit, `"what":"user enable","about":"eva","outcome":"there is no user eva`) || strings.Contains(audit, `"pair"`) {
		t.Errorf("the audit must have what an admin has tried, and not what anybody may try without end:\n%s", audit)
	}
	for _, topic := range []string{"$CONTROL/edge/v2", "$CONTROL/edge", answerTopic, "$SYS/broker/version"} {
		if code := admin.publish(message{qos: 1, topic: topic, payload: list}); code != 0x87 {
			t.Errorf("%s: reason %#x, want not authorized", topic, code)
		}
	}
	will := s.dial(t)
	if a := will.login(login{version: v5, id: "will", will: &message{topic: adminTopic, payload: list}}); a.code != 0x90 {
		t.Errorf("a will that is a request: CONNACK %#x, want bad topic", a.code)
	}
	if late := s.admin(t, login{version: v5, id: "late"}); late.subscribe("$CONTROL/#", 1) != 1 {
		t.Error("an admin may not subscribe to $CONTROL/#")
	} else if late.ping(); len(late.inbox) > 0 {
		t.Errorf("a request is retained: %+v", late.inbox)
	}
}

// audit returns what the hub has written down.
func (s *server) audit(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "data", "audit"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAdminClients lists who is there, throws one out, and says what was denied.
func TestAdminClients(t *testing.T) {
	s := startAdmin(t)
	victim := s.connect(t, login{version: v5, id: "victim"})
	victim.ask(`{"command":"user list"}`, message{})
	c := s.admin(t, login{version: v5, id: "boss"})
	list := string(c.done(`{"command":"client list"}`))
	for _, want := range []string{`{"count":2,`, `{"client":"boss","user":"uid:`, `{"client":"victim","user":"","address":"127.0.0.1:`} {
		if !strings.Contains(list, want) {
			t.Errorf("the clients are %s, want %s in it", list, want)
		}
	}
	if d := string(c.done(`{"command":"acl denials"}`)); !strings.Contains(d, `"client":"victim","action":"publish","topic":"$CONTROL/edge/v1","count":1`) {
		t.Errorf("denied was %s", d)
	}
	if e := string(c.done(`{"command":"acl explain","user":"eva","action":"publish","topic":"a"}`)); !strings.Contains(e, `{"allowed":false,"roles":[]}`) {
		t.Errorf("explained: %s", e)
	}
	c.done(`{"command":"client kick","client":"victim"}`)
	if reason := victim.closed(); reason != 0x98 {
		t.Errorf("the victim is told %#x, want administrative action", reason)
	}
	if a, _, _ := c.ask(`{"command":"client kick","client":"nobody"}`, message{}); a.OK {
		t.Error("a client that there is not was kicked")
	}
}

// TestAdminFlood has one client ask more than it may, while another is answered.
func TestAdminFlood(t *testing.T) {
	s := startAdmin(t)
	c := s.admin(t, login{version: v5, id: "flood"})
	const most = 200
	one := message{topic: adminTopic, payload: `{"command":"password"}`}.packet(v5).bytes()
	c.write(bytes.Repeat(one, most)) // At once: a busy machine must not be slow enough for them.
	slow := 0
	for range most {
		if strings.Contains(c.receive().payload, "too many requests") {
			slow++
		}
	}
	if slow == 0 {
		t.Errorf("all of %d requests were done", most)
	}
	s.admin(t, login{version: v5, id: "calm"}).done(`{"command":"password"}`)
}
