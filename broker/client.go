package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"edge/bridge"
	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/journal"
	"edge/internal/topic"
)

// Client returns a client within the process that acts under name, and may do
// everything: it is the hub's own. It shares routes and queues with network
// clients.
func (b *Broker) Client(name string) bridge.Client { return b.client(name, delivery.Hub) }

// Bridge returns the client of the bridge with a name. It is under the rules as
// network clients are: it may do what the role bridge allows, and the roles that
// access.users has for its name, and read what reads match.
func (b *Broker) Bridge(name string, reads ...string) bridge.Client {
	b.guard.mayRead(bridgePrefix+name, reads)
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.bridges[name]
	if c == nil {
		c = b.client(bridgePrefix+name, bridgePrefix+name)
		b.bridges[name] = c // Its session has no end: whoever has this name next goes on with it.
	}
	return c
}

func (b *Broker) client(name, owner string) *client {
	return &client{b: b, name: name, owner: owner, publisher: b.engine.Publisher(b.engine.Local(name, owner, nil))}
}

// A client is a bridge.Client of the broker.
type client struct {
	b     *Broker
	name  string
	owner string // name of the principal

	mu        sync.Mutex
	publisher *delivery.Publisher
}

var _ bridge.Client = (*client)(nil)

var errClosed = errors.New("the broker is closed")

// Publish implements bridge.Client.
func (c *client) Publish(ctx context.Context, m bridge.Message) error {
	if err := c.publish(ctx, m); err != nil {
		return fmt.Errorf("publish to %q: %w", m.Topic, err)
	}
	return nil
}

func (c *client) publish(ctx context.Context, m bridge.Message) error {
	select {
	case <-c.b.done:
		return errClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.QoS > 2 {
		return fmt.Errorf("QoS %d: must be 0, 1 or 2", m.QoS)
	}
	t, v, err := c.send(m)
	if err != nil {
		return err
	}
	switch v {
	case delivery.Refused:
		return fmt.Errorf("%w: a command must not be retained", bridge.ErrRefused)
	case delivery.Denied: // It was noted by delivery.
		return c.denied(access.Publish, m.Topic)
	case delivery.Full:
		return errors.New("a queue for this topic, or the store of retained messages, is full")
	case delivery.Unavailable:
		return errors.New("the message cannot be stored now")
	}
	if !c.b.engine.Wait(ctx.Done(), t) {
		return ctx.Err()
	}
	return nil
}

// send hands m to delivery.
func (c *client) send(m bridge.Message) (journal.Ticket, delivery.Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.publisher.Route([]byte(m.Topic))
	if err != nil {
		return 0, 0, err
	}
	c.publisher.Lasting = m.Lasting
	t, v := c.publisher.Publish(r, c.message(m, r.Topic), 0)
	c.publisher.Flush()
	if r.Deferred() {
		t = 0 // A bridge that waited for the others would be as slow as the disk may be.
	}
	return t, v, nil
}

func (c *client) message(m bridge.Message, name string) *delivery.Message {
	d := &delivery.Message{Message: journal.Message{
		Topic: name, Payload: bytes.Clone(m.Payload), QoS: m.QoS, Retain: m.Retain, Origin: c.name,
	}}
	if m.Expiry > 0 {
		d.Expires = c.b.engine.Now() + int64(m.Expiry/time.Second)
	}
	if m.Text || m.ContentType != "" || m.ResponseTopic != "" || m.CorrelationData != nil || m.User != nil {
		d.Props = &journal.Properties{
			Text: m.Text, ContentType: m.ContentType, ResponseTopic: m.ResponseTopic,
			CorrelationData: bytes.Clone(m.CorrelationData),
		}
		for _, u := range m.User {
			d.Props.User = append(d.Props.User, journal.UserProperty(u))
		}
	}
	return d
}

// Subscribe implements bridge.Client.
func (c *client) Subscribe(ctx context.Context, filter string, handle func(bridge.Message)) error {
	if err := topic.CheckFilter(filter); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("subscribe to %q: %w", filter, err)
	}
	r := &reader{engine: c.b.engine, wake: make(chan struct{}, 1), done: make(chan struct{}), handle: handle}
	if !c.b.guard.maySubscribe(c.owner, c.name, filter) {
		c.b.guard.denials.note(identity{c.owner, c.name}, access.Subscribe, filter)
		return fmt.Errorf("subscribe to %q: %w", filter, c.denied(access.Subscribe, filter))
	}
	c.b.mu.Lock()
	if c.b.closed {
		c.b.mu.Unlock()
		return fmt.Errorf("subscribe to %q: %w", filter, errClosed)
	}
	c.b.running.Add(1)
	c.b.mu.Unlock()
	r.session = c.b.engine.Local(c.name, c.owner, r)
	sub := journal.Subscription{Filter: filter, QoS: 2}
	if _, _, err := c.b.engine.Subscribe(r.session, sub); err != nil {
		c.b.running.Done()
		c.b.engine.Leave(r.session, r, delivery.Leaving{Normal: true})
		return fmt.Errorf("subscribe to %q: %w", filter, err)
	}
	c.b.engine.SendRetained(r.session, sub, false)
	go func() {
		defer c.b.running.Done()
		r.run(ctx, c.b.done)
	}()
	return nil
}

