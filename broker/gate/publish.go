package gate

import (
	"encoding/binary"
	"fmt"

	"edge/broker/delivery"
	"edge/broker/journal"
	"edge/internal/topic"
)

// maxBlock is the size of a block of payloads of a busy connection, in bytes.
const maxBlock = 8 << 10

// A publication is the content of a PUBLISH (section 3.3). Its slices are parts
// of the packet.
type publication struct {
	name    []byte
	id      uint16
	props   *properties // nil where there are none
	payload []byte
}

func decodePublish(qos byte, body []byte, version byte, lim *Limits) (p publication, err error) {
	if len(body) < 2 {
		return p, Violation{Malformed, "topic name is cut off"}
	}
	off := 2 + int(binary.BigEndian.Uint16(body))
	if off > len(body) {
		return p, Violation{Malformed, "topic name is cut off"}
	}
	p.name = body[2:off]
	if qos > 0 {
		if len(body) < off+2 {
			return p, Violation{Malformed, "packet identifier is cut off"}
		}
		if p.id = binary.BigEndian.Uint16(body[off:]); p.id == 0 {
			return p, Violation{ProtocolError, "packet identifier is 0"}
		}
		off += 2
	}
	p.payload = body[off:]
	switch {
	case version < 5:
		return p, nil
	case len(p.payload) == 0:
		return p, Violation{Malformed, "property length is cut off"}
	case p.payload[0] == 0: // No properties, as most have.
		p.payload = p.payload[1:]
		return p, nil
	}
	c := cursor{b: p.payload}
	p.props = c.properties(publish, lim.UserProperties)
	p.payload = c.b
	return p, c.err
}

// publish handles PUBLISH.
func (c *Conn) publish(head byte, body []byte) error {
	qos := head >> 1 & 3
	if qos == 3 || qos == 0 && head&8 != 0 {
		return Violation{Malformed, "flags of the fixed header have QoS 3, or DUP at QoS 0"}
	}
	p, err := decodePublish(qos, body, c.connect.Version, c.limits)
	if err != nil {
		return err
	}
	c.in.count.message(qos, len(p.payload))
	r, err := c.route(p.name, p.props)
	if err != nil {
		return err
	}
	if r.Topic[0] == '$' && r.Topic != RequestTopic { // The broker's own topics (section 4.7.2).
		return c.forbid(qos, p.id)
	}
	m := c.message(r, p.payload)
	m.QoS, m.Retain = qos, head&1 != 0
	if p.props != nil {
		if err := c.describe(m, p.props); err != nil {
			return err
		}
	}
	return c.deliver(r, m, p.id, head&8 != 0)
}

// forbid answers a message that the client may not publish. Before MQTT 5 it
// can only be told that all is well.
func (c *Conn) forbid(qos byte, id uint16) error {
	c.in.count.verdict(delivery.Refused)
	c.log.Debug("message refused: topics that begin with $ are the broker's", "client", c.clientID())
	if qos == 0 {
		return nil
	}
	head := byte(puback << 4)
	if qos == 2 {
		head = pubrec << 4
	}
	return c.acknowledge(head, id, Violation{NotAuthorized, "topics that begin with $ are the broker's"}, 0)
}

// route finds the receivers of a topic.
func (c *Conn) route(name []byte, p *properties) (*delivery.Route, error) {
	if p != nil && p.got(topicAlias) {
		var err error
		if name, err = c.resolve(name, p.topicAlias); err != nil {
			return nil, err
		}
	}
	r, err := c.in.publisher.Route(name)
	switch {
	case err == nil:
		return r, nil
	case len(name) == 0:
		return nil, Violation{ProtocolError, "a topic must have a name"}
	case topic.CheckName(string(name)) != nil:
		return nil, Violation{Malformed, err.Error()}
	}
	return nil, Violation{BadTopic, err.Error()}
}

