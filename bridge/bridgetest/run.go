package bridgetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"edge/bridge"
)

// Run runs b with c until the test ends. The test fails if b ends before that,
// ends with an error other than its context's, does not end within ten seconds,
// or leaves something behind: a subscription that goes on, or a goroutine that
// still publishes.
func Run(t testing.TB, c bridge.Client, b bridge.Bridge) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &witness{Client: c, t: t}
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := b.Run(ctx, w)
		w.end()
		switch {
		case ctx.Err() == nil:
			t.Errorf("Run returned %v before its context ended", err)
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("Run returned %v when its context ended, want nil", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-over:
			w.close()
		case <-timer.C:
			t.Errorf("Run did not return within %v of the end of its context", patience)
		}
	})
}

// A witness is a Client that sees what a bridge leaves behind.
type witness struct {
	bridge.Client
	t testing.TB

	mu     sync.Mutex
	subs   []madeSubscription
	over   bool // Run has returned
	closed bool // the test has ended; t must not be used
}

// A madeSubscription goes on until ctx ends.
type madeSubscription struct {
	ctx    context.Context
	filter string
}

func (w *witness) Publish(ctx context.Context, m bridge.Message) error {
	w.complain("published to " + m.Topic)
	return w.Client.Publish(ctx, m)
}

func (w *witness) Subscribe(ctx context.Context, filter string, handle func(bridge.Message)) error {
	w.complain("subscribed to " + filter)
	err := w.Client.Subscribe(ctx, filter, handle)
	if err == nil {
		w.remember(ctx, filter)
	}
	return err
}

func (w *witness) remember(ctx context.Context, filter string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs = append(w.subs, madeSubscription{ctx, filter})
}

// complain reports what was done after the bridge had to be still.
func (w *witness) complain(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over && !w.closed {
		w.t.Errorf("the bridge %s after its Run had returned", what)
	}
}

// end is called when Run has returned.
func (w *witness) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// close is called after end, when the context of Run has ended.
func (w *witness) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, s := range w.subs {
		if s.ctx.Err() == nil {
			w.t.Errorf("the subscription to %s outlives Run; subscribe with its context", s.filter)
		}
	}
}
