package gate

import (
	"encoding/binary"
	"math"
	"strings"
)

// appendConnack appends the CONNACK for k (section 3.2).
func (k *Connect) appendConnack(b []byte, v Violation, present bool, lim *Limits) []byte {
	var ack byte
	if present && v.Reason == Success && k.Version > 3 { // MQTT 3.1 has no session present.
		ack = 1
	}
	if k.Version < 5 {
		if code, ok := v.v3(); ok {
			b = append(b, connack<<4, 2, ack, code)
		}
		return b
	}
	packet := k.connack5(v, ack, lim)
	if !k.fits(len(packet)) {
		return b // Section 3.1.2.11.4: it is as if it had been sent.
	}
	return append(b, packet...)
}

// connack5 returns the CONNACK of MQTT 5.
func (k *Connect) connack5(v Violation, ack byte, lim *Limits) []byte {
	p := k.appendReason(nil, k.detail(v), 5)
	if v.Reason == Success {
		p = k.appendAnnouncement(p, lim)
	}
	return appendWithProperties(nil, connack, []byte{ack, byte(v.Reason)}, p)
}

// appendDisconnect appends a DISCONNECT for MQTT 5 (section 3.14).
func (k *Connect) appendDisconnect(b []byte, v Violation) []byte {
	p := k.appendReason(nil, k.detail(v), 4)
	if len(p) == 0 {
		return append(b, disconnect<<4, 1, byte(v.Reason))
	}
	return appendWithProperties(b, disconnect, []byte{byte(v.Reason)}, p)
}

// appendWithProperties appends a packet of head and properties.
func appendWithProperties(b []byte, packet byte, head, properties []byte) []byte {
	n := uint32(len(properties))
	b = appendVarint(append(b, packet<<4), uint32(len(head)+varintLen(n))+n)
	b = appendVarint(append(b, head...), n)
	return append(b, properties...)
}

// detail returns what a person is told of v. What is wrong with the bytes of a packet
// concerns those who write clients: they get it where their client says that it
// wants to know, and not by default (section 3.1.2.11.7). All clients get what is
// true of the broker: that it is full, or that something is not allowed.
func (k *Connect) detail(v Violation) string {
	if !k.problemAsked && (v.Reason == Malformed || v.Reason == ProtocolError || v.Reason == BadTopicAlias) {
		return ""
	}
	return v.Detail
}

// appendReason appends a Reason String to the properties of a packet that has
// size bytes so far, if the client has not turned problem information off
// (section 3.1.2.11.7) and the packet stays as small as it wants (sections
// 3.2.2.3.9 and 3.14.2.2.3).
func (k *Connect) appendReason(properties []byte, detail string, size int) []byte {
	const lengths = 3 + 2 + 2 // of the property, and what the lengths before it grow by
	if detail == "" || !k.problemInfo || len(detail) > math.MaxUint16 || !k.fits(size+lengths+len(detail)) {
		return properties
	}
	return appendText(append(properties, reasonString), detail)
}

// fits reports whether the client takes a packet of n bytes.
func (k *Connect) fits(n int) bool { return k.maxPacket == 0 || uint64(n) <= uint64(k.maxPacket) }

// appendAnnouncement tells the client what the broker does and what not. What
// the absence of a property says is not said again: QoS 2, retained messages,
// wildcards and subscription identifiers (sections 3.2.2.3.4, 3.2.2.3.5,
// 3.2.2.3.11 and 3.2.2.3.12), and that there are no topic aliases (3.2.2.3.8).
func (k *Connect) appendAnnouncement(p []byte, lim *Limits) []byte {
	if k.sessionExpiry > lim.MaxExpiry {
		p = binary.BigEndian.AppendUint32(append(p, sessionExpiry), lim.MaxExpiry)
	}
	if k.serverAlive {
		p = binary.BigEndian.AppendUint16(append(p, serverKeepAlive), k.keepAlive)
	}
	p = binary.BigEndian.AppendUint16(append(p, receiveMaximum), uint16(lim.ReceiveMaximum))
	p = binary.BigEndian.AppendUint32(append(p, maximumPacketSize), uint32(lim.Packet))
	if lim.TopicAliases > 0 {
		p = binary.BigEndian.AppendUint16(append(p, topicAliasMaximum), uint16(lim.TopicAliases))
	}
	if k.Assigned {
		p = appendText(append(p, assignedClientID), k.ClientID)
	}
	return k.appendResponseText(p, lim.ResponseText)
}

// appendResponseText appends the Response Information, which is text with the
// client identifier for %c, to a client that has asked for it (section
// 3.1.2.11.6). An identifier that is more than a level of a topic has none: it
// could be the topic of somebody else.
func (k *Connect) appendResponseText(p []byte, text string) []byte {
	if text == "" || !k.responseInfo || strings.Contains(text, "%c") && strings.ContainsAny(k.ClientID, "/+#") {
		return p
	}
	text = strings.ReplaceAll(text, "%c", k.ClientID)
	const before = 5 + 3 + 2 + 2 // the packet without properties, and what the lengths grow by
	if len(text) > math.MaxUint16 || !k.fits(before+len(p)+len(text)) {
		return p
	}
	return appendText(append(p, responseText), text)
}
