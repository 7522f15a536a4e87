package bridge

import (
	"context"
	"fmt"
)

// PublishEvent tells that something happened to entity just now, by one of the
// names that it has in Events. It is not retained: who comes later missed it.
func PublishEvent(ctx context.Context, c Client, base Base, entity, event string) error {
	err := c.Publish(ctx, Message{Topic: base.Event(entity), Payload: []byte(event), QoS: 1, Text: true})
	if err != nil {
		return fmt.Errorf("publish event %s of %s: %w", event, base.State(entity), err)
	}
	return nil
}
