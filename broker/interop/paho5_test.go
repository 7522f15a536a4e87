package interop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// A paho5 is a client of paho.golang, for MQTT 5, whose messages are read one
// by one.
type paho5 struct {
	*paho.Client
	t     testing.TB
	conn  net.Conn
	ack   *paho.Connack
	inbox chan *paho.Publish
	told  chan *paho.Disconnect // by the broker
}

// connectPaho5 connects over conn with what config says about the session and
// about acknowledgements.
func connectPaho5(t testing.TB, conn net.Conn, hello *paho.Connect, config paho.ClientConfig) *paho5 {
	t.Helper()
	c := &paho5{t: t, conn: conn, inbox: make(chan *paho.Publish, 10_000), told: make(chan *paho.Disconnect, 1)}
	config.Conn = packets.NewThreadSafeConn(conn)
	config.PacketTimeout = patience
	config.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
		c.inbox <- p.Packet
		return true, nil
	}}
	config.OnServerDisconnect = func(d *paho.Disconnect) { c.told <- d }
	c.Client = paho.NewClient(config)
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-c.Done()
	})
	if hello.KeepAlive == 0 {
		hello.KeepAlive = 60
	}
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if c.ack, err = c.Connect(ctx, hello); err != nil {
		t.Fatal(err)
	}
	return c
}

func dialTCP(t testing.TB, s *server) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.tcp, patience)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (c *paho5) subscribe(options paho.SubscribeOptions, id int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{options}}
	if id > 0 {
		s.Properties = &paho.SubscribeProperties{SubscriptionIdentifier: &id}
	}
	if _, err := c.Subscribe(ctx, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *paho5) publish(p *paho.Publish) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Publish(ctx, p); err != nil {
		c.t.Fatal(err)
	}
}

func (c *paho5) next() *paho.Publish {
	c.t.Helper()
	select {
	case m := <-c.inbox:
		return m
	case <-time.After(patience):
		c.t.Fatalf("no message for %v", patience)
		return nil
	}
}

