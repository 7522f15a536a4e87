package bridgetest

import (
	"context"
	"sync"

	"edge/bridge"
)

// A subscription is a queue without bound, so that a handler may publish what
// it subscribes to, and the goroutine that empties it.
type subscription struct {
	filter string
	handle func(bridge.Message)
	refuse func(name, reason string)
	wake   chan struct{} // has one token when queue may have something

	mu    sync.Mutex
	queue []envelope
}

func (s *subscription) put(e envelope) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) take() []envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.queue
	s.queue = nil
	return batch
}

// run calls the handler until ctx ends.
func (s *subscription) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for _, e := range s.take() {
			if ctx.Err() != nil {
				return
			}
			s.deliver(e)
		}
	}
}

func (s *subscription) deliver(e envelope) {
	m, ok := e.open()
	if ok {
		s.handle(m)
		return
	}
	if _, _, command := bridge.SplitSet(m.Topic); command {
		s.refuse(m.Topic, "expired")
	}
}
