package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// again is how long a client of a crowd waits before it tries once more, as the
// busiest of real ones do.
const again = 100 * time.Millisecond

// A Crowd is many clients that are connected and silent.
type Crowd struct{ conns []*Conn }

// Gather connects a client for each login, so many at a time. Who is refused, or
// finds nobody, tries again until ctx ends.
func Gather(ctx context.Context, addr string, logins []Login, together int) (*Crowd, error) {
	c := &Crowd{conns: make([]*Conn, len(logins))}
	errs := make([]error, len(logins))
	free := make(chan struct{}, together)
	var all sync.WaitGroup
	for i, l := range logins {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			c.conns[i], errs[i] = insist(ctx, addr, l)
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// insist dials until the broker lets the client in.
func insist(ctx context.Context, addr string, l Login) (*Conn, error) {
	for {
		c, err := l.Dial(ctx, addr)
		if err == nil {
			return c, nil
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w, at last: %w", ctx.Err(), err)
		}
	}
}

// Close ends the connections.
func (c *Crowd) Close() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}
