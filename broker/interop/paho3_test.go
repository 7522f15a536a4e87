package interop

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// A paho3 is a client of paho.mqtt.golang, for MQTT 3.1 and 3.1.1, whose
// messages are read one by one.
type paho3 struct {
	mqtt.Client
	t     testing.TB
	inbox chan mqtt.Message
	lost  chan error
}

// paho3Options are for a client that connects once.
func paho3Options(broker, id string, v version) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(broker).SetClientID(id).SetProtocolVersion(uint(v)).
		SetAutoReconnect(false).SetConnectTimeout(patience)
}

func connectPaho3(t testing.TB, o *mqtt.ClientOptions) *paho3 {
	t.Helper()
	c := &paho3{t: t, inbox: make(chan mqtt.Message, 10_000), lost: make(chan error, 1)}
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.inbox <- m })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.lost <- err })
	c.Client = mqtt.NewClient(o)
	t.Cleanup(func() { c.Disconnect(0) })
	c.done(c.Connect())
	return c
}

// done waits for what token stands for.
func (c *paho3) done(token mqtt.Token) {
	c.t.Helper()
	if !token.WaitTimeout(patience) {
		c.t.Fatalf("no answer for %v", patience)
	}
	if token.Error() != nil {
		c.t.Fatal(token.Error())
	}
}

func (c *paho3) next() mqtt.Message {
	c.t.Helper()
	select {
	case m := <-c.inbox:
		return m
	case <-time.After(patience):
		c.t.Fatalf("no message for %v", patience)
		return nil
	}
}

// cuttable lets o dial TCP so that cut ends the connection without DISCONNECT:
// by half, because the library takes a closed connection for its own doing.
func cuttable(o *mqtt.ClientOptions) (cut func()) {
	conns := make(chan net.Conn, 1)
	o.SetCustomOpenConnectionFn(func(uri *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		conn, err := net.DialTimeout("tcp", uri.Host, patience)
		if err == nil {
			conns <- conn
		}
		return conn, err
	})
	return func() { _ = (<-conns).(*net.TCPConn).CloseWrite() }
}

// TestPaho3 sends messages of all QoS through each kind of listener.
func TestPaho3(t *testing.T) {
	t.Parallel()
	withTLS := listenTLS(t)
	s := startWith(t, func(l *listeners) {
		withTLS(l)
		l.ws, l.unix = freeAddress(t), socketPath(t)
	})
	for name, broker := range map[string]string{
		"tcp": "tcp://" + s.tcp, "tls": "tls://" + s.tls, "ws": "ws://" + s.ws + "/mqtt", "unix": "unix://" + s.unix,
	} {
		for _, v := range []version{v31, v311} {
			t.Run(fmt.Sprintf("%s, MQTT %v", name, v), func(t *testing.T) {
				t.Parallel()
				o := paho3Options(broker, name+v.String(), v).SetTLSConfig(&tls.Config{RootCAs: roots(t, s.cert)})
				c := connectPaho3(t, o)
				for qos := range byte(3) {
					c.exchange(fmt.Sprintf("%s/%v/%d", name, v, qos), qos)
				}
				c.large("large/" + name + v.String())
				c.retained("kept/" + name + v.String())
			})
		}
	}
}

// exchange publishes twenty messages to itself.
func (c *paho3) exchange(topic string, qos byte) {
	c.t.Helper()
	c.done(c.Subscribe(topic, qos, nil))
	for i := range 20 {
		c.done(c.Publish(topic, qos, false, fmt.Sprint(i)))
	}
	for i := range 20 {
		if m := c.next(); string(m.Payload()) != fmt.Sprint(i) || m.Qos() != qos || m.Duplicate() || m.Retained() {
			c.t.Fatalf("received %q at QoS %d, DUP %t, want %d at QoS %d", m.Payload(), m.Qos(), m.Duplicate(), i, qos)
		}
	}
	c.done(c.Unsubscribe(topic))
}

