package gate

import (
	"errors"
	"fmt"

	"edge/internal/topic"
)

// maxFilters bounds the topic filters of one packet: what is remembered of one
// while the packet is handled is many times its three bytes on the wire.
const maxFilters = 8192

// checkSubscribe checks the body of a SUBSCRIBE completely (MQTT 5.0, section
// 3.8), since mochi's decoder does not.
func checkSubscribe(body []byte, version byte, lim *Limits) error {
	c := cursor{b: body}
	c.head(subscribe, version, lim)
	for n := 0; len(c.b) > 0; n++ {
		filter := c.nthFilter(n)
		options := c.at("subscription options byte").byte()
		c.options(options, version)
		c.filter(filter, options&4 != 0)
	}
	return c.err
}

// checkUnsubscribe checks the body of an UNSUBSCRIBE (section 3.10).
func checkUnsubscribe(body []byte, version byte, lim *Limits) error {
	c := cursor{b: body}
	c.head(unsubscribe, version, lim)
	for n := 0; len(c.b) > 0; n++ {
		c.filter(c.nthFilter(n), false)
	}
	return c.err
}

// head reads what is before the topic filters, of which there must be one
// (sections 3.8.3 and 3.10.3). No section says what a packet identifier of 0 is;
// it is what mosquitto says.
func (c *cursor) head(packet, version byte, lim *Limits) {
	if c.at("packet identifier").uint16() == 0 {
		c.refuse(Malformed, "is 0")
	}
	if version == 5 {
		c.properties(packet, lim.UserProperties)
	}
	c.at("packet").check(len(c.b) > 0, "has no topic filter")
}

// nthFilter reads a topic filter of which n came before in the packet.
func (c *cursor) nthFilter(n int) string {
	if n == maxFilters {
		c.at("packet").refuse(QuotaExceeded, fmt.Sprintf("has more than %d topic filters", maxFilters))
	}
	return c.at("topic filter").text()
}

// packetID reads a packet identifier (section 2.2.1).
func (c *cursor) packetID() uint16 {
	id := c.at("packet identifier").uint16()
	c.check(id != 0, "is 0")
	return id
}

// options checks the subscription options (section 3.8.3.1; MQTT 3.1.1, section
// 3.8.3, which calls a QoS of 3 malformed).
func (c *cursor) options(o, version byte) {
	reserved, qos3 := byte(0xFC), Malformed
	if version == 5 {
		reserved, qos3 = 0xC0, ProtocolError
	}
	switch {
	case o&reserved != 0:
		c.refuse(Malformed, "has reserved bits")
	case o&3 == 3:
		c.refuse(qos3, "has QoS 3")
	case o>>4 == 3:
		c.refuse(ProtocolError, "has Retain Handling 3")
	}
}

// filter checks the form of a topic filter. One that is too long or too deep is
// refused by SUBACK (section 3.9.3), before mochi walks through its levels.
func (c *cursor) filter(s string, noLocal bool) {
	if c.err != nil {
		return
	}
	switch err := topic.CheckFilter(s); {
	case errors.Is(err, topic.ErrShare):
		c.b, c.err = nil, Violation{ProtocolError, err.Error()}
	case err != nil:
		c.b, c.err = nil, Violation{Malformed, err.Error()}
	}
	if group, _ := topic.Share(s); group != "" && noLocal {
		c.refuse(ProtocolError, "has No Local for a shared subscription") // Section 3.8.3.1.
	}
}

// A leave is the content of a DISCONNECT (section 3.14). Its reason may be any.
type leave struct {
	reason Reason
	expiry *uint32
}

func decodeDisconnect(body []byte, version byte, lim *Limits) (leave, error) {
	var l leave
	c := cursor{b: body}
	if version == 5 && len(c.b) > 0 {
		l.reason = Reason(c.at("reason code").byte())
		if len(c.b) > 0 { // Section 3.14.2.2.1.
			p := c.properties(disconnect, lim.UserProperties)
			if p.got(sessionExpiry) {
				l.expiry = &p.sessionExpiry
			}
		}
	}
	return l, c.end()
}

// decodeAck reads PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).
func decodeAck(packet byte, body []byte, version byte, lim *Limits) (id uint16, r Reason, err error) {
	c := cursor{b: body}
	id = c.packetID()
	if version == 5 && len(c.b) > 0 {
		r = c.reason(packet)
		if len(c.b) > 0 { // Section 3.4.2.2.1.
			c.properties(packet, lim.UserProperties)
		}
	}
	if err = c.end(); err != nil {
		return 0, 0, err
	}
	return id, r, nil
}

// reason reads a reason code.
func (c *cursor) reason(packet byte) Reason {
	r := Reason(c.at("reason code").byte())
	if !r.sent(packet) {
		c.refuse(ProtocolError, fmt.Sprintf("0x%02X is not one that a client sends in this packet", byte(r)))
	}
	return r
}
