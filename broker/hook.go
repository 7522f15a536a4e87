package broker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/journal"
	"edge/internal/topic"
)

// newServer returns a mochi server that handles connecting and subscribing. Its
// event loop is not started: expiry, wills and $SYS are not mochi's here.
func newServer(b *Broker) (*mqtt.Server, error) {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumMessageExpiryInterval = 0
	caps.MaximumClientWritesPending = 1 // Messages never go through mochi's queue.
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	s := mqtt.New(&mqtt.Options{
		Capabilities:             caps,
		ClientNetReadBufferSize:  512,
		ClientNetWriteBufferSize: 512,
		Logger:                   slog.New(debugOnly{b.log.Handler()}),
	})
	if err := s.AddHook(&hook{b: b}, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// debugOnly logs what mochi says at debug level: what a user must know the gate
// and the broker say themselves.
type debugOnly struct{ slog.Handler }

func (h debugOnly) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugOnly) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h debugOnly) WithAttrs(a []slog.Attr) slog.Handler { return debugOnly{h.Handler.WithAttrs(a)} }

func (h debugOnly) WithGroup(g string) slog.Handler { return debugOnly{h.Handler.WithGroup(g)} }

// hook is where mochi asks and tells. All its methods run in the goroutine that
// reads the connection.
type hook struct {
	mqtt.HookBase
	b *Broker
}

// ID implements mqtt.Hook.
func (*hook) ID() string { return "edge" }

// Provides implements mqtt.Hook.
func (*hook) Provides(b byte) bool {
	return bytes.IndexByte([]byte{
		mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnPacketProcessed, mqtt.OnUnsubscribe,
	}, b) >= 0
}

func conn(cl *mqtt.Client) *gate.Conn { return cl.Net.Conn.(*gate.Conn) }

// OnConnectAuthenticate decides who gets in.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	if h.b.anonymous.Load() {
		return true
	}
	c := conn(cl)
	reason := gate.NotAuthorized
	if c.Connect().HasUser {
		reason = gate.BadCredentials
	}
	c.Refuse(reason)
	h.b.log.Debug("client refused: nobody may connect without credentials", "client", cl.ID, "remote", cl.Net.Remote)
	return false
}

// OnSessionEstablish takes the session, before mochi knows the client.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	if err := conn(cl).Begin(); err != nil {
		h.b.log.Warn("client refused", "client", cl.ID, "remote", cl.Net.Remote, "err", err)
	}
}

// OnSessionEstablished runs after CONNACK. It tells mochi of subscriptions that
// the session has from earlier connections: UNSUBACK says whether they exist.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	c := conn(cl)
	if s := c.Session(); s != nil {
		for _, sub := range s.Subscriptions() {
			known := packets.Subscription{Filter: sub.Filter, Qos: sub.QoS}
			h.b.server.Topics.Subscribe(cl.ID, known)
			cl.State.Subscriptions.Add(sub.Filter, known)
		}
	}
	c.Established()
}

// OnACLCheck decides about a filter before mochi indexes it.
func (h *hook) OnACLCheck(_ *mqtt.Client, filter string, _ bool) bool {
	return h.b.checkFilter(filter) == gate.Success
}

func (b *Broker) checkFilter(filter string) gate.Reason {
	switch {
	case len(filter) > b.limits.TopicBytes || topic.Levels(filter) > b.limits.TopicLevels:
		return gate.BadFilter
	case strings.HasPrefix(filter, topic.SharePrefix):
		return gate.SharedUnsupported
	}
	return gate.Success
}

// OnSubscribe keeps mochi from sending a client's user properties back in
// SUBACK.
func (*hook) OnSubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	pk.Properties.User = nil
	return pk
}

// OnSubscribed makes the subscriptions. codes are those of SUBACK, which mochi
// sends afterwards.
func (h *hook) OnSubscribed(cl *mqtt.Client, pk packets.Packet, codes []byte) {
	var subs []journal.Subscription
	var places []int
	for i, f := range pk.Filters {
		if codes[i] >= byte(gate.Unspecified) {
			codes[i] = subackCode(h.b.checkFilter(f.Filter), cl)
			continue
		}
		subs = append(subs, journal.Subscription{
			Filter: f.Filter, ID: uint32(f.Identifier), QoS: f.Qos,
			NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling,
		})
		places = append(places, i)
	}
	for k, err := range conn(cl).Subscribe(subs) {
		switch {
		case errors.Is(err, delivery.ErrTooManySubscriptions):
			codes[places[k]] = subackCode(gate.QuotaExceeded, cl)
		case err != nil:
			codes[places[k]] = subackCode(gate.Unspecified, cl)
			h.b.log.Error("subscription not kept", "client", cl.ID, "filter", subs[k].Filter, "err", err)
		}
	}
}

// subackCode returns r for SUBACK; before MQTT 5 there is only one code for
// "no" (MQTT 3.1.1, section 3.9.3).
func subackCode(r gate.Reason, cl *mqtt.Client) byte {
	if cl.Properties.ProtocolVersion < 5 || r == gate.Success {
		return byte(gate.Unspecified)
	}
	return byte(r)
}

// OnPacketProcessed sends retained messages when SUBACK is written.
func (h *hook) OnPacketProcessed(cl *mqtt.Client, pk packets.Packet, _ error) {
	if pk.FixedHeader.Type == packets.Subscribe {
		conn(cl).SendRetained()
	}
}

// OnUnsubscribe drops subscriptions.
func (h *hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	for _, f := range pk.Filters {
		h.b.engine.Unsubscribe(conn(cl).Session(), f.Filter)
	}
	pk.Properties.User = nil
	return pk
}
