package metrics

import (
	"net"
	"sync"
)

// limit returns l with at most n connections open at once; others wait in the
// kernel.
func limit(l net.Listener, n int) net.Listener { return &limited{l, make(chan struct{}, n)} }

type limited struct {
	net.Listener
	open chan struct{} // has a token for each connection
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	l.open <- struct{}{} // http.Server closes its connections, and so ends this.
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{c, sync.OnceFunc(func() { <-l.open })}, nil
}

type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
