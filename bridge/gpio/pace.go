package gpio

import (
	"context"
	"sync/atomic"
	"time"
)

// So many edges of a line are read in such a time. More are left to the kernel,
// which drops and numbers them: a storm on all lines of a header costs a few
// percent of a small processor, and is counted to the edge all the same.
const (
	paceEdges = 200
	paceTime  = 100 * time.Millisecond
)

// A pace keeps the edges of one line from taking the whole processor.
type pace struct {
	n     int
	since time.Time
	rests atomic.Bool // there is a storm, of which we do not look at each edge
}

// step is called before each edge is read. It returns when that may be done, or
// ctx ends.
func (p *pace) step(ctx context.Context) {
	now := time.Now()
	if now.Sub(p.since) >= paceTime {
		p.n, p.since = 0, now
	}
	if p.n++; p.n <= paceEdges {
		return
	}
	p.rests.Store(true)
	defer p.rests.Store(false)
	timer := time.NewTimer(p.since.Add(paceTime).Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	p.n, p.since = 1, time.Now()
}
