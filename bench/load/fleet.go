// Package load drives an MQTT broker over raw sockets and checks what it
// delivers. Its loop is closed: a bounded number of messages is under way, so
// that every broker works at its full speed and none is overrun. It reads and
// writes in batches to cost little beside the broker.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"edge/bench/wire"
)

// A Spec says which clients there are and what they do.
type Spec struct {
	QoS     byte // of messages and subscriptions
	Retain  bool
	Payload int         // bytes of a message, at least 16
	Topics  [][]string  // of each publisher, used in turn
	Filters []string    // one subscriber for each
	Fanout  int         // deliveries that each message makes
	Sparse  bool        // subscribers see only some messages of a publisher
	Lasting bool        // sessions of subscribers outlive their connections: what is for them must survive
	TLS     *tls.Config // nil: none

	Batch       int           // messages that a publisher writes at once, at most
	Window      int           // messages of a publisher without acknowledgement, at QoS 1 and 2
	Outstanding int           // messages of a publisher that not all subscribers have
	Count       int           // messages of a publisher in all; 0 means until Stop
	Every       time.Duration // between two messages of a publisher; 0 means at full speed
	Rate        int           // messages a second that a subscriber takes until HurryUp; 0 means all
}

// A Tally is what became of the messages of a fleet.
type Tally struct {
	Sent      int64 // by publishers
	Expected  int64 // deliveries that had to come
	Delivered int64
	Lost      int64
	Late      int64           // came out of order, or twice
	Delays    []time.Duration // of each delivery, when Spec.Every is set
}

// A Fleet is a set of clients at work.
type Fleet struct {
	spec        Spec
	publishers  []*publisher
	subscribers []*subscriber
	delivered   atomic.Int64

	stop  chan struct{} // closed: publishers end
	hurry chan struct{} // closed: subscribers are no longer slow
	once  sync.Once
	pubs  sync.WaitGroup
	subs  sync.WaitGroup

	closing atomic.Bool
	mu      sync.Mutex
	errs    []error
	failed  chan struct{} // closed on the first error
}

// Start connects all clients of spec to the broker at addr, then lets them run
// until Stop.
func Start(ctx context.Context, addr string, spec Spec) (*Fleet, error) {
	f := &Fleet{
		spec: spec, stop: make(chan struct{}),
		hurry: make(chan struct{}), failed: make(chan struct{}),
	}
	if err := f.connect(ctx, addr); err != nil {
		f.close()
		return nil, err
	}
	for _, s := range f.subscribers {
		f.subs.Go(func() { f.report(s.run()) })
	}
	for _, p := range f.publishers {
		f.pubs.Go(func() { f.report(p.run(f.stop)) })
		if spec.Every > 0 {
			f.subs.Go(func() { f.report(p.drain()) })
		}
	}
	return f, nil
}

func (f *Fleet) connect(ctx context.Context, addr string) error {
	for i, filter := range f.spec.Filters {
		c, err := f.dial(ctx, addr, fmt.Sprint("sub", i))
		if err != nil {
			return err
		}
		f.subscribers = append(f.subscribers, newSubscriber(c, f, i))
		if err := c.Subscribe(filter, f.spec.QoS); err != nil {
			return err
		}
	}
	for i := range f.spec.Topics {
		c, err := Login{wire.Session{ClientID: fmt.Sprint("pub", i)}, f.spec.TLS}.Dial(ctx, addr)
		if err != nil {
			return err
		}
		f.publishers = append(f.publishers, newPublisher(c, &f.spec, i))
	}
	return nil
}

// dial connects a subscriber. A session that lasts begins here, too: what an older
// one of its name still has is none of this fleet's.
func (f *Fleet) dial(ctx context.Context, addr, clientID string) (*Conn, error) {
	l := Login{wire.Session{ClientID: clientID}, f.spec.TLS}
	c, err := l.Dial(ctx, addr)
	if err != nil || !f.spec.Lasting {
		return c, err
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	l.Lasting = true
	return l.Dial(ctx, addr)
}

// Delivered returns how many messages subscribers have received until now.
func (f *Fleet) Delivered() int64 { return f.delivered.Load() }

// Acknowledged returns how many messages of publishers have been acknowledged until
// now, or will be soon: up to a window of them is on its way.
func (f *Fleet) Acknowledged() int64 {
	var n int64
	for _, p := range f.publishers {
		n += int64(p.sent.Load())
	}
	return n
}

// Failed is closed when a client has lost its connection or read nonsense; Stop
// then returns why.
func (f *Fleet) Failed() <-chan struct{} { return f.failed }

// HurryUp ends the slowness of subscribers that Spec.Rate asks for.
func (f *Fleet) HurryUp() { close(f.hurry) }

// Published returns when each publisher has sent its Spec.Count messages and
// has them acknowledged, when a client fails, or when ctx ends.
func (f *Fleet) Published(ctx context.Context) {
	done := make(chan struct{})
	go func() { f.pubs.Wait(); close(done) }()
	select {
	case <-done:
	case <-f.failed:
	case <-ctx.Done():
	}
}

// Stop ends the publishers, waits until all messages have come or none came for
// the time quiet, closes the connections, and returns what became of the
// messages.
func (f *Fleet) Stop(ctx context.Context, quiet time.Duration) (Tally, error) {
	f.end()
	watch, cancel := context.WithTimeout(ctx, quiet)
	f.Published(watch)
	cancel()
	f.settle(ctx, quiet)
	f.close()
	return f.tally(), errors.Join(append(f.errs, ctx.Err())...)
}

// settle waits for the deliveries that are still under way.
func (f *Fleet) settle(ctx context.Context, quiet time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last, since := f.Delivered(), time.Now()
	for f.Delivered() < f.expected() && time.Since(since) < quiet {
		select {
		case <-tick.C:
		case <-f.failed:
			return
		case <-ctx.Done():
			return
		}
		if n := f.Delivered(); n != last {
			last, since = n, time.Now()
		}
	}
}

func (f *Fleet) end() { f.once.Do(func() { close(f.stop) }) }

// close ends all connections and waits for the clients' goroutines.
func (f *Fleet) close() {
	f.end()
	f.closing.Store(true)
	for _, p := range f.publishers {
		_ = p.conn.Close()
	}
	for _, s := range f.subscribers {
		_ = s.conn.Close()
	}
	f.pubs.Wait()
	f.subs.Wait()
}

// report keeps the reason why a client ended, unless it was told to.
func (f *Fleet) report(err error) {
	if err == nil || f.closing.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) == 0 {
		close(f.failed)
	}
	f.errs = append(f.errs, err)
	f.end()
}

// pause makes a subscriber that took n messages as slow as Spec.Rate says.
func (f *Fleet) pause(n int) {
	if f.spec.Rate == 0 || n == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(n) * time.Second / time.Duration(f.spec.Rate))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.hurry:
	case <-f.stop:
	}
}

func (f *Fleet) expected() int64 {
	var n int64
	for _, p := range f.publishers {
		n += int64(p.sent.Load()) * int64(f.spec.Fanout)
	}
	return n
}

// tally must not be called before close.
func (f *Fleet) tally() Tally {
	t := Tally{Delivered: f.Delivered(), Expected: f.expected()}
	for i, p := range f.publishers {
		t.Sent += int64(p.sent.Load())
		for _, s := range f.subscribers {
			t.Late += s.tracks[i].late
			t.Lost += s.tracks[i].missing(p.sent.Load())
		}
	}
	t.Lost = max(t.Lost, t.Expected-t.Delivered)
	for _, s := range f.subscribers {
		t.Delays = append(t.Delays, s.delays...)
	}
	return t
}
