package modbus_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"edge/internal/modbus"
)

// line ties a client to a server by a pipe, within a bubble of synctest.
func line(t *testing.T, f modbus.Framing, timing modbus.Timing, h modbus.Units) *modbus.Client {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if f == modbus.TCP {
		l := &once{conn: far, closed: make(chan struct{})}
		go func() { done <- modbus.ServeTCP(ctx, l, h, modbus.Limits{}) }()
	} else {
		go func() { done <- modbus.ServeStream(ctx, far, f, timing, h.Has, h) }()
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
		near.Close()
		far.Close()
	})
	return modbus.NewClient(near, f, timing)
}

// once is a listener to which one connection is made.
type once struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *once) Close() error   { close(l.closed); return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// is fails if err is not want.
func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
