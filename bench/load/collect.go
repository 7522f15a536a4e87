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
	for c.got < want {
		_ = conn.SetReadDeadline(time.Now().Add(quiet))
		err := conn.Batch(c.handle)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return c.got, nil
		}
		if err == nil && len(c.out) > 0 {
			_, err = conn.Write(c.out)
			c.out = c.out[:0]
		}
		if err != nil {
			return c.got, fmt.Errorf("receive retained messages of %s: %w", filter, err)
		}
	}
	return c.got, nil
}

// A collector notes which messages have come.
type collector struct {
	seen []bool // by sequence number
	got  int
	out  []byte
}

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
