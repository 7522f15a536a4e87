package gate

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"edge/broker/delivery"
)

// inbound is the state of the goroutine that reads a connection.
type inbound struct {
	buf         []byte
	r, w        int // buf[r:w] is not parsed yet
	small       int // reads in a row that used little of buf
	packetLimit int
	fresh       []fresh
	deadline    time.Time     // until which the socket waits
	begun       time.Time     // when a packet had begun and not ended
	silence     time.Duration // the longest there may be; 0 before CONNECT
	count       count

	publisher *delivery.Publisher
	repeat    repeat             // the last that was overlooked
	aliases   [][]byte           // topics by the alias that the client gave them
	payloads  []byte             // block that payloads are copied into
	messages  []delivery.Message // block of messages
	acks      []byte             // acknowledgements, written at the end of a block of input
	holding   bool               // some wait for the journal, so later ones must
	pushSelf  bool               // there is something to write
	flushed   time.Time
}

// The read buffer grows with the traffic and shrinks with it.
const (
	minBuffer = 512
	maxBuffer = 64 << 10
)

// read reads and handles packets until the connection ends, and returns why.
func (c *Conn) read() error {
	for {
		if err := c.step(); err != nil {
			return c.fail(err)
		}
	}
}

// step reads and handles one packet.
func (c *Conn) step() error {
	raw, body, err := c.packet()
	if err != nil {
		return err
	}
	c.in.count.Packets++
	typ := raw[0] >> 4
	if c.connect == nil {
		return c.first(raw[0], body)
	}
	if typ == publish {
		return c.publish(raw[0], body)
	}
	if !fromClient(typ) {
		return Violation{ProtocolError, fmt.Sprintf("a packet of type %d must not come here", typ)}
	}
	if err := checkFlags(raw, c.connect.Version); err != nil {
		return err
	}
	switch typ {
	case puback, pubrec, pubrel, pubcomp:
		return c.flow(typ, body)
	case subscribe, unsubscribe:
		return c.handle(typ, body)
	case pingreq:
		return c.ping(body)
	}
	return c.disconnect(body)
}

// fromClient reports whether a client may send a packet of the given type after
// its CONNECT. AUTH needs a method in CONNECT, and there is none.
func fromClient(typ byte) bool {
	switch typ {
	case publish, puback, pubrec, pubrel, pubcomp, subscribe, unsubscribe, pingreq, disconnect:
		return true
	}
	return false
}

// first handles CONNECT, which must be the first packet (section 3.1).
func (c *Conn) first(head byte, body []byte) error {
	if head>>4 != connect {
		return errNotMQTT
	}
	c.limits.Counters.connects.Add(1)
	k, err := decodeConnect(body, c.limits)
	if head&15 != 0 && (k == nil || k.Version != 3) {
		return errNotMQTT // MQTT 3.1 does not use the flags (its section 3.1).
	}
	c.connect = k
	if err != nil {
		return err
	}
	r := c.control.Connect()
	c.answer(r)
	if r != Success {
		return r
	}
	c.release() // The next connection may take the session over.
	c.in.packetLimit, c.in.silence = c.limits.Packet, k.silence
	return nil
}

// handle has the Control handle a SUBSCRIBE or UNSUBSCRIBE. What it answers is
// written before the retained messages that follow from it.
func (c *Conn) handle(typ byte, body []byte) error {
	check := checkSubscribe
	if typ == unsubscribe {
		check = checkUnsubscribe
	}
	if err := check(body, c.connect.Version, c.limits); err != nil {
		return err
	}
	c.flush(time.Now()) // What came before takes effect before.
	if err := c.control.Handle(typ, body); err != nil {
		return err
	}
	c.in.pushSelf = true
	c.sendRetained()
	return nil
}

// ping handles PINGREQ (section 3.12). Keep-alive is the gate's, so its answer is.
func (c *Conn) ping(body []byte) error {
	if len(body) > 0 {
		return Violation{Malformed, "PINGREQ has a body"}
	}
	c.in.acks = append(c.in.acks, pingresp<<4, 0)
	return nil
}

