package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"edge/bench/wire"
)

// handshake bounds how long a broker may take to answer CONNECT or SUBSCRIBE.
const handshake = 10 * time.Second

// readSize is how much a connection reads at once, in bytes.
const readSize = 64 << 10

// A Conn is an MQTT 3.1.1 connection that reads and writes many packets with
// one system call each.
type Conn struct {
	net.Conn
	buf  []byte
	used int // bytes of buf that hold the beginning of a packet
}

// Dial connects to a broker at addr, host and port, and returns when it has
// accepted the session.
func Dial(ctx context.Context, addr, clientID string) (*Conn, error) {
	return Login{Session: wire.Session{ClientID: clientID}}.Dial(ctx, addr)
}

// A Login is how a client comes in.
type Login struct {
	wire.Session
	TLS *tls.Config // nil: none
}

// Dial connects to a broker at addr, host and port, and returns when it has
// accepted the session.
func (l Login) Dial(ctx context.Context, addr string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: nc}
	if err := l.enter(c); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("connect %s to %s: %w", l.ClientID, addr, err)
	}
	return c, nil
}

// enter does what comes before a client may do anything.
func (l Login) enter(c *Conn) error {
	_ = c.SetDeadline(time.Now().Add(handshake))
	if l.TLS != nil {
		t := tls.Client(c.Conn, l.TLS)
		c.Conn = t
		if err := t.Handshake(); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
	}
	p, err := c.ask(wire.AppendConnect(nil, l.Session), wire.Connack)
	if err == nil && (len(p.Body) != 2 || p.Body[1] != 0) {
		err = fmt.Errorf("refused: CONNACK % x", p.Body)
	}
	if err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// Subscribe returns when the broker has granted filter at qos.
func (c *Conn) Subscribe(filter string, qos byte) error {
	const id = 1
	if _, err := c.Write(wire.AppendSubscribe(nil, id, filter, qos)); err != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	p, err := c.await(wire.Suback)
	if err == nil && (len(p.Body) != 3 || p.Body[2] != qos) {
		err = fmt.Errorf("refused: SUBACK % x", p.Body)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return nil
}

// Batch reads once and calls handle for each packet that is then complete.
// The packets share the connection's buffer and are valid only within handle.
func (c *Conn) Batch(handle func(wire.Packet) error) error {
	if c.buf == nil {
		c.buf = make([]byte, readSize)
	}
	if c.used == len(c.buf) {
		return fmt.Errorf("packet of more than %d bytes", len(c.buf))
	}
	n, err := c.Read(c.buf[c.used:])
	if n == 0 && err != nil {
		return err
	}
	rest := c.buf[:c.used+n]
	for {
		p, behind, err := wire.Next(rest)
		if errors.Is(err, wire.ErrShort) {
			c.used = copy(c.buf, rest)
			return nil
		}
		if err != nil {
			return err
		}
		if err := handle(p); err != nil {
			return err
		}
		rest = behind
	}
}

func (c *Conn) ask(request []byte, answer wire.Type) (wire.Packet, error) {
	if _, err := c.Write(request); err != nil {
		return wire.Packet{}, err
	}
	return c.await(answer)
}

// await reads exactly one packet, byte by byte, so that nothing behind it is
// taken from Batch and idle connections own no buffer.
func (c *Conn) await(t wire.Type) (wire.Packet, error) {
	_ = c.SetReadDeadline(time.Now().Add(handshake))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var b []byte
	for {
		var one [1]byte
		if _, err := c.Read(one[:]); err != nil {
			return wire.Packet{}, err
		}
		b = append(b, one[0])
		p, _, err := wire.Next(b)
		if errors.Is(err, wire.ErrShort) {
			continue
		}
		if err == nil && p.Type != t {
			err = fmt.Errorf("got packet type %d, want %d", p.Type, t)
		}
		return p, err
	}
}
