package uart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A tcpConn is a conn to a serial server that passes every byte unchanged, such
// as ser2net in raw mode and the bridges that people flash on an ESP32. The line
// is set at the far side.
type tcpConn struct {
	*net.TCPConn
	name string
}

var _ conn = (*tcpConn)(nil)

// dial connects to s. The far side has its time-out to answer; afterwards, and
// for as long, it may be silent to probes.
func dial(ctx context.Context, s source) (*tcpConn, error) {
	timeout, err := s.timeout()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: timeout, KeepAliveConfig: probes(timeout)}
	c, err := d.DialContext(ctx, "tcp", s.host)
	if err = netError(err); errors.Is(err, unix.ECONNREFUSED) {
		return nil, fmt.Errorf("%w; nobody listens there", err)
	} else if err != nil {
		return nil, err
	}
	t := &tcpConn{c.(*net.TCPConn), s.name()}
	// Bytes that nobody acknowledges would be sent again for a quarter of an
	// hour (tcp(7), TCP_USER_TIMEOUT). With it, probes also end after this time,
	// not after their count: it is shorter, so that the last one is in time.
	err = t.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()*4/5))
	})
	if err == nil && s.token != "" {
		_, err = t.Write([]byte(s.token + "\n"))
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// probes spreads those of TCP over the time in which a dead peer is found.
func probes(timeout time.Duration) net.KeepAliveConfig {
	return net.KeepAliveConfig{
		Enable: true, Idle: max(timeout/3, time.Second), Interval: max(timeout/8, time.Second), Count: 5,
	}
}

func (t *tcpConn) Name() string { return t.name }

func (t *tcpConn) Read(b []byte) (int, error) {
	n, err := t.TCPConn.Read(b)
	return n, netError(err)
}

func (t *tcpConn) Write(b []byte) (int, error) {
	n, err := t.TCPConn.Write(b)
	return n, netError(err)
}

// The deadlines of a closed connection say so by the name that they have elsewhere.
func (t *tcpConn) SetDeadline(at time.Time) error { return netError(t.TCPConn.SetDeadline(at)) }

func (t *tcpConn) SetReadDeadline(at time.Time) error { return netError(t.TCPConn.SetReadDeadline(at)) }

func (t *tcpConn) SetWriteDeadline(at time.Time) error {
	return netError(t.TCPConn.SetWriteDeadline(at))
}

// unsent counts what the far side has not acknowledged (tcp(7), SIOCOUTQ). When
// its line has sent it, raw TCP does not tell.
func (t *tcpConn) unsent() (n int, err error) {
	err = t.control(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	return n, err
}

// discard does nothing: what TCP has taken cannot be taken back.
func (t *tcpConn) discard() error { return nil }

func (t *tcpConn) control(do func(fd int) error) error {
	rc, err := t.SyscallConn()
	if err != nil {
		return netError(err)
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return os.ErrClosed
	}
	return inner
}

// netError takes away the addresses that package net puts around a cause, and
// has one name for a connection that this side has closed.
func netError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, net.ErrClosed) {
		return os.ErrClosed
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("look up %s: %s", dns.Name, dns.Err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		return call.Err
	}
	return err
}

// hungUp reports whether err means that the far side of a port is gone: what
// the kernel says of terminals and of connections. End of file means nothing
// else, since VMIN is 1 and the descriptor does not block.
func hungUp(err error) bool {
	for _, e := range []error{
		io.EOF,
		unix.EIO, unix.ENODEV, unix.ENXIO,
		unix.ECONNRESET, unix.EPIPE, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.ECONNABORTED,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
