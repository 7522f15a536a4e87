package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"edge/bench/wire"
)

// Collect subscribes to filter at QoS 1 and returns how many different retained
// messages of publisher 0 come: it ends when want have, or when none came for
// the time quiet.
func Collect(ctx context.Context, addr, filter string, want int, quiet time.Duration) (int, error) {
	conn, err := Dial(ctx, addr, "collector")
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, filter, 1)); err != nil {
		return 0, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	c := collector{seen: make([]bool, want)}
	if err := conn.takeAll(&c, want, quiet); err != nil {
		return c.got, fmt.Errorf("receive retained messages of %s: %w", filter, err)
	}
	return c.got, nil
}

// A taker is a subscriber that takes what comes.
type taker interface {
	handle(k wire.Packet) error
	taken() int
	answers() *[]byte // of what was handled since they were sent
}

// takeAll has t take want messages, or what comes until nothing did for the time
// quiet.
func (c *Conn) takeAll(t taker, want int, quiet time.Duration) error {
	out := t.answers()
	for t.taken() < want {
		_ = c.SetReadDeadline(time.Now().Add(quiet))
		err := c.Batch(t.handle)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err == nil && len(*out) > 0 {
			_, err = c.Write(*out)
			*out = (*out)[:0]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A collector notes which messages have come.
type collector struct {
	seen []bool // by sequence number
	got  int
	out  []byte
}

func (c *collector) taken() int       { return c.got }
func (c *collector) answers() *[]byte { return &c.out }

func (c *collector) handle(k wire.Packet) error {
	if k.Type != wire.Publish {
		return nil
	}
	m, err := k.Message()
	if err != nil {
		return err
	}
	is, err := parseMark(m.Payload)
	if err != nil {
		return err
	}
	if !m.Retain || int(is.seq) >= len(c.seen) {
		return fmt.Errorf("message %d with retain %t is not one of the retained", is.seq, m.Retain)
	}
	if m.QoS == 1 {
		c.out = wire.AppendAck(c.out, wire.Puback, m.ID)
	}
	if !c.seen[is.seq] {
		c.seen[is.seq] = true
		c.got++
	}
	return nil
}
