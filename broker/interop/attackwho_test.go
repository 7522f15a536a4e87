package interop

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// whoAttacks are those on who somebody is and what he may do.
func whoAttacks() []attack {
	return []attack{
		{number: 30, name: "takeover of another principal's client id", wants: []string{"0x87", "0x86", "0x05", "0x04"}, with: withUsers, run: takeOver},
		{number: 32, name: "a will to a forbidden topic, to $SYS, retained", wants: []string{"0x87", "0x90", "0x05", closed}, with: withUsers, run: forbiddenWills},
		{number: 36, name: "a response topic that is somebody else's", wants: []string{"0x82", "PUBACK 0x87"}, with: withUsers, run: respondElsewhere},
		{number: 37, name: "two clients that republish to each other", wants: []string{served}, run: loop},
		{number: 39, name: "login guessing by many addresses", wants: []string{"0x86", "0x9f"}, with: withUsers, run: guess},
	}
}

const victimPassword = "correct horse"

// withUsers has a victim with a password, a thief with another, and clients without
// credentials who may do next to nothing.
func withUsers(t testing.TB, l *listeners) {
	l.config = `node: n
broker: {allow_anonymous: true}
access:
  roles:
    own: [{allow: [publish, read], topics: [own/%u/#]}]
    bystander: [{allow: [publish, read], topics: [bystander, still/there]}]
  anonymous: [bystander]
bridges: {heart: {tick: {}}}
`
	for user, password := range map[string]string{"victim": victimPassword, "thief": "battery staple"} {
		addUser(t, l, user, password)
	}
}

// addUser makes a user with the role own.
func addUser(t testing.TB, l *listeners, user, password string) {
	t.Helper()
	b, err := peer()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(b.(edge).path, "user", "add", user, "--role", "own", "--password-stdin", "--data", filepath.Join(l.dir, "data"))
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("add user %s: %v\n%s", user, err, out)
	}
}

// takeOver comes with the client id of a victim: as another user, with a wrong
// password, and without one. The victim stays, and keeps his session.
func takeOver(a *arena) {
	mine := login{version: v5, id: "mine", user: "victim", password: victimPassword, keep: true}
	victim := a.connect(a, mine)
	victim.subscribe("own/victim/x", 1)
	for _, v := range versions {
		for _, l := range []login{
			{user: "thief", password: "battery staple"},
			{user: "thief", password: "battery staple", keep: true},
			{user: "victim", password: "wrong"},
			{user: "victim", password: "wrong", keep: true},
			{},
		} {
			l.version, l.id = v, "mine"
			a.strikeFirst(v, l.packet().bytes())
		}
	}
	victim.publish(message{topic: "own/victim/x", qos: 1, payload: "here"})
	if m := victim.receive(); m.payload != "here" {
		a.Errorf("the victim received %+v", m)
	}
	victim.drop()
	if _, again := a.resume(a, mine); !again.present {
		a.Error("the session of the victim is gone")
	}
}

// forbiddenWills log in with wills that may not be sent.
func forbiddenWills(a *arena) {
	victim := a.connect(a, login{version: v5, id: "victim", user: "victim", password: victimPassword})
	victim.subscribe("own/victim/#", 1)
	for _, v := range versions {
		for _, topic := range []string{"own/victim/x", "$SYS/broker/uptime", "$CONTROL/edge/v1", "edge/n/heart/status"} {
			for _, retain := range []bool{false, true} {
				will := message{topic: topic, qos: 1, retain: retain, payload: "forged"}
				a.strikeFirst(v, login{version: v, id: rand.Text(), user: "thief", password: "battery staple", will: &will}.packet().bytes())
			}
		}
	}
	if victim.ping(); len(victim.inbox) > 0 {
		a.Errorf("the victim received %+v", victim.inbox)
	}
	victim.disconnect()
}

// respondElsewhere asks for responses on topics that are not the thief's, and for some that
// are no topics. What answers within the broker sends nothing there.
func respondElsewhere(a *arena) {
	victim := a.connect(a, login{version: v5, id: "victim", user: "victim", password: victimPassword})
	victim.subscribe("own/victim/#", 1)
	for _, to := range []string{"own/victim/x", "$SYS/x", "own/victim/#", "+", ""} {
		c := a.connect(a, login{version: v5, id: rand.Text(), user: "thief", password: "battery staple"})
		for _, topic := range []string{"own/thief/x", "edge/n/heart/beat/set", "$CONTROL/edge/v1", "$SYS/broker/uptime"} {
			m := message{topic: topic, qos: 1, id: 1, payload: "ON", props: properties{text(responseTopic, to), text(correlationData, "x")}}
			_, _ = c.conn.Write(m.packet(v5).bytes()) // the first may have ended the connection
		}
		a.blow(c, nil)
	}
	if victim.ping(); len(victim.inbox) > 0 {
		a.Errorf("the victim received %+v", victim.inbox)
	}
	victim.disconnect()
}

// loop has two bridges, each of which publishes what it receives to where the other
// one listens.
func loop(a *arena) {
	end := time.Now().Add(2 * time.Second)
	topics := []string{"there", "back"}
	pub := a.attacker(v5)
	var waits []func()
	for i := range topics {
		c := a.attacker(v5)
		c.subscribe(topics[i], 1)
		waits = append(waits, beside(a, func(t testing.TB) {
			for c := c.in(t); time.Now().Before(end); {
				if p := c.packet(); p.kind == cPUBLISH {
					m := c.parse(p)
					c.ack(cPUBACK, m.id)
					c.post(message{topic: topics[1-i], qos: 1, payload: m.payload})
				}
			}
			a.note(served, 0)
		}))
	}
	for range 100 {
		pub.publish(message{topic: topics[0], qos: 1, payload: "round and round"})
	}
	for _, wait := range waits {
		wait()
	}
}

// guess tries passwords of users who are there and who are not, from as many
// addresses.
func guess(a *arena) {
	a.crowd(60, func(a *arena, i int) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i), 1)}, Timeout: patience}
		conn, err := d.Dial("tcp", a.tcp)
		if err != nil {
			a.Fatal(err)
		}
		c := &client{t: a, v: v5, conn: conn, r: bufio.NewReader(conn)}
		user := "victim"
		if i%2 == 0 {
			user = fmt.Sprint("nobody ", i)
		}
		a.blow(c, login{version: v5, id: rand.Text(), user: user, password: fmt.Sprint("guess ", i)}.packet().bytes())
	})
}
