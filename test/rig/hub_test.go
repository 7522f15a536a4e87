//go:build linux

package rig

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edge/test/rig/agent"
)

// A hub is edge in a guest, and a client that has subscribed to all that it says.
type hub struct {
	*guest
	pid    int
	client mqtt.Client

	mu      sync.Mutex
	last    map[string]string // payload by topic
	changed chan struct{}     // closed at the next message
}

const (
	program  = "/tmp/edge"
	settings = "/tmp/edge.yaml"
	logFile  = "/tmp/edge.log"
	group    = "edge" // the cgroup of edge and its guard
)

// newHub puts edge into the guest, with a bridge "gpio" that has pins, as in the
// configuration. It does not start it. The client connects when it can.
func newHub(t *testing.T, pins string) *hub {
	t.Helper()
	h := newIdleHub(start(t))
	h.configure(pins)
	return h
}

// newIdleHub puts edge into a guest, without a configuration.
func newIdleHub(g *guest) *hub {
	t := g.t
	t.Helper()
	h := &hub{guest: g, last: make(map[string]string), changed: make(chan struct{})}
	binary, err := edgeProgram()
	h.ok(err)
	h.put(program, binary)
	h.client = mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://" + h.machine.Address(mqttPort)).SetClientID("rig").SetOrderMatters(true).
		SetConnectRetry(true).SetConnectRetryInterval(again).
		SetAutoReconnect(true).SetMaxReconnectInterval(again).SetConnectTimeout(patience).
		SetOnConnectHandler(func(c mqtt.Client) { c.Subscribe("edge/#", 1, h.hear) }))
	t.Cleanup(func() {
		h.client.Disconnect(0)
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), patience) // The test's has ended.
			defer cancel()
			log, err := h.agent.Read(ctx, logFile)
			t.Logf("edge's log (%v):\n%s", err, tail(log, 60))
		}
	})
	h.client.Connect()
	return h
}

// again is how soon the client tries again to connect.
const again = 50 * time.Millisecond

func tail(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// configure writes the configuration: a bridge "gpio" that has pins.
func (h *hub) configure(pins string) {
	h.t.Helper()
	h.bridges("\n  gpio:\n    gpio:\n" + pins)
}

// bridges writes a configuration that has them.
func (h *hub) bridges(yaml string) {
	h.t.Helper()
	h.put(settings, fmt.Appendf(nil, `
node: pi
data: /tmp/data
broker:
  listeners:
    - url: tcp://:%d
      allow_anonymous: true
bridges:%s`, mqttPort, yaml))
}

// run starts edge and returns when its lines are online.
func (h *hub) run(args ...string) {
	h.t.Helper()
	h.launch(args...)
	h.await(topic("status"), "online")
}

// launch starts edge.
func (h *hub) launch(args ...string) {
	h.t.Helper()
	h.forget()
	pid, err := h.agent.Start(h.ctx, agent.Command{Args: append([]string{program, "run", "-c", settings}, args...), Log: logFile, Group: group})
	h.ok(err)
	h.pid = pid
}

// end sends edge a signal and returns how it ended.
func (h *hub) end(s syscall.Signal) agent.Exit {
	h.t.Helper()
	h.signal(s)
	exit, err := h.agent.Wait(h.ctx, h.pid)
	h.ok(err)
	return exit
}

func (h *hub) signal(s syscall.Signal) {
	h.t.Helper()
	h.ok(h.agent.Kill(h.ctx, agent.Kill{PID: h.pid, Signal: s}))
}

// topic is one of the bridge's.
func topic(levels ...string) string { return "edge/pi/gpio/" + strings.Join(levels, "/") }

func (h *hub) hear(_ mqtt.Client, m mqtt.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Topic() == topic("status") && string(m.Payload()) == "online" && !m.Retained() {
		clear(h.last) // What the bridge says is said after that.
	}
	h.last[m.Topic()] = string(m.Payload())
	close(h.changed)
	h.changed = make(chan struct{})
}

// forget forgets what was heard on topics, or everything.
func (h *hub) forget(topics ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(topics) == 0 {
		clear(h.last)
	}
	for _, t := range topics {
		delete(h.last, t)
	}
}

// await returns when the latest payload of a topic is want.
func (h *hub) await(topic, want string) {
	h.t.Helper()
	h.awaitThat(topic, want, func(payload string) bool { return payload == want })
}

// awaitThat returns the latest payload of a topic when it is as wanted.
func (h *hub) awaitThat(topic, want string, is func(payload string) bool) string {
	h.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		h.mu.Lock()
		payload, heard := h.last[topic]
		changed := h.changed
		h.mu.Unlock()
		if heard && is(payload) {
			return payload
		}
		select {
		case <-changed:
		case <-deadline.C:
			h.t.Fatalf("%s is %q after %v, want %s", topic, payload, patience, want)
		case <-h.ctx.Done():
			h.t.Fatal(h.ctx.Err())
		}
	}
}

// command sends a command to an output and returns its result.
func (h *hub) command(id, payload string) string {
	h.t.Helper()
	h.forget(topic(id, "result"))
	h.send(topic(id, "set"), payload)
	return h.awaitThat(topic(id, "result"), "a result", func(string) bool { return true })
}

func (h *hub) send(topic, payload string) {
	h.t.Helper()
	token := h.client.Publish(topic, 1, false, payload)
	if !token.WaitTimeout(patience) {
		h.t.Fatalf("no acknowledgement within %v", patience)
	}
	h.ok(token.Error())
}
