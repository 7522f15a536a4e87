package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"edge/broker/access"
	"edge/broker/gate"
	"edge/broker/login"
)

// Users are Logins with passwords like the names.
type users struct {
	mu    sync.Mutex
	roles map[string][]string
}

func (u *users) Verify(_ context.Context, _ netip.Addr, user string, password []byte) error {
	if _, ok := u.RolesOf(user); !ok || string(password) != user {
		return errors.New("no")
	}
	return nil
}

func (u *users) Any() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.roles) > 0
}

func (u *users) RolesOf(user string) ([]string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	roles, ok := u.roles[user]
	return roles, ok
}

func (u *users) set(user string, roles []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if roles == nil {
		delete(u.roles, user)
		return
	}
	u.roles[user] = roles
}

// guarded starts a broker with users anna, who reads home/# but no secrets, otto,
// the admin, and a unix socket.
func guarded(t *testing.T) (b *Broker, u *users, tcp, sock string) {
	t.Helper()
	u = &users{roles: map[string][]string{"anna": {"reader"}, "otto": {"admin"}}}
	cfg := DefaultConfig()
	cfg.Logins = u
	cfg.Access.Roles = map[string][]access.Rule{"reader": {
		{Allow: []access.Verb{access.Read}, Topics: []string{"home/#"}},
		{Allow: []access.Verb{"publish"}, Topics: []string{"home/%u"}},
		{Deny: []access.Verb{access.Read}, Topics: []string{"home/secret"}},
	}}
	sock = "unix://" + filepath.Join(t.TempDir(), "edge.sock")
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}, {URL: sock}}
	b = startWith(t, cfg)
	return b, u, b.URLs()[0], sock
}

// signIn is a CONNECT of version 5 with a clean start; the password is the name.
func signIn(id, user string) string {
	flags, end := byte(0x02), ""
	if user != "" {
		flags, end = 0xc2, text(user)+text(user)
	}
	return packed(0x10, "\x00\x04MQTT\x05"+string([]byte{flags})+"\x00\x00\x00"+text(id)+end)
}

// packed is a short packet, text a string in one.
func packed(head byte, body string) string { return string([]byte{head, byte(len(body))}) + body }
func text(s string) string                 { return string([]byte{0, byte(len(s))}) + s }

// code is the byte at a place of the answer to a packet.
func code(t *testing.T, url, packet string, at int) byte {
	t.Helper()
	c := dialURL(t, url)
	defer c.Close()
	return reply(t, c, packet, at)
}

func reply(t *testing.T, c net.Conn, packet string, at int) byte {
	t.Helper()
	if _, err := c.Write([]byte(packet)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil || n <= at {
		t.Fatalf("answer to %q: %q, %v", packet, b[:n], err)
	}
	return b[at]
}

func TestIdentify(t *testing.T) {
	_, _, tcp, sock := guarded(t)
	for _, tt := range []struct {
		name, url, packet string
		want              byte
	}{
		{"nobody", tcp, signIn("c", ""), 0x87},
		{"a user", tcp, signIn("c", "anna"), 0},
		{"a wrong password", tcp, strings.TrimSuffix(signIn("c", "anna"), "anna") + "otto", 0x86},
		{"a user that there is not", tcp, signIn("c", "eva"), 0x86},
		{"a name of ours", tcp, signIn("c", "$hub"), 0x86},
		{"a uid over the network", tcp, signIn("c", "uid:0"), 0x86},
		{"this process at the unix socket", sock, signIn("u", ""), 0},
	} {
		if got := code(t, tt.url, tt.packet, 3); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

func TestRights(t *testing.T) {
	b, u, tcp, _ := guarded(t)
	c := dialURL(t, tcp)
	if got := reply(t, c, signIn("c", "anna"), 3); got != 0 {
		t.Fatalf("CONNACK %#x", got)
	}
	subscribe := func(filter string) string {
		return packed(0x82, "\x00\x01\x00"+text(filter)+"\x01")
	}
	publish := func(topic string) string {
		return packed(0x32, text(topic)+"\x00\x02\x00x")
	}
	for _, tt := range []struct {
		what string
		at   int
		want byte
	}{
		{subscribe("home/#"), 5, 1},
		{subscribe("#"), 5, 0x87},
		{subscribe("home/secret"), 5, 0x87},
		{publish("home/otto"), 4, 0x87},
		{publish("elsewhere"), 4, 0x87},
	} {
		if got := reply(t, c, tt.what, tt.at); got != tt.want {
			t.Errorf("%q: %#x, want %#x", tt.what, got, tt.want)
		}
	}
	var topics []string
	for _, d := range b.Denials() {
		topics = append(topics, d.Owner+" "+d.Action+" "+d.Topic)
	}
	slices.Sort(topics)
	want := []string{"anna publish elsewhere", "anna publish home/otto", "anna subscribe #", "anna subscribe home/secret"}
	if !slices.Equal(topics, want) {
		t.Errorf("denials %q, want %q", topics, want)
	}
	if got := code(t, tcp, signIn("c", "otto"), 3); got != 0x87 {
		t.Errorf("otto takes the client id of anna: %#x", got)
	}

	u.set("anna", []string{})
	b.UsersChanged()
	if s := b.engine.Stats(); s.Subscriptions != 0 {
		t.Errorf("%d subscriptions after the role was taken", s.Subscriptions)
	}
	if got := reply(t, c, publish("home/anna"), 4); got != 0x87 {
		t.Errorf("PUBACK after the role was taken: %#x", got)
	}
	u.set("anna", nil)
	b.UsersChanged()
	if got := reply(t, c, "", 0); got != 0xe0 {
		t.Errorf("%#x, want DISCONNECT after the user has gone", got)
	}
}

// TestRefusalOf tells who may come again that he may.
func TestRefusalOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want gate.Reason
	}{
		{login.ErrWrong, gate.BadCredentials},
		{errName, gate.BadCredentials},
		{&login.LimitedError{}, gate.ConnectionRate},
		{login.ErrBusy, gate.ServerBusy},
		{context.DeadlineExceeded, gate.ServerBusy},
	} {
		if got := refusalOf(fmt.Errorf("login: %w", tt.err)); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}
