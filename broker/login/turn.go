package login

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
)

const (
	// maxWaiting bounds the line for the one who hashes; a client that finds it
	// longer is told to come again.
	maxWaiting = 256

	// maxGarbage is how much memory hashes may leave to the collector. By
	// itself it comes when the heap has doubled, which on a busy hub is after
	// dozens of hashes. One of DefaultCost takes 19 MiB.
	maxGarbage = 32 << 20

	// minGarbage is what is worth a collection.
	minGarbage = 1 << 20
)

// ErrBusy says that too many are waiting for their passwords to be checked.
var ErrBusy = errors.New("too many logins at once")

// A turn lets one hash be computed at a time, so that all of them together need
// the memory of one, and one core.
type turn struct {
	token   chan struct{}
	waiting atomic.Int64
	garbage int // bytes; of who has the turn
}

func newTurn() *turn { return &turn{token: make(chan struct{}, 1)} }

// take waits for the turn, behind those who came before.
func (t *turn) take(ctx context.Context) error {
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > maxWaiting {
		return ErrBusy
	}
	select {
	case t.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give ends the turn. When nobody will take it at once, the memory goes back to
// the system.
func (t *turn) give() {
	if t.waiting.Load() == 0 && t.garbage >= minGarbage {
		t.clean()
	}
	<-t.token
}

func (t *turn) clean() {
	if t.garbage > 0 {
		debug.FreeOSMemory()
		t.garbage = 0
	}
}

// need makes place for the memory of h.
func (t *turn) need(h Hash) {
	if t.garbage+h.memory() > maxGarbage {
		t.clean()
	}
	t.garbage += h.memory()
}

// matches is h.matches, with an account of the memory.
func (t *turn) matches(h Hash, p Secret) bool {
	t.need(h)
	return h.matches(p)
}

// hash is HashPassword, with an account of the memory.
func (t *turn) hash(p Secret, c Cost) Hash {
	t.need(Hash{scheme: argon2id, cost: c})
	return HashPassword(p, c)
}