// large publishes 300 kB, which is more than a read or a frame of any layer.
func (c *paho3) large(topic string) {
	c.t.Helper()
	payload := make([]byte, 300_000)
	for i := range payload {
		payload[i] = byte(i % 251)
	}
	c.done(c.Subscribe(topic, 1, nil))
	c.done(c.Publish(topic, 1, false, payload))
	if m := c.next(); string(m.Payload()) != string(payload) {
		c.t.Errorf("received %d bytes, want the %d published", len(m.Payload()), len(payload))
	}
	c.done(c.Unsubscribe(topic))
}

func (c *paho3) retained(topic string) {
	c.t.Helper()
	c.done(c.Publish(topic, 1, true, "kept"))
	c.done(c.Subscribe(topic, 1, nil))
	if m := c.next(); string(m.Payload()) != "kept" || !m.Retained() {
		c.t.Errorf("received %q, retained %t, want kept", m.Payload(), m.Retained())
	}
	c.done(c.Publish(topic, 1, true, ""))
	if m := c.next(); len(m.Payload()) > 0 || m.Retained() {
		c.t.Errorf("received %q, retained %t, want the empty message that deletes", m.Payload(), m.Retained())
	}
	c.done(c.Unsubscribe(topic))
	c.done(c.Subscribe(topic, 1, nil))
	c.done(c.Publish(topic, 1, false, "next"))
	if m := c.next(); string(m.Payload()) != "next" {
		c.t.Errorf("received %q after the retained message was deleted", m.Payload())
	}
}

func TestPaho3Will(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := connectPaho3(t, paho3Options("tcp://"+s.tcp, "watcher", v311))
	watcher.done(watcher.Subscribe("will", 2, nil))
	o := paho3Options("tcp://"+s.tcp, "mortal", v311).SetWill("will", "gone", 2, false)
	cut := cuttable(o)
	connectPaho3(t, o)
	cut()
	if m := watcher.next(); string(m.Payload()) != "gone" || m.Qos() != 2 {
		t.Errorf("received %q at QoS %d, want gone at QoS 2", m.Payload(), m.Qos())
	}
}

// TestPaho3Session leaves some messages unacknowledged and others unsent; the
// session goes on with all of them, in order, the first ones with DUP.
func TestPaho3Session(t *testing.T) {
	t.Parallel()
	s := start(t)
	options := func() *mqtt.ClientOptions {
		return paho3Options("tcp://"+s.tcp, "sleeper", v311).SetCleanSession(false)
	}
	o := options().SetAutoAckDisabled(true)
	cut := cuttable(o)
	c := connectPaho3(t, o)
	c.done(c.Subscribe("queue", 1, nil))
	pub := connectPaho3(t, paho3Options("tcp://"+s.tcp, "pub", v311))
	const seen, count = 5, 1000
	for i := range count {
		pub.done(pub.Publish("queue", 1, false, fmt.Sprint(i)))
		if i < seen {
			c.next()
		}
		if i == seen-1 {
			cut()
			c.wait()
		}
	}
	c = connectPaho3(t, options())
	for i := range count {
		m := c.next()
		// A few more go out before the broker sees that he is gone.
		if open := i >= seen && i < count/2; string(m.Payload()) != fmt.Sprint(i) || m.Duplicate() != (i < seen) && !open {
			t.Fatalf("received %q, DUP %t, want %d, with DUP for the first %d only", m.Payload(), m.Duplicate(), i, seen)
		}
	}
}

// wait returns when the client has noticed that its connection is lost.
func (c *paho3) wait() {
	c.t.Helper()
	select {
	case <-c.lost: //nolint:errcheck // That it is lost is what counts.
	case <-time.After(patience):
		c.t.Fatalf("still connected after %v", patience)
	}
}

func TestPaho3Takeover(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := connectPaho3(t, paho3Options("tcp://"+s.tcp, "seat", v311))
	first.done(first.Subscribe("seat", 1, nil))
	second := connectPaho3(t, paho3Options("tcp://"+s.tcp, "seat", v311))
	first.wait()
	second.exchange("seat", 1)
}
