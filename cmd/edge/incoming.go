package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// What a broker may send, unless the user says something else with -D connect.
const (
	maxIncoming = 16 << 20 // bytes of a packet

	// maxUnread is how many messages wait to be printed. paho has room for as many,
	// even at QoS 0, and stops reading then.
	maxUnread = 20
)

// frames reads the packets of a broker. It looks at the length of each before it
// passes it on: paho takes the memory for whatever length is announced, and panics
// at one that is no length. Nothing else in a packet makes it do so.
type frames struct {
	r    *bufio.Reader
	most int // bytes of a packet
	left int // of the packet that is being read
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	if f.left == 0 {
		if err := f.begin(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	return n, err
}

// begin reads ahead as far as the length of the next packet (MQTT 5.0, section
// 2.1.4).
func (f *frames) begin() error {
	for n := 2; n <= 5; n++ {
		head, err := f.r.Peek(n)
		switch {
		case errors.Is(err, io.EOF) && len(head) > 0:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case head[n-1] >= 0x80:
			continue
		}
		length, _ := binary.Uvarint(head[1:])
		if f.left = n + int(length); f.left > f.most {
			return fmt.Errorf("the broker announces a packet of %d bytes, and at most %d were asked for; -D connect maximum-packet-size has it send others", f.left, f.most)
		}
		return nil
	}
	return errors.New("the broker sent a packet whose length is none; it does not speak MQTT")
}

// limitIncoming tells the broker how much may come, unless the user has.
func (r *remote) limitIncoming() {
	c := &r.properties.connect
	if most := uint32(maxIncoming); c.MaximumPacketSize == nil {
		c.MaximumPacketSize = &most
	}
	if most := uint16(maxUnread); c.ReceiveMaximum == nil {
		c.ReceiveMaximum = &most
	}
}

// A framedConn is the connection of a link. Its buffer saves a system call for each
// field that is read.
type framedConn struct {
	net.Conn
	in      frames
	timeout time.Duration // for a broker to take something
}

// framed returns c with the limits of limitIncoming.
func (r *remote) framed(c net.Conn) *framedConn {
	most := int(min(*r.properties.connect.MaximumPacketSize, math.MaxInt32))
	return &framedConn{c, frames{r: bufio.NewReaderSize(c, 64<<10), most: most}, r.timeout}
}

func (c *framedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write implements net.Conn. A broker that stops reading ends it.
func (c *framedConn) Write(p []byte) (n int, err error) {
	for rest := p; len(rest) > 0 && err == nil; rest = p[n:] {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout))
		var some int
		some, err = c.Conn.Write(rest[:min(len(rest), 64<<10)])
		n += some
	}
	return n, err
}

// A steady session is one of paho's that does not panic: version 0.23 does at a
// PUBREC that is handled while the connection ends, since it has none to answer on.
type steady struct{ session.SessionManager }

// PacketReceived implements session.SessionManager.
func (s steady) PacketReceived(p *packets.ControlPacket, messages chan<- *packets.Publish) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("handle %s: %v", p.PacketType(), r)
		}
	}()
	return s.SessionManager.PacketReceived(p, messages)
}

// A brief session ends with its connection, and so does whoever waits for an answer.
type brief struct{ *state.State }

func newBrief() session.SessionManager { return brief{state.NewInMemory()} }

// ConnectionLost implements session.SessionManager.
func (b brief) ConnectionLost(d *packets.Disconnect) error {
	return errors.Join(b.State.ConnectionLost(d), b.Close())
}
