package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// shareWorkers connects members of $share/g/work, one for each login.
func (s *server) shareWorkers(t *testing.T, logins ...login) []*client {
	t.Helper()
	var members []*client
	for _, l := range logins {
		c := s.connect(t, l)
		if code := c.subscribe("$share/g/work", 1); code != 1 {
			t.Fatalf("SUBACK for a shared subscription has code %#x, want 1", code)
		}
		members = append(members, c)
	}
	return members
}

// work publishes the numbers from first to last.
func (c *client) work(first, last int) {
	c.t.Helper()
	for i := first; i <= last; i++ {
		if code := c.publish(message{topic: "work", qos: 1, payload: fmt.Sprint(i)}); code != 0 {
			c.t.Fatalf("PUBACK of %d has code %#x", i, code)
		}
	}
}

// payloads receives n messages.
func (c *client) payloads(n int) []string {
	c.t.Helper()
	var got []string
	for range n {
		got = append(got, c.receive().payload)
	}
	return got
}

// nothing checks that no message has come to c up to now.
func (c *client) nothing() {
	c.t.Helper()
	c.ping()
	if len(c.inbox) > 0 {
		c.t.Errorf("received %+v, want nothing", c.inbox)
	}
}

func TestShareTakesTurns(t *testing.T) {
	each(t, func(t *testing.T, s *server, v version) {
		topic := "turns/" + v.String()
		filter := "$share/g/" + topic
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		var members []*client
		for i := range 3 {
			c := s.connect(t, login{version: v, id: fmt.Sprint("member ", topic, i)})
			c.subscribe(filter, 1)
			members = append(members, c)
		}
		for round := range 20 {
			for i := range members {
				pub.publish(message{topic: topic, qos: 1, payload: fmt.Sprint(round, i)})
			}
			for i, c := range members {
				if m := c.receive(); m.payload != fmt.Sprint(round, i) || m.qos != 1 || m.dup {
					t.Fatalf("member %d received %+v in round %d, want its turn", i, m, round)
				}
				c.ping() // PUBACK has come.
			}
		}
		members[1].unsubscribe(filter)
		pub.publish(message{topic: topic, qos: 1, payload: "first"})
		pub.publish(message{topic: topic, qos: 1, payload: "second"})
		for _, i := range []int{0, 2} {
			members[i].receive()
		}
		members[1].nothing()
	})
}

func TestShareFullWindow(t *testing.T) {
	t.Parallel()
	stricter(t, "it gives members their turn whose window is full")
	s := start(t)
	pub := s.connect(t, login{id: "pub"})
	members := s.shareWorkers(t,
		login{version: v5, id: "slow", props: properties{number[uint16](receiveMaximum, 2)}},
		login{version: v5, id: "quick"},
	)
	slow, quick := members[0], members[1]
	for i := range 2 { // Two for each; one of them acknowledges nothing.
		pub.work(2*i, 2*i+1)
		slow.take()
		quick.receive()
		quick.ping()
	}
	for i := 10; i < 40; i++ {
		pub.work(i, i)
		if m := quick.receive(); m.payload != fmt.Sprint(i) {
			t.Fatalf("received %+v, want %d", m, i)
		}
		quick.ping()
	}
	slow.nothing()
}

func TestShareOfflineMember(t *testing.T) {
	t.Parallel()
	stricter(t, "it gives offline members their turn")
	s := start(t)
	pub := s.connect(t, login{id: "pub"})
	away := login{version: v5, id: "away", keep: true}
	members := s.shareWorkers(t, away, login{version: v5, id: "there"})
	members[0].disconnect()
	there := members[1]
	pub.work(1, 30)
	want := there.payloads(30)
	if !slices.IsSortedFunc(want, func(a, b string) int { return len(a) - len(b) }) || want[29] != "30" {
		t.Errorf("the member who is there received %q, want 1 to 30", want)
	}
	there.ping()
	back := s.connect(t, away)
	back.nothing()
	back.disconnect()
	there.disconnect() // Now nobody is there: the durable session keeps what comes.
	pub.work(31, 33)
	back = s.connect(t, away)
	if got := back.payloads(3); !slices.Equal(got, []string{"31", "32", "33"}) {
		t.Errorf("received %q, want 31 to 33", got)
	}
}

