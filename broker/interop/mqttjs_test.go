package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
)

// A mqttjs is a client of mqtt.js over WebSocket, in a process of its own.
type mqttjs struct {
	*running
	t     testing.TB
	calls int
	inbox []event // messages that came while something else was waited for
}

// An event is a line of testdata/mqttjs.mjs.
type event struct {
	Event          string
	Failed         string // why, if something did
	ReasonCode     int
	SessionPresent bool // of CONNACK
	Granted        []struct{ QoS byte }

	Topic, Payload string
	QoS            byte
	Retain, Dup    bool
	Properties     object
}

// object is one of JavaScript.
type object = map[string]any

// connectJS starts a client and returns what CONNACK said.
func (s *server) connectJS(t testing.TB, options object) (*mqttjs, event) {
	t.Helper()
	program(t, "node")
	if _, err := os.Stat("../../build/peers.d/node_modules/mqtt/package.json"); err != nil {
		t.Skip("mqtt.js is not installed; `make peers` does it")
	}
	const script = "testdata/mqttjs.mjs"
	if _, err := os.Stat(script); err != nil { // the cache of test results learns that it is read
		t.Fatal(err)
	}
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	c := &mqttjs{running: launchClient(t, "node", script, "ws://"+s.ws+"/mqtt", string(text)), t: t}
	return c, c.wait("connect")
}

// wait returns the next event of the given name. Messages before it are put
// aside, other events are dropped.
func (c *mqttjs) wait(name string) event {
	c.t.Helper()
	if name == "message" && len(c.inbox) > 0 {
		m := c.inbox[0]
		c.inbox = c.inbox[1:]
		return m
	}
	for {
		line := c.line("")
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("mqtt.js wrote %s: %v", line, err)
		}
		switch {
		case e.Event == name:
			return e
		case e.Event == "message":
			c.inbox = append(c.inbox, e)
		case e.Failed != "":
			c.t.Logf("mqtt.js, while %q is waited for: %s", name, e.Failed)
		}
	}
}

// begin calls a method of the client and returns the name of the event that
// answers it.
func (c *mqttjs) begin(method string, args ...any) (answer string) {
	c.t.Helper()
	c.calls++
	answer = fmt.Sprint(method, " ", c.calls)
	text, err := json.Marshal(append([]any{answer, method}, args...))
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.WriteString(c.stdin, string(text)+"\n"); err != nil {
		c.t.Fatalf("drive mqtt.js: %v", err)
	}
	return answer
}

// do calls a method of the client and waits for its good end.
func (c *mqttjs) do(method string, args ...any) event {
	c.t.Helper()
	e := c.wait(c.begin(method, args...))
	if e.Failed != "" {
		c.t.Fatalf("mqtt.js, %s %v: %s (%#x)", method, args, e.Failed, e.ReasonCode)
	}
	return e
}

// publish is do with the usual arguments.
func (c *mqttjs) publish(topic, payload string, options object) {
	c.t.Helper()
	c.do("publish", topic, payload, options)
}

// eachJS runs f for each version of MQTT that mqtt.js speaks, with options for
// it. Broker and names are f's own.
func eachJS(t *testing.T, f func(t *testing.T, s *server, v version, options object)) {
	t.Helper()
	t.Parallel()
	s := startWith(t, func(l *listeners) { l.ws = freeAddress(t) })
	for _, v := range []version{v311, v5} {
		t.Run("MQTT "+v.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s, v, object{"protocolVersion": v, "clientId": "js " + v.String(), "reconnectPeriod": 0})
		})
	}
}

// with returns options and more.
func with(options, more object) object {
	all := object{}
	maps.Copy(all, options)
	maps.Copy(all, more)
	return all
}

// TestMQTTJSQoS publishes at each QoS to subscriptions of each QoS, from
// mqtt.js to itself.
func TestMQTTJSQoS(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		c, _ := s.connectJS(t, options)
		for published := range byte(3) {
			for granted := range byte(3) {
				topic := fmt.Sprintf("%v/%d/%d", v, published, granted)
				if got := c.do("subscribe", topic, object{"qos": granted}).Granted; len(got) != 1 || got[0].QoS != granted {
					t.Fatalf("granted %v, want QoS %d", got, granted)
				}
				c.publish(topic, "grün", object{"qos": published})
				m := c.wait("message")
				if m.Topic != topic || m.Payload != "grün" || m.QoS != min(published, granted) || m.Retain || m.Dup {
					t.Errorf("received %+v, want grün at QoS %d on %s", m, min(published, granted), topic)
				}
				c.do("unsubscribe", topic)
			}
		}
	})
}

