// Package gate is one connection of the broker: every byte in and out. It
// frames and checks packets, hands the five packets of message flows to
// delivery and all others, one at a time, to the mochi server that reads from
// it as from a net.Conn, and has the one queue to the socket. It decides
// nothing about who may do what.
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
}

func (l *Limits) topicTooBig(s string) bool {
	return len(s) > l.TopicBytes || strings.Count(s, "/") >= l.TopicLevels
}

// A Conn is the connection of one client. Mochi has it as a net.Conn; its
// session has it as a delivery.Link.
type Conn struct {
	net.Conn
	engine *delivery.Engine
	limits *Limits
	log    *slog.Logger

	in      inbound // of the reader
	connect *Connect
	leaving delivery.Leaving

	mu       sync.Mutex
	refusal  Reason            // CONNACK says this, whatever mochi thinks
	session  *delivery.Session // set by Begin
	present  bool
	release  func() // lets the next connection take the session over
	answered bool   // CONNACK was written
	live     bool   // and it said yes: messages may follow
	closing  bool
	out      []byte // packets to write, in order
	held     []held // acknowledgements to write when the journal says so, in order
	received bool   // the peer has closed its side

	wake    chan struct{} // has a token if the writer must look
	drained chan struct{} // has a token if the writer took out
	closed  chan struct{} // is closed with closing
	done    chan struct{} // is closed when the session is given back
	written chan struct{} // is closed when the writer has closed the socket
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
	return &Conn{
		Conn: c, engine: engine, limits: limits, log: log,
		in: inbound{buf: make([]byte, 512)}, wake: make(chan struct{}, 1), drained: make(chan struct{}, 1),
		closed: make(chan struct{}), done: make(chan struct{}), written: make(chan struct{}),
	}
}

// Serve runs the connection: serve is mochi's side, which reads and writes it
// until it ends and its last packet is written. A panic ends this connection and
// no other.
func (c *Conn) Serve(serve func(net.Conn) error) {
	_ = c.setReadDeadline(time.Now().Add(c.limits.ConnectTimeout))
	go c.writeLoop()
	defer func() {
		close(c.done)
		<-c.written
	}()
	defer c.leave()
	defer c.Close()
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("panic in a connection; it was closed, the broker goes on",
				"remote", c.remote(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	err := serve(c)
	c.log.Debug("connection ended", "client", c.clientID(), "remote", c.remote(), "reason", err)
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
	c.flush()
	c.mu.Lock()
	s, release := c.session, c.release
	c.mu.Unlock()
	if s != nil {
		c.engine.Leave(s, c, c.leaving)
	}
	if release != nil {
		release()
	}
}

// Connect returns what the client asked for; mochi calls its hooks after the
// gate has read it.
func (c *Conn) Connect() *Connect { return c.connect }

// Session returns the session after Begin.
func (c *Conn) Session() *delivery.Session { return c.session }

// Refuse makes CONNACK refuse the client with r.
func (c *Conn) Refuse(r Reason) {
	c.mu.Lock()
	c.refusal = r
	c.mu.Unlock()
}

// Begin takes the session of the client, from another connection if need be.
// Established must follow when CONNACK was written.
func (c *Conn) Begin() error {
	k := c.connect
	s, present, release, err := c.engine.Begin(delivery.Opening{
		ID: k.ClientID, Clean: k.Clean, Expiry: k.sessionExpiry, Window: int(k.window), Will: k.will, Link: c,
	})
	if err != nil {
		c.Refuse(QuotaExceeded)
		return err
	}
	c.mu.Lock()
	c.session, c.present, c.release = s, present, release
	c.mu.Unlock()
	c.in.publisher = c.engine.Publisher(s)
	return nil
}

// Established lets the next connection with the same client id take over.
func (c *Conn) Established() {
	if c.release != nil {
		c.release()
	}
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

// SendRetained sends what the subscriptions made by Subscribe ask for. SUBACK
// has been written.
func (c *Conn) SendRetained() {
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

// Write implements net.Conn for mochi: p is one packet. It does not block.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return 0, net.ErrClosed
	}
	switch p[0] >> 4 {
	case connack:
		c.connack(p)
	case disconnect:
		if c.connect != nil && c.connect.Version == 5 { // Older versions have no such packet from a server.
			c.out = append(c.out, p...)
		}
	default:
		c.out = append(c.out, p...)
	}
	c.Wake()
	return len(p), nil
}

// refused returns the reason of a CONNACK that said no.
func (c *Conn) refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered && !c.live {
		return c.refusal
	}
	return nil
}

// connack writes our own CONNACK in place of mochi's, with its decision.
func (c *Conn) connack(p []byte) {
	r := c.refusal
	if r == Success && len(p) > 3 && p[3] != 0 {
		r = refusalOf(p[3], c.connect.Version)
	}
	if r == Success && c.session == nil {
		r = Unspecified
	}
	c.out = c.connect.appendConnack(c.out, r, c.present, c.limits)
	c.answered, c.live, c.refusal = true, r == Success, r
	if c.live {
		c.in.packetLimit = c.limits.Packet
	}
}

// refusalOf turns the code in a CONNACK of mochi, which mixes the versions, into
// a reason.
func refusalOf(code, version byte) Reason {
	if code >= 0x80 || version == 5 {
		return Reason(code)
	}
	return map[byte]Reason{1: UnsupportedVersion, 2: BadClientID, 3: ServerUnavailable, 4: BadCredentials, 5: NotAuthorized}[code]
}

// SetDeadline does nothing: keep-alive is the gate's, which sees all traffic.
func (c *Conn) SetDeadline(time.Time) error { return nil }

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

// Wake implements delivery.Link.
func (c *Conn) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Kick implements delivery.Link: another connection takes the session over.
func (c *Conn) Kick() { c.End(TakenOver) }

// Done implements delivery.Link.
func (c *Conn) Done() <-chan struct{} { return c.done }

// End tells the client why (MQTT 5.0, section 3.14) and closes the connection.
func (c *Conn) End(r Reason) {
	c.mu.Lock()
	if c.live && c.connect.Version == 5 && !c.closing {
		c.out = append(c.out, disconnect<<4, 1, byte(r))
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
	c.Wake()
	return nil
}

// finish closes the socket. A close with unread bytes would make the kernel
// send RST, and the peer might never see our last packet; so first FIN, then
// what the peer still sends is read and dropped.
func (c *Conn) finish() {
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
	c.flush()
	var r Reason
	switch {
	case errors.As(err, &r):
	case errors.Is(err, os.ErrDeadlineExceeded):
		r = KeepAliveTimeout
	default: // The peer has gone, or never spoke MQTT.
		c.mu.Lock()
		c.received = errors.Is(err, io.EOF)
		c.mu.Unlock()
		_ = c.Close()
		return err
	}
	if c.connect != nil && !c.answered {
		c.mu.Lock()
		c.out = c.connect.appendConnack(c.out, r, false, c.limits)
		c.mu.Unlock()
	}
	c.End(r)
	return err
}