// TestShareLostMember cuts a member who has acknowledged nothing: with a session
// that ends, and with one that goes on.
func TestShareLostMember(t *testing.T) {
	t.Parallel()
	stricter(t, "it keeps them for a session that goes on")
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep=", keep), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			pub := s.connect(t, login{id: "pub"})
			lost := login{version: v5, id: "lost", keep: keep, props: properties{number[uint16](receiveMaximum, 10)}}
			a := s.shareWorkers(t, lost)[0]
			pub.work(1, 30)
			for range 10 {
				a.take() // The others wait in its queue.
			}
			b := s.shareWorkers(t, login{version: v5, id: "other"})[0]
			b.nothing() // What one member has no other gets.
			a.drop()
			for i := 1; i <= 30; i++ {
				if m := b.receive(); m.payload != fmt.Sprint(i) || m.dup {
					t.Fatalf("the other member received %+v, want %d without DUP", m, i)
				}
			}
			a = s.connect(t, lost)
			a.nothing()
		})
	}
}

func TestShareRetained(t *testing.T) {
	t.Parallel()
	stricter(t, "it sends retained messages to groups")
	s := start(t)
	c := s.connect(t, login{version: v5, id: "c"})
	c.publish(message{topic: "work", qos: 1, retain: true, payload: "kept"})
	c.subscribe("$share/g/work", 1, identifier(7))
	c.nothing()
	c.publish(message{topic: "work", qos: 1, payload: "live"})
	if m := c.receive(); m.payload != "live" || len(m.props.all(subscriptionID)) != 1 {
		t.Errorf("received %+v, want the live message with its identifier", m)
	}
}

func TestMosquittoShare(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		topic := "shared/" + m.v.String()
		flags := "-q 1 -t $share/g" + m.v.String() + "/" + topic
		first, second := m.sub(t, flags), m.sub(t, flags)
		for i := range 6 {
			m.pub(t, "-q 1 -t "+topic, fmt.Sprint(i))
			sub := first
			if i%2 == 1 {
				sub = second
			}
			if got, want := sub.line("> "), fmt.Sprintf("%s 1 0 %d", topic, i); got != want {
				t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
			}
		}
		second.kill()
		m.pub(t, "-q 1 -t "+topic, "6")
		m.pub(t, "-q 1 -t "+topic, "7")
		for i := 6; i < 8; i++ {
			if got, want := first.line("> "), fmt.Sprintf("%s 1 0 %d", topic, i); got != want {
				t.Errorf("mosquitto_sub wrote %q after the other was killed, want %q", got, want)
			}
		}
	})
}

func TestPaho5Share(t *testing.T) {
	t.Parallel()
	s := start(t)
	var members []*paho5
	for i := range 2 {
		c := connectPaho5(t, dialTCP(t, s), &paho.Connect{ClientID: fmt.Sprint(i), CleanStart: true}, paho.ClientConfig{})
		c.subscribe(paho.SubscribeOptions{Topic: "$share/g/work", QoS: 2}, 5+i)
		members = append(members, c)
	}
	for i := range 20 {
		members[0].publish(&paho.Publish{Topic: "work", QoS: 2, Payload: fmt.Append(nil, i)})
	}
	for i := range 20 {
		c := members[i%2]
		if m := c.next(); string(m.Payload) != fmt.Sprint(i) || m.Properties.SubscriptionIdentifier == nil || *m.Properties.SubscriptionIdentifier != 5+i%2 {
			t.Errorf("member %d received %v, want %d with identifier %d", i%2, m, i, 5+i%2)
		}
	}
}

func TestOverlapping(t *testing.T) {
	t.Parallel()
	stricter(t, "it delivers for each subscription")
	for overlapping, want := range map[string][]string{
		"once": {"QoS 2, 2 identifiers"},
		"each": {"QoS 1, 1 identifiers", "QoS 2, 1 identifiers"},
	} {
		t.Run(overlapping, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "edge.yaml")
			if err := os.WriteFile(file, []byte("broker:\n  overlapping: "+overlapping+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startWith(t, func(*listeners) {}, "sh", "-c", `exec "$0" "$@" -c `+file)
			c := s.connect(t, login{version: v5, id: "c"})
			c.subscribe("a/#", 1, identifier(1))
			c.subscribe("a/+", 2, identifier(2))
			c.subscribe("end", 1)
			c.publish(message{topic: "a/b", qos: 2, payload: "x"})
			c.publish(message{topic: "end", qos: 1, payload: "end"})
			var got []string
			for m := c.receive(); m.payload != "end"; m = c.receive() {
				got = append(got, fmt.Sprintf("QoS %d, %d identifiers", m.qos, len(m.props.all(subscriptionID))))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("received %q, want %q", got, want)
			}
		})
	}
}