// TestPaho5 sends messages of all QoS through TCP, TLS and a unix socket.
func TestPaho5(t *testing.T) {
	t.Parallel()
	withTLS := listenTLS(t)
	s := startWith(t, func(l *listeners) {
		withTLS(l)
		l.unix = socketPath(t)
	})
	for name, dial := range map[string]func() (net.Conn, error){
		"tcp":  func() (net.Conn, error) { return net.Dial("tcp", s.tcp) },
		"unix": func() (net.Conn, error) { return net.Dial("unix", s.unix) },
		"tls":  func() (net.Conn, error) { return tls.Dial("tcp", s.tls, &tls.Config{RootCAs: roots(t, s.cert)}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			c := connectPaho5(t, conn, &paho.Connect{ClientID: name, CleanStart: true}, paho.ClientConfig{})
			for qos := range byte(3) {
				topic := fmt.Sprintf("%s/%d", name, qos)
				c.subscribe(paho.SubscribeOptions{Topic: topic, QoS: qos}, 0)
				for i := range 20 {
					c.publish(&paho.Publish{Topic: topic, QoS: qos, Payload: fmt.Append(nil, i)})
				}
				for i := range 20 {
					if m := c.next(); string(m.Payload) != fmt.Sprint(i) || m.QoS != qos || m.Duplicate() {
						t.Fatalf("received %v, want %d at QoS %d", m, i, qos)
					}
				}
			}
			if err := c.Disconnect(&paho.Disconnect{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPaho5Properties(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connectPaho5(t, dialTCP(t, s), &paho.Connect{ClientID: "c", CleanStart: true}, paho.ClientConfig{})
	c.subscribe(paho.SubscribeOptions{Topic: "a", QoS: 1}, 42)
	format, expiry := byte(1), uint32(500)
	c.publish(&paho.Publish{Topic: "a", QoS: 1, Payload: []byte("x"), Properties: &paho.PublishProperties{
		CorrelationData: []byte{0, 1, 2}, ContentType: "text/plain", ResponseTopic: "answer",
		PayloadFormat: &format, MessageExpiry: &expiry, User: paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}},
	}})
	p := c.next().Properties
	got := fmt.Sprintf("%v %s %s %d %v %d", p.CorrelationData, p.ContentType, p.ResponseTopic, *p.PayloadFormat, p.User, *p.SubscriptionIdentifier)
	if want := "[0 1 2] text/plain answer 1 [{k 1} {k 2}] 42"; got != want {
		t.Errorf("received properties %s, want %s", got, want)
	}
	if p.MessageExpiry == nil || *p.MessageExpiry < 490 || *p.MessageExpiry > 500 {
		t.Errorf("received expiry %v, want 500 s or little less", p.MessageExpiry)
	}
}

// TestPaho5Options subscribes twice with each option and then hears itself and
// another client.
func TestPaho5Options(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connectPaho5(t, dialTCP(t, s), &paho.Connect{ClientID: "c", CleanStart: true}, paho.ClientConfig{})
	c.subscribe(paho.SubscribeOptions{Topic: "end", QoS: 1}, 0)
	other := s.connect(t, login{version: v5, id: "other"})
	for i, tt := range []struct {
		options paho.SubscribeOptions
		want    string // payloads and their RETAIN
	}{
		{paho.SubscribeOptions{RetainHandling: 0}, "kept true, kept true, own false, live false, "},
		{paho.SubscribeOptions{RetainHandling: 1}, "kept true, own false, live false, "},
		{paho.SubscribeOptions{RetainHandling: 2}, "own false, live false, "},
		{paho.SubscribeOptions{RetainHandling: 2, RetainAsPublished: true}, "own true, live true, "},
		{paho.SubscribeOptions{RetainHandling: 2, NoLocal: true}, "live false, "},
	} {
		topic := fmt.Sprintf("kept/%d", i)
		other.publish(message{topic: topic, qos: 1, retain: true, payload: "kept"})
		tt.options.Topic, tt.options.QoS = topic, 1
		c.subscribe(tt.options, 0)
		c.subscribe(tt.options, 0)
		c.publish(&paho.Publish{Topic: topic, QoS: 1, Retain: true, Payload: []byte("own")})
		other.publish(message{topic: topic, qos: 1, retain: true, payload: "live"})
		other.publish(message{topic: "end", qos: 1})
		got := ""
		for m := c.next(); m.Topic != "end"; m = c.next() {
			got += fmt.Sprintf("%s %t, ", m.Payload, m.Retain)
		}
		if got != tt.want {
			t.Errorf("%+v: received %s want %s", tt.options, got, tt.want)
		}
	}
}

// TestPaho5Session has a receive maximum of 10 and acknowledges nothing of the
// first window; the session goes on with all 200 messages in order, and only
// those of the first window carry DUP.
func TestPaho5Session(t *testing.T) {
	t.Parallel()
	s := start(t)
	window, expiry := uint16(10), uint32(3600)
	hello := func(clean bool) *paho.Connect {
		return &paho.Connect{ClientID: "sleeper", CleanStart: clean, Properties: &paho.ConnectProperties{
			ReceiveMaximum: &window, SessionExpiryInterval: &expiry,
		}}
	}
	session := state.NewInMemory()
	c := connectPaho5(t, dialTCP(t, s), hello(true), paho.ClientConfig{Session: session, EnableManualAcknowledgment: true})
	if c.ack.SessionPresent {
		t.Error("session present after a clean start")
	}
	c.subscribe(paho.SubscribeOptions{Topic: "queue", QoS: 1}, 0)
	pub := s.connect(t, login{version: v5, id: "pub"})
	const count = 200
	for i := range count {
		pub.publish(message{topic: "queue", qos: 1, payload: fmt.Sprint(i)})
	}
	for i := range int(window) {
		if m := c.next(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("received %v, want %d", m, i)
		}
	}
	_ = c.conn.Close()
	<-c.Done()
	if len(c.inbox) > 0 {
		t.Errorf("received %d messages more than the receive maximum", len(c.inbox))
	}
	c = connectPaho5(t, dialTCP(t, s), hello(false), paho.ClientConfig{Session: session})
	if !c.ack.SessionPresent {
		t.Fatal("no session present")
	}
	for i := range count {
		if m := c.next(); string(m.Payload) != fmt.Sprint(i) || m.Duplicate() != (i < int(window)) {
			t.Fatalf("received %v, DUP %t, want %d, with DUP for the first %d only", m, m.Duplicate(), i, window)
		}
	}
}

// TestPaho5Will cuts a client whose will waits a second, and another that has
// come back by then.
func TestPaho5Will(t *testing.T) {
	t.Parallel()
	s := start(t)
	watcher := connectPaho5(t, dialTCP(t, s), &paho.Connect{ClientID: "watcher", CleanStart: true}, paho.ClientConfig{})
	watcher.subscribe(paho.SubscribeOptions{Topic: "will/+", QoS: 2}, 0)
	mortal := func(id string, delay uint32) *paho5 {
		expiry := uint32(3600)
		c := connectPaho5(t, dialTCP(t, s), &paho.Connect{
			ClientID:       id,
			WillMessage:    &paho.WillMessage{Topic: "will/" + id, QoS: 2, Payload: []byte(id)},
			WillProperties: &paho.WillProperties{WillDelayInterval: &delay},
			Properties:     &paho.ConnectProperties{SessionExpiryInterval: &expiry},
		}, paho.ClientConfig{})
		return c
	}
	for _, c := range []*paho5{mortal("returns", 1), mortal("goes", 2)} {
		_ = c.conn.Close()
		<-c.Done()
	}
	mortal("returns", 3600)
	if m := watcher.next(); string(m.Payload) != "goes" || m.QoS != 2 {
		t.Errorf("received %v, want goes at QoS 2", m)
	}
}

func TestPaho5Takeover(t *testing.T) {
	t.Parallel()
	s := start(t)
	connect := func() *paho5 {
		return connectPaho5(t, dialTCP(t, s), &paho.Connect{ClientID: "seat", CleanStart: true}, paho.ClientConfig{})
	}
	first := connect()
	second := connect()
	select {
	case <-first.Done():
	case <-time.After(patience):
		t.Fatal("the first client is still connected")
	}
	if !isMosquitto(t) {
		if d := <-first.told; d.ReasonCode != 0x8E {
			t.Errorf("the first client was told %#x, want 0x8E, session taken over", d.ReasonCode)
		}
	}
	second.subscribe(paho.SubscribeOptions{Topic: "seat", QoS: 2}, 0)
	second.publish(&paho.Publish{Topic: "seat", QoS: 2, Payload: []byte("mine")})
	if m := second.next(); string(m.Payload) != "mine" {
		t.Errorf("received %v, want mine", m)
	}
}

func TestPaho5AssignedClientID(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := connectPaho5(t, dialTCP(t, s), &paho.Connect{CleanStart: true}, paho.ClientConfig{})
	if c.ack.Properties.AssignedClientID == "" {
		t.Error("no assigned client id in CONNACK")
	}
}
