package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/journal"
	"edge/internal/topic"
)

// newServer returns a mochi server that keeps the subscriptions of clients. Its
// event loop is not started: expiry, wills and $SYS are not mochi's here.
func newServer(b *Broker) (*mqtt.Server, error) {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 1 // Messages never go through mochi's queue.
	caps.TopicAliasMaximum = 0
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	s := mqtt.New(&mqtt.Options{
		Capabilities:            caps,
		ClientNetReadBufferSize: 16, // The gate reads.
		Logger:                  slog.New(debugOnly{b.log.Handler()}),
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

// A control is mochi's side of a connection: the gate.Control that tells mochi of
// the client and hands it SUBSCRIBE and UNSUBSCRIBE, packet by packet. Mochi gets
// no goroutine and no buffers for it (decision 6).
type control struct {
	b        *Broker
	conn     *gate.Conn
	socket   *socket
	listener string
	client   *mqtt.Client // nil until it is let in
	requests *pace        // nil until it asks for something
}

var _ gate.Control = (*control)(nil)

// Connect implements gate.Control.
func (k *control) Connect() gate.Reason {
	c := k.conn.Connect()
	owner, r := k.b.guard.identify(context.Background(), c, k.socket)
	if r != gate.Success {
		k.b.log.Debug("client refused", "client", c.ClientID, "remote", k.conn.RemoteAddr().String(), "reason", r)
		return r
	}
	if will := c.WillTopic(); will != "" && !k.b.guard.mayPublish(owner, c.ClientID, will) {
		k.b.guard.denials.note(identity{owner, c.ClientID}, access.Publish, will)
		k.b.log.Info("client refused: its will is for a topic that it may not publish to",
			"client", c.ClientID, "user", owner, "remote", k.conn.RemoteAddr().String(), "topic", will)
		return gate.NotAuthorized
	}
	if !k.b.claim(k.socket, owner, c.ClientID) {
		k.b.log.Warn("client refused: its user has as many connections as limits.connections_per_user allows",
			"client", c.ClientID, "user", owner, "remote", k.conn.RemoteAddr())
		return gate.QuotaExceeded
	}
	switch err := k.conn.Begin(owner); {
	case errors.Is(err, delivery.ErrForeign):
		k.b.log.Warn("client refused: the client id belongs to another user", "client", c.ClientID, "user", owner, "remote", k.conn.RemoteAddr().String())
		return gate.NotAuthorized
	case err != nil:
		k.b.log.Warn("client refused", "client", c.ClientID, "remote", k.conn.RemoteAddr().String(), "err", err)
		return gate.QuotaExceeded
	}
	k.introduce(c)
	return gate.Success
}

// introduce tells mochi who the client is, and which subscriptions its session
// has from earlier connections: UNSUBACK says whether they exist.
func (k *control) introduce(c *gate.Connect) {
	s := k.b.server
	k.client = s.NewClient(k.conn, k.listener, c.ClientID, false)
	k.client.Properties.ProtocolVersion = c.Version
	s.Clients.Add(k.client)
	for _, sub := range k.conn.Session().Subscriptions() {
		k.client.State.Subscriptions.Add(sub.Filter, packets.Subscription{Filter: sub.Filter, Qos: sub.QoS})
	}
}

// Handle implements gate.Control.
func (k *control) Handle(kind byte, body []byte) error {
	pk := packets.Packet{
		ProtocolVersion: k.client.Properties.ProtocolVersion,
		FixedHeader:     packets.FixedHeader{Type: kind, Remaining: len(body)},
	}
	decode := pk.SubscribeDecode
	if kind == packets.Unsubscribe {
		decode = pk.UnsubscribeDecode
	}
	if err := decode(bytes.Clone(body)); err != nil {
		return fmt.Errorf("mochi cannot read what the gate has checked: %w", err)
	}
	if kind == packets.Unsubscribe {
		return k.unsubscribe(pk)
	}
	return k.b.server.InjectPacket(k.client, pk)
}

// unsubscribe drops subscriptions and answers. Mochi would tell a client that it
// had a subscription where only another client has it.
func (k *control) unsubscribe(pk packets.Packet) error {
	filters, codes := make([]string, len(pk.Filters)), make([]byte, len(pk.Filters))
	for i, sub := range pk.Filters {
		filters[i] = sub.Filter
		if _, ok := k.client.State.Subscriptions.Get(sub.Filter); !ok {
			codes[i] = packets.CodeNoSubscriptionExisted.Code
			continue
		}
		k.client.State.Subscriptions.Delete(sub.Filter)
	}
	conn(k.client).Unsubscribe(filters)
	return k.client.WritePacket(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Unsuback},
		PacketID:    pk.PacketID,
		ReasonCodes: codes,
	})
}

// Leave implements gate.Control.
func (k *control) Leave() {
	if k.client == nil {
		return
	}
	k.client.Stop(nil)
	k.b.server.UnsubscribeClient(k.client)
	k.b.server.Clients.Delete(k.client.ID)
	k.b.gone.tell(k.conn.Sender())
}

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
		mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnSubscribed,
	}, b) >= 0
}

func conn(cl *mqtt.Client) *gate.Conn { return cl.Net.Conn.(*gate.Conn) }

// OnACLCheck keeps mochi from indexing filters: delivery has an index, and mochi's
// takes a kilobyte for each level of each filter of a packet before anybody could
// count them. OnSubscribed decides.
func (*hook) OnACLCheck(*mqtt.Client, string, bool) bool { return false }

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
		if why := h.b.checkFilter(cl, f.Filter); why != gate.Success {
			codes[i] = subackCode(why, cl)
			continue
		}
		subs = append(subs, journal.Subscription{
			Filter: f.Filter, ID: uint32(f.Identifier), QoS: f.Qos,
			NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling,
		})
		places = append(places, i)
	}
	for k, err := range conn(cl).Subscribe(subs) {
		f := pk.Filters[places[k]]
		if codes[places[k]] = f.Qos; err != nil {
			codes[places[k]] = h.refusal(cl, f.Filter, err)
			continue
		}
		cl.State.Subscriptions.Add(f.Filter, f)
	}
}

// checkFilter decides about a filter, and notes a denial.
func (b *Broker) checkFilter(cl *mqtt.Client, filter string) gate.Reason {
	if len(filter) > b.limits.TopicBytes || topic.Levels(filter) > b.limits.TopicLevels {
		return gate.BadFilter
	}
	if owner, _ := conn(cl).Owner(); !b.guard.maySubscribe(owner, cl.ID, filter) {
		b.guard.denials.note(identity{owner, cl.ID}, access.Subscribe, filter)
		return gate.NotAuthorized
	}
	return gate.Success
}

// refusal returns the code for SUBACK when delivery has refused a filter because
// of err.
func (h *hook) refusal(cl *mqtt.Client, filter string, err error) byte {
	if errors.Is(err, delivery.ErrTooManySubscriptions) || errors.Is(err, delivery.ErrNoMemory) {
		return subackCode(gate.QuotaExceeded, cl)
	}
	h.b.log.Error("subscription not kept", "client", cl.ID, "filter", filter, "err", err)
	return subackCode(gate.Unspecified, cl)
}

// subackCode returns r for SUBACK; before MQTT 5 there is only one code for
// "no" (MQTT 3.1.1, section 3.9.3).
func subackCode(r gate.Reason, cl *mqtt.Client) byte {
	if cl.Properties.ProtocolVersion < 5 {
		return byte(gate.Unspecified)
	}
	return byte(r)
}