// denied says that a bridge may not do something, and who tells why and lets it.
func (c *client) denied(a access.Action, what string) error {
	return fmt.Errorf("the rules of access do not let %s do that; `edge acl explain %s %s %s` says why, and access.users.%s.roles lets it do more",
		c.owner, c.owner, a, what, strings.TrimPrefix(c.owner, bridgePrefix))
}

// A reader takes messages out of a session and hands them to a function. It is
// the delivery.Link of a subscription within the process.
type reader struct {
	engine  *delivery.Engine
	session *delivery.Session
	wake    chan struct{}
	done    chan struct{}
	handle  func(bridge.Message)
}

// Wake implements delivery.Link.
func (r *reader) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Kick implements delivery.Link; nobody takes such a session over.
func (*reader) Kick() {}

// Done implements delivery.Link.
func (r *reader) Done() <-chan struct{} { return r.done }

// run hands messages over until ctx or the broker ends.
func (r *reader) run(ctx context.Context, closed <-chan struct{}) {
	defer close(r.done)
	defer r.engine.Leave(r.session, r, delivery.Leaving{Normal: true})
	var outs []delivery.Out
	for {
		outs, _ = r.session.Next(r, outs[:0], 64<<10)
		for i := range outs {
			if ctx.Err() != nil {
				return
			}
			o := &outs[i]
			r.handle(r.message(o))
			if o.QoS > 0 {
				r.session.Acknowledge(o.ID, o.QoS)
			}
		}
		if len(outs) > 0 {
			clear(outs)
			continue
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		case <-closed:
			return
		}
	}
}

// message returns o as bridges see it.
func (r *reader) message(o *delivery.Out) bridge.Message {
	d := o.Message
	m := bridge.Message{Topic: d.Topic, Payload: d.Payload, QoS: o.QoS, Retain: o.Retain, Received: r.engine.Arrived(d)}
	m.From.Client = d.Origin
	if by := d.Sender; by != nil {
		m.From = bridge.Sender{Client: by.Client, User: by.Owner, Connection: by.Connection}
	}
	if d.Expires != 0 {
		m.Expiry = time.Duration(max(o.Left, 1)) * time.Second
	}
	if p := d.Props; p != nil {
		m.Text, m.ContentType, m.ResponseTopic, m.CorrelationData = p.Text, p.ContentType, p.ResponseTopic, p.CorrelationData
		for _, u := range p.User {
			m.User = append(m.User, bridge.UserProperty(u))
		}
	}
	return m
}
