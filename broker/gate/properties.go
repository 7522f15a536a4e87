package gate

import (
	"errors"
	"fmt"
	"strconv"

	"edge/broker/journal"
)

// Property identifiers (MQTT 5.0, section 2.2.2.2).
const (
	payloadFormat     = 0x01
	messageExpiry     = 0x02
	contentType       = 0x03
	responseTopic     = 0x08
	correlationData   = 0x09
	subscriptionID    = 0x0B
	sessionExpiry     = 0x11
	assignedClientID  = 0x12
	serverKeepAlive   = 0x13
	authMethod        = 0x15
	authData          = 0x16
	problemInfo       = 0x17
	willDelay         = 0x18
	responseInfo      = 0x19
	responseText      = 0x1A
	serverReference   = 0x1C
	reasonString      = 0x1F
	receiveMaximum    = 0x21
	topicAliasMaximum = 0x22
	topicAlias        = 0x23
	maximumQoS        = 0x24
	retainAvailable   = 0x25
	userProperty      = 0x26
	maximumPacketSize = 0x27
	wildcardAvailable = 0x28
	idAvailable       = 0x29
	sharedAvailable   = 0x2A
)

// will stands for the properties of a will, which have their own set.
const will = 0

// kinds are the properties that there are (section 2.2.2.2), by identifier, with
// a bit for each type of packet in which a client may send one.
var kinds = [64]struct {
	name string
	in   uint16
}{
	payloadFormat:     {"Payload Format Indicator", 1<<publish | 1<<will},
	messageExpiry:     {"Message Expiry Interval", 1<<publish | 1<<will},
	contentType:       {"Content Type", 1<<publish | 1<<will},
	responseTopic:     {"Response Topic", 1<<publish | 1<<will},
	correlationData:   {"Correlation Data", 1<<publish | 1<<will},
	subscriptionID:    {"Subscription Identifier", 1 << subscribe},
	sessionExpiry:     {"Session Expiry Interval", 1<<connect | 1<<disconnect},
	assignedClientID:  {"Assigned Client Identifier", 0},
	serverKeepAlive:   {"Server Keep Alive", 0},
	authMethod:        {"Authentication Method", 1<<connect | 1<<auth},
	authData:          {"Authentication Data", 1<<connect | 1<<auth},
	problemInfo:       {"Request Problem Information", 1 << connect},
	willDelay:         {"Will Delay Interval", 1 << will},
	responseInfo:      {"Request Response Information", 1 << connect},
	responseText:      {"Response Information", 0},
	serverReference:   {"Server Reference", 1 << disconnect}, // Without a meaning, but its packet type has it.
	reasonString:      {"Reason String", 1<<puback | 1<<pubrec | 1<<pubrel | 1<<pubcomp | 1<<disconnect | 1<<auth},
	receiveMaximum:    {"Receive Maximum", 1 << connect},
	topicAliasMaximum: {"Topic Alias Maximum", 1 << connect},
	topicAlias:        {"Topic Alias", 1 << publish},
	maximumQoS:        {"Maximum QoS", 0},
	retainAvailable:   {"Retain Available", 0},
	maximumPacketSize: {"Maximum Packet Size", 1 << connect},
	wildcardAvailable: {"Wildcard Subscription Available", 0},
	idAvailable:       {"Subscription Identifier Available", 0},
	sharedAvailable:   {"Shared Subscription Available", 0},
	userProperty: {"User Property", 1<<connect | 1<<will | 1<<publish | 1<<puback | 1<<pubrec | 1<<pubrel | 1<<pubcomp |
		1<<subscribe | 1<<unsubscribe | 1<<disconnect | 1<<auth},
}

// properties are the properties of one packet. has tells which were there.
type properties struct {
	has               uint64 // a bit for each identifier
	message           journal.Properties
	messageExpiry     uint32
	willDelay         uint32
	sessionExpiry     uint32
	maximumPacketSize uint32
	subscriptionID    uint32
	receiveMaximum    uint16
	topicAliasMaximum uint16
	topicAlias        uint16
	problemInfo       byte
	responseInfo      byte
	authMethod        string
}

func (p *properties) got(id byte) bool { return p.has&(1<<id) != 0 }

// properties reads the property block of a packet of the given type, with users
// user properties at most. A block that cannot be read is malformed, whatever
// else is wrong with it.
func (c *cursor) properties(packet byte, users int) *properties {
	p := &properties{receiveMaximum: 65535, problemInfo: 1}
	block := cursor{b: c.at("property length").bytes(int(c.varint()))}
	var misplaced cursor
	for len(block.b) > 0 && block.err == nil {
		id := block.identifier()
		misplaced.place(id, packet, p)
		if id == userProperty && len(p.message.User) == users {
			// Section 2.4: a limit of the implementation, not a fault.
			block.refuse(QuotaExceeded, "is there more than "+strconv.Itoa(users)+" times")
		}
		block.property(id, p)
	}
	if misplaced.err != nil && !errors.Is(block.err, Malformed) {
		block.err = misplaced.err
	}
	if c.err == nil && block.err != nil {
		c.b, c.err = nil, block.err
	}
	return p
}

