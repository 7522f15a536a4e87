package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PublishState retains value, a plain scalar such as `ON` or `21.5`, as the
// state of entity. It is called after the hardware has confirmed the value. An
// empty value removes the state.
func PublishState(ctx context.Context, c Client, base Base, entity, value string) error {
	err := c.Publish(ctx, Message{Topic: base.State(entity), Payload: []byte(value), QoS: 1, Retain: true, Text: true})
	if err != nil {
		return fmt.Errorf("publish state of %s: %w", base.State(entity), err)
	}
	return nil
}

// PublishPosition retains value, 0 (closed) to 100 (open), as the position of a
// cover. An empty value says that it is not known: it removes the position.
func PublishPosition(ctx context.Context, c Client, base Base, entity, value string) error {
	err := c.Publish(ctx, Message{Topic: base.Position(entity), Payload: []byte(value), QoS: 1, Retain: true, Text: true})
	if err != nil {
		return fmt.Errorf("publish position of %s: %w", base.State(entity), err)
	}
	return nil
}

// Quality says what the state of an entity is worth.
type Quality string

// The qualities of a state. The third one is Offline: the device is gone, and
// the state is the last one known.
const (
	Good Quality = "good" // as measured
	Bad  Quality = "bad"  // the device is there, but the value cannot be read
)

// Attr is what there is to say about an entity beside its state.
type Attr struct {
	Quality  Quality           // empty: good
	Error    string            // what is wrong, for people
	Cause    string            // of the last change: `command`, `input`, `timer`
	Since    time.Time         // when the state became what it is
	Counters map[string]uint64 // events since the start of the bridge
	Extra    map[string]any    // what else the bridge tells, beside the names above
}

// attrJSON is how the named fields of an Attr are written.
type attrJSON struct {
	Quality  Quality           `json:"quality"`
	Error    string            `json:"error,omitempty"`
	Cause    string            `json:"cause,omitempty"`
	Since    string            `json:"since,omitempty"`
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// attrKeys are the names that Extra must not have.
var attrKeys = []string{"quality", "error", "cause", "since", "counters"}

// sinceLayout is RFC 3339 in milliseconds.
const sinceLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalJSON writes the named fields in their order, then Extra by name.
func (a Attr) MarshalJSON() ([]byte, error) {
	j := attrJSON{Quality: a.Quality, Error: a.Error, Cause: a.Cause, Counters: a.Counters}
	if j.Quality == "" {
		j.Quality = Good
	}
	if !a.Since.IsZero() {
		j.Since = a.Since.UTC().Format(sinceLayout)
	}
	b, err := json.Marshal(j)
	if err != nil || len(a.Extra) == 0 {
		return b, err
	}
	for _, k := range attrKeys {
		if _, ok := a.Extra[k]; ok {
			return nil, fmt.Errorf("the attribute %q has a field of its own and cannot be an extra one", k)
		}
	}
	extra, err := json.Marshal(a.Extra)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(b, []byte("}")), ','), extra[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON writes. Numbers in Extra become
// json.Number.
func (a *Attr) UnmarshalJSON(b []byte) error {
	var j attrJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	*a = Attr{Quality: j.Quality, Error: j.Error, Cause: j.Cause, Counters: j.Counters}
	if j.Since != "" {
		since, err := time.Parse(time.RFC3339Nano, j.Since)
		if err != nil {
			return fmt.Errorf("read attributes: since: %w", err)
		}
		a.Since = since
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a counter of 64 bits does not fit into a float64.
	if err := dec.Decode(&a.Extra); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	maps.DeleteFunc(a.Extra, func(k string, _ any) bool { return slices.Contains(attrKeys, k) })
	if len(a.Extra) == 0 {
		a.Extra = nil
	}
	return nil
}

// PublishAttr retains a as JSON beside the state of entity.
func PublishAttr(ctx context.Context, c Client, base Base, entity string, a Attr) error {
	return publishJSON(ctx, c, Message{Topic: base.Attr(entity), Retain: true}, a)
}

// publishJSON publishes m with v as its payload, at QoS 1.
func publishJSON(ctx context.Context, c Client, m Message, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		m.Payload, m.QoS, m.Text, m.ContentType = b, 1, true, "application/json"
		err = c.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", m.Topic, err)
	}
	return nil
}
