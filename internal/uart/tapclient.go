package uart

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A tapClient is one connection to a tap.
type tapClient struct {
	tap    *Tap
	conn   net.Conn
	server *comServer // nil unless the protocol is RFC 2217
	wanted Config     // how the client wants the line while it has it; used under mu

	mu    sync.Mutex
	ready bool // the line is shown to it
	queue []byte
	wake  chan struct{} // queue has something
}

func newTapClient(t *Tap, conn net.Conn) *tapClient {
	return &tapClient{tap: t, conn: conn, wanted: t.line, wake: make(chan struct{}, 1)}
}

// run serves the client until it leaves, is dropped, or ctx ends.
func (c *tapClient) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	defer c.conn.Close()
	if !c.known(ctx) {
		return
	}
	c.tap.log.Info("tap: client connected", "peer", c.conn.RemoteAddr().String())
	c.greet()
	writing, stop := context.WithCancel(ctx)
	var g sync.WaitGroup
	g.Go(func() {
		defer c.conn.Close()
		c.write(writing)
	})
	in, carried := make(chan []byte), make(chan struct{})
	g.Go(func() {
		defer close(carried)
		defer c.conn.Close()
		if err := c.tap.carry(ctx, c, in); err != nil && ctx.Err() == nil {
			c.tap.log.Warn("tap: client dropped", "peer", c.conn.RemoteAddr().String(), "error", err)
		}
	})
	c.read(in, carried)
	close(in)
	<-carried // the answer may still be on its way
	stop()
	g.Wait()
	c.tap.log.Info("tap: client gone", "peer", c.conn.RemoteAddr().String())
}

// known reports whether the client knows the token, if there is one.
func (c *tapClient) known(ctx context.Context) bool {
	token := c.tap.cfg.Token
	if token == "" {
		return true
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(tokenTime))
	var line []byte
	for b := make([]byte, 1); len(line) <= maxToken+1; { // byte by byte: what follows is not ours
		if _, err := io.ReadFull(c.conn, b); err != nil {
			return false
		}
		if b[0] == '\n' {
			break
		}
		if b[0] != '\r' {
			line = append(line, b[0])
		}
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	if subtle.ConstantTimeCompare(line, []byte(token)) == 1 {
		return true
	}
	c.tap.counts[tapDenied].Add(1)
	rest(ctx, tokenPause)
	return false
}

// greet says what comes first, and shows the line from here on.
func (c *tapClient) greet() {
	var hello []byte
	switch c.tap.cfg.Protocol {
	case TapRFC2217:
		c.server, hello = newComServer(c.line, c.wants())
	case TapCapture:
		head := Capture{Port: c.tap.bus.port.Name(), Line: c.tap.line, Start: c.tap.begin}
		hello = head.AppendHead(nil)
	}
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	c.push(hello)
}

// line returns how the line is set while the client has it.
func (c *tapClient) line() Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted
}

// wants returns how the client changes that, or nil if it may not. Stop bits
// remain: an open port cannot change them.
func (c *tapClient) wants() func(Config) error {
	if !c.tap.cfg.Line {
		return nil
	}
	return func(cfg Config) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if cfg.StopBits != c.wanted.StopBits {
			return errors.ErrUnsupported
		}
		c.wanted = cfg
		return nil
	}
}

// show queues bytes of the line. It never waits.
func (c *tapClient) show(sent bool, b []byte) {
	switch c.tap.cfg.Protocol {
	case TapRFC2217:
		b = appendEscaped(nil, b)
	case TapCapture:
		b = Chunk{At: time.Since(c.tap.begin), Sent: sent, Bytes: b}.AppendText(nil)
	}
	c.push(b)
}

// push queues b, or ends a client that is too far behind.
func (c *tapClient) push(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready || len(b) == 0 {
		return
	}
	if len(c.queue)+len(b) > maxTapQueue {
		c.ready = false
		c.tap.counts[tapSlow].Add(1)
		c.tap.log.Warn("tap: client reads too slowly and is dropped", "peer", c.conn.RemoteAddr().String())
		c.conn.Close()
		return
	}
	c.queue = append(c.queue, b...)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued until the connection or ctx ends.
func (c *tapClient) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		c.mu.Lock()
		b := c.queue
		c.queue = nil
		c.mu.Unlock()
		if _, err := c.conn.Write(b); err != nil {
			return
		}
	}
}

// read passes on what comes from the client until the connection ends.
func (c *tapClient) read(in chan<- []byte, carried <-chan struct{}) {
	buf := make([]byte, 512)
	for {
		n, err := c.conn.Read(buf)
		data := buf[:n]
		if c.server != nil {
			var reply []byte
			data, reply = c.server.decode(data)
			c.push(reply)
		}
		if !c.tap.cfg.Write {
			c.tap.counts[tapIgnored].Add(uint64(len(data)))
			data = nil
		}
		if len(data) > 0 {
			select {
			case in <- bytes.Clone(data):
			case <-carried:
				return
			}
		}
		if err != nil {
			return
		}
	}
}
