package gate

import (
	"fmt"
	"time"

	"edge/broker/delivery"
	"edge/broker/journal"
)

// flow handles the packets that answer others (sections 3.4 to 3.7).
func (c *Conn) flow(typ byte, body []byte) error {
	id, r, err := decodeAck(typ, body, c.connect.Version, c.limits)
	if err != nil {
		return err
	}
	s := c.session
	wake, fits := false, true
	switch typ {
	case puback:
		wake, fits = s.Acknowledge(id, 1)
	case pubcomp:
		wake, fits = s.Complete(id)
	case pubrec:
		if r >= Unspecified {
			wake, fits = s.Acknowledge(id, 2) // The client does not want it (section 4.3.3).
			break
		}
		// An identifier that is not known is no error: the flow may have ended
		// before its last packet was lost. So it is not said (section 3.6.2.1).
		var t journal.Ticket
		if t, _, fits = s.Receive(id); fits {
			return c.acknowledge(pubrel<<4|2, id, Violation{}, t)
		}
	case pubrel:
		c.in.repeat = repeat{}
		t, _ := s.Release(id)
		return c.acknowledge(pubcomp<<4, id, Violation{}, t)
	}
	if !fits { // It would never end its flow (section 4.3).
		return Violation{ProtocolError, fmt.Sprintf("packet type %d does not answer message %d in its flow", typ, id)}
	}
	c.in.pushSelf = c.in.pushSelf || wake
	return nil
}

// acknowledge sends an acknowledgement when t is committed, after all earlier
// ones (section 4.6).
func (c *Conn) acknowledge(head byte, id uint16, v Violation, t journal.Ticket) error {
	h := held{ticket: t, n: 4, packet: [5]byte{head, 2, byte(id >> 8), byte(id)}}
	if v.Reason != Success && c.connect.Version == 5 {
		h.packet[1], h.packet[4], h.n = 3, byte(v.Reason), 5
	}
	if c.in.holding || t > 0 && t > c.engine.Journal().Committed() {
		return c.hold(h)
	}
	if v.Detail != "" && h.n == 5 {
		if p := c.connect.appendReason(nil, v.Detail, 6); len(p) > 0 {
			c.in.acks = appendWithProperties(c.in.acks, head>>4, h.packet[2:5], p)
			return nil
		}
	}
	c.in.acks = append(c.in.acks, h.packet[:h.n]...)
	return nil
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
	if n >= c.limits.ReceiveMaximum {
		c.engine.Journal().Hurry() // The client waits, and sends nothing more.
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

// flush ends a block of input: acknowledgements and the messages of others are
// written. A busy connection leaves that to goroutines that run when it waits for
// more input, so that they find more to write at once; otherwise the shortest way
// is to write here and now.
func (c *Conn) flush(now time.Time) {
	c.limits.Counters.received.add(&c.in.count)
	c.flushAcks()
	p := c.in.publisher
	waiting := p != nil && p.Waiting()
	if !waiting && !c.in.pushSelf {
		return
	}
	busy := now.Sub(c.in.flushed) < rush
	c.in.flushed = now
	switch {
	case waiting && busy:
		p.Flush()
	case waiting:
		p.FlushTo(rouse)
	}
	if c.in.pushSelf {
		c.in.pushSelf = false
		if busy {
			c.Wake()
		} else {
			c.push()
		}
	}
}

const (
	// rush is how soon after a block of input the next one comes on a busy
	// connection.
	rush = 500 * time.Microsecond

	// pushes is how many receivers the goroutine that has read a block of
	// messages writes to; it leaves the others to goroutines of their own.
	pushes = 4
)

// rouse has the n-th receiver of a block of messages write them.
func rouse(n int, l delivery.Link) {
	if c, ok := l.(*Conn); ok && n < pushes {
		c.push()
		return
	}
	l.Wake()
}

// flushAcks hands acknowledgements over to whoever writes.
func (c *Conn) flushAcks() {
	if len(c.in.acks) == 0 && !c.in.holding {
		return
	}
	c.mu.Lock()
	c.out = append(c.out, c.in.acks...)
	c.in.holding = len(c.held) > 0
	c.mu.Unlock()
	c.in.pushSelf = c.in.pushSelf || len(c.in.acks) > 0
	c.in.acks = c.in.acks[:0]
}
