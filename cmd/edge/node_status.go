package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"edge/bridge"
	"edge/internal/guard"
)

// sysTopics is where the broker tells of itself; statusTopics are those that a
// hub's own status has, too.
const sysTopics = "$SYS/broker/"

var statusTopics = []string{"journal/state", "journal/aside", "memory/state"}

// A nodeAttr is the payload of the topic status/attr of a hub.
type nodeAttr struct {
	Journal string      `json:"journal"` // ok, full or failing
	Memory  string      `json:"memory"`  // ok, tight or full
	Guard   guard.State `json:"guard"`
	Aside   []string    `json:"aside,omitempty"` // files of the journal that could not be read
}

// A statusBoard is what a hub last said of itself.
type statusBoard struct {
	mu    sync.Mutex // Each source has its goroutine.
	attr  nodeAttr
	shown bool
}

func (n *node) publishStatus(status string) error { return n.publish("/status", []byte(status)) }

func (n *node) goOffline() {
	if err := n.publishStatus("offline"); err != nil {
		n.log.Warn("status is not offline", "err", err)
	}
}

// watchBroker keeps status/attr as the broker says that it is, until ctx ends.
func (n *node) watchBroker(ctx context.Context) error {
	if err := n.showAttr(); err != nil {
		return err
	}
	learn := func(m bridge.Message) {
		n.amend(func(a *nodeAttr) bool { return a.learn(strings.TrimPrefix(m.Topic, sysTopics), m.Payload) })
	}
	for _, topic := range statusTopics {
		if err := n.client.Subscribe(ctx, sysTopics+topic, learn); err != nil {
			return fmt.Errorf("watch the broker: %w", err)
		}
	}
	return nil
}

// showAttr publishes status/attr for the first time.
func (n *node) showAttr() error {
	n.board.mu.Lock()
	defer n.board.mu.Unlock()
	a := &n.board.attr
	a.Journal, a.Memory, n.board.shown = "ok", "ok", true
	if a.Guard == "" {
		a.Guard = guard.None
	}
	return n.publishAttr(*a)
}

// amend publishes status/attr if change reports that it is another now.
func (n *node) amend(change func(*nodeAttr) bool) {
	n.board.mu.Lock()
	defer n.board.mu.Unlock()
	if !change(&n.board.attr) || !n.board.shown {
		return
	}
	if err := n.publishAttr(n.board.attr); err != nil {
		n.log.Warn("the state of the hub is not published", "err", err)
	}
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
