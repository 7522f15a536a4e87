package gate

import (
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

// allowed has a bit for each packet type in which a client may send a property.
var allowed = map[byte]uint16{
	payloadFormat:     1<<publish | 1<<will,
	messageExpiry:     1<<publish | 1<<will,
	contentType:       1<<publish | 1<<will,
	responseTopic:     1<<publish | 1<<will,
	correlationData:   1<<publish | 1<<will,
	subscriptionID:    1 << subscribe,
	sessionExpiry:     1<<connect | 1<<disconnect,
	authMethod:        1<<connect | 1<<auth,
	authData:          1<<connect | 1<<auth,
	problemInfo:       1 << connect,
	willDelay:         1 << will,
	responseInfo:      1 << connect,
	reasonString:      1<<puback | 1<<pubrec | 1<<pubrel | 1<<pubcomp | 1<<disconnect | 1<<auth,
	receiveMaximum:    1 << connect,
	topicAliasMaximum: 1 << connect,
	topicAlias:        1 << publish,
	maximumPacketSize: 1 << connect,
	userProperty: 1<<connect | 1<<will | 1<<publish | 1<<puback | 1<<pubrec | 1<<pubrel | 1<<pubcomp |
		1<<subscribe | 1<<unsubscribe | 1<<disconnect | 1<<auth,
}

// maxUserProperties bounds what one packet may carry.
const maxUserProperties = 64

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

// properties reads the property block of a packet of the given type. Unknown,
// misplaced and repeated properties are errors (section 2.2.2.2).
func (c *cursor) properties(packet byte) *properties {
	p := &properties{receiveMaximum: 65535, problemInfo: 1}
	block := cursor{b: c.bytes(int(c.varint()))}
	for len(block.b) > 0 && c.err == nil {
		id := block.varint()
		if block.err != nil || id > 63 || allowed[byte(id)]&(1<<packet) == 0 {
			c.fail()
			break
		}
		if p.got(byte(id)) && id != userProperty {
			c.b, c.err = nil, ProtocolError
			break
		}
		p.has |= 1 << id
		if block.property(byte(id), p); block.err != nil {
			c.b, c.err = nil, block.err
		}
	}
	return p
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
		c.check(!hasWildcard(p.message.ResponseTopic) && p.message.ResponseTopic != "")
	case correlationData:
		p.message.CorrelationData = append([]byte{}, c.binary()...)
	case subscriptionID:
		p.subscriptionID = c.varint()
		c.check(p.subscriptionID != 0)
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
	case reasonString:
		c.text()
	case receiveMaximum:
		p.receiveMaximum = c.uint16()
		c.check(p.receiveMaximum != 0)
	case topicAliasMaximum:
		p.topicAliasMaximum = c.uint16()
	case topicAlias:
		p.topicAlias = c.uint16()
	case maximumPacketSize:
		p.maximumPacketSize = c.uint32()
		c.check(p.maximumPacketSize != 0)
	case userProperty:
		p.message.User = append(p.message.User, journal.UserProperty{Name: c.text(), Value: c.text()})
		c.check(len(p.message.User) <= maxUserProperties)
	}
}

// flag reads a byte that must be 0 or 1.
func (c *cursor) flag() byte {
	v := c.byte()
	c.check(v <= 1)
	return v
}

// check makes a value that has the right form but is not allowed a protocol
// error.
func (c *cursor) check(ok bool) {
	if !ok && c.err == nil {
		c.b, c.err = nil, ProtocolError
	}
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
