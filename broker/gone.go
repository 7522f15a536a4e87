package broker

import (
	"context"
	"encoding/json"
	"sync"

	"edge/bridge"
	"edge/broker/delivery"
)

// gone tells, on clients/gone below $SYS, that a client is not connected any more.
// Unlike the rest below $SYS it is no figure for people, but what a bridge goes by
// that must know whether somebody is still there: each connection that has ended is
// told of, at once and before the client can come again.
type gone struct {
	self *client

	mu    sync.Mutex
	count uint64
}

// A departure is the payload of clients/gone.
type departure struct {
	Client     string `json:"client"`
	User       string `json:"user,omitempty"`
	Connection uint64 `json:"connection"` // bridge.Sender has it, too
	Count      uint64 `json:"count"`      // of departures; who sees a gap has missed some
}

// tell publishes that the connection of s is over. It is of QoS 0: one of QoS 1 would
// go to nobody while the queue of a single subscriber is full.
func (g *gone) tell(s delivery.Sender) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	payload, _ := json.Marshal(departure{s.Client, s.Owner, s.Connection, g.count}) // Strings and numbers.
	m := bridge.Message{Topic: sysPrefix + "clients/gone", Payload: payload}
	_ = g.self.Publish(context.Background(), m) // It fails only when the broker is closed.
}
