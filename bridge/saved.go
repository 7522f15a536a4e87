package bridge

import (
	"context"
	"encoding/json"
	"fmt"
)

// Save retains v as JSON on …/saved of entity. It is there after a restart, and
// after a power cut once Save has returned.
func Save(ctx context.Context, c Client, base Base, entity string, v any) error {
	return publishJSON(ctx, c, Message{Topic: base.Saved(entity), Retain: true, Lasting: true}, v)
}

// Recall returns what was saved of the entities of d, by their ids. It is asked
// before d is announced, and empties what Announce would.
func Recall(ctx context.Context, c Client, d Device) (map[string][]byte, error) {
	meta, err := json.Marshal(describe(d))
	if err != nil {
		return nil, fmt.Errorf("describe device %s: %w", d.Base, err)
	}
	kept, err := exchange(ctx, c, d.Base, meta)
	if err != nil {
		return nil, fmt.Errorf("recall what was saved of %s: %w", d.Base, err)
	}
	// The meta that is retained now is the new one: Announce will not see the old.
	if err := empty(ctx, c, leftovers(d, kept)); err != nil {
		return nil, fmt.Errorf("recall what was saved of %s: %w", d.Base, err)
	}
	saved := make(map[string][]byte)
	for _, e := range d.Entities {
		if v := kept[d.Base.Saved(e.ID)]; len(v) > 0 {
			saved[e.ID] = v
		}
	}
	return saved, nil
}
