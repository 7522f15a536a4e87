package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"
)

// A Bus is a line of two wires, RS-485 say, in memory: what one end says, all
// others hear, a character after the other, as fast as the line is. Two who
// speak at once hear and are heard as noise. It needs no goroutine and no
// kernel, so that within a bubble of testing/synctest its times are exact.
type Bus struct {
	char time.Duration // how long a character takes

	mu     sync.Mutex
	ends   []*BusEnd
	talker *BusEnd
	free   time.Time // when the talker has finished
	busy   time.Duration
	noise  *rand.Rand
}

// NewBus returns a line without ends. A character takes bits/baud seconds:
// 10 bits with neither parity nor a second stop bit. A baud of 0 is a line that
// takes no time.
func NewBus(baud, bits int) *Bus {
	b := &Bus{noise: rand.New(rand.NewPCG(4, 85))}
	if baud > 0 {
		b.char = time.Duration(bits) * time.Second / time.Duration(baud)
	}
	return b
}

// Busy returns for how long somebody has spoken, or is going to with what was
// written.
func (b *Bus) Busy() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy
}

// Tie returns a new end, which hears all others.
func (b *Bus) Tie() *BusEnd { return b.tie(&BusEnd{}) }

// TieEcho returns a new end that hears itself, too, as an adapter does whose
// receiver is always on.
func (b *Bus) TieEcho() *BusEnd { return b.tie(&BusEnd{echo: true}) }

func (b *Bus) tie(e *BusEnd) *BusEnd {
	e.bus, e.wake = b, make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ends = append(b.ends, e)
	return e
}

// overrun is how many characters an end that does not read keeps; the oldest
// are lost.
const overrun = 64 << 10

// A BusEnd is a port on a Bus. Its methods may be called from several
// goroutines at once.
type BusEnd struct {
	bus  *Bus
	echo bool
	deaf *BusEnd // what this end says is not heard there

	// All of these are guarded by bus.mu.
	inbox   []arrival
	until   time.Time // when what was written has left
	readBy  time.Time
	writeBy time.Time
	closed  bool

	wake chan struct{} // something of the above has changed
}

// An arrival is a character that is there from a time on.
type arrival struct {
	at   time.Time
	char byte
}

func (e *BusEnd) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Write begins to send p, behind what is being sent by this end, and returns at
// once, as a serial port does. Drain waits until it has left.
func (e *BusEnd) Write(p []byte) (int, error) {
	b := e.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case e.closed:
		return 0, os.ErrClosed
	case !e.writeBy.IsZero() && !now.Before(e.writeBy):
		return 0, os.ErrDeadlineExceeded
	}
	start := now
	if e.until.After(now) {
		start = e.until
	}
	clash := b.talker != e && b.free.After(start)
	e.until = start.Add(time.Duration(len(p)) * b.char)
	b.busy += time.Duration(len(p)) * b.char
	for _, other := range b.ends {
		if other != e.deaf && (other != e || e.echo) {
			other.hear(start, p, clash)
		}
	}
	if e.until.After(b.free) {
		b.talker, b.free = e, e.until
	}
	return len(p), nil
}

// hear puts p into the inbox. If it clashes with what another says, what is
// still to come of both is noise.
func (e *BusEnd) hear(start time.Time, p []byte, clash bool) {
	b := e.bus
	first := len(e.inbox)
	for i, c := range p {
		e.inbox = append(e.inbox, arrival{start.Add(time.Duration(i+1) * b.char), c})
	}
	if clash {
		for i := range e.inbox {
			if i >= first || e.inbox[i].at.After(start) {
				e.inbox[i].char = byte(b.noise.Uint32())
			}
		}
		slices.SortStableFunc(e.inbox, func(a, b arrival) int { return a.at.Compare(b.at) })
	}
	if n := len(e.inbox) - overrun; n > 0 {
		e.inbox = slices.Delete(e.inbox, 0, n)
	}
	e.poke()
}

// Read returns what has arrived, and waits for the first character.
func (e *BusEnd) Read(p []byte) (int, error) {
	for {
		n, until, err := e.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if until.IsZero() {
			<-e.wake
			continue
		}
		t := time.NewTimer(time.Until(until))
		select {
		case <-e.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// take returns what has arrived. If that is nothing, until is when to look
// again; zero is never.
func (e *BusEnd) take(p []byte) (n int, until time.Time, err error) {
	e.bus.mu.Lock()
	defer e.bus.mu.Unlock()
	now := time.Now()
	switch {
	case e.closed:
		return 0, until, os.ErrClosed
	case !e.readBy.IsZero() && !now.Before(e.readBy):
		return 0, until, os.ErrDeadlineExceeded
	}
	for n < len(p) && n < len(e.inbox) && !e.inbox[n].at.After(now) {
		p[n] = e.inbox[n].char
		n++
	}
	e.inbox = slices.Delete(e.inbox, 0, n)
	until = e.readBy
	if len(e.inbox) > 0 && (until.IsZero() || e.inbox[0].at.Before(until)) {
		until = e.inbox[0].at
	}
	return n, until, nil
}

// Drain waits until what was written has left, or ctx ends.
func (e *BusEnd) Drain(ctx context.Context) error {
	e.bus.mu.Lock()
	d := time.Until(e.until)
	e.bus.mu.Unlock()
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", ctx.Err())
	}
}

// SetReadDeadline bounds Read, also one that waits.
func (e *BusEnd) SetReadDeadline(t time.Time) error {
	return e.set(func() { e.readBy = t })
}

// SetWriteDeadline bounds Write.
func (e *BusEnd) SetWriteDeadline(t time.Time) error {
	return e.set(func() { e.writeBy = t })
}

func (e *BusEnd) set(what func()) error {
	e.bus.mu.Lock()
	defer e.bus.mu.Unlock()
	if e.closed {
		return os.ErrClosed
	}
	what()
	e.poke()
	return nil
}

// Close takes the end off the line, and ends a Read that waits.
func (e *BusEnd) Close() error {
	b := e.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.ends, e); i >= 0 {
		b.ends = slices.Delete(b.ends, i, i+1)
	}
	e.closed = true
	e.poke()
	return nil
}

var _ io.ReadWriteCloser = (*BusEnd)(nil)
