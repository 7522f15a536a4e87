package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"edge/bridge"
)

// sysTopics is where the broker tells of itself; statusTopics are those that a
// hub's own status has, too.
const sysTopics = "$SYS/broker/"

var statusTopics = []string{"journal/state", "journal/aside", "memory/state"}

// A nodeAttr is the payload of the topic status/attr of a hub.
type nodeAttr struct {
	Journal string   `json:"journal"`         // ok, full or failing
	Memory  string   `json:"memory"`          // ok, tight or full
	Aside   []string `json:"aside,omitempty"` // files of the journal that could not be read
}

func (n *node) publishStatus(status string) error { return n.publish("/status", []byte(status)) }

func (n *node) goOffline() {
	if err := n.publishStatus("offline"); err != nil {
		n.log.Warn("status is not offline", "err", err)
	}
}

// watchBroker keeps status/attr as the broker says that it is, until ctx ends.
func (n *node) watchBroker(ctx context.Context) error {
	attr := nodeAttr{Journal: "ok", Memory: "ok"}
	if err := n.publishAttr(attr); err != nil {
		return err
	}
	var mu sync.Mutex // Each subscription has its goroutine.
	learn := func(m bridge.Message) {
		mu.Lock()
		defer mu.Unlock()
		if !attr.learn(strings.TrimPrefix(m.Topic, sysTopics), m.Payload) {
			return
		}
		if err := n.publishAttr(attr); err != nil {
			n.log.Warn("the state of the broker is not published", "err", err)
		}
	}
	for _, topic := range statusTopics {
		if err := n.client.Subscribe(ctx, sysTopics+topic, learn); err != nil {
			return fmt.Errorf("watch the broker: %w", err)
		}
	}
	return nil
}

// learn takes over what the broker says, and reports whether a is another now.
func (a *nodeAttr) learn(name string, payload []byte) bool {
	switch {
	case name == "journal/state" && len(payload) > 0 && a.Journal != string(payload):
		a.Journal = string(payload)
		return true
	case name == "memory/state" && len(payload) > 0 && a.Memory != string(payload):
		a.Memory = string(payload)
		return true
	case name == "journal/aside":
		return json.Unmarshal(payload, &a.Aside) == nil
	}
	return false
}

func (n *node) publishAttr(a nodeAttr) error {
	payload, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return n.publish("/status/attr", payload)
}

// publish retains what the node has to say of itself below its root.
func (n *node) publish(topic string, payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), publishTime)
	defer cancel()
	m := bridge.Message{Topic: n.plan.root() + topic, Payload: payload, QoS: 1, Retain: true}
	if err := n.client.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish status of the hub: %w", err)
	}
	return nil
}
