package gate

import (
	"encoding/binary"
	"sync"
	"syscall"

	"edge/broker/delivery"
)

// batch is how many bytes of messages go out in one write, about.
const batch = 32 << 10

// directly is how many bytes one goroutine writes for the connection of another.
const directly = 16 << 10

// A scratch is what a writer needs while it writes; a connection that is idle has
// none.
type scratch struct {
	buf   []byte
	outs  []delivery.Out
	count count
	write func(fd uintptr) bool // s.try, made once
	n     int                   // what try wrote of buf
	err   error
}

var scratches = sync.Pool{New: func() any {
	s := new(scratch)
	s.write = s.try
	return s
}}

// done lets go of the messages and of unusually large memory.
func (s *scratch) done() {
	clear(s.outs)
	s.outs, s.buf = s.outs[:0], s.buf[:0]
	if cap(s.buf) > 8*batch {
		s.buf = nil
	}
}

// Wake implements delivery.Link.
func (c *Conn) Wake() {
	if c.claim() {
		go c.writeOn(nil)
	}
}

// claim reports whether the caller is the one who writes now. If not, the one who
// does will look again.
func (c *Conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.again = true
	if c.writing {
		return false
	}
	c.writing = true
	return true
}

// goOn reports whether there may be something to write. If not, the caller is no
// longer the one who writes.
func (c *Conn) goOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing, c.again = c.again, false
	return c.writing
}

// push is Wake for a goroutine that reads a connection and holds no locks: it
// writes what the socket takes at once, and only leaves the rest to a goroutine
// of its own. That saves a change of goroutines for most messages.
func (c *Conn) push() {
	if !c.claim() {
		return
	}
	if c.socket == nil {
		go c.writeOn(nil)
		return
	}
	s := scratches.Get().(*scratch)
	for total := 0; c.goOn(); {
		closing := c.collect(s, directly)
		total += len(s.buf)
		if closing || total > directly || !c.tryWrite(s) {
			go c.writeOn(s)
			return
		}
	}
	scratches.Put(s)
}

// tryWrite writes s.buf as far as the socket takes it without waiting, leaves
// the rest in s.buf, and reports whether there is none.
func (c *Conn) tryWrite(s *scratch) bool {
	s.n, s.err = 0, nil
	if err := c.socket.raw.Write(s.write); err != nil || s.err != nil {
		_ = c.Close()
		return false
	}
	c.wrote(s, s.n)
	if s.n == len(s.buf) {
		s.done()
		return true
	}
	s.buf = append(s.buf[:0], s.buf[s.n:]...)
	return false
}

// try implements the function of syscall.RawConn.Write; that it returns true
// means not to wait.
func (s *scratch) try(fd uintptr) bool {
	for s.n < len(s.buf) {
		n, err := call(syscall.SYS_WRITE, fd, s.buf[s.n:])
		if err != 0 {
			if err != syscall.EAGAIN {
				s.err = err
			}
			return true
		}
		s.n += n
	}
	return true
}

// writeOn writes what is in s, and then until there is nothing to write. It
// closes the socket when the connection is closing.
func (c *Conn) writeOn(s *scratch) {
	if s == nil {
		s = scratches.Get().(*scratch)
	}
	for len(s.buf) > 0 || c.goOn() {
		if len(s.buf) == 0 {
			closing := c.collect(s, batch)
			if closing && len(s.buf) == 0 {
				c.finish()
				break
			}
		}
		c.write(s)
	}
	scratches.Put(s)
}

// write writes s.buf, waiting for the socket if need be.
func (c *Conn) write(s *scratch) {
	if len(s.buf) > 0 && (c.socket == nil || !c.tryWrite(s)) {
		n, err := c.Conn.Write(s.buf)
		if err != nil {
			_ = c.Close()
		}
		c.wrote(s, n)
	}
	s.done()
}

// wrote counts n bytes of s.buf, and the packets in it.
func (c *Conn) wrote(s *scratch, n int) {
	s.count.Bytes = uint64(n)
	c.limits.Counters.sent.add(&s.count)
}