func TestMQTTJSRetained(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		topic := "kept/" + v.String()
		c, _ := s.connectJS(t, options)
		c.publish(topic, "kept", object{"qos": 1, "retain": true})
		for range 2 {
			c.do("subscribe", topic, object{"qos": 1})
			if m := c.wait("message"); m.Payload != "kept" || !m.Retain {
				t.Errorf("received %+v, want kept with RETAIN", m)
			}
		}
		c.publish(topic, "", object{"qos": 1, "retain": true})
		c.do("subscribe", topic, object{"qos": 1})
		c.publish(topic, "after", object{})
		for _, want := range []string{"", "after"} { // the first was sent to the old subscription
			if m := c.wait("message"); m.Payload != want || m.Retain {
				t.Errorf("received %+v, want %q without RETAIN", m, want)
			}
		}
	})
}

func TestMQTTJSWill(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		topic := "will/" + v.String()
		watcher := s.connect(t, login{version: v, id: "watcher " + topic})
		watcher.subscribe(topic, 2)
		c, _ := s.connectJS(t, with(options, object{"will": object{
			"topic": topic, "payload": "gone", "qos": 2, "retain": true,
		}}))
		c.kill()
		if m := watcher.receive(); m.payload != "gone" || m.qos != 2 {
			t.Errorf("received %+v, want gone at QoS 2", m)
		}
		c, _ = s.connectJS(t, options)
		c.do("subscribe", topic, object{"qos": 1})
		if m := c.wait("message"); m.Payload != "gone" || !m.Retain {
			t.Errorf("received %+v, want the retained will", m)
		}
	})
}

// TestMQTTJSSession queues messages of QoS 1 and 2 for a client that has gone,
// and lets it come back as a new process.
func TestMQTTJSSession(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		topic := "queue/" + v.String()
		options = with(options, object{"clean": false})
		if v == v5 {
			options["properties"] = object{"sessionExpiryInterval": 3600}
		}
		c, ack := s.connectJS(t, options)
		if ack.SessionPresent {
			t.Error("session present on the first connection")
		}
		c.do("subscribe", topic, object{"qos": 2})
		c.kill()
		pub := s.connect(t, login{version: v, id: "pub " + topic})
		const count = 200
		for i := range byte(count) {
			pub.publish(message{topic: topic, qos: 1 + i%2, payload: fmt.Sprint(i)})
		}
		c, ack = s.connectJS(t, options)
		if !ack.SessionPresent {
			t.Error("no session present")
		}
		next := []byte{0, 1} // of QoS 1, and of QoS 2: mqtt.js shows a message when its flow is over
		for range count {
			m := c.wait("message")
			n := &next[m.QoS-1]
			// The first ones carry DUP if they went out before the broker knew that he was gone.
			if m.Payload != fmt.Sprint(*n) {
				t.Fatalf("received %+v, want %d", m, *n)
			}
			*n += 2
		}
		c.do("end")
	})
}

// TestMQTTJSReconnects takes a client over and lets it come back by itself: it
// connects as often as the broker closes.
func TestMQTTJSReconnects(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		c, _ := s.connectJS(t, with(options, object{"reconnectPeriod": 50}))
		topic := "again/" + v.String()
		c.do("subscribe", topic, object{"qos": 1}) // and again, by itself, after each CONNACK
		for i := range 5 {
			thief := s.dial(t)
			thief.login(login{version: v, id: "js " + v.String()})
			if v == v5 && !isMosquitto(t) {
				if e := c.wait("disconnect"); e.ReasonCode != 0x8E {
					t.Errorf("told %#x, want 0x8E, session taken over", e.ReasonCode)
				}
			}
			c.wait("close")
			c.wait("connect") // and takes its id back
			thief.closed()
			c.publish(topic, fmt.Sprint(i), object{"qos": 1})
			if m := c.wait("message"); m.Payload != fmt.Sprint(i) {
				t.Errorf("received %+v, want %d", m, i)
			}
		}
	})
}

// TestMQTTJSSystemTopics shows that # does not match $SYS, live and retained.
func TestMQTTJSSystemTopics(t *testing.T) {
	eachJS(t, func(t *testing.T, s *server, v version, options object) {
		end := "end/" + v.String()
		c, _ := s.connectJS(t, options)
		c.do("subscribe", "#", object{"qos": 1})
		c.publish(end, "", object{"qos": 1})
		for m := c.wait("message"); m.Topic != end; m = c.wait("message") {
			if strings.HasPrefix(m.Topic, "$") {
				t.Errorf("# matched %s", m.Topic)
			}
		}
	})
}
