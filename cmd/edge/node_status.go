package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"edge/bridge"
)

// journalTopics is where the broker tells of its journal.
const journalTopics = "$SYS/broker/journal/"

// A nodeAttr is the payload of the topic status/attr of a hub.
type nodeAttr struct {
	Journal string   `json:"journal"`         // ok, full or failing
	Aside   []string `json:"aside,omitempty"` // files of the journal that could not be read
}

func (n *node) publishStatus(status string) error { return n.publish("/status", []byte(status)) }

func (n *node) goOffline() {
	if err := n.publishStatus("offline"); err != nil {
		n.log.Warn("status is not offline", "err", err)
	}
}

// watchJournal keeps status/attr as the broker says that its journal is, until
// ctx ends.
func (n *node) watchJournal(ctx context.Context) error {
	attr := nodeAttr{Journal: "ok"}
	if err := n.publishAttr(attr); err != nil {
		return err
	}
	err := n.client.Subscribe(ctx, journalTopics+"+", func(m bridge.Message) {
		if !attr.learn(strings.TrimPrefix(m.Topic, journalTopics), m.Payload) {
			return
		}
		if err := n.publishAttr(attr); err != nil {
			n.log.Warn("the state of the journal is not published", "err", err)
		}
	})
	if err != nil {
		return fmt.Errorf("watch the journal: %w", err)
	}
	return nil
}

// learn takes over what the broker says, and reports whether a is another now.
func (a *nodeAttr) learn(name string, payload []byte) bool {
	switch {
	case name == "state" && len(payload) > 0 && a.Journal != string(payload):
		a.Journal = string(payload)
		return true
	case name == "aside":
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
