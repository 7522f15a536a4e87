package gate

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

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

	keepAlive     uint16        // seconds; after settle, that of the broker if it has another
	serverAlive   bool          // keepAlive is not what the client asked for
	silence       time.Duration // the longest that the client may say nothing
	sessionExpiry uint32
	window        uint16 // receive maximum of the client
	aliases       uint16 // topic aliases that may be sent to the client
	maxPacket     uint32 // 0 is no limit
	problemInfo   bool
	problemAsked  bool // by a property, not by default
	responseInfo  bool
	will          *delivery.Will
}

// WillTopic returns the topic of the will, empty if there is none.
func (k *Connect) WillTopic() string {
	if k.will == nil {
		return ""
	}
	return k.will.Message.Topic
}

// Lasts reports whether the session is to outlive the connection, or has a will.
func (k *Connect) Lasts() bool { return k.sessionExpiry > 0 || k.will != nil }

// errNotMQTT ends a connection that does not speak MQTT, without an answer.
var errNotMQTT = errors.New("the first packet is no CONNECT of MQTT")

// decodeConnect reads the body of a CONNECT. A nil Connect means that there is
// nobody to answer to; otherwise the error is a Reason for CONNACK.
func decodeConnect(body []byte, lim *Limits) (*Connect, error) {
	c := cursor{b: body}
	name := string(c.at("protocol name").binary())
	level := c.at("protocol version").byte()
	if c.err != nil || name != "MQTT" && name != "MQIsdp" {
		return nil, errNotMQTT
	}
	k := &Connect{Version: level, problemInfo: true}
	if name == "MQIsdp" && level != 3 || name == "MQTT" && level != 4 && level != 5 {
		k.Version = 4 // Section 3.1.2.2: they understand only the oldest answer.
		if name == "MQTT" && level > 5 {
			k.Version = 5
		}
		return k, Violation{UnsupportedVersion, fmt.Sprintf("%s version %d; here are MQTT 5.0, 3.1.1 and 3.1", name, level)}
	}
	return k, k.decode(&c, lim)
}

func (k *Connect) decode(c *cursor, lim *Limits) error {
	flags := c.at("connect flags byte").byte()
	k.Clean = flags&2 != 0
	k.HasUser, k.HasPass = flags&0x80 != 0, flags&0x40 != 0
	k.checkFlags(c, flags)
	k.keepAlive = c.at("keep-alive").uint16()
	p := &properties{receiveMaximum: 65535, problemInfo: 1}
	if k.Version == 5 {
		p = c.properties(connect, lim.UserProperties)
	}
	// CONNACK must know these now.
	k.maxPacket, k.problemInfo, k.problemAsked = p.maximumPacketSize, p.problemInfo == 1, p.got(problemInfo)
	k.ClientID = c.at("client identifier").name(k.badID())
	var willErr error
	if flags&4 != 0 {
		willErr = k.decodeWill(c, flags, lim)
	}
	if k.HasUser {
		k.Username = c.at("user name").name(Malformed)
	}
	if k.HasPass {
		k.Password = bytes.Clone(c.at("password").binary())
	}
	switch err := c.end(); {
	case err != nil:
		return err
	case willErr != nil:
		return willErr
	}
	return k.settle(p, lim)
}

// badID returns the reason for a client identifier that is no text. MQTT 5 has
// one for it (section 3.1.3.1), before there is nothing to say.
func (k *Connect) badID() Reason {
	if k.Version == 5 {
		return BadClientID
	}
	return Malformed
}

// checkFlags checks the connect flags (sections 3.1.2.3 to 3.1.2.9).
func (k *Connect) checkFlags(c *cursor, flags byte) {
	switch {
	case flags&1 != 0 && k.Version > 3: // MQTT 3.1 does not use it.
		c.refuse(Malformed, "has the reserved bit")
	case flags&4 == 0 && flags&0x38 != 0:
		c.refuse(Malformed, "has QoS or retain of a will, but no will")
	case flags>>3&3 == 3:
		c.refuse(Malformed, "has QoS 3 for the will")
	case k.Version < 5 && k.HasPass && !k.HasUser: // MQTT 3.1.1, section 3.1.2.9.
		c.refuse(Malformed, "has a password, but no user name")
	}
}

