package bridge

import (
	"context"
	"time"
)

// A Change is what an output became, and why.
type Change struct {
	Time   time.Time `json:"time"`
	Value  string    `json:"value"`            // read back
	Cause  string    `json:"cause"`            // as in Attr
	Why    string    `json:"why,omitempty"`    // for people, where the cause does not say it all
	User   string    `json:"user,omitempty"`   // whose command it was, or has led to it
	Client string    `json:"client,omitempty"` // the same
	ID     string    `json:"id,omitempty"`     // of that command
}

// PublishChange tells of a change on …/log, once. It is not retained.
func PublishChange(ctx context.Context, c Client, base Base, entity string, change Change) error {
	change.Time = change.Time.UTC().Truncate(time.Millisecond)
	return publishJSON(ctx, c, Message{Topic: base.Log(entity)}, change)
}
