package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"edge/bridge"
)

// TestGone has a bridge see who has sent a command and when that connection ends,
// and tell one connection of a client from the next, and both from its will.
func TestGone(t *testing.T) {
	b, _, tcp, _ := guarded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const set = "edge/n/relays/pump/set"
	commands, departures := make(chan bridge.Message, 10), make(chan departure, 10)
	c := b.Bridge("relay", "$SYS/broker/clients/gone", "edge/n/relays/+/set")
	if err := c.Subscribe(ctx, "edge/n/relays/+/set", func(m bridge.Message) { commands <- m }); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(ctx, "$SYS/broker/clients/gone", func(m bridge.Message) {
		var d departure
		if err := json.Unmarshal(m.Payload, &d); err != nil {
			t.Error(err)
		}
		departures <- d
	}); err != nil {
		t.Fatal(err)
	}
	command := func(payload string) bridge.Message {
		t.Helper()
		select {
		case m := <-commands:
			if string(m.Payload) != payload || m.From.Client != "phone" || m.From.User != "otto" {
				t.Errorf("got %s from %+v, want %s from phone, otto", m.Payload, m.From, payload)
			}
			if since := time.Since(m.Received); since < 0 || since > time.Minute {
				t.Errorf("%s was received %v ago", m.Payload, since)
			}
			return m
		case <-ctx.Done():
			t.Fatalf("no command %s", payload)
			return bridge.Message{}
		}
	}
	var last uint64
	for i := range uint64(2) {
		conn := dialURL(t, tcp)
		connect := "\x00\x04MQTT\x05\xc6\x00\x00\x00" + text("phone") + "\x00" + text(set) + text("OFF") + text("otto") + text("otto")
		if r := reply(t, conn, packed(0x10, connect), 3); r != 0 {
			t.Fatalf("CONNACK has %#x", r)
		}
		fmt.Fprint(conn, packed(0x30, text(set)+"\x00ON"))
		from := command("ON").From
		if from.Connection == 0 || from.Connection == last {
			t.Errorf("connection %d after %d, want another one", from.Connection, last)
		}
		last = from.Connection
		conn.Close()
		if will := command("OFF"); will.From.Connection != 0 {
			t.Errorf("the will is from %+v, want no connection", will.From)
		}
		select {
		case got := <-departures:
			if want := (departure{"phone", "otto", last, i + 1}); got != want {
				t.Errorf("gone is %+v, want %+v", got, want)
			}
		case <-ctx.Done():
			t.Fatal("nobody is told that the client is gone")
		}
	}
	// Who is connected is not for everybody to know.
	conn := dialURL(t, tcp)
	welcomed(t, conn, "nosy", "anna")
	if got := reply(t, conn, packed(0x82, "\x00\x01\x00"+text("$SYS/broker/clients/gone")+"\x00"), 5); got != 0x87 {
		t.Errorf("SUBACK for anna has %#x, want 0x87", got)
	}
	if err := b.Client("hub").Publish(ctx, bridge.Message{Topic: set, Payload: []byte("ON")}); err != nil {
		t.Fatal(err)
	}
	if m := <-commands; m.From.User != bridge.Hub || m.From.Connection == 0 {
		t.Errorf("a message of the hub's own is from %+v", m.From)
	}
}
