package gate

import (
	"encoding/binary"
	"sync"
	"time"

	"edge/broker/delivery"
)

// batch is how many bytes of messages go out in one write, about.
const batch = 32 << 10

// scratch is what the writer needs while it writes; a connection that is idle
// has none.
type scratch struct {
	buf  []byte
	outs []delivery.Out
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// writeLoop is the one goroutine that writes to the socket.
func (c *Conn) writeLoop() {
	defer close(c.written)
	defer c.finish()
	s := scratches.Get().(*scratch)
	for {
		closing := c.collect(s)
		if len(s.buf) > 0 {
			if _, err := c.Conn.Write(s.buf); err != nil {
				_ = c.Close()
				return
			}
			s.tidy()
			continue
		}
		if closing {
			return
		}
		scratches.Put(s)
		<-c.wake
		s = scratches.Get().(*scratch)
	}
}

// tidy lets go of the messages and of unusually large memory.
func (s *scratch) tidy() {
	clear(s.outs)
	if cap(s.buf) > 8*batch {
		s.buf = nil
	}
}

// collect fills s.buf with what may be written now.
func (c *Conn) collect(s *scratch) (closing bool) {
	s.outs, s.buf = s.outs[:0], s.buf[:0]
	if c.isLive() {
		s.outs, _ = c.session.Next(c, s.outs, batch)
	}
	// The packets come after the messages were taken and before them in the
	// buffer: a SUBACK precedes the retained messages that follow from it.
	c.mu.Lock()
	c.unhold()
	s.buf = append(s.buf, c.out...)
	if len(c.out) > maxPending {
		select {
		case c.drained <- struct{}{}:
		default:
		}
	}
	if c.out = c.out[:0]; cap(c.out) > 4096 {
		c.out = nil
	}
	closing = c.closing
	c.mu.Unlock()
	for i := range s.outs {
		c.appendOut(s, &s.outs[i])
	}
	if len(s.outs) > 0 && len(s.buf) == 0 {
		c.Wake() // All were dropped; there may be more.
	}
	return closing
}

func (c *Conn) isLive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live && !c.closing
}

// unhold releases the acknowledgements whose records are safe.
func (c *Conn) unhold() {
	if len(c.held) == 0 {
		return
	}
	committed := c.engine.Journal().Committed()
	n := 0
	for ; n < len(c.held) && c.held[n].ticket <= committed; n++ {
		c.out = append(c.out, c.held[n].packet[:c.held[n].n]...)
	}
	c.held = append(c.held[:0], c.held[n:]...)
	if len(c.held) > 0 {
		c.engine.Await(c)
		if c.held[0].ticket <= c.engine.Journal().Committed() {
			c.Wake()
		}
	}
}

// appendOut appends a message or PUBREL. One that is too large for the client is
// dropped, as the specification asks (MQTT 5.0, section 3.1.2.11.4).
func (c *Conn) appendOut(s *scratch, o *delivery.Out) {
	if o.Release {
		s.buf = append(s.buf, pubrel<<4|2, 2, byte(o.ID>>8), byte(o.ID))
		return
	}
	start := len(s.buf)
	s.buf = appendPublish(s.buf, o, c.connect.Version)
	if limit := c.connect.maxPacket; limit > 0 && len(s.buf)-start > int(limit) {
		s.buf = s.buf[:start]
		if c.session.Discard(o.ID) {
			c.Wake()
		}
	}
}

// appendPublish appends o as a PUBLISH (section 3.3).
func appendPublish(b []byte, o *delivery.Out, version byte) []byte {
	m := o.Message
	head := byte(publish<<4) | o.QoS<<1
	if o.Dup {
		head |= 8
	}
	if o.Retain {
		head |= 1
	}
	length := 2 + len(m.Topic) + len(m.Payload)
	if o.QoS > 0 {
		length += 2
	}
	var props []byte
	if version == 5 {
		props = appendProperties(nil, o)
		length += varintLen(uint32(len(props))) + len(props)
	}
	b = appendVarint(append(b, head), uint32(length))
	b = appendText(b, m.Topic)
	if o.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, o.ID)
	}
	if version == 5 {
		b = append(appendVarint(b, uint32(len(props))), props...)
	}
	return append(b, m.Payload...)
}

// appendProperties appends the properties of a PUBLISH; most have none.
func appendProperties(b []byte, o *delivery.Out) []byte {
	m := o.Message
	if m.Expires != 0 {
		left := max(m.Expires-time.Now().Unix(), 1) // Section 3.3.2.3.3.
		b = binary.BigEndian.AppendUint32(append(b, messageExpiry), uint32(left))
	}
	if m.Props != nil {
		b = appendMessage(b, m.Props)
	}
	for _, id := range o.IDs {
		b = appendVarint(append(b, subscriptionID), id)
	}
	return b
}
