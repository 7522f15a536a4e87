package gate

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"edge/broker/delivery"
	"edge/broker/journal"
	"edge/internal/topic"
)

// A Connect is what a client asked for in CONNECT (MQTT 5.0, section 3.1).
type Connect struct {
	ClientID string
	Assigned bool // the broker chose ClientID
	Version  byte // 3: MQTT 3.1, 4: MQTT 3.1.1, 5: MQTT 5.0
	Clean    bool
	Username string
	Password []byte
	HasUser  bool
	HasPass  bool

	keepAlive     uint16
	sessionExpiry uint32
	window        uint16 // receive maximum of the client
	maxPacket     uint32 // 0 is no limit
	problemInfo   bool
	will          *delivery.Will
}

// errNotMQTT ends a connection that does not speak MQTT, without an answer.
var errNotMQTT = errors.New("the first packet is no CONNECT of MQTT")

// decodeConnect reads the body of a CONNECT. A nil Connect means that there is
// nobody to answer to; otherwise the error is a Reason for CONNACK.
func decodeConnect(body []byte, lim *Limits) (*Connect, error) {
	c := cursor{b: body}
	name := string(c.binary())
	level := c.byte()
	if c.err != nil || name != "MQTT" && name != "MQIsdp" {
		return nil, errNotMQTT
	}
	k := &Connect{Version: level}
	if name == "MQIsdp" && level != 3 || name == "MQTT" && level != 4 && level != 5 {
		k.Version = 4 // Section 3.1.2.2: they understand only the oldest answer.
		if name == "MQTT" && level > 5 {
			k.Version = 5
		}
		return k, UnsupportedVersion
	}
	return k, k.decode(&c, lim)
}

func (k *Connect) decode(c *cursor, lim *Limits) error {
	flags := c.byte()
	k.keepAlive = c.uint16()
	k.Clean = flags&2 != 0
	k.HasUser, k.HasPass = flags&0x80 != 0, flags&0x40 != 0
	if c.err != nil || flags&1 != 0 || k.Version < 5 && k.HasPass && !k.HasUser {
		return Malformed
	}
	p := &properties{receiveMaximum: 65535, problemInfo: 1}
	if k.Version == 5 {
		p = c.properties(connect)
	}
	k.ClientID = c.text()
	willErr := k.decodeWill(c, flags, lim)
	if k.HasUser {
		k.Username = c.text()
	}
	if k.HasPass {
		k.Password = bytes.Clone(c.binary())
	}
	switch {
	case c.err != nil:
		return c.err
	case willErr != nil:
		return willErr
	case len(c.b) > 0:
		return Malformed
	}
	return k.settle(p)
}

// settle takes over the properties and what the versions say differently.
func (k *Connect) settle(p *properties) error {
	if p.got(authMethod) {
		return BadAuthMethod // Section 4.12: the server does not have the method.
	}
	k.sessionExpiry = p.sessionExpiry
	if k.Version < 5 && !k.Clean {
		k.sessionExpiry = delivery.Forever
	}
	k.window, k.maxPacket, k.problemInfo = p.receiveMaximum, p.maximumPacketSize, p.problemInfo == 1
	if k.ClientID != "" {
		return nil
	}
	if k.Version == 3 || k.Version == 4 && !k.Clean {
		return BadClientID // MQTT 3.1.1, section 3.1.3.1.
	}
	k.ClientID, k.Assigned = "edge-"+rand.Text()[:16], true
	if k.will != nil {
		k.will.Message.Origin = k.ClientID
	}
	return nil
}

func (k *Connect) decodeWill(c *cursor, flags byte, lim *Limits) error {
	qos, retain := flags>>3&3, flags&0x20 != 0
	if flags&4 == 0 {
		if qos != 0 || retain {
			c.fail() // Sections 3.1.2.6 and 3.1.2.7.
		}
		return nil
	}
	p := new(properties)
	if k.Version == 5 {
		p = c.properties(will)
	}
	name, payload := c.text(), c.binary()
	if c.err != nil || qos > 2 {
		c.fail()
		return nil
	}
	if topic.CheckName(name) != nil || lim.topicTooBig(name) || name[0] == '$' {
		return BadTopic
	}
	if p.message.Text && !validText(payload) {
		return BadPayload
	}
	m := journal.Message{Topic: name, Payload: append([]byte{}, payload...), QoS: qos, Retain: retain, Origin: k.ClientID}
	if p.has&^(1<<messageExpiry|1<<willDelay) != 0 {
		m.Props = &p.message
	}
	k.will = &delivery.Will{Message: &delivery.Message{Message: m}, Delay: p.willDelay, Expiry: p.messageExpiry}
	return nil
}

// plain returns a CONNECT for mochi: who the client is, without everything that
// the gate and delivery do themselves. Its session ends with the connection. Its
// credentials are asked of the gate; mochi would refuse empty ones.
func (k *Connect) plain() []byte {
	name := "MQTT"
	if k.Version == 3 {
		name = "MQIsdp"
	}
	b := appendText(nil, name)
	b = append(b, k.Version, 2)
	b = binary.BigEndian.AppendUint16(b, 65535) // mochi warns of short ones; the gate has the true one.
	if k.Version == 5 {
		b = append(b, 0)
	}
	b = appendText(b, k.ClientID)
	return append(appendVarint([]byte{connect << 4}, uint32(len(b))), b...)
}

// appendConnack appends the CONNACK for k (section 3.2).
func (k *Connect) appendConnack(b []byte, r Reason, present bool, lim *Limits) []byte {
	var ack byte
	if present && r == Success {
		ack = 1
	}
	if k.Version < 5 {
		if k.Version == 3 {
			ack = 0 // MQTT 3.1 has no session present.
		}
		if code, ok := r.v3(); ok {
			b = append(b, connack<<4, 2, ack, code)
		}
		return b
	}
	var p []byte
	if r == Success {
		p = k.appendAnnouncement(p, lim)
	}
	b = appendVarint(append(b, connack<<4), uint32(2+varintLen(uint32(len(p)))+len(p)))
	b = appendVarint(append(b, ack, byte(r)), uint32(len(p)))
	return append(b, p...)
}

// appendAnnouncement tells the client what the broker does and what not.
func (k *Connect) appendAnnouncement(p []byte, lim *Limits) []byte {
	if k.sessionExpiry > lim.MaxExpiry {
		p = binary.BigEndian.AppendUint32(append(p, sessionExpiry), lim.MaxExpiry)
	}
	p = binary.BigEndian.AppendUint16(append(p, receiveMaximum), uint16(lim.ReceiveMaximum))
	p = binary.BigEndian.AppendUint32(append(p, maximumPacketSize), uint32(lim.Packet))
	if k.Assigned {
		p = appendText(append(p, assignedClientID), k.ClientID)
	}
	return append(p, sharedAvailable, 0)
}
