package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"edge/bench/wire"
)

// A Churn is a client that changes its subscriptions all the time: it drops one
// filter and takes the next. What it receives it counts and forgets.
type Churn struct {
	conn     *Conn
	filters  []string
	received atomic.Int64
	changes  atomic.Int64
	stop     chan struct{}
	done     sync.WaitGroup
	reading  error // valid after done
	writing  error
}

// StartChurn connects to the broker at addr and makes a change every interval.
func StartChurn(ctx context.Context, addr string, filters []string, every time.Duration) (*Churn, error) {
	conn, err := Dial(ctx, addr, "churn")
	if err != nil {
		return nil, err
	}
	c := &Churn{conn: conn, filters: filters, stop: make(chan struct{})}
	c.done.Go(func() { c.reading = c.read() })
	c.done.Go(func() { c.writing = c.change(every) })
	return c, nil
}

// Received returns how many messages came until now.
func (c *Churn) Received() int64 { return c.received.Load() }

// Stop ends the client and returns how many changes the broker has granted.
func (c *Churn) Stop() (int64, error) {
	close(c.stop)
	_ = c.conn.Close()
	c.done.Wait()
	return c.changes.Load(), errors.Join(c.reading, c.writing)
}

func (c *Churn) change(every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var b []byte
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return nil
		case <-tick.C:
		}
		// Even changes subscribe to a filter, odd ones drop it again.
		filter := c.filters[i/2%len(c.filters)]
		if i%2 == 0 {
			b = wire.AppendSubscribe(b[:0], 1, filter, 0)
		} else {
			b = wire.AppendUnsubscribe(b[:0], 2, filter)
		}
		if _, err := c.conn.Write(b); err != nil {
			return c.unlessStopped(fmt.Errorf("change subscription to %s: %w", filter, err))
		}
	}
}

func (c *Churn) read() error {
	for {
		if err := c.conn.Batch(c.count); err != nil {
			return c.unlessStopped(fmt.Errorf("read beside changing subscriptions: %w", err))
		}
	}
}

func (c *Churn) count(k wire.Packet) error {
	switch k.Type {
	case wire.Publish:
		c.received.Add(1)
	case wire.Suback, wire.Unsuback:
		c.changes.Add(1)
	}
	return nil
}

func (c *Churn) unlessStopped(err error) error {
	select {
	case <-c.stop:
		return nil
	default:
		return err
	}
}
