// Package bridgetest helps to test bridges and brokers: a Client in memory,
// Run and Expect to see what a bridge does with it, and the suite that every
// implementation of bridge.Client passes. It is for tests only.
package bridgetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edge/bridge"
	"edge/internal/topic"
)

// maxHistory is how many messages of each topic a Client remembers for Expect.
const maxHistory = 1 << 14

// A Client is a broker in memory for one test, and the client of it. Its zero
// value is ready. It starts goroutines only for subscriptions; they end with the
// context of the subscription, so it works in a synctest bubble.
type Client struct {
	mu       sync.Mutex
	retained map[string]envelope
	subs     []*subscription
	history  map[string]*history
}

var _ bridge.Client = (*Client)(nil)

// An envelope is a message and when it is too late for it.
type envelope struct {
	bridge.Message
	end time.Time // zero: never
}

func seal(m bridge.Message) envelope {
	m.Payload = bytes.Clone(m.Payload)
	m.CorrelationData = bytes.Clone(m.CorrelationData)
	m.User = slices.Clone(m.User)
	e := envelope{Message: m}
	if m.Expiry > 0 {
		e.end = time.Now().Add(m.Expiry)
	}
	return e
}

// open returns the message with what is left of its expiry, in whole seconds
// and at least one (MQTT 5.0, section 3.3.2.3.3); false means that it expired.
func (e envelope) open() (bridge.Message, bool) {
	if e.end.IsZero() {
		return e.Message, true
	}
	left := time.Until(e.end)
	m := e.Message
	m.Expiry = (left + time.Second - 1).Truncate(time.Second)
	return m, left > 0
}

// Publish implements bridge.Client. A retained command, `…/set`, is refused as
// the broker does it: with an error that wraps bridge.ErrRefused and a result.
func (c *Client) Publish(ctx context.Context, m bridge.Message) error {
	if err := check(ctx, m); err != nil {
		return fmt.Errorf("publish %s: %w", m.Topic, err)
	}
	if _, _, command := bridge.SplitSet(m.Topic); command && m.Retain {
		c.refuse(m.Topic, "retained")
		return fmt.Errorf("publish %s: %w: a command must not be retained", m.Topic, bridge.ErrRefused)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := seal(m)
	c.keep(e)
	c.record(e.Message)
	e.Retain = false // section 3.3.1.3: the subscription was there before.
	for _, s := range c.subs {
		if topic.Match(s.filter, m.Topic) {
			s.put(e)
		}
	}
	return nil
}

func check(ctx context.Context, m bridge.Message) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case m.QoS > 2:
		return fmt.Errorf("QoS %d; want 0, 1 or 2", m.QoS)
	case m.Expiry < 0:
		return fmt.Errorf("expiry %v is negative", m.Expiry)
	}
	return topic.CheckName(m.Topic)
}

// keep makes e what is retained for its topic, if it is to be.
func (c *Client) keep(e envelope) {
	switch {
	case !e.Retain:
	case len(e.Payload) == 0:
		delete(c.retained, e.Topic)
	default:
		if c.retained == nil {
			c.retained = map[string]envelope{}
		}
		c.retained[e.Topic] = e
	}
}

// refuse answers the command on the topic name. There is no answer if that would
// have to go to a topic that is longer than MQTT allows.
func (c *Client) refuse(name, reason string) {
	base, entity, _ := bridge.SplitSet(name)
	r := bridge.Result{Status: bridge.StatusRefused, Reason: reason}
	_ = bridge.PublishResult(context.Background(), c, base, entity, r)
}

// Subscribe implements bridge.Client. Shared subscriptions are refused: in one
// process there is nobody to share with.
func (c *Client) Subscribe(ctx context.Context, filter string, handle func(bridge.Message)) error {
	if err := topic.CheckFilter(filter); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if strings.HasPrefix(filter, topic.SharePrefix) {
		return fmt.Errorf("subscribe to %s: a client in memory has no shared subscriptions", filter)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("subscribe to %s: %w", filter, context.Cause(ctx))
	}
	s := &subscription{filter: filter, handle: handle, wake: make(chan struct{}, 1), refuse: c.refuse}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.retained)) {
		if topic.Match(filter, name) {
			s.put(c.retained[name])
		}
	}
	c.subs = append(c.subs, s)
	go c.serve(ctx, s)
	return nil
}

// serve hands messages to s until ctx ends.
func (c *Client) serve(ctx context.Context, s *subscription) {
	s.run(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = slices.DeleteFunc(c.subs, func(o *subscription) bool { return o == s })
}

// Retained returns the message that is retained for a topic.
func (c *Client) Retained(name string) (m bridge.Message, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, is := c.retained[name]; is {
		return e.open()
	}
	return bridge.Message{}, false
}
