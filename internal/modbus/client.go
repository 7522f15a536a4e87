package modbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// A Client asks units, one request at a time. Its methods may be called from
// several goroutines at once; requests wait for each other.
//
// Do and all that is built on it return what went wrong: an Exception of the
// unit, ErrTimeout, a *FrameError, ErrLost, the error of the context, or of the
// port.
type Client struct {
	port    Port
	framing Framing
	timing  Timing
	turn    chan struct{} // has a token while a request is under way

	mu       sync.Mutex
	guards   map[byte]time.Duration
	timeouts map[byte]time.Duration

	// The rest is his who has the token.
	quiet       time.Time // since when the line is silent
	echoes      bool      // what is sent comes back
	heard       bool      // it is known whether it does
	tx, rx, tmp []byte
	debts       map[debtor]time.Time
	transaction uint16
	lost        error
}

// NewClient returns a client on p, which it does not close.
func NewClient(p Port, f Framing, t Timing) *Client {
	return &Client{
		port: p, framing: f, timing: t.withDefaults(f, p),
		turn: make(chan struct{}, 1), tmp: make([]byte, 512),
		guards: map[byte]time.Duration{}, timeouts: map[byte]time.Duration{}, debts: map[debtor]time.Time{},
	}
}

// isNetwork reports whether p is a network connection, where bytes come in
// packets, and pauses are the network's.
func isNetwork(p Port) bool {
	_, ok := p.(net.Conn)
	return ok
}

// SetGuard sets the silence before each request to a unit, where that must be
// longer than Timing.Guard.
func (c *Client) SetGuard(unit byte, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guards[unit] = d
}

// SetTimeout sets how long a unit may take to begin its answer, where that is
// not Timing.Timeout. On a line nothing in a reply says which request it is
// for: an answer that comes later than after twice this time can be taken for
// that to another request.
func (c *Client) SetTimeout(unit byte, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeouts[unit] = d
}

func (c *Client) timeout(unit byte) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.timeouts[unit]; d > 0 {
		return d
	}
	return c.timing.Timeout
}

func (c *Client) guard(unit byte) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.timing.Guard, c.guards[unit])
}

// Do sends a request and returns the reply of the unit, which is never an
// exception: that is returned as the error. Unit 0 is a broadcast on a serial
// line: Do returns nil after the turnaround time, and refuses what is no write
// (SL §2.1).
func (c *Client) Do(ctx context.Context, unit byte, req PDU) (PDU, error) {
	if len(req) == 0 || len(req) > MaxPDU {
		return nil, fmt.Errorf("a request has 1 to %d bytes, not %d", MaxPDU, len(req))
	}
	if unit == Broadcast && c.framing != TCP && reads(req.Function()) {
		return nil, fmt.Errorf("%v: unit %d is a broadcast, which nobody answers", req.Function(), Broadcast)
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.turn }()
	defer interrupt(ctx, c.port)()
	reply, err := c.exchange(ctx, unit, req)
	switch {
	case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return nil, ctx.Err()
	case err != nil || reply == nil:
		return nil, err
	case len(reply) > 1 && reply[0]&exceptionBit != 0:
		return nil, Exception(reply[1])
	}
	return append(PDU(nil), reply...), nil
}

func (c *Client) exchange(ctx context.Context, unit byte, req PDU) (PDU, error) {
	if c.framing == TCP {
		return c.exchangeTCP(ctx, unit, req)
	}
	return c.exchangeSerial(ctx, unit, req)
}

func reads(f Function) bool {
	switch f {
	case ReadCoils, ReadDiscreteInputs, ReadHoldingRegisters, ReadInputRegisters, ReadWriteMultipleRegisters, EncapsulatedInterface:
		return true
	}
	return false
}

// interrupt ends reads and writes of p when ctx ends. The function that it
// returns must be called; after it, nothing touches the deadlines of p.
func interrupt(ctx context.Context, p Port) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(done)
		past := time.Unix(1, 0)
		_ = p.SetReadDeadline(past)
		_ = p.SetWriteDeadline(past)
	})
	return func() {
		if !cancel() {
			<-done
		}
	}
}

// write sends c.tx and returns when it has left.
func (c *Client) write(ctx context.Context) error { return write(ctx, c.port, c.timing, c.tx) }

func write(ctx context.Context, p Port, t Timing, b []byte) error {
	limit := t.Timeout + 2*t.chars(len(b))
	if err := p.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // interrupt may have come before
		return err
	}
	if _, err := p.Write(b); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	d, ok := p.(drainer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return d.Drain(ctx)
}

// read appends to c.rx what comes until deadline. Its error for that wraps
// os.ErrDeadlineExceeded.
func (c *Client) read(ctx context.Context, deadline time.Time) error {
	if err := c.port.SetReadDeadline(deadline); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // interrupt may have come before
		return err
	}
	n, err := c.port.Read(c.tmp)
	if n > 0 {
		c.rx = append(c.rx, c.tmp[:n]...)
		c.quiet = time.Now()
		return nil
	}
	return err
}

// wait returns after d, or the error of ctx.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