// message takes a message from the block of messages and copies payload into
// the block of payloads: two allocations for many messages.
func (c *Conn) message(r *delivery.Route, payload []byte) *delivery.Message {
	in := &c.in
	if len(in.messages) == 0 {
		in.messages = make([]delivery.Message, 1+cap(in.payloads)/(maxBlock/63))
	}
	m := &in.messages[0]
	in.messages = in.messages[1:]
	m.Topic, m.Origin = r.Topic, c.connect.ClientID
	if n := len(payload); n > maxBlock/4 {
		m.Payload = append([]byte{}, payload...)
	} else {
		if cap(in.payloads)-len(in.payloads) < n {
			in.payloads = make([]byte, 0, max(n, min(maxBlock, max(256, 2*cap(in.payloads)))))
		}
		k := len(in.payloads)
		in.payloads = append(in.payloads, payload...)
		m.Payload = in.payloads[k : k+n : k+n]
		m.Borrowed = true
	}
	return m
}

// describe gives m its properties.
func (c *Conn) describe(m *delivery.Message, p *properties) error {
	if p.message.Text && !validText(m.Payload) {
		return Violation{BadPayload, "the payload is not the UTF-8 that it is said to be"}
	}
	if p.got(messageExpiry) {
		m.Expires = c.engine.Now() + int64(p.messageExpiry)
	}
	if p.has&^(1<<messageExpiry|1<<topicAlias) != 0 {
		m.Props = &p.message
	}
	return nil
}

// deliver publishes m and acknowledges it (section 4.3).
func (c *Conn) deliver(r *delivery.Route, m *delivery.Message, id uint16, dup bool) error {
	if m.QoS == 2 {
		fresh, t, ok := c.session.Own(id)
		if !ok {
			return ReceiveMaximum
		}
		if !fresh && !dup && c.reused(repeat{id, len(m.Payload)}) {
			return Violation{ProtocolError, fmt.Sprintf("packet identifier %d is in use, and DUP is not set", id)}
		}
		if !fresh {
			return c.acknowledge(pubrec<<4, id, Violation{}, t)
		}
	}
	var t journal.Ticket
	var verdict delivery.Verdict
	if m.Topic[0] == '$' {
		verdict = c.request(m, dup)
	} else {
		t, verdict = c.in.publisher.Publish(r, m, id)
	}
	c.in.count.verdict(verdict)
	if m.QoS == 0 {
		return nil
	}
	reason, err := c.reasonFor(verdict)
	if m.QoS == 2 {
		if reason.Reason >= Unspecified || err != nil {
			c.session.Disown(id)
		} else {
			c.session.Owned(id, t)
		}
	}
	if err != nil {
		return err
	}
	if m.QoS == 1 {
		return c.acknowledge(puback<<4, id, reason, t)
	}
	return c.acknowledge(pubrec<<4, id, reason, t)
}

// request has the Control do what m asks for, and leaves nothing of it in the block
// of payloads, which may live as long as another message in it.
func (c *Conn) request(m *delivery.Message, again bool) delivery.Verdict {
	defer clear(m.Payload)
	return c.control.Request(m, again)
}

// A repeat is a message of QoS 2 whose packet identifier was in use. Its zero value
// is none.
type repeat struct {
	id   uint16
	size int // of the payload, in bytes
}

// reused reports whether the same message has reused its packet identifier, without
// DUP, for the second time in a row (section 2.2.1). Once is overlooked: the client
// may not have read PUBREC yet.
func (c *Conn) reused(m repeat) bool {
	before := c.in.repeat
	c.in.repeat = m
	return m == before
}

// reasonFor says how a verdict is told to the publisher. Before MQTT 5 there is
// no way to refuse a message but to close the connection.
func (c *Conn) reasonFor(v delivery.Verdict) (Violation, error) {
	switch v {
	case delivery.NoSubscribers:
		return Violation{Reason: NoSubscribers}, nil
	case delivery.Refused:
		if c.connect.Version < 5 {
			return Violation{}, nil // It is told on the topic of results.
		}
		return Violation{ImplementationError, "a command must not be retained"}, nil
	case delivery.Denied:
		if c.connect.Version < 5 {
			return Violation{}, nil // It cannot be told, but by the end of the connection.
		}
		return Violation{NotAuthorized, "the topic is not yours to publish to"}, nil
	case delivery.Full:
		return c.full("a queue for this topic, or the store of retained messages, is full")
	case delivery.Unavailable:
		return c.full("the message cannot be stored now")
	}
	return Violation{}, nil
}

func (c *Conn) full(detail string) (Violation, error) {
	v := Violation{QuotaExceeded, detail}
	if c.connect.Version < 5 {
		return v, v
	}
	return v, nil
}
