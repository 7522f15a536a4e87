package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"edge/internal/gpiochip"
)

// A Guarded is Lines of which the guard has a descriptor. Its SetValues and ReadEvent
// return ErrTakenOver when the guard has taken over.
type Guarded interface {
	gpiochip.Lines

	// Alive says that the owner of the lines is alive, and returns when it must say so
	// again. Who has never said it is not waited for.
	Alive() time.Duration
}

// fenceTime is how often a change that must not be looks whether it may.
const fenceTime = 2 * time.Millisecond

// lines are outputs that are, or are to be, guarded.
type lines struct {
	gpiochip.Lines
	client  *Client
	request request
	file    syscall.Conn
	link    atomic.Pointer[link] // nil: no guard has them
	seen    atomic.Int64         // when the owner was alive; 0 is never
	over    chan struct{}        // closed when the guard has taken over
}

var _ Guarded = (*lines)(nil)

// wrap returns inner as lines of the client.
func (c *Client) wrap(inner gpiochip.Lines, file syscall.Conn, q request) *lines {
	l := &lines{Lines: inner, client: c, request: q, file: file, over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[l] = true
	return l
}

// Alive implements Guarded.
func (l *lines) Alive() time.Duration {
	l.seen.Store(max(1, int64(time.Since(l.client.zero))))
	if link := l.link.Load(); link != nil {
		return pace(link.guard.Patience)
	}
	return pace(DefaultConfig().Patience)
}

// SetValues implements gpiochip.Lines. It waits while it is not known whether the
// guard has taken over: not for longer than the guard is waited for.
func (l *lines) SetValues(mask, values uint64) error {
	for {
		select {
		case <-l.over:
			return fmt.Errorf("set lines of %q: %w", l.request.Consumer, ErrTakenOver)
		default:
		}
		if link := l.link.Load(); link == nil || link.fresh() {
			return l.Lines.SetValues(mask, values)
		}
		select {
		case <-l.over:
		case <-time.After(fenceTime):
			l.Alive()
		}
	}
}

// ReadEvent implements gpiochip.Lines. Outputs have no events; it tells that the lines
// are lost.
func (l *lines) ReadEvent(ctx context.Context) (gpiochip.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	e, err := l.Lines.ReadEvent(ctx)
	cancel()
	<-watched
	select {
	case <-l.over:
		return e, fmt.Errorf("wait for lines of %q: %w", l.request.Consumer, ErrTakenOver)
	default:
		return e, err
	}
}

// Close implements gpiochip.Lines. The guard goes on holding the lines as they are, for
// who requests them next.
func (l *lines) Close() error {
	c := l.client
	c.mu.Lock()
	link := l.link.Load()
	if !c.open[l] { // The guard has them, or they are closed.
		link = nil
	}
	delete(c.open, l)
	c.mu.Unlock()
	var err error
	if link != nil {
		err = link.say(frame{Op: opLeave, Lines: &l.request})
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) { // So is the guard.
		err = nil
	}
	return errors.Join(err, l.Lines.Close())
}
