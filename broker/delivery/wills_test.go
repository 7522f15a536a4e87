package delivery

import (
	"errors"
	"testing"

	"edge/broker/journal"
)

// TestWillBytes bounds the wills of all clients together: who comes with one too
// many is refused and disturbs nobody, and what is sent or taken back makes room.
func TestWillBytes(t *testing.T) {
	opts := options()
	size := willTo("w", 9).Message.size()
	opts.WillBytes = 2 * size
	e := newEngine(t, journal.Memory{}, opts)
	first := connect(t, e, "a", Opening{Will: willTo("w", 9), Expiry: 9})
	connect(t, e, "b", Opening{Will: willTo("w", 9), Expiry: 9})
	refused := func(id string) bool {
		t.Helper()
		link := &peer{done: make(chan struct{})}
		s, _, release, err := e.Begin(Opening{ID: id, Will: willTo("w", 9), Expiry: 9, Link: link})
		if err == nil {
			release()
			e.Leave(s, link, Leaving{})
			return false
		}
		if !errors.Is(err, ErrTooManyWills) {
			t.Fatal(err)
		}
		return true
	}
	if !refused("c") {
		t.Error("a third will is taken")
	}
	if !refused("a") {
		t.Error("a will is taken in place of one that still counts")
	}
	select {
	case <-first.Done():
		t.Error("who is refused has ended a connection")
	default:
	}
	e.Leave(first.s, first, Leaving{Normal: true})
	e.Weigh()
	if refused("c") {
		t.Error("a will is refused although one was taken back")
	}
}
