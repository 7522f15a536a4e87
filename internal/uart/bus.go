package uart

import (
	"context"
	"slices"
	"sync"
)

// A Bus is a port that its owner shares with guests, such as a PC tool at a tap.
// One of them has it at a time, for an exchange that nobody else comes into.
//
// When both wait, owner and guests take turns: neither a poll scheduler that is
// always late nor a tool that is always early keeps the other out.
type Bus struct {
	port *Port

	mu     sync.Mutex
	held   bool
	last   Priority           // who has it, or had it last
	queues [2][]chan struct{} // who waits, by priority; closed to hand over
}

// A Priority says who asks for a Bus.
type Priority int

// The priorities.
const (
	Owner Priority = iota // goes first, unless it had the bus last and a guest waits
	Guest
)

// NewBus returns a bus on p that nobody has.
func NewBus(p *Port) *Bus { return &Bus{port: p, last: Guest} }

// Exchange calls do with the port when the owner has the bus, and returns its
// error, or that of ctx if it ended before.
func (b *Bus) Exchange(ctx context.Context, do func(*Port) error) error {
	if err := b.Acquire(ctx, Owner); err != nil {
		return err
	}
	defer b.Release()
	return do(b.port)
}

// Acquire waits for the bus. Without error, Release must follow.
func (b *Bus) Acquire(ctx context.Context, who Priority) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if !b.held {
		b.held, b.last = true, who
		b.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	b.queues[who] = append(b.queues[who], turn)
	b.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		b.leave(who, turn)
		return ctx.Err()
	}
}

// leave takes a waiting one out of its queue, or gives the bus on that it was
// handed meanwhile.
func (b *Bus) leave(who Priority, turn chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queues[who], turn); i >= 0 {
		b.queues[who] = slices.Delete(b.queues[who], i, i+1)
		return
	}
	b.next()
}

// Release gives the bus back. It must be called once after each Acquire.
func (b *Bus) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next()
}

// next hands the bus to the one whose turn it is.
func (b *Bus) next() {
	who := Owner
	if len(b.queues[Owner]) == 0 || b.last == Owner && len(b.queues[Guest]) > 0 {
		who = Guest
	}
	if len(b.queues[who]) == 0 {
		b.held = false
		return
	}
	turn := b.queues[who][0]
	b.queues[who] = slices.Delete(b.queues[who], 0, 1)
	b.last = who
	close(turn)
}

// wanted reports whether anybody waits.
func (b *Bus) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queues[Owner])+len(b.queues[Guest]) > 0
}
