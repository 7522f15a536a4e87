package uart

import (
	"context"
	"errors"
	"os"
	"time"
)

// longest is how long a client has the bus while others wait. Then it loses it
// when it writes again, which is between two exchanges of its own, or at twice
// that time. A command to the hub, which waits for ten seconds, thus has its turn.
const longest = 5 * time.Second

// errUntaken ends the connection of a client whose bytes the line did not take.
var errUntaken = errors.New("the line does not take what was written")

// stir notes that something happened on the line.
func (t *Tap) stir() { t.stirs.Store(int64(time.Since(t.begin))) }

// silent returns how long nothing has happened.
func (t *Tap) silent() time.Duration { return time.Since(t.begin) - time.Duration(t.stirs.Load()) }

// carry writes to the line what comes from a client, until in is closed, ctx
// ends or the port is gone.
func (t *Tap) carry(ctx context.Context, c *tapClient, in <-chan []byte) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case data, ok := <-in:
			if !ok {
				return nil
			}
			for len(data) > 0 {
				var err error
				if data, err = t.hold(ctx, c, data, in); err != nil {
					return err
				}
			}
		}
	}
}

// hold has the bus for a client from its first data until the line is silent.
// What it returns is data that came when it was no longer the client's turn.
func (t *Tap) hold(ctx context.Context, c *tapClient, data []byte, in <-chan []byte) (rest []byte, err error) {
	if err := t.bus.Acquire(ctx, Guest); err != nil {
		return nil, err
	}
	defer t.bus.Release()
	defer t.listen()()
	now := t.line
	defer func() { err = errors.Join(err, t.setLine(&now, t.line)) }()
	since := time.Now()
	for data != nil {
		if err := t.setLine(&now, c.line()); err != nil {
			return nil, err
		}
		if err := t.send(ctx, c, data); err != nil {
			return nil, err
		}
		data, err = t.more(ctx, in, since)
		if err == nil && data != nil && t.over(since, longest) {
			return data, nil
		}
	}
	return nil, err
}

// setLine sets the line to what is wanted, unless it is now.
func (t *Tap) setLine(now *Config, want Config) error {
	if *now == want {
		return nil
	}
	*now = want
	return t.bus.port.SetRate(want.Baud, want.DataBits, want.Parity)
}

func (t *Tap) over(since time.Time, d time.Duration) bool {
	return time.Since(since) > d && t.bus.wanted()
}

// more waits for more from the client, and returns nil when the line has been
// silent. Also when the client has left, the answer may still be on its way.
func (t *Tap) more(ctx context.Context, in <-chan []byte, since time.Time) ([]byte, error) {
	for {
		wait := t.cfg.Hold - t.silent()
		if wait <= 0 || t.over(since, 2*longest) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		case data, ok := <-in:
			if ok {
				return data, nil
			}
			in = nil
		}
	}
}

// listen reads the port where nobody else does while a client has it. All is
// done with the bytes when see has seen them. What it returns ends it.
func (t *Tap) listen() (stop func()) {
	if !t.pump {
		return func() {}
	}
	port := t.bus.port
	_ = port.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			if _, err := port.Read(buf); err != nil {
				return // its owner will find out
			}
		}
	}()
	return func() {
		_ = port.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = port.SetReadDeadline(time.Time{})
	}
}

// send writes data to the line and waits until it has left, so that silence
// begins after it.
func (t *Tap) send(ctx context.Context, c *tapClient, data []byte) error {
	t.writer.Store(c)
	defer t.writer.Store(nil)
	defer t.stir()
	port := t.bus.port
	limit := takeTime + time.Duration(len(data))*10*time.Second/time.Duration(t.line.Baud)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_ = port.SetWriteDeadline(time.Now().Add(limit))
	_, err := port.Write(data)
	_ = port.SetWriteDeadline(time.Time{})
	if err == nil {
		err = port.Drain(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.counts[tapUntaken].Add(1)
		_ = port.Discard()
		return errUntaken
	}
	return err
}
