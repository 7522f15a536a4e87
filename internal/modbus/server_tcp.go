package modbus

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Limits bounds what clients of ServeTCP may take.
type Limits struct {
	Connections int                 // at once; 0: 16
	Idle        time.Duration       // without a request; 0: 2 minutes
	Write       time.Duration       // for a reply that the client does not take; 0: 5 s
	Allow       func(net.Addr) bool // who may connect; nil: everybody
}

func (l Limits) withDefaults() Limits {
	if l.Connections <= 0 {
		l.Connections = 16
	}
	if l.Idle <= 0 {
		l.Idle = 2 * time.Minute
	}
	if l.Write <= 0 {
		l.Write = 5 * time.Second
	}
	return l
}

// ServeTCP is a server of Modbus TCP. It closes l when ctx ends, and returns
// nil then, when all connections are closed, too; otherwise the error of l. A
// connection beyond the limit takes the place of the quietest from the same
// host, as one that comes back after its power was cut must, or is closed.
func ServeTCP(ctx context.Context, l net.Listener, h Handler, limits Limits) error {
	s := &tcpServer{handler: h, limits: limits.withDefaults(), conns: map[net.Conn]time.Time{}}
	ctx, cancel := context.WithCancel(ctx)
	defer s.done.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(ctx, conn)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Without descriptors, say. It heals, or the listener is gone.
		if pause = max(2*pause, 5*time.Millisecond); pause > time.Second {
			return err
		}
		if wait(ctx, pause) != nil {
			return nil
		}
	}
}

type tcpServer struct {
	handler Handler
	limits  Limits
	done    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]time.Time // since when each is quiet
}

// start serves conn, or closes it.
func (s *tcpServer) start(ctx context.Context, conn net.Conn) {
	if s.limits.Allow != nil && !s.limits.Allow(conn.RemoteAddr()) || !s.admit(conn) {
		conn.Close()
		return
	}
	s.done.Go(func() {
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		s.serve(conn)
		stop()
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	})
}

// admit makes room for conn and reports whether there is some.
func (s *tcpServer) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= s.limits.Connections {
		old := s.quietest(host(conn))
		if old == nil {
			return false
		}
		old.Close()
		delete(s.conns, old)
	}
	s.conns[conn] = time.Now()
	return true
}

func (s *tcpServer) quietest(from string) (found net.Conn) {
	for c, since := range s.conns {
		if host(c) == from && (found == nil || since.Before(s.conns[found])) {
			found = c
		}
	}
	return found
}

func host(c net.Conn) string {
	h, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return h
}

// serve answers one request after the other. A frame that is none ends the
// connection: there is no way to find the next one.
func (s *tcpServer) serve(conn net.Conn) {
	var rx, tx []byte
	tmp := make([]byte, mbapSize+MaxPDU)
	since := time.Now() // a client that sends a byte now and then is idle, too
	for {
		f, size, err := DecodeTCP(rx)
		if err != nil {
			return
		}
		if size == 0 {
			_ = conn.SetReadDeadline(since.Add(s.limits.Idle))
			n, err := conn.Read(tmp)
			if n == 0 && err != nil {
				return
			}
			rx = append(rx, tmp[:n]...)
			continue
		}
		since = s.busy(conn)
		if reply := answer(s.handler, f.Unit, f.PDU); reply != nil {
			tx = AppendTCP(tx[:0], f.Transaction, f.Unit, reply)
			_ = conn.SetWriteDeadline(time.Now().Add(s.limits.Write))
			if _, err := conn.Write(tx); err != nil {
				return
			}
		}
		rx = append(rx[:0], rx[size:]...)
	}
}

// busy notes that conn was of use.
func (s *tcpServer) busy(conn net.Conn) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if _, ok := s.conns[conn]; ok { // else its place was given away
		s.conns[conn] = now
	}
	return now
}
