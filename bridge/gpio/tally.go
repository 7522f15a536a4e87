package gpio

import "time"

// A tally counts the pulses of a line by what the kernel says of its edges. With
// a width, an edge counts when the level after it has lasted as long and is
// another one than the last that did: what is too short is a disturbance. So it
// counts at the next edge, when the kernel's clock has told how long it was.
type tally struct {
	edge  CountEdge
	width time.Duration

	level bool          // after the last edge, or at the start
	at    time.Duration // when that edge was, by the kernel's clock
	known bool          // there was an edge since the start
	solid bool          // the last level that has lasted
	short uint64        // edges that would have counted, were they not too short
}

// begin tells what the line is at the start.
func (t *tally) begin(level bool) { t.level, t.solid, t.known = level, level, false }

// A pulse count is what an edge has brought, and when the last one of it was.
type counted struct {
	n    uint64
	lost uint64 // of n, those of edges that the kernel had to drop
	at   time.Duration
}

// event takes an edge to level, before which the kernel dropped lost others.
// These are counted: edges alternate, so it is known how many went which way.
// How long they were is not known; no more count than can have lasted since the
// edge before.
func (t *tally) event(level bool, at time.Duration, lost uint32) counted {
	if !t.known { // The line may have changed before it was read at the start.
		t.level = level == (lost%2 == 1)
		t.solid = t.level
	}
	c := counted{at: at}
	switch {
	case lost > 0:
		c.n = t.missed(at, uint64(lost))
		c.lost = c.n
		t.solid = !level
		if t.width == 0 {
			c.n += t.one(level)
		}
	case t.width > 0:
		if t.known {
			c.at = t.at
		}
		c.n = t.held(at)
		if t.known && level == t.level { // An edge back and forth that the kernel saw as one.
			t.short += t.one(level)
		}
	default:
		if t.known && level == t.level {
			c.n = t.one(!level)
		}
		c.n += t.one(level)
	}
	t.level, t.at, t.known = level, at, true
	return c
}

// held decides about the last edge, now that its level has ended.
func (t *tally) held(at time.Duration) uint64 {
	switch {
	case !t.known:
		return 0
	case at-t.at < t.width:
		t.short += t.one(t.level)
		return 0
	case t.level == t.solid:
		return 0
	}
	t.solid = t.level
	return t.one(t.level)
}

// missed returns how many of the edges count that were dropped until at, and of
// the one before them that is not decided yet.
func (t *tally) missed(at time.Duration, edges uint64) (n uint64) {
	if t.width == 0 || !t.known {
		return t.alternate(!t.level, edges)
	}
	edges = min(edges+1, uint64(max(at-t.at, 0)/t.width))
	n = t.alternate(t.level, edges)
	if t.level == t.solid && edges > 0 {
		n -= t.one(t.level)
	}
	return n
}

// one is 1 if edges to level count.
func (t *tally) one(level bool) uint64 {
	if t.edge == Both || level == (t.edge != Falling) {
		return 1
	}
	return 0
}

// alternate returns how many count of edges that alternate, the first to level.
func (t *tally) alternate(level bool, edges uint64) uint64 {
	return t.one(level)*((edges+1)/2) + t.one(!level)*(edges/2)
}