// identifier reads which property follows. What is behind one that is unknown
// cannot be read (section 2.2.2.2).
func (c *cursor) identifier() byte {
	id := c.at("property identifier").varint()
	if id >= uint32(len(kinds)) || kinds[id].name == "" {
		c.refuse(Malformed, fmt.Sprintf("0x%02X is not one that there is", id))
		return 0
	}
	c.at(kinds[id].name)
	return byte(id)
}

// place notes that a packet has the property, and refuses one that belongs into
// other packets or is repeated.
func (c *cursor) place(id, packet byte, p *properties) {
	c.at(kinds[id].name)
	switch {
	case id == 0: // It could not be read.
	case kinds[id].in&(1<<packet) == 0:
		c.refuse(foreign(packet), "does not belong into this packet")
	case p.got(id) && id != userProperty:
		c.refuse(ProtocolError, "is there twice")
	}
	p.has |= 1 << id
}

// foreign returns the reason for a property of another packet. Section 2.2.2.2
// calls that malformed. By section 1.2, a packet that can be read and has what it
// must not is a protocol error. So we say what mosquitto does: it is what clients
// know.
func foreign(packet byte) Reason {
	if packet == subscribe || packet == unsubscribe {
		return Malformed
	}
	return ProtocolError
}

// property reads the value of one property.
func (c *cursor) property(id byte, p *properties) {
	switch id {
	case payloadFormat:
		p.message.Text = c.flag() == 1
	case messageExpiry:
		p.messageExpiry = c.uint32()
	case contentType:
		p.message.ContentType = c.text()
	case responseTopic:
		p.message.ResponseTopic = c.text()
		c.check(!hasWildcard(p.message.ResponseTopic) && p.message.ResponseTopic != "", "is no topic name")
	case correlationData:
		p.message.CorrelationData = append([]byte{}, c.binary()...)
	case subscriptionID:
		p.subscriptionID = c.varint()
		c.check(p.subscriptionID != 0, "is 0")
	case sessionExpiry:
		p.sessionExpiry = c.uint32()
	case authMethod:
		p.authMethod = c.text()
	case authData:
		c.binary()
	case problemInfo:
		p.problemInfo = c.flag()
	case willDelay:
		p.willDelay = c.uint32()
	case responseInfo:
		p.responseInfo = c.flag()
	case assignedClientID, responseText, serverReference, reasonString:
		c.text()
	case serverKeepAlive:
		c.uint16()
	case maximumQoS, retainAvailable, wildcardAvailable, idAvailable, sharedAvailable:
		c.byte()
	case receiveMaximum:
		p.receiveMaximum = c.uint16()
		c.check(p.receiveMaximum != 0, "is 0")
	case topicAliasMaximum:
		p.topicAliasMaximum = c.uint16()
	case topicAlias:
		if p.topicAlias = c.uint16(); p.topicAlias == 0 {
			c.refuse(BadTopicAlias, "is 0") // Section 3.3.2.3.4.
		}
	case maximumPacketSize:
		p.maximumPacketSize = c.uint32()
		c.check(p.maximumPacketSize != 0, "is 0")
	case userProperty:
		p.message.User = append(p.message.User, journal.UserProperty{Name: c.text(), Value: c.text()})
	}
}

// flag reads a byte that must be 0 or 1.
func (c *cursor) flag() byte {
	v := c.byte()
	c.check(v <= 1, "is neither 0 nor 1")
	return v
}

func hasWildcard(s string) bool {
	for i := range len(s) {
		if s[i] == '+' || s[i] == '#' {
			return true
		}
	}
	return false
}

// appendMessage appends the properties that go with a message to its receivers.
func appendMessage(b []byte, m *journal.Properties) []byte {
	if m.Text {
		b = append(b, payloadFormat, 1)
	}
	if m.ContentType != "" {
		b = appendText(append(b, contentType), m.ContentType)
	}
	if m.ResponseTopic != "" {
		b = appendText(append(b, responseTopic), m.ResponseTopic)
	}
	if m.CorrelationData != nil {
		b = appendText(append(b, correlationData), string(m.CorrelationData))
	}
	for _, u := range m.User {
		b = appendText(appendText(append(b, userProperty), u.Name), u.Value)
	}
	return b
}
