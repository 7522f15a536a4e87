package bridgetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edge/bridge"
)

const (
	// patience is how long a broker may take for one message, and a bridge to end.
	patience = 10 * time.Second

	// longPatience is how long a bridge may take for what is expected of it. In a
	// bubble that is time of the bubble, where it costs nothing: longer than the
	// greatest delay of bridge.Supervise.
	longPatience = time.Minute
)

// A history is what was published to one topic.
type history struct {
	messages []bridge.Message
	dropped  int             // before messages[0]
	next     int             // what Expect looks at next, counted from the first message ever
	waiting  []chan struct{} // closed at the next message
}

// record remembers m for Expect. c is locked.
func (c *Client) record(m bridge.Message) {
	h := c.historyOf(m.Topic)
	h.messages = append(h.messages, m)
	if len(h.messages) > maxHistory {
		cut := len(h.messages) / 2
		h.messages = append([]bridge.Message(nil), h.messages[cut:]...)
		h.dropped += cut
	}
	for _, w := range h.waiting {
		close(w)
	}
	h.waiting = nil
}

func (c *Client) historyOf(name string) *history {
	if c.history == nil {
		c.history = map[string]*history{}
	}
	if c.history[name] == nil {
		c.history[name] = new(history)
	}
	return c.history[name]
}

// find returns the first message that nobody was given yet and that is wanted.
// Otherwise it returns those that it looked at, and a channel that is closed
// when there are more.
func (c *Client) find(name string, want func(bridge.Message) bool) (m bridge.Message, passed []bridge.Message, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.historyOf(name)
	h.next = max(h.next, h.dropped)
	unseen := h.messages[h.next-h.dropped:]
	for i, m := range unseen {
		if want(m) {
			h.next += i + 1
			return m, nil, nil
		}
	}
	w := make(chan struct{})
	h.waiting = append(h.waiting, w)
	return bridge.Message{}, append([]bridge.Message(nil), unseen...), w
}

// Await waits for a message on a topic that satisfies want, and returns it. It
// looks at what was published since the message that Await or Expect returned
// last for this topic, so nothing is missed and nothing is seen twice. It fails
// the test, with what there was, after one minute (of its bubble, if it is in one).
func Await(t testing.TB, c *Client, name string, want func(bridge.Message) bool) bridge.Message {
	t.Helper()
	m, passed, ok := await(t, c, name, want)
	if !ok {
		t.Fatalf("%s: got %s, none of which is wanted", name, list(passed))
	}
	return m
}

// Expect waits for a message on a topic with exactly this payload, as Await
// does: whatever else was published there before it is passed over.
func Expect(t testing.TB, c *Client, name, payload string) {
	t.Helper()
	_, passed, ok := await(t, c, name, func(m bridge.Message) bool { return string(m.Payload) == payload })
	if !ok {
		t.Fatalf("%s: got %s, want %q", name, list(passed), payload)
	}
}

func await(t testing.TB, c *Client, name string, want func(bridge.Message) bool) (bridge.Message, []bridge.Message, bool) {
	t.Helper()
	timer := time.NewTimer(longPatience)
	defer timer.Stop()
	for {
		m, passed, more := c.find(name, want)
		if more == nil {
			return m, nil, true
		}
		select {
		case <-more:
		case <-timer.C:
			return m, passed, false
		}
	}
}

// list shows the last payloads of ms.
func list(ms []bridge.Message) string {
	if len(ms) == 0 {
		return "nothing"
	}
	const most = 20
	var b strings.Builder
	if n := len(ms) - most; n > 0 {
		fmt.Fprintf(&b, "%d messages, then ", n)
		ms = ms[n:]
	}
	for i, m := range ms {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", m.Payload)
	}
	return b.String()
}

// Send publishes payload to a topic, as a person with mosquitto_pub would: QoS 0
// and not retained.
func Send(t testing.TB, c bridge.Client, name, payload string) {
	t.Helper()
	if err := c.Publish(t.Context(), bridge.Message{Topic: name, Payload: []byte(payload)}); err != nil {
		t.Fatal(err)
	}
}
