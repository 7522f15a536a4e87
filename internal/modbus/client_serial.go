package modbus

import (
	"bytes"
	"context"
	"errors"
	"os"
	"time"
)

// exchangeSerial sends a request on a line and looks for the reply in what
// comes.
func (c *Client) exchangeSerial(ctx context.Context, unit byte, req PDU) (PDU, error) {
	from := debtor{unit, req.Function()}
	if err := c.silence(ctx, c.guard(unit), c.debts[from]); err != nil {
		return nil, err
	}
	var err error
	if c.tx, err = AppendFrame(c.tx[:0], c.framing, 0, unit, req); err != nil {
		return nil, err
	}
	if err := c.write(ctx); err != nil {
		return nil, err
	}
	c.quiet = time.Now()
	if unit == Broadcast {
		err := wait(ctx, c.timing.Turnaround)
		c.quiet = time.Now()
		return nil, err
	}
	sent := c.quiet
	s := &search{framing: c.framing, unit: unit, req: req}
	reply, err := c.receive(ctx, s)
	if delete(c.debts, from); err != nil && !s.begun && !s.broken {
		c.debts[from] = sent.Add(2 * c.timeout(unit))
	}
	return reply, err
}

// A debtor is a unit that may still answer to a function. On a line nothing in
// a reply with values, or in an exception, says which request it is for: a late
// answer would be taken for that to another request of the same function, and
// what the same request brings twice, for that to the one after. So the unit is
// not asked by this function until twice its time-out has passed.
type debtor struct {
	unit byte
	fn   Function
}

// silence listens until a time, and until nothing has come for d, and throws
// away what did: no byte from before a request can be its answer. A line that
// is never silent is given up after the response time-out.
func (c *Client) silence(ctx context.Context, d time.Duration, until time.Time) error {
	c.rx = c.rx[:0]
	limit := time.Now().Add(c.timing.Timeout + d)
	if until.After(time.Now()) {
		limit = until.Add(c.timing.Timeout + d)
	}
	// A passed deadline would read nothing, even if there is something. In two
	// characters a line that somebody speaks on is heard.
	least := max(time.Millisecond, min(d, c.timing.chars(2)))
	for {
		deadline := time.Now().Add(least)
		for _, t := range []time.Time{c.quiet.Add(d), until} {
			if t.After(deadline) {
				deadline = t
			}
		}
		err := c.read(ctx, deadline)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			c.rx = c.rx[:0]
			return nil
		case err != nil:
			return err
		case time.Now().After(limit):
			return newFrameError(NoSilence, c.rx)
		}
		c.trim()
	}
}

// trim bounds what is kept of a line that talks without end.
func (c *Client) trim() (cut int) {
	const keep = 2*maxASCII + maxRTU
	if len(c.rx) <= 2*keep {
		return 0
	}
	return c.drop(len(c.rx) - keep)
}

// drop takes n bytes off the front.
func (c *Client) drop(n int) int {
	c.rx = append(c.rx[:0], c.rx[n:]...)
	return n
}

// receive reads until the reply is there or the time is over. That is the
// response time-out; what then has begun like the reply may go on, with pauses
// of Timing.Gap at most.
func (c *Client) receive(ctx context.Context, s *search) (PDU, error) {
	window := time.Now().Add(c.timeout(s.unit))
	if _, drained := c.port.(drainer); !drained && !isNetwork(c.port) {
		window = window.Add(c.timing.chars(len(c.tx)))
	}
	// However much noise looks like a beginning, it ends.
	last := window.Add(c.timing.Gap + c.timing.chars(2*maxASCII))
	e := echo{twin: replyLength(s.req, s.req) == len(s.req)}
	for deadline := window; ; {
		err := c.read(ctx, deadline)
		s.over = errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil
		if err != nil && !s.over {
			return nil, err
		}
		if reply := c.look(s, &e); reply != nil {
			return reply, nil
		}
		if s.over || time.Now().After(last) {
			return c.give(s, &e)
		}
		s.cut(c.trim())
		deadline = window
		if stop := c.quiet.Add(c.timing.Gap); s.begun || s.broken && stop.Before(window) {
			deadline = stop
		}
	}
}

// An echo is what is known of it within an exchange. Adapters with two wires
// hear what they send.
type echo struct {
	twin bool // it would look like the reply, as that of functions 5, 6 and 22 does
	gone bool // it came and was taken away
	copy PDU  // the first of the twins
}

// look returns the reply if it is there. Whether the port echoes is learned:
// from the first request whose echo is no reply, or from a twin.
func (c *Client) look(s *search, e *echo) PDU {
	if !e.gone && (!e.twin || c.echoes) {
		if i := bytes.Index(c.rx, c.tx); i >= 0 {
			c.drop(i + len(c.tx))
			s.edge, s.from, s.broken = 0, 0, false
			e.gone, c.echoes, c.heard = true, true, true
		}
	}
	reply, end := s.find(c.rx)
	switch {
	case reply == nil:
		return nil
	case e.twin && !c.heard && e.copy == nil && reply[0]&exceptionBit == 0:
		e.copy = append(PDU(nil), reply...)
		s.cut(c.drop(end))
		return c.look(s, e)
	case e.copy != nil:
		c.echoes = true
	}
	c.heard = true
	return reply
}

// give ends an exchange in which nothing more comes.
func (c *Client) give(s *search, e *echo) (PDU, error) {
	if e.copy != nil {
		return e.copy, nil
	}
	if len(c.rx) == 0 {
		c.heard = true
	}
	return nil, s.diagnose(c.rx)
}