// packet returns the next packet, raw and without its fixed header. Both are
// valid until the next call.
func (c *Conn) packet() (raw, body []byte, err error) {
	in := &c.in
	limit := in.packetLimit
	if limit == 0 {
		limit = c.limits.PacketBefore
	}
	for {
		b := in.buf[in.r:in.w]
		if len(b) >= 2 {
			length, n := varint(b[1:])
			total := 1 + n + int(length)
			switch {
			case n < 0:
				return nil, nil, Violation{Malformed, "the length of the packet is no variable byte integer"}
			case c.connect == nil && b[0]>>4 != connect:
				return nil, nil, errNotMQTT
			case n > 0 && total > limit:
				return nil, nil, Violation{TooLarge, fmt.Sprintf("the packet has %d bytes; at most %d are allowed", total, limit)}
			case n > 0 && total <= len(b):
				in.r += total
				return b[:total:total], b[1+n : total : total], nil
			case n > 0 && total > maxBuffer && len(b) >= maxBuffer/4:
				return c.large(total, 1+n)
			case n > 0: // Memory grows with what comes, not with what was announced.
				in.room(min(total, 4*len(b)))
			}
		}
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
}

// large reads a packet of total bytes that does not fit into the buffer, of which
// a part has come.
func (c *Conn) large(total, head int) (raw, body []byte, err error) {
	in := &c.in
	raw = append(make([]byte, 0, 2*maxBuffer), in.buf[in.r:in.w]...)
	in.r, in.w = 0, 0
	for len(raw) < total {
		if m := c.limits.NoMemory; m != nil && m.Load() {
			return nil, nil, Violation{QuotaExceeded, "there is no memory for large packets now"}
		}
		raw = slices.Grow(raw, 1)
		n, err := c.receive(raw[len(raw):min(cap(raw), total)], len(raw))
		if raw = raw[:len(raw)+n]; err != nil && len(raw) < total {
			return nil, nil, err
		}
	}
	return raw, raw[head:], nil
}

// room makes place for a packet of n bytes that begins at r.
func (in *inbound) room(n int) {
	if in.r+n <= len(in.buf) {
		return
	}
	buf := in.buf
	if n > len(buf) {
		size := len(buf)
		for size < n {
			size *= 4
		}
		buf = make([]byte, min(size, maxBuffer))
	}
	in.w = copy(buf, in.buf[in.r:in.w])
	in.r, in.buf = 0, buf
}

// fill reads more bytes. What came before is complete now: acknowledgements go
// out, receivers are woken.
func (c *Conn) fill() error {
	in := &c.in
	if in.r == in.w {
		in.r, in.w = 0, 0
		in.fit()
	} else if in.w == len(in.buf) {
		in.room(in.w - in.r + 1)
	}
	n, err := c.receive(in.buf[in.w:], in.w-in.r)
	in.w += n
	switch {
	case in.w == len(in.buf):
		in.small = -1
	case in.w < len(in.buf)/8:
		in.small++
	default:
		in.small = 0
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// fit lets the empty buffer grow or shrink with what the last read needed.
func (in *inbound) fit() {
	switch {
	case in.small < 0 && len(in.buf) < maxBuffer:
		in.buf = make([]byte, min(4*len(in.buf), maxBuffer))
		in.small = 0
	case in.small > 100 && len(in.buf) > minBuffer:
		in.buf = make([]byte, len(in.buf)/4)
		in.small = 0
	}
}

// receive ends a block of input and reads the next into p. have is how many bytes
// of the next packet are there already.
func (c *Conn) receive(p []byte, have int) (n int, err error) {
	in := &c.in
	now := time.Now()
	c.flush(now)
	if err := c.drain(); err != nil {
		return 0, err
	}
	limit := c.limit(have, now)
	for n == 0 {
		if err := c.waitUntil(limit, now); err != nil {
			return 0, err
		}
		n, err = c.readSocket(p)
		in.count.Bytes += uint64(n)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if now = time.Now(); !now.Before(limit) {
			return n, err
		}
		in.deadline = time.Time{}
	}
	return n, nil
}

func (c *Conn) readSocket(p []byte) (int, error) {
	if c.socket != nil {
		return c.socket.Read(p)
	}
	return c.Read(p)
}

// limit returns until when the next bytes must come. The rest of a packet must
// come at a rate: a client that sends a byte now and then would keep memory for
// ever.
func (c *Conn) limit(have int, now time.Time) time.Time {
	in := &c.in
	if have == 0 {
		in.begun = time.Time{}
		return now.Add(in.silence)
	}
	if in.begun.IsZero() {
		in.begun = now
	}
	late := c.limits.ConnectTimeout + time.Duration(have)*time.Second/time.Duration(c.limits.PacketRate)
	return in.begun.Add(min(late, in.silence))
}

// waitUntil sets the deadline of the socket. One that is too early stays: moving
// it for each read costs more than to wake up for nothing now and then.
func (c *Conn) waitUntil(limit, now time.Time) error {
	in := &c.in
	if in.silence == 0 || in.deadline.After(now) && !in.deadline.After(limit) {
		return nil
	}
	in.deadline = limit
	return c.setReadDeadline(limit)
}

// tooSlow returns the reason for the end of a connection that was silent.
func (c *Conn) tooSlow() Violation {
	if c.in.begun.IsZero() {
		return Violation{Reason: KeepAliveTimeout}
	}
	return Violation{ImplementationError, fmt.Sprintf("a packet must come at %d bytes a second", c.limits.PacketRate)}
}

// maxPending is how many bytes of answers may wait for a client that does not
// read them, before nothing more is read from it.
const maxPending = 64 << 10

// patience is how long a client may leave them unread, at most.
const patience = 5 * time.Minute

// drain waits until the client has read what was answered, as long as it may
// be silent.
func (c *Conn) drain() error {
	drained := c.overfull()
	if drained == nil {
		return nil
	}
	limit := time.NewTimer(min(c.in.silence, patience))
	defer limit.Stop()
	for ; drained != nil; drained = c.overfull() {
		select {
		case <-drained:
		case <-limit.C:
			return os.ErrDeadlineExceeded
		case <-c.closed:
			return net.ErrClosed
		}
	}
	return nil
}

// overfull returns a channel that is closed when answers are taken to be
// written, if too many wait.
func (c *Conn) overfull() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) <= maxPending {
		return nil
	}
	if c.drained == nil {
		c.drained = make(chan struct{})
	}
	return c.drained
}

// errLeft ends a connection whose client has said goodbye.
var errLeft = errors.New("the client has disconnected")

// errGoodbye ends a connection whose client gives a reason that only a server
// has. It is a protocol error, but it would be told to nobody: the client has
// said its last.
var errGoodbye = errors.New("the client has disconnected for a reason that only a server can have")

// disconnect handles DISCONNECT (section 3.14).
func (c *Conn) disconnect(body []byte) error {
	l, err := decodeDisconnect(body, c.connect.Version, c.limits)
	if err != nil {
		return err
	}
	if !l.reason.sent(disconnect) {
		return errGoodbye
	}
	if l.expiry != nil && *l.expiry > 0 && c.connect.sessionExpiry == 0 {
		// Section 3.14.2.2.2.
		return Violation{ProtocolError, "Session Expiry Interval was 0 at CONNECT, so it must stay 0"}
	}
	c.leaving = delivery.Leaving{Normal: l.reason == Success, Expiry: l.expiry}
	return errLeft
}
