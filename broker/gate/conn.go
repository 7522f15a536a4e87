// Package gate is one connection of the broker: every byte in and out. It
// frames and checks packets, hands the five packets of message flows to
// delivery, asks a Control about clients and subscriptions, and has the one
// queue to the socket. It decides nothing about who may do what.
package gate

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edge/broker/delivery"
	"edge/broker/journal"
)

// Limits bound what a client can do to its connection.
type Limits struct {
	ConnectTimeout time.Duration // until a complete CONNECT
	PacketBefore   int           // bytes of a packet before CONNACK
	Packet         int           // bytes of a packet after it
	TopicBytes     int           // of a topic name or filter
	TopicLevels    int           // of a topic name or filter
	ReceiveMaximum int           // QoS 1 and 2 messages of a client that wait for their acknowledgement
	MaxExpiry      uint32        // seconds; the longest session expiry
	UserProperties int           // of a packet
	TopicAliases   int           // that a client may set, and that may be set for it
	Idle           time.Duration // the longest silence of a client
	PacketRate     int           // bytes per second that a packet must come at once it has begun

	// ResponseText is the Response Information that CONNACK gives to those who
	// ask for it, with %c for the client identifier; empty is none.
	ResponseText string

	Counters *Counters // of all connections with these limits

	// NoMemory says that there is none for large packets; nil is that there is
	// always some.
	NoMemory *atomic.Bool
}

func (l *Limits) topicTooBig(s string) bool {
	return len(s) > l.TopicBytes || strings.Count(s, "/") >= l.TopicLevels
}

// RequestTopic is the one topic below $ that clients may publish to. What they send
// there is not a message for others, but something that the broker is asked to do.
const RequestTopic = "$CONTROL/edge/v1"

// A Control decides about one connection: who its client is, and what it may
// subscribe to, and does what it asks for. The goroutine that reads the connection calls its methods.
type Control interface {
	// Connect is called after a valid CONNECT. It returns Success, after Begin,
	// or why the client may not come in.
	Connect() Reason

	// Handle handles the packet type SUBSCRIBE or UNSUBSCRIBE with the given body,
	// which the gate has checked, and writes the answer to the connection. body is
	// valid until it returns.
	Handle(kind byte, body []byte) error

	// Request is called for each message to RequestTopic, which goes to nobody
	// else; again says that it may have been sent before. m is valid until it
	// returns: its payload may have passwords in it.
	Request(m *delivery.Message, again bool) delivery.Verdict

	// Leave is called when the client has gone, before its session is given
	// back.
	Leave()
}

// A Conn is the connection of one client; its session has it as a delivery.Link.
type Conn struct {
	net.Conn
	socket  *socket // of a connection without TLS and frames; else nil
	engine  *delivery.Engine
	limits  *Limits
	log     *slog.Logger
	control Control

	in      inbound // of the reader
	connect *Connect
	leaving delivery.Leaving
	aliases aliases // of the writer

	mu       sync.Mutex
	session  *delivery.Session // set by Begin
	present  bool
	release  func() // lets the next connection take the session over
	answered bool   // CONNACK was written
	live     bool   // and it said yes: messages may follow
	closing  bool
	writing  bool          // somebody writes to the socket
	again    bool          // he must look once more before he stops
	received bool          // the peer has closed its side
	out      []byte        // packets to write, in order
	held     []held        // acknowledgements to write when the journal says so, in order
	drained  chan struct{} // is closed when out was taken; nil if nobody waits

	closed  chan struct{} // is closed with closing
	done    chan struct{} // is closed when the session is given back
	written chan struct{} // is closed when the socket is
}

var (
	_ net.Conn      = (*Conn)(nil)
	_ delivery.Link = (*Conn)(nil)
)

// held is an acknowledgement that waits for the disk.
type held struct {
	ticket journal.Ticket
	packet [5]byte
	n      uint8
}

// New returns a connection over the socket c.
func New(c net.Conn, engine *delivery.Engine, limits *Limits, log *slog.Logger) *Conn {
	limits.Counters.sockets.Add(1)
	conn := &Conn{
		Conn: c, engine: engine, limits: limits, log: log, in: inbound{buf: make([]byte, minBuffer)},
		closed: make(chan struct{}), done: make(chan struct{}), written: make(chan struct{}),
	}
	conn.socket = newSocket(c)
	return conn
}

// Serve runs the connection until it has ended and its last packet is written,
// and returns why it ended. A panic ends this connection and no other.
func (c *Conn) Serve(control Control) error {
	c.control = control
	_ = c.setReadDeadline(time.Now().Add(c.limits.ConnectTimeout))
	err := c.serve()
	c.leave()
	close(c.done)
	<-c.written
	c.log.Debug("connection ended", "client", c.clientID(), "remote", c.remote(), "reason", err)
	return err
}

// serve reads until the connection ends. Its frame is small, for it is on the
// stack of every idle connection.
func (c *Conn) serve() (err error) {
	defer c.Close()
	defer c.survive(&err)
	return c.read()
}

// survive makes an error of a panic.
func (c *Conn) survive(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
		c.log.Error("panic in a connection; it was closed, the broker goes on",
			"remote", c.remote(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	}
}

func (c *Conn) remote() string { return c.Conn.RemoteAddr().String() }

func (c *Conn) clientID() string {
	if c.connect == nil {
		return ""
	}
	return c.connect.ClientID
}

// leave gives the session back and lets the next connection have it.
func (c *Conn) leave() {
	c.flush(time.Now())
	c.control.Leave()
	if c.session != nil {
		c.engine.Leave(c.session, c, c.leaving)
	}
	c.limits.Counters.end(c.live)
	if c.release != nil {
		c.release()
	}
}

// Connect returns what the client asked for.
func (c *Conn) Connect() *Connect { return c.connect }

// Owner returns the name of the principal that the client is, and false if it has
// not been let in. Any goroutine may call it.
func (c *Conn) Owner() (name string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return "", false
	}
	return c.session.Owner(), true
}

