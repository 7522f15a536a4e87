package interop

import (
	"encoding/binary"
	"fmt"
)

// Identifiers of properties (MQTT 5.0, section 2.2.2.2).
const (
	payloadFormat      = 0x01
	messageExpiry      = 0x02
	contentType        = 0x03
	responseTopic      = 0x08
	correlationData    = 0x09
	subscriptionID     = 0x0B
	sessionExpiry      = 0x11
	assignedClientID   = 0x12
	serverKeepAlive    = 0x13
	willDelay          = 0x18
	reasonString       = 0x1F
	receiveMaximum     = 0x21
	topicAliasMaximum  = 0x22
	maximumQoS         = 0x24
	retainAvailable    = 0x25
	userProperty       = 0x26
	maximumPacketSize  = 0x27
	wildcardAvailable  = 0x28
	subIDAvailable     = 0x29
	sharedAvailable    = 0x2A
	responseInfo       = 0x1A
	serverReference    = 0x1C
	topicAlias         = 0x23
	authenticationData = 0x16
	authentication     = 0x15
)

// A property is an identifier and its value as it is on the wire.
type property struct {
	id    byte
	value string
}

func (p property) String() string { return fmt.Sprintf("%#x=%q", p.id, p.value) }

type properties []property

func number[N uint8 | uint16 | uint32](id byte, n N) property {
	b, err := binary.Append(nil, binary.BigEndian, n)
	if err != nil {
		panic(err)
	}
	return property{id, string(b)}
}

func identifier(n int) property { return property{subscriptionID, string(appendVarint(nil, n))} }

func text(id byte, s string) property { return property{id, string(appendString(nil, s))} }

func user(name, value string) property {
	return property{userProperty, string(appendString(appendString(nil, name), value))}
}

// append adds the length of ps, and ps.
func (ps properties) append(b []byte) []byte {
	var inner []byte
	for _, p := range ps {
		inner = append(append(inner, p.id), p.value...)
	}
	return append(appendVarint(b, len(inner)), inner...)
}

// all returns the values of the properties with this identifier.
func (ps properties) all(id byte) []string {
	var values []string
	for _, p := range ps {
		if p.id == id {
			values = append(values, p.value)
		}
	}
	return values
}

// text returns the value of a property that is a string or bytes.
func (ps properties) text(id byte) string {
	if values := ps.all(id); len(values) > 0 {
		return values[0][2:]
	}
	return ""
}

// uint32 returns the value of a property that is a four-byte integer, and
// whether it is there.
func (ps properties) uint32(id byte) (uint32, bool) {
	if values := ps.all(id); len(values) > 0 {
		return binary.BigEndian.Uint32([]byte(values[0])), true
	}
	return 0, false
}

// properties decodes the length of properties, and the properties.
func (d *body) properties() properties {
	inner := &body{b: d.take(d.varint())}
	var ps properties
	for len(inner.b) > 0 && inner.err == nil {
		id := inner.byte()
		before := inner.b
		inner.skipValue(id)
		ps = append(ps, property{id, string(before[:len(before)-len(inner.b)])})
	}
	if inner.err != nil {
		d.err = inner.err
	}
	return ps
}

func (d *body) skipValue(id byte) {
	switch id {
	case payloadFormat, maximumQoS, retainAvailable, wildcardAvailable, subIDAvailable, sharedAvailable:
		d.take(1)
	case serverKeepAlive, receiveMaximum, topicAliasMaximum, topicAlias:
		d.take(2)
	case messageExpiry, sessionExpiry, willDelay, maximumPacketSize:
		d.take(4)
	case subscriptionID:
		d.varint()
	case userProperty:
		_, _ = d.string(), d.string()
	case contentType, responseTopic, correlationData, assignedClientID, reasonString, responseInfo, serverReference,
		authentication, authenticationData:
		_ = d.string()
	default:
		d.b, d.err = nil, fmt.Errorf("unknown property %#x", id)
	}
}
