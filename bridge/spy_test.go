package bridge_test

import (
	"context"
	"strings"
	"sync"

	"edge/bridge"
)

// A spy is a Client that remembers what was published, and may fail.
type spy struct {
	bridge.Client
	fail func(bridge.Message) error // may be nil

	mu   sync.Mutex
	sent []bridge.Message
}

func (s *spy) Publish(ctx context.Context, m bridge.Message) error {
	if s.fail != nil {
		if err := s.fail(m); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.sent = append(s.sent, m)
	s.mu.Unlock()
	return s.Client.Publish(ctx, m)
}

// published returns topics with their payloads, but without those of meta.
func (s *spy) published() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, m := range s.sent {
		line := m.Topic
		if !strings.HasSuffix(line, "/meta") {
			line += "=" + string(m.Payload)
		}
		all = append(all, line)
	}
	return all
}