// collect fills s.buf with what may be written now, up to about limit bytes. If
// that is anything, there may be more.
func (c *Conn) collect(s *scratch, limit int) (closing bool) {
	if c.isLive() {
		var ok bool
		if s.outs, ok = c.session.Next(c, s.outs, limit); !ok {
			c.End(ServerBusy) // Unless it has ended already.
		}
	}
	// The packets come after the messages were taken and before them in the
	// buffer: a SUBACK precedes the retained messages that follow from it.
	c.mu.Lock()
	c.unhold()
	s.buf = append(s.buf, c.out...)
	s.count.packets(c.out)
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
	if c.out = c.out[:0]; cap(c.out) > 4096 {
		c.out = nil
	}
	closing = c.closing
	c.again = c.again || closing || len(s.buf)+len(s.outs) > 0
	c.mu.Unlock()
	for i := range s.outs {
		c.appendOut(s, &s.outs[i])
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
		c.again = c.again || c.held[0].ticket <= c.engine.Journal().Committed()
	}
}

// appendOut appends a message or PUBREL. One that is too large for the client is
// dropped, as the specification asks (MQTT 5.0, section 3.1.2.11.4).
func (c *Conn) appendOut(s *scratch, o *delivery.Out) {
	if o.Release {
		s.buf = append(s.buf, pubrel<<4|2, 2, byte(o.ID>>8), byte(o.ID))
		s.count.Packets++
		return
	}
	a := c.aliases.of(o.Message.Topic, c.connect.aliases)
	fits := c.appendFitting(s, o, a)
	if !fits && a.id > 0 && !a.known { // Without the three bytes of a new alias it may fit.
		c.aliases.forget(a.id)
		fits = c.appendFitting(s, o, alias{})
	}
	if !fits {
		c.session.Discard(c, o.ID)
	}
}

// appendFitting appends o unless it is too large for the client.
func (c *Conn) appendFitting(s *scratch, o *delivery.Out, a alias) bool {
	start := len(s.buf)
	s.buf = appendPublish(s.buf, o, c.connect.Version, a)
	if c.connect.fits(len(s.buf) - start) {
		s.count.Packets++
		s.count.message(o.QoS, len(o.Message.Payload))
		return true
	}
	s.buf = s.buf[:start]
	return false
}

// appendPublish appends o as a PUBLISH (section 3.3), with a in place of its
// topic or beside it.
func appendPublish(b []byte, o *delivery.Out, version byte, a alias) []byte {
	m := o.Message
	head := byte(publish<<4) | o.QoS<<1
	if o.Dup {
		head |= 8
	}
	if o.Retain {
		head |= 1
	}
	name := m.Topic
	if a.known {
		name = ""
	}
	length := 2 + len(name) + len(m.Payload)
	if o.QoS > 0 {
		length += 2
	}
	var props []byte
	if version == 5 {
		props = appendProperties(nil, o, a)
		length += varintLen(uint32(len(props))) + len(props)
	}
	b = appendVarint(append(b, head), uint32(length))
	b = appendText(b, name)
	if o.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, o.ID)
	}
	if version == 5 {
		b = append(appendVarint(b, uint32(len(props))), props...)
	}
	return append(b, m.Payload...)
}

// appendProperties appends the properties of a PUBLISH; most have none.
func appendProperties(b []byte, o *delivery.Out, a alias) []byte {
	m := o.Message
	if a.id > 0 {
		b = binary.BigEndian.AppendUint16(append(b, topicAlias), a.id)
	}
	if m.Expires != 0 {
		left := max(o.Left, 1) // Section 3.3.2.3.3.
		b = binary.BigEndian.AppendUint32(append(b, messageExpiry), left)
	}
	if m.Props != nil {
		b = appendMessage(b, m.Props)
	}
	for _, id := range o.IDs {
		b = appendVarint(append(b, subscriptionID), id)
	}
	return b
}
