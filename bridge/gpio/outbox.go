package gpio

import (
	"context"
	"slices"
	"sync"
)

// crowded is how many letters may wait before a newer state replaces an older
// one of the same topic instead of following it.
const crowded = 1000

// An outbox keeps the owners of lines from waiting for the broker, and for the
// disk behind it: a relay whose time is over must fall. Letters go out in order.
type outbox struct {
	mu    sync.Mutex
	queue []letter
	ready chan struct{} // there may be letters
	room  chan struct{} // it may be no longer crowded
}

// A letter is a message to be published. Key is the topic of a retained one.
type letter struct {
	key  string
	send func(context.Context) error
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)} }

func (o *outbox) put(l letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.replace(l) {
		o.queue = append(o.queue, l)
	}
	signal(o.ready)
}

// wait returns when the outbox is not crowded, or ctx ends. One goroutine may
// call it. It keeps a flood of commands from filling the memory with answers.
func (o *outbox) wait(ctx context.Context) {
	for o.len() >= crowded {
		select {
		case <-ctx.Done():
			return
		case <-o.room:
		}
	}
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// replace puts l in the place of the last letter of its key, if it is crowded.
func (o *outbox) replace(l letter) bool {
	if len(o.queue) < crowded || l.key == "" {
		return false
	}
	for i := len(o.queue) - 1; i >= 0; i-- {
		if o.queue[i].key == l.key {
			o.queue[i] = l
			return true
		}
	}
	return false
}

func (o *outbox) take() (l letter, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return l, false
	}
	l, o.queue = o.queue[0], o.queue[1:]
	signal(o.room)
	return l, true
}

// run sends until ctx ends, or until the broker does not take a letter.
func (o *outbox) run(ctx context.Context) error {
	for {
		if err := o.flush(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.ready:
		}
	}
}

// flush sends what is there. A letter that was not sent, as when ctx ends meanwhile, is
// the first one of the next flush: it may be the last state that there is to tell.
func (o *outbox) flush(ctx context.Context) error {
	for ctx.Err() == nil {
		l, ok := o.take()
		if !ok {
			return nil
		}
		if err := l.send(ctx); err != nil {
			o.putBack(l)
			if ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}

func (o *outbox) putBack(l letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = slices.Insert(o.queue, 0, l)
}
