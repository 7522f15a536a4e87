package gate

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"time"

	"edge/broker/delivery"
	"edge/broker/journal"
)

// inbound is the state of the goroutine that reads a connection.
type inbound struct {
	buf         []byte
	r, w        int // buf[r:w] is not parsed yet
	small       int // reads in a row that used little of buf
	packetLimit int
	rest        []byte // of a packet that mochi reads
	fresh       []fresh
	deadline    time.Time
	keepAlive   time.Duration

	publisher *delivery.Publisher
	payloads  []byte             // block that payloads are copied into
	messages  []delivery.Message // block of messages
	acks      []byte             // acknowledgements, written at the end of a block of input
	holding   bool               // some wait for the journal, so later ones must
	wakeSelf  bool
}

// The read buffer grows with the traffic and shrinks with it.
const (
	minBuffer = 512
	maxBuffer = 64 << 10
)

// maxBlock is the size of a block of payloads of a busy connection, in bytes.
const maxBlock = 8 << 10

// Read implements net.Conn for mochi. It returns the bytes of one packet after
// another that is mochi's to handle; by the time it looks at the next packet,
// mochi is done with the one before.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.in.rest) == 0 {
		if err := c.step(); err != nil {
			return 0, c.fail(err)
		}
	}
	n := copy(p, c.in.rest)
	c.in.rest = c.in.rest[n:]
	return n, nil
}

// step reads and handles one packet.
func (c *Conn) step() error {
	if err := c.refused(); err != nil {
		return err
	}
	raw, body, err := c.packet()
	if err != nil {
		return err
	}
	typ := raw[0] >> 4
	if c.connect == nil {
		return c.first(raw[0], body)
	}
	if typ == publish {
		return c.publish(raw[0], body)
	}
	if raw[0]&15 != flagsOf[typ] {
		return Malformed
	}
	switch typ {
	case puback, pubrec, pubrel, pubcomp:
		return c.flow(typ, body)
	case subscribe:
		err = checkSubscribe(body, c.connect.Version)
	case unsubscribe:
		err = checkUnsubscribe(body, c.connect.Version)
	case pingreq:
		if len(body) > 0 {
			err = Malformed
		}
	case disconnect:
		return c.disconnect(body)
	default:
		err = ProtocolError // A second CONNECT, AUTH without a method, or a packet of a server.
	}
	c.in.rest = raw
	return err
}

// first handles CONNECT, which must be the first packet (section 3.1).
func (c *Conn) first(head byte, body []byte) error {
	if head != connect<<4 {
		return errNotMQTT
	}
	k, err := decodeConnect(body, c.limits)
	c.connect = k
	if err != nil {
		return err
	}
	// A client must send something within one and a half times its keep-alive
	// (section 3.1.2.10).
	c.in.keepAlive = time.Duration(k.keepAlive) * time.Second * 3 / 2
	c.in.deadline = time.Time{}
	if c.in.keepAlive == 0 {
		_ = c.setReadDeadline(time.Time{})
	}
	c.in.rest = k.plain()
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
				return nil, nil, Malformed
			case c.connect == nil && b[0] != connect<<4:
				return nil, nil, errNotMQTT
			case n > 0 && total > limit:
				return nil, nil, TooLarge
			case n > 0 && total <= len(b):
				in.r += total
				return b[:total:total], b[1+n : total : total], nil
			case n > 0 && total > maxBuffer:
				return c.large(total, 1+n)
			case n > 0:
				in.room(total)
			}
		}
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
	}
}

