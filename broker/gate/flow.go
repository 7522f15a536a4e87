package gate

import (
	"edge/broker/journal"
)

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
