package guard

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"edge/internal/gpiochip"
)

// A State is what a client has of its guard.
type State string

// The states of a client. Outputs work in all of them.
const (
	None State = "none" // there is to be no guard
	OK   State = "ok"
	Lost State = "lost" // it cannot be reached, does not answer, or has taken over
)

// again is how long a client waits before it tries anew to reach a guard.
const again = time.Second

// A Client is what a main process has of its guard. All methods may be called from
// several goroutines at once.
type Client struct {
	log   *slog.Logger
	dial  func() (wire, error)
	lines func(*os.File) gpiochip.Lines
	zero  time.Time // of times that are durations

	reaching chan struct{} // full while somebody connects
	tending  sync.WaitGroup
	news     chan struct{} // the state may be another

	mu     sync.Mutex
	link   *link // nil: there is none
	open   map[*lines]bool
	tried  time.Time // when a guard could not be reached
	ended  bool
	silent bool // that it cannot be reached has been said
}

// NewClient returns the client of the guard at a socket. It connects when lines are
// requested, and when Run is called.
func NewClient(path string, log *slog.Logger) *Client {
	return newClient(func() (wire, error) { return dial(path) }, gpiochip.NewLines, log)
}

func newClient(dial func() (wire, error), descend func(*os.File) gpiochip.Lines, log *slog.Logger) *Client {
	return &Client{
		log: log, dial: dial, lines: descend, zero: time.Now(),
		reaching: make(chan struct{}, 1), news: make(chan struct{}, 1), open: make(map[*lines]bool),
	}
}

// Run keeps the connection until ctx ends, and tells change how it is, first at once.
// At the end it says goodbye to the guard: lines that are not closed by then are made
// safe, others stay as they are.
func (c *Client) Run(ctx context.Context, change func(State)) {
	defer c.leave()
	timer := time.NewTicker(again)
	defer timer.Stop()
	told := None
	for {
		c.reach(true)
		if s := c.state(); s != told {
			told = s
			change(s)
		}
		select {
		case <-ctx.Done():
			return
		case <-c.news:
		case <-timer.C:
		}
	}
}

func (c *Client) state() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return Lost
	}
	return OK
}

// reach returns the connection to the guard, nil if there is none. Without eager, a
// guard that could not be reached just now is not tried again.
func (c *Client) reach(eager bool) *link {
	c.reaching <- struct{}{}
	defer func() { <-c.reaching }()
	c.mu.Lock()
	l := c.link
	if l != nil || c.ended || !eager && !c.tried.IsZero() && time.Since(c.tried) < again {
		c.mu.Unlock()
		return l
	}
	c.mu.Unlock()
	w, err := c.dial()
	if err == nil {
		l, err = connect(w, c.zero)
	}
	if err != nil {
		c.unreachable(err)
		return nil
	}
	for _, q := range c.begin(l) {
		if err := c.join(l, q); err != nil {
			c.log.Warn("an output is not guarded", "lines", q.request.Consumer, "err", err)
		}
	}
	return l
}

func (c *Client) unreachable(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried = time.Now()
	if !c.silent {
		c.silent = true
		c.log.Warn("the guard cannot be reached; outputs are not guarded until it is there", "err", err)
	}
}

// begin makes l the connection, and returns what is open and must be guarded.
func (c *Client) begin(l *link) []*lines {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.silent = l, false
	c.tending.Go(func() { c.tend(l) })
	c.log.Info("outputs are guarded", "patience", l.guard.Patience)
	if l.before {
		for q := range c.open {
			c.cutOff(q, true)
		}
	}
	c.tell()
	return slices.Collect(maps.Keys(c.open))
}

func (c *Client) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// tend beats until l is broken.
func (c *Client) tend(l *link) {
	tick := time.NewTicker(pace(l.guard.Patience))
	defer tick.Stop()
	for {
		select {
		case <-l.broken:
			c.lose(l)
			return
		case <-tick.C:
			// What cannot be written will be noticed by who reads.
			if err := l.beat(c.owners()); errors.Is(err, errNoAnswer) {
				c.disown(l)
			}
		}
	}
}

// owners returns when all owners of lines were alive. Who has not said so yet has not
// begun, and is not waited for.
func (c *Client) owners() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Since(c.zero)
	for l := range c.open {
		if seen := l.seen.Load(); seen > 0 {
			at = min(at, time.Duration(seen))
		}
	}
	return at
}

// disown goes on without a guard that hangs, which must find out when it wakes up. If
// it has taken over in this moment, it says so when it is reached again.
func (c *Client) disown(l *link) {
	c.log.Error("the guard does not answer; outputs are not guarded")
	_ = l.say(frame{Op: opDisown})
	l.Close()
}

// lose ends what depended on l.
func (c *Client) lose(l *link) {
	l.Close()
	<-l.broken
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l { // Somebody else has seen it, too.
		return
	}
	c.link, c.tried = nil, time.Time{}
	switch {
	case l.over:
		c.log.Error("the guard has taken over: this process gave no sign of life; outputs are requested again")
	case !c.ended:
		c.silent = true
		c.log.Warn("the guard is gone; outputs are not guarded until it is back")
	}
	for q := range c.open {
		if q.link.Load() == l {
			c.cutOff(q, l.over)
		}
	}
	c.tell()
}

// cutOff tells q whether its lines are the guard's by now, or nobody's but ours.
func (c *Client) cutOff(q *lines, over bool) {
	if !over {
		q.link.Store(nil)
		return
	}
	delete(c.open, q)
	close(q.over)
}

// join has the guard hold the lines of q.
func (c *Client) join(l *link, q *lines) error {
	if _, err := l.ask(frame{Op: opHold, Lines: &q.request}, q.file); err != nil {
		return err
	}
	c.bind(l, q)
	return nil
}

// bind makes q lines of which l's guard has a descriptor.
func (c *Client) bind(l *link, q *lines) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open[q] {
		return
	}
	q.link.Store(l)
	if c.link != l {
		c.cutOff(q, l.over)
	}
}

// leave says goodbye.
func (c *Client) leave() {
	c.mu.Lock()
	c.ended = true
	l := c.link
	c.mu.Unlock()
	if l != nil {
		if _, err := l.ask(frame{Op: opGoodbye}, nil); err != nil {
			c.log.Warn("the guard does not know that this is the end, and makes outputs safe", "err", err)
		}
		l.Close()
	}
	c.tending.Wait()
}
