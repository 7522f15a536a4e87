package modbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// exchangeTCP sends a request and waits for the reply of the same transaction.
// Replies to earlier ones, which came too late, are thrown away. What has come
// of a frame when the time is over stays, so that the next exchange finds its
// rest.
func (c *Client) exchangeTCP(ctx context.Context, unit byte, req PDU) (PDU, error) {
	if c.lost != nil {
		return nil, c.lost
	}
	if err := wait(ctx, time.Until(c.quiet.Add(c.guard(unit)))); err != nil {
		return nil, err
	}
	c.transaction++
	c.tx = AppendTCP(c.tx[:0], c.transaction, unit, req)
	if err := c.write(ctx); err != nil {
		// A part of the frame may be on its way; nothing can follow it.
		c.lost = fmt.Errorf("%w: %w", ErrLost, err)
		return nil, err
	}
	return c.receiveTCP(ctx, unit, req)
}

func (c *Client) receiveTCP(ctx context.Context, unit byte, req PDU) (PDU, error) {
	deadline := time.Now().Add(c.timeout(unit))
	late := ErrTimeout
	for {
		f, size, err := DecodeTCP(c.rx)
		if err != nil {
			c.lost = fmt.Errorf("%w: %w", ErrLost, err)
			return nil, c.lost
		}
		if size > 0 {
			frame := c.rx[:size]
			c.rx = c.rx[size:]
			if f.Transaction == c.transaction {
				return checkTCP(f, frame, unit, req)
			}
			late = newFrameError(Transaction, frame)
			continue
		}
		err = c.read(ctx, deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return nil, late
		}
		if err != nil {
			return nil, err
		}
	}
}

func checkTCP(f TCPFrame, frame []byte, unit byte, req PDU) (PDU, error) {
	switch n := replyLength(req, f.PDU); {
	case f.Unit != unit:
		return nil, newFrameError(ForeignUnit, frame)
	case n == never && f.PDU.Function() != req.Function():
		return nil, newFrameError(ForeignFunction, frame)
	case n == never:
		return nil, newFrameError(ForeignContent, frame)
	case n != unknown && n != len(f.PDU):
		return nil, newFrameError(Short, frame)
	}
	return f.PDU, nil
}