// large reads a packet of total bytes that does not fit into the buffer.
func (c *Conn) large(total, head int) (raw, body []byte, err error) {
	in := &c.in
	raw = make([]byte, total)
	n := copy(raw, in.buf[in.r:in.w])
	in.r, in.w = 0, 0
	for n < total {
		if err := c.beforeRead(); err != nil {
			return nil, nil, err
		}
		m, err := c.Conn.Read(raw[n:])
		if n += m; err != nil && n < total {
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
	if err := c.beforeRead(); err != nil {
		return err
	}
	n, err := c.Conn.Read(in.buf[in.w:])
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

// beforeRead ends a block of input.
func (c *Conn) beforeRead() error {
	c.flush()
	in := &c.in
	if err := c.drain(); err != nil || in.keepAlive == 0 {
		return err
	}
	now := time.Now()
	if in.deadline.Sub(now) > in.keepAlive*7/8 {
		return nil // Moving the deadline for each read costs more than it is worth.
	}
	in.deadline = now.Add(in.keepAlive)
	return c.setReadDeadline(in.deadline)
}

// maxPending is how many bytes of answers may wait for a client that does not
// read them, before nothing more is read from it.
const maxPending = 64 << 10

// drain waits until the client has read what was answered, as long as it may
// be silent.
func (c *Conn) drain() error {
	if !c.full() {
		return nil
	}
	patience := c.in.keepAlive
	if patience == 0 {
		patience = time.Minute
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for c.full() {
		select {
		case <-c.drained:
		case <-limit.C:
			return os.ErrDeadlineExceeded
		case <-c.closed:
			return net.ErrClosed
		}
	}
	return nil
}

func (c *Conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > maxPending
}

// disconnect handles DISCONNECT (section 3.14). Mochi gets a plain one.
func (c *Conn) disconnect(body []byte) error {
	l, err := decodeDisconnect(body, c.connect.Version)
	if err != nil {
		return err
	}
	if l.expiry != nil && *l.expiry > 0 && c.connect.sessionExpiry == 0 {
		return ProtocolError // Section 3.14.2.2.2.
	}
	c.leaving = delivery.Leaving{Normal: l.reason == Success, Expiry: l.expiry}
	c.in.rest = []byte{disconnect << 4, 0}
	return nil
}

// publish handles PUBLISH (section 3.3).
func (c *Conn) publish(head byte, body []byte) error {
	qos := head >> 1 & 3
	if qos == 3 || qos == 0 && head&8 != 0 || len(body) < 2 {
		return Malformed
	}
	off := 2 + int(binary.BigEndian.Uint16(body))
	if off > len(body) {
		return Malformed
	}
	name := body[2:off]
	var id uint16
	if qos > 0 {
		if len(body) < off+2 {
			return Malformed
		}
		if id = binary.BigEndian.Uint16(body[off:]); id == 0 {
			return ProtocolError
		}
		off += 2
	}
	var p *properties
	if c.connect.Version == 5 {
		switch {
		case off == len(body):
			return Malformed
		case body[off] == 0:
			off++
		default:
			cur := cursor{b: body[off:]}
			if p = cur.properties(publish); cur.err != nil {
				return cur.err
			}
			off = len(body) - len(cur.b)
		}
	}
	r, err := c.route(name, p)
	if err != nil {
		return err
	}
	if r.Topic[0] == '$' { // The broker's own topics (section 4.7.2).
		return c.forbid(qos, id)
	}
	m := c.message(r, body[off:])
	m.QoS, m.Retain = qos, head&1 != 0
	if p != nil {
		if err := describe(m, p); err != nil {
			return err
		}
	}
	return c.deliver(r, m, id)
}

// forbid answers a message that the client may not publish. Before MQTT 5 it
// can only be told that all is well.
func (c *Conn) forbid(qos byte, id uint16) error {
	c.log.Debug("message refused: topics that begin with $ are the broker's", "client", c.clientID())
	if qos == 0 {
		return nil
	}
	head := byte(puback << 4)
	if qos == 2 {
		head = pubrec << 4
	}
	return c.acknowledge(head, id, NotAuthorized, 0)
}

// route finds the receivers of a topic.
func (c *Conn) route(name []byte, p *properties) (*delivery.Route, error) {
	if p != nil && p.got(topicAlias) {
		return nil, BadTopicAlias // CONNACK announced none (section 3.2.2.3.8).
	}
	r, err := c.in.publisher.Route(name)
	switch {
	case err == nil:
		return r, nil
	case len(name) == 0:
		return nil, ProtocolError
	case !validText(name) || hasWildcard(string(name)):
		return nil, Malformed
	}
	return nil, BadTopic
}

// message takes a message from the block of messages and copies payload into
// the block of payloads: two allocations for many messages.
func (c *Conn) message(r *delivery.Route, payload []byte) *delivery.Message {
	in := &c.in
	if len(in.messages) == 0 {
		in.messages = make([]delivery.Message, 1+cap(in.payloads)/(maxBlock/63))
	}
	m := &in.messages[0]
	in.messages = in.messages[1:]
	m.Topic, m.Origin = r.Topic, c.connect.ClientID
	if n := len(payload); n > maxBlock/4 {
		m.Payload = append([]byte{}, payload...)
	} else {
		if cap(in.payloads)-len(in.payloads) < n {
			in.payloads = make([]byte, 0, max(n, min(maxBlock, max(256, 2*cap(in.payloads)))))
		}
		k := len(in.payloads)
		in.payloads = append(in.payloads, payload...)
		m.Payload = in.payloads[k : k+n : k+n]
		m.Borrowed = true
	}
	return m
}

// describe gives m its properties.
func describe(m *delivery.Message, p *properties) error {
	if p.message.Text && !validText(m.Payload) {
		return BadPayload
	}
	if p.got(messageExpiry) {
		m.Expires = time.Now().Unix() + int64(p.messageExpiry)
	}
	if p.has&^(1<<messageExpiry) != 0 {
		m.Props = &p.message
	}
	return nil
}

// deliver publishes m and acknowledges it (section 4.3).
func (c *Conn) deliver(r *delivery.Route, m *delivery.Message, id uint16) error {
	if m.QoS == 2 {
		fresh, t, ok := c.session.Own(id)
		if !ok {
			return ReceiveMaximum
		}
		if !fresh {
			return c.acknowledge(pubrec<<4, id, Success, t)
		}
	}
	t, verdict := c.in.publisher.Publish(r, m, id)
	if m.QoS == 0 {
		return nil
	}
	reason, err := c.reasonFor(verdict)
	if m.QoS == 2 {
		if reason >= Unspecified || err != nil {
			c.session.Disown(id)
		} else {
			c.session.Owned(id, t)
		}
	}
	if err != nil {
		return err
	}
	if m.QoS == 1 {
		return c.acknowledge(puback<<4, id, reason, t)
	}
	return c.acknowledge(pubrec<<4, id, reason, t)
}

// reasonFor says how a verdict is told to the publisher. Before MQTT 5 there is
// no way to refuse a message but to close the connection.
func (c *Conn) reasonFor(v delivery.Verdict) (Reason, error) {
	switch v {
	case delivery.NoSubscribers:
		return NoSubscribers, nil
	case delivery.Refused:
		if c.connect.Version < 5 {
			return Success, nil // It is told on the topic of results.
		}
		return ImplementationError, nil
	case delivery.Full, delivery.Unavailable:
		if c.connect.Version < 5 {
			return 0, QuotaExceeded
		}
		return QuotaExceeded, nil
	}
	return Success, nil
}

// flow handles the packets that answer others (sections 3.4 to 3.7).
func (c *Conn) flow(typ byte, body []byte) error {
	id, r, err := decodeAck(typ, body, c.connect.Version)
	if err != nil {
		return err
	}
	s := c.session
	switch typ {
	case puback:
		c.acknowledged(s.Acknowledge(id, 1))
	case pubcomp:
		c.acknowledged(s.Acknowledge(id, 2))
	case pubrec:
		if r >= Unspecified {
			c.acknowledged(s.Acknowledge(id, 2)) // The client does not want it (section 4.3.3).
			return nil
		}
		t, found := s.Receive(id)
		return c.acknowledge(pubrel<<4|2, id, known(found), t)
	case pubrel:
		t, found := s.Release(id)
		return c.acknowledge(pubcomp<<4, id, known(found), t)
	}
	return nil
}

func (c *Conn) acknowledged(wake bool) { c.in.wakeSelf = c.in.wakeSelf || wake }

func known(found bool) Reason {
	if found {
		return Success
	}
	return UnknownID
}

// acknowledge sends an acknowledgement when t is committed, after all earlier
// ones (section 4.6).
func (c *Conn) acknowledge(head byte, id uint16, r Reason, t journal.Ticket) error {
	h := held{ticket: t, n: 4, packet: [5]byte{head, 2, byte(id >> 8), byte(id)}}
	if r != Success && c.connect.Version == 5 {
		h.packet[1], h.packet[4], h.n = 3, byte(r), 5
	}
	if !c.in.holding && (t == 0 || t <= c.engine.Journal().Committed()) {
		c.in.acks = append(c.in.acks, h.packet[:h.n]...)
		return nil
	}
	return c.hold(h)
}

// hold puts an acknowledgement behind those that wait for the journal.
func (c *Conn) hold(h held) error {
	c.flushAcks()
	c.mu.Lock()
	c.held = append(c.held, h)
	c.in.holding = true
	n, oldest := len(c.held), c.held[0].ticket
	c.mu.Unlock()
	c.engine.Await(c)
	if h.ticket <= c.engine.Journal().Committed() {
		c.Wake()
	}
	switch {
	case n <= c.limits.ReceiveMaximum:
		return nil
	case c.connect.Version == 5 && n > 2*c.limits.ReceiveMaximum: // PUBCOMP does not count.
		return ReceiveMaximum
	}
	// Older versions know no receive maximum; their clients are read more slowly.
	c.engine.Wait(c.closed, oldest)
	return nil
}

// flush ends a block of input: acknowledgements go to the writer, receivers are
// woken.
func (c *Conn) flush() {
	if c.in.publisher != nil {
		c.in.publisher.Flush()
	}
	if c.in.wakeSelf {
		c.in.wakeSelf = false
		c.Wake()
	}
	c.flushAcks()
}

func (c *Conn) flushAcks() {
	if len(c.in.acks) == 0 && !c.in.holding {
		return
	}
	c.mu.Lock()
	c.out = append(c.out, c.in.acks...)
	c.in.holding = len(c.held) > 0
	c.mu.Unlock()
	if len(c.in.acks) > 0 {
		c.in.acks = c.in.acks[:0]
		c.Wake()
	}
}
