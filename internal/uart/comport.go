package uart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A comPort is a conn to a serial server that does RFC 2217: the line is set
// from here. It does not obey FLOWCONTROL-SUSPEND, since a server that stops
// reading has the same effect.
type comPort struct {
	*tcpConn
	out outbox

	read    sync.Mutex // held by who reads the connection
	chunk   [4096]byte
	decoder telnetDecoder
	options negotiation
	buf     []byte // decoded data
	rest    []byte // the part of buf that nobody has read
	failed  error  // an answer could not be sent

	mu       sync.Mutex
	answers  map[byte][]byte // by command; the latest
	off      map[string]bool // wires that were turned off
	refused  bool            // the far side does not do RFC 2217
	agreed   bool            // it does
	news     chan struct{}   // answers, agreed or refused have changed
	deadline time.Time       // of reads, as the owner of the port set it

	lineErrors [5]atomic.Uint64 // how often the far side told of one, by bit
}

var _ conn = (*comPort)(nil)

// maxAhead is how many bytes of data are kept while an answer is awaited.
const maxAhead = 1 << 16

// dialPort connects to s and sets the line.
func dialPort(ctx context.Context, s source, cfg Config) (*comPort, error) {
	timeout, err := s.timeout()
	if err != nil {
		return nil, err
	}
	t, err := dial(ctx, s)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { t.Close() })()
	c := newComPort(t)
	if err := c.begin(cfg, time.Now().Add(timeout)); err != nil {
		t.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	return c, nil
}

func newComPort(t *tcpConn) *comPort {
	c := &comPort{tcpConn: t, answers: map[byte][]byte{}, off: map[string]bool{}, news: make(chan struct{}, 1)}
	c.out.tcp = t
	c.options.mayUs = optionSet(optBinary, optSGA, optComPort)
	c.options.mayThem = optionSet(optBinary, optSGA, optComPort, optEcho)
	return c
}

// begin negotiates, sets the line, and asks to be told of its errors.
func (c *comPort) begin(cfg Config, until time.Time) error {
	us := optionSet(optBinary, optSGA, optComPort)
	if err := c.out.command(c.options.ask(nil, us, optionSet(optBinary, optSGA))); err != nil {
		return err
	}
	err := c.await(until, func() (bool, error) {
		if c.refused {
			return false, errors.New("the far side does not do RFC 2217; perhaps tcp:// is right")
		}
		return c.agreed, nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer in telnet; perhaps tcp:// is right: %w", err)
	}
	if err != nil {
		return err
	}
	if err := c.set(lineCommands(cfg), until); err != nil {
		return err
	}
	return errors.Join(c.wires(cfg), c.say(cpLineMask, stateErrors))
}

// set sends commands and waits until the far side has confirmed each. One
// without flow control need not be: some servers know no SET-CONTROL.
func (c *comPort) set(commands [][]byte, until time.Time) error {
	for _, cmd := range commands {
		c.mu.Lock()
		delete(c.answers, cmd[0])
		c.mu.Unlock()
		if err := c.say(cmd...); err != nil {
			return err
		}
	}
	for _, cmd := range commands {
		if cmd[0] == cpSetControl && cmd[1] == ctlNoFlow {
			continue
		}
		err := c.await(until, func() (bool, error) {
			answer, ok := c.answers[cmd[0]]
			if !ok {
				return false, nil
			}
			return true, confirmed(cmd, answer)
		})
		if err != nil {
			return fmt.Errorf("set %s: %w", settings[cmd[0]], err)
		}
	}
	return nil
}

func (c *comPort) say(command ...byte) error {
	return c.out.command(appendSub(nil, command...))
}

// await waits until done, which is called with mu held, is true or has an
// error. It reads the connection itself unless somebody else does.
func (c *comPort) await(until time.Time, done func() (bool, error)) error {
	for {
		c.mu.Lock()
		ok, err := done()
		c.mu.Unlock()
		if ok || err != nil {
			return err
		}
		if !time.Now().Before(until) {
			return os.ErrDeadlineExceeded
		}
		if !c.read.TryLock() {
			select { // the reader may go away without an answer: look again
			case <-c.news:
			case <-time.After(min(time.Until(until), 20*time.Millisecond)):
			}
			continue
		}
		err = c.readAhead(until)
		c.read.Unlock()
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// readAhead reads once for await, and keeps the data for Read.
func (c *comPort) readAhead(until time.Time) error {
	if len(c.rest) > maxAhead {
		return errors.New("too much data came before an answer")
	}
	c.mu.Lock()
	_ = c.tcpConn.SetReadDeadline(until)
	c.mu.Unlock()
	n, err := c.tcpConn.Read(c.chunk[:])
	c.mu.Lock()
	_ = c.tcpConn.SetReadDeadline(c.deadline)
	c.mu.Unlock()
	c.rest = c.decoder.decode(c.rest, c.chunk[:n], c.event)
	return errors.Join(err, c.failed)
}

// Read returns data, and answers what the far side asks meanwhile.
func (c *comPort) Read(b []byte) (int, error) {
	c.read.Lock()
	defer c.read.Unlock()
	for len(c.rest) == 0 && len(b) > 0 {
		n, err := c.tcpConn.Read(c.chunk[:])
		c.buf = c.decoder.decode(c.buf[:0], c.chunk[:n], c.event)
		c.rest = c.buf
		if err = errors.Join(err, c.failed); err != nil && len(c.rest) == 0 {
			return 0, err
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// event takes what came beside data.
func (c *comPort) event(verb, option byte, sub []byte) {
	if verb == tnSB {
		c.notice(option, sub)
		return
	}
	if option == optComPort {
		c.mu.Lock()
		c.agreed = c.agreed || verb == tnDo
		c.refused = verb == tnDont
		c.mu.Unlock()
		c.tell()
	}
	c.reply(c.options.answer(nil, verb, option))
}

// reply sends what a reader has to say. Its error is told by the next read.
func (c *comPort) reply(b []byte) {
	if len(b) > 0 && c.failed == nil {
		c.failed = c.out.command(b)
	}
}

// notice takes an answer or a notification of the server.
func (c *comPort) notice(option byte, sub []byte) {
	if option != optComPort || len(sub) == 0 || sub[0] < fromServer {
		return
	}
	switch command := sub[0] - fromServer; {
	case command == cpSignature && len(sub) == 1: // it asks for ours
		c.reply(appendSub(nil, append([]byte{cpSignature}, "edge"...)...))
	case len(sub) == 1:
	case command == cpLineState: // one bit for each, and no number
		for i := range c.lineErrors {
			c.lineErrors[i].Add(uint64(sub[1]>>i) & 1)
		}
	case command < maxPortCommands:
		c.mu.Lock()
		c.answers[command] = append([]byte(nil), sub[1:]...)
		c.mu.Unlock()
		c.tell()
	}
}

func (c *comPort) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// Write sends data to the line.
func (c *comPort) Write(b []byte) (int, error) { return c.out.Write(b) }

func (c *comPort) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *comPort) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.tcpConn.SetReadDeadline(t)
}

func (c *comPort) SetWriteDeadline(t time.Time) error { return c.out.setDeadline(t) }

// discard has the far side throw away what its line has not sent.
func (c *comPort) discard() error { return c.say(cpPurge, purgeUnsent) }
