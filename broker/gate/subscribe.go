package gate

import "edge/internal/topic"

// checkSubscribe checks the body of a SUBSCRIBE completely (MQTT 5.0, section
// 3.8), since mochi's decoder does not.
func checkSubscribe(body []byte, version byte) error {
	c := cursor{b: body}
	if id := c.uint16(); id == 0 {
		return orMalformed(c.err, ProtocolError)
	}
	if version == 5 {
		c.properties(subscribe)
	}
	if c.err == nil && len(c.b) == 0 {
		return ProtocolError // At least one filter.
	}
	for len(c.b) > 0 {
		filter, options := c.text(), c.byte()
		if c.err != nil {
			break
		}
		if err := checkOptions(options, version); err != nil {
			return err
		}
		if topic.CheckFilter(filter) != nil {
			return Malformed
		}
		if group, _ := topic.Share(filter); group != "" && options&4 != 0 {
			return ProtocolError // No Local with a shared subscription, section 3.8.3.1.
		}
	}
	return c.err
}

// checkOptions checks the subscription options (section 3.8.3.1).
func checkOptions(o, version byte) error {
	reserved := byte(0xFC)
	if version == 5 {
		reserved = 0xC0
	}
	switch {
	case o&reserved != 0, o&3 == 3:
		return Malformed
	case version == 5 && o>>4 == 3:
		return ProtocolError
	}
	return nil
}

// checkUnsubscribe checks the body of an UNSUBSCRIBE (section 3.10).
func checkUnsubscribe(body []byte, version byte) error {
	c := cursor{b: body}
	if id := c.uint16(); id == 0 {
		return orMalformed(c.err, ProtocolError)
	}
	if version == 5 {
		c.properties(unsubscribe)
	}
	if c.err == nil && len(c.b) == 0 {
		return ProtocolError
	}
	for len(c.b) > 0 {
		if filter := c.text(); c.err == nil && topic.CheckFilter(filter) != nil {
			return Malformed
		}
	}
	return c.err
}

func orMalformed(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// A leave is the content of a DISCONNECT (section 3.14).
type leave struct {
	reason Reason
	expiry *uint32
}

func decodeDisconnect(body []byte, version byte) (leave, error) {
	var l leave
	if version < 5 {
		if len(body) > 0 {
			return l, Malformed
		}
		return l, nil
	}
	if len(body) == 0 {
		return l, nil
	}
	c := cursor{b: body}
	l.reason = Reason(c.byte())
	if len(c.b) > 0 {
		p := c.properties(disconnect)
		if p.got(sessionExpiry) {
			l.expiry = &p.sessionExpiry
		}
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail()
	}
	return l, c.err
}

// decodeAck reads PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).
func decodeAck(packet byte, body []byte, version byte) (id uint16, r Reason, err error) {
	c := cursor{b: body}
	id = c.uint16()
	if version == 5 && len(c.b) > 0 {
		r = Reason(c.byte())
		if len(c.b) > 0 {
			c.properties(packet)
		}
	}
	switch {
	case c.err != nil:
		return 0, 0, c.err
	case len(c.b) > 0:
		return 0, 0, Malformed
	case id == 0:
		return 0, 0, ProtocolError
	}
	return id, r, nil
}
