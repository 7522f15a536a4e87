package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Online and Offline are the payloads of a status; Offline is a Quality, too.
const (
	Online  = "online"
	Offline = "offline"
)

// patience bounds how long Announce waits for its own message to come back.
const patience = 10 * time.Second

// Announce tells what d is: it retains its description as JSON on …/meta,
// empties what is retained of entities that an earlier description had and that
// are gone, and then retains `online` on …/status. Everything that is wrong with
// d is reported at once, before anything is published.
func Announce(ctx context.Context, c Client, d Device) error {
	if err := d.Validate(); err != nil {
		return err
	}
	meta, err := json.Marshal(describe(d))
	if err != nil {
		return fmt.Errorf("describe device %s: %w", d.Base, err)
	}
	kept, err := exchange(ctx, c, d.Base, meta)
	if err != nil {
		return fmt.Errorf("announce %s: %w", d.Base, err)
	}
	if err := empty(ctx, c, leftovers(d, kept)); err != nil {
		return fmt.Errorf("announce %s: %w", d.Base, err)
	}
	return publishStatus(ctx, c, d.Base, Online)
}

// empty removes what is retained on topics.
func empty(ctx context.Context, c Client, names []string) error {
	for _, name := range names {
		if err := c.Publish(ctx, Message{Topic: name, QoS: 1, Retain: true}); err != nil {
			return fmt.Errorf("empty %s: %w", name, err)
		}
	}
	return nil
}

// exchange publishes meta and returns what was retained under base before. A
// subscription hands out what is retained first, then what is published: when
// meta comes back, all that was retained has been seen.
func exchange(ctx context.Context, c Client, base Base, meta []byte) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("the broker did not deliver %s to its own subscriber within %v", base.Meta(), patience))
	defer cancel()
	var (
		mu   sync.Mutex
		kept = map[string][]byte{}
		once sync.Once
		back = make(chan struct{})
	)
	err := c.Subscribe(ctx, string(base)+"/#", func(m Message) {
		mu.Lock()
		defer mu.Unlock()
		if m.Retain {
			kept[m.Topic] = m.Payload
		} else if m.Topic == base.Meta() && bytes.Equal(m.Payload, meta) {
			once.Do(func() { close(back) })
		}
	})
	if err != nil {
		return nil, err
	}
	err = c.Publish(ctx, Message{Topic: base.Meta(), Payload: meta, QoS: 1, Retain: true, Text: true, ContentType: "application/json"})
	if err != nil {
		return nil, err
	}
	select {
	case <-back:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	mu.Lock()
	defer mu.Unlock()
	seen := kept
	kept = map[string][]byte{} // the handler may still be called
	return seen, nil
}

// leftovers returns the topics of kept that belong to entities which the meta in
// kept had and d has no more, or has without a state.
func leftovers(d Device, kept map[string][]byte) []string {
	var old struct {
		Entities []struct {
			ID string `json:"id"`
		} `json:"entities"`
	}
	if json.Unmarshal(kept[d.Base.Meta()], &old) != nil {
		return nil // nothing was announced, or by somebody else
	}
	now := map[string]Entity{}
	for _, e := range d.Entities {
		now[e.ID] = e
	}
	var gone []string
	for _, e := range old.Entities {
		if checkID(e.ID) != nil {
			continue
		}
		state := d.Base.State(e.ID)
		for name := range kept {
			_, _, command := SplitSet(name)
			entity, is := now[e.ID]
			switch {
			case command: // never retained; the broker refuses it.
			case name == state && (!is || !entity.Kind.hasState()),
				name == d.Base.Position(e.ID) && entity.Kind != Cover,
				strings.HasPrefix(name, state+"/") && !is:
				gone = append(gone, name)
			}
		}
	}
	return gone
}

func publishStatus(ctx context.Context, c Client, base Base, status string) error {
	err := c.Publish(ctx, Message{Topic: base.Status(), Payload: []byte(status), QoS: 1, Retain: true, Text: true})
	if err != nil {
		return fmt.Errorf("publish status %s of %s: %w", status, base, err)
	}
	return nil
}