// settle takes over the properties and what the versions say differently.
func (k *Connect) settle(p *properties, lim *Limits) error {
	switch {
	case p.got(authMethod): // Section 4.12: the server does not have the method.
		return Violation{BadAuthMethod, "there is none but user name and password"}
	case p.got(authData): // Section 3.1.2.11.10.
		return Violation{ProtocolError, "Authentication Data is there without a method"}
	}
	k.sessionExpiry = p.sessionExpiry
	if k.Version < 5 && !k.Clean {
		k.sessionExpiry = delivery.Forever
	}
	k.window, k.responseInfo = p.receiveMaximum, p.responseInfo == 1
	k.aliases = min(p.topicAliasMaximum, uint16(lim.TopicAliases))
	k.limitSilence(lim.Idle)
	if err := k.identify(); err != nil {
		return err
	}
	if k.maxPacket == 0 {
		return nil
	}
	if n := len(k.connack5(Violation{}, 0, lim)); !k.fits(n) {
		// The client cannot be told the limits (section 3.1.2.11.4).
		return Violation{ImplementationError, fmt.Sprintf("Maximum Packet Size is too small for a CONNACK of %d bytes", n)}
	}
	return nil
}

// limitSilence sets how long the client may be silent: one and a half times its
// keep-alive (section 3.1.2.10), but never beyond idle. MQTT 5 has a way to tell
// a client that its keep-alive is too long or missing (section 3.2.2.3.14).
func (k *Connect) limitSilence(idle time.Duration) {
	k.silence = time.Duration(k.keepAlive) * time.Second * 3 / 2
	if k.silence > 0 && k.silence <= idle {
		return
	}
	if k.Version < 5 {
		k.silence = idle
		return
	}
	k.serverAlive = true
	k.keepAlive = uint16(min(math.MaxUint16, idle*2/3/time.Second))
	k.silence = time.Duration(k.keepAlive) * time.Second * 3 / 2
}

// identify gives a client without an identifier one (section 3.1.3.1), where its
// version has such clients.
func (k *Connect) identify() error {
	if k.ClientID != "" {
		return nil
	}
	if k.Version == 3 || k.Version == 4 && !k.Clean {
		return Violation{BadClientID, "client identifier is empty"} // MQTT 3.1.1, section 3.1.3.1.
	}
	k.ClientID, k.Assigned = "edge-"+rand.Text()[:16], true
	if k.will != nil {
		k.will.Message.Origin = k.ClientID
	}
	return nil
}

// decodeWill reads the will. It returns what is wrong with a will that has the
// right form.
func (k *Connect) decodeWill(c *cursor, flags byte, lim *Limits) error {
	p := new(properties)
	if k.Version == 5 {
		p = c.properties(will, lim.UserProperties)
	}
	name := c.at("will topic").text()
	payload := c.at("will payload").binary()
	if c.err != nil {
		return nil
	}
	if err := topic.CheckName(name); err != nil {
		return Violation{Malformed, "will: " + err.Error()}
	}
	if lim.topicTooBig(name) || name[0] == '$' {
		return Violation{BadTopic, "the topic of the will is too long, has too many levels, or begins with $"}
	}
	if p.message.Text && !validText(payload) {
		return Violation{BadPayload, "the payload of the will is not the UTF-8 that it is said to be"}
	}
	m := journal.Message{
		Topic: name, Payload: append([]byte{}, payload...), QoS: flags >> 3 & 3, Retain: flags&0x20 != 0, Origin: k.ClientID,
	}
	if p.has&^(1<<messageExpiry|1<<willDelay) != 0 {
		m.Props = &p.message
	}
	k.will = &delivery.Will{Message: &delivery.Message{Message: m}, Delay: p.willDelay, Expiry: p.messageExpiry}
	return nil
}
