package broker

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"edge/broker/gate"
)

// A stream is what TCP and unix connections have in common.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// A socket is a connection as it was accepted. It is one of limits.connections
// from then until it is closed, so that those who never finish a handshake are
// bounded as well.
type socket struct {
	stream
	who  proxied // who the client is, if a proxy has said so
	peer string  // who the client is, if its certificate has said so
	b    *Broker
	gate *gate.Conn   // once MQTT may begin; b.mu guards it
	came int64        // Unix time in seconds, of when it was accepted
	last atomic.Int64 // no write may take longer than this: Unix time in nanoseconds, 0 is none
	left sync.Once

	listener *listener
	from     netip.Prefix // what it counts for; b.mu guards it and owner
	owner    string       // empty for nobody in particular
	known    bool         // who it is
}

// What the gate asks of a connection holds behind a proxy, too: not a byte is
// buffered here.
var _ stream = (*socket)(nil)

// RemoteAddr implements net.Conn: the client, not the proxy.
func (s *socket) RemoteAddr() net.Addr {
	if s.who.client != nil {
		return s.who.client
	}
	return s.stream.RemoteAddr()
}

// LocalAddr implements net.Conn: where the client has connected to.
func (s *socket) LocalAddr() net.Addr {
	if s.who.server != nil {
		return s.who.server
	}
	return s.stream.LocalAddr()
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if last := s.last.Load(); last != 0 && (t.IsZero() || t.UnixNano() > last) {
		t = time.Unix(0, last)
	}
	return s.stream.SetWriteDeadline(t)
}

// Close implements net.Conn, and makes room for another connection.
func (s *socket) Close() error {
	err := s.stream.Close()
	s.left.Do(func() { s.b.exit(s) })
	return err
}

// end ends the connection because the broker does. Nothing sets the gate any
// more.
func (s *socket) end() {
	if s.gate == nil {
		_ = s.Close()
		return
	}
	s.gate.End(gate.ShuttingDown)
}

// socketOf returns the socket that c, from greet, is made of.
func socketOf(c net.Conn) *socket {
	if t, ok := c.(tlsConn); ok {
		return t.socket
	}
	return c.(*socket)
}

// A tlsConn says goodbye in short: package tls would wait 5 seconds for a peer
// that does not read.
type tlsConn struct {
	*tls.Conn
	socket *socket
}

// goodbye is how long a peer that does not read can delay the end.
const goodbye = 200 * time.Millisecond

// CloseWrite sends close_notify (RFC 8446, section 6.1).
func (t tlsConn) CloseWrite() error {
	t.hurry()
	return t.Conn.CloseWrite()
}

// Close implements net.Conn.
func (t tlsConn) Close() error {
	t.hurry()
	return t.Conn.Close()
}

func (t tlsConn) hurry() { t.socket.last.CompareAndSwap(0, time.Now().Add(goodbye).UnixNano()) }

// Reasons to accept no connection.
var (
	errClosing = errors.New("the broker is closing")
	errFull    = errors.New("there are as many as limits.connections allows")
	errCrowded = errors.New("there are as many as connections of the listener allows")
	errMemory  = errors.New("the hub is near its memory budget")
)

// maxStrangers is how many connections there may be of whom nobody knows yet who
// they are, when there is no memory. Those who have a session must get in: they may
// be those who fetch what takes it.
const maxStrangers = 32

// enter counts c among the connections, unless there are too many.
func (b *Broker) enter(l *listener, c stream) (*socket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosing
	case len(b.conns) >= b.maxConnections:
		return nil, errFull
	case l.cfg.Connections > 0 && l.conns >= l.cfg.Connections:
		return nil, errCrowded
	case b.strangers >= maxStrangers && b.memory.full.Load() && l.at.network != "unix": // Who may repair things comes by that.
		return nil, errMemory
	}
	s := &socket{stream: c, b: b, listener: l, came: time.Now().Unix()}
	if !l.cfg.Proxy {
		if err := b.visit(s); err != nil {
			return nil, err
		}
	}
	b.conns[s] = struct{}{}
	b.strangers++
	l.conns++
	b.running.Add(1)
	return s, nil
}

// begin lets g serve the connection of s, unless the broker is closed. running
// counts it.
func (b *Broker) begin(s *socket, g *gate.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	s.gate = g
	b.running.Add(1)
	return true
}

// exit forgets s.
func (b *Broker) exit(s *socket) {
	b.mu.Lock()
	delete(b.conns, s)
	b.unclaim(s)
	b.mu.Unlock()
	b.running.Done()
}
