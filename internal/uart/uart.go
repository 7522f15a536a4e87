// Package uart is a serial port as a program wants it: found by a name that
// stays, locked against other programs, with deadlines, a Close that ends a
// blocked Read, and a hang-up that is an error of its own. It knows no frames
// and no protocols.
//
// It is the only importer of github.com/tarm/serial, which opens the port and
// sets the line. Everything after that happens on a duplicate of its
// descriptor in Go's poller: with tarm's own Port, Close waits for a blocked
// Read, a time-out looks like a hang-up, and each reader holds a thread.
package uart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

var (
	// ErrGone is wrapped by the error of Read, Write and Drain when the port
	// was unplugged. It stays so until the port is opened again.
	ErrGone = errors.New("the port is gone")

	// ErrBusy is wrapped by the error of Open when another program, or another
	// part of this one, has the port.
	ErrBusy = errors.New("the port is in use")

	// ErrAmbiguous is wrapped by the error of Find, Wait and Open when a
	// pattern matches more than one port.
	ErrAmbiguous = errors.New("more than one port matches")
)

// A Port is an open serial port. Its methods may be called from several
// goroutines at once; in particular, Close ends a Read and a Write that wait.
type Port struct {
	conn    conn
	baud    int          // as it was opened
	rate    atomic.Int64 // since SetRate; 0: baud
	watcher atomic.Pointer[func(sent bool, b []byte)]
	echoed  bool // see Echoed
}

// A conn is what a Port stands on. Its errors are those of the kernel; Port
// explains them.
type conn interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Name() string
	unsent() (int, error) // bytes written that have not left this machine
	discard() error       // throws these away
}

var _ io.ReadWriteCloser = (*Port)(nil)

// Open finds the port, locks it and sets its line, or connects to it. The error
// wraps ErrBusy and names the holder when somebody else has it, fs.ErrNotExist
// when it is not plugged in, and ErrAmbiguous when a pattern matches several.
func Open(ctx context.Context, cfg Config) (*Port, error) { return Host{}.Open(ctx, cfg) }

// Open is as the function Open.
func (h Host) Open(ctx context.Context, cfg Config) (*Port, error) {
	if err := errors.Join(ctx.Err(), cfg.Validate()); err != nil {
		return nil, fmt.Errorf("open serial port: %w", err)
	}
	cfg = cfg.withDefaults()
	if s, ok, _ := parseSource(cfg.Port); ok {
		return s.open(ctx, cfg)
	}
	dev, err := h.Find(cfg.Port)
	if err != nil {
		return nil, fmt.Errorf("open serial port: %w", err)
	}
	f, echoed, err := h.open(dev, cfg)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", dev, err)
	}
	return &Port{conn: h.terminal(f, cfg.Port), baud: cfg.Baud, echoed: echoed}, nil
}

// Echoed reports whether the other side may have got back, when the port was opened, some of
// what it had said: the kernel does that until the line is set.
func (p *Port) Echoed() bool { return p.echoed }

// Name returns the path of the device, such as /dev/ttyUSB0, or the name of the
// source without its options and token.
func (p *Port) Name() string { return p.conn.Name() }

// Read waits for at least one byte. The error wraps os.ErrDeadlineExceeded
// when the deadline passed, os.ErrClosed after Close and ErrGone when the port
// was unplugged; it is never io.EOF.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	if see := p.watcher.Load(); see != nil && n > 0 {
		(*see)(false, b[:n])
	}
	return n, p.explain("read", err)
}

// Write hands b to the kernel and waits while its buffer is full. The errors
// are those of Read. Drain tells when b has left.
func (p *Port) Write(b []byte) (int, error) {
	if see := p.watcher.Load(); see != nil { // before the answer can come
		(*see)(true, b)
	}
	n, err := p.conn.Write(b)
	return n, p.explain("write", err)
}

// watch has see called for all that is read, and all that is about to be
// written, until it is called again. see may be nil, must not wait, and must not
// keep b.
func (p *Port) watch(see func(sent bool, b []byte)) {
	if see == nil {
		p.watcher.Store(nil)
		return
	}
	p.watcher.Store(&see)
}

// SetDeadline bounds all reads and writes from now on, also those that wait.
// The zero time means for ever.
func (p *Port) SetDeadline(t time.Time) error { return p.conn.SetDeadline(t) }

// SetReadDeadline is SetDeadline for reads only.
func (p *Port) SetReadDeadline(t time.Time) error { return p.conn.SetReadDeadline(t) }

// SetWriteDeadline is SetDeadline for writes only.
func (p *Port) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }

// Drain waits until the kernel and its driver have sent everything, or until
// ctx ends. What an adapter keeps in its own FIFO may still be on its way. It
// asks again and again, since tcdrain(3) cannot be interrupted where flow
// control holds the line.
func (p *Port) Drain(ctx context.Context) error {
	for {
		n, err := p.conn.unsent()
		if err != nil || n == 0 {
			return p.explain("drain", err)
		}
		wait := time.Duration(n) * 10 * time.Second / time.Duration(p.speed())
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain %s: %d bytes unsent: %w", p.Name(), n, ctx.Err())
		case <-time.After(min(max(wait, time.Millisecond), 50*time.Millisecond)):
		}
	}
}

// Discard throws away what was written and has not been sent.
func (p *Port) Discard() error {
	return p.explain("discard output of", p.conn.discard())
}

// Close gives the port back at once and ends every Read, Write and Drain. What
// has not been sent is thrown away.
func (p *Port) Close() error { return p.conn.Close() }

// Replugged waits until the port was taken away and is there again, or ctx ends.
// It may be called after Close: then it says when it is worth while to open the
// port anew at once. A port that is there and broken is not replugged. Of a port
// on the network nothing is known before ctx ends.
func (p *Port) Replugged(ctx context.Context) error {
	if t, ok := p.conn.(interface{ replugged(context.Context) error }); ok {
		return t.replugged(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}

// explain turns the many ways in which the kernel says that a terminal has
// hung up into ErrGone: end of file for a blocked reader of a real port, EIO
// for a pseudo-terminal and for writers, ENODEV and ENXIO in between. Those of
// connections are among them.
func (p *Port) explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s %s: %w", doing, p.Name(), ErrGone)
	case hungUp(err):
		return fmt.Errorf("%s %s: %w (%w)", doing, p.Name(), ErrGone, bare(err))
	}
	return fmt.Errorf("%s %s: %w", doing, p.Name(), bare(err))
}

// bare takes away the operation and path that package os put around a cause.
func bare(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