// Sender returns who the messages of the client are from, after Begin.
func (c *Conn) Sender() delivery.Sender { return c.in.publisher.Sender() }

// Session returns the session after Begin.
func (c *Conn) Session() *delivery.Session { return c.session }

// Begin takes the session of the client, from another connection if need be. owner
// is the name of the principal that the client is.
func (c *Conn) Begin(owner string) error {
	k := c.connect
	s, present, release, err := c.engine.Begin(delivery.Opening{
		ID: k.ClientID, Owner: owner, Clean: k.Clean, Expiry: k.sessionExpiry, Window: int(k.window), Will: k.will, Link: c,
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.session, c.present, c.release = s, present, release
	c.mu.Unlock()
	c.in.publisher = c.engine.Publisher(s)
	if !s.Settled(c.closed) {
		return net.ErrClosed
	}
	return nil
}

// Subscribe makes the subscriptions of one SUBSCRIBE. It returns when they will
// survive, with an error for each that was not made.
func (c *Conn) Subscribe(subs []journal.Subscription) []error {
	errs := make([]error, len(subs))
	var last journal.Ticket
	for i, sub := range subs {
		existed, t, err := c.engine.Subscribe(c.session, sub)
		if errs[i] = err; err == nil {
			c.in.fresh = append(c.in.fresh, fresh{sub, existed})
		}
		last = max(last, t)
	}
	c.engine.Wait(c.closed, last)
	return errs
}

// Unsubscribe ends the subscriptions of one UNSUBSCRIBE. It returns when a restart
// does not bring them back.
func (c *Conn) Unsubscribe(filters []string) {
	var last journal.Ticket
	for _, filter := range filters {
		_, t := c.engine.Unsubscribe(c.session, filter)
		last = max(last, t)
	}
	c.engine.Wait(c.closed, last)
}

// sendRetained sends what the subscriptions made by Subscribe ask for. SUBACK
// has been written.
func (c *Conn) sendRetained() {
	for _, f := range c.in.fresh {
		c.engine.SendRetained(c.session, f.sub, f.existed)
	}
	c.in.fresh = c.in.fresh[:0]
}

// fresh is a subscription whose retained messages were not sent yet.
type fresh struct {
	sub     journal.Subscription
	existed bool
}

// Write queues p, which is one packet of the Control's. It does not block.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return 0, net.ErrClosed
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

// answer writes CONNACK with r.
func (c *Conn) answer(r Reason) {
	c.mu.Lock()
	c.out = c.connect.appendConnack(c.out, Violation{Reason: r}, c.present, c.limits)
	c.answered, c.live = true, r == Success
	c.mu.Unlock()
	if r == Success {
		c.limits.Counters.accept()
	}
	c.in.pushSelf = true
}

// setReadDeadline sets the deadline of the socket unless the connection is
// closing.
func (c *Conn) setReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return net.ErrClosed
	}
	return c.SetReadDeadline(t)
}

// Kick implements delivery.Link: another connection takes the session over.
func (c *Conn) Kick() { c.End(TakenOver) }

// Done implements delivery.Link.
func (c *Conn) Done() <-chan struct{} { return c.done }

// End tells the client why (MQTT 5.0, section 3.14) and closes the connection.
func (c *Conn) End(r Reason) { c.end(Violation{Reason: r}) }

func (c *Conn) end(v Violation) {
	c.mu.Lock()
	if c.live && c.connect.Version == 5 && !c.closing {
		c.out = c.connect.appendDisconnect(c.out, v)
	}
	c.mu.Unlock()
	_ = c.Close()
}

// closeTimeout is how long a peer that does not read can delay the end of its
// connection.
const closeTimeout = 200 * time.Millisecond

// Close implements net.Conn. It does not wait: what is queued is written, if
// the peer reads it soon, and then the socket is closed.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	close(c.closed)
	_ = c.SetReadDeadline(time.Unix(1, 0)) // The reader returns at once.
	_ = c.SetWriteDeadline(time.Now().Add(closeTimeout))
	c.again = true
	if !c.writing {
		c.writing = true
		go c.writeOn(nil)
	}
	return nil
}

// finish closes the socket. A close with unread bytes would make the kernel
// send RST, and the peer might never see our last packet; so first FIN, then
// what the peer still sends is read and dropped.
func (c *Conn) finish() {
	defer close(c.written)
	defer c.Conn.Close()
	select {
	case <-c.done:
	case <-time.After(closeTimeout):
	}
	c.mu.Lock()
	received := c.received
	c.mu.Unlock()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || received || half.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(closeTimeout))
	_, _ = io.Copy(io.Discard, c.Conn)
}

// fail ends the connection because of err and returns it.
func (c *Conn) fail(err error) error {
	c.flush(time.Now())
	v, ok := violation(err)
	switch {
	case ok:
	case errors.Is(err, os.ErrDeadlineExceeded):
		v = c.tooSlow()
	default: // The peer has gone, or never spoke MQTT.
		c.mu.Lock()
		c.received = errors.Is(err, io.EOF)
		c.mu.Unlock()
		_ = c.Close()
		return err
	}
	if v.Reason == TooLarge {
		c.limits.Counters.large.Add(1)
	}
	if c.connect != nil && !c.answered {
		c.mu.Lock()
		c.out = c.connect.appendConnack(c.out, v, false, c.limits)
		c.mu.Unlock()
	}
	c.end(v)
	return err
}
