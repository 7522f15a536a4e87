package gate

import (
	"bytes"
	"fmt"
)

// resolve returns the name of a topic that a client has sent with an alias, and
// remembers which name belongs to it (section 3.3.2.3.4).
func (c *Conn) resolve(name []byte, alias uint16) ([]byte, error) {
	in := &c.in
	if alias == 0 || int(alias) > c.limits.TopicAliases {
		return nil, Violation{BadTopicAlias, fmt.Sprintf("Topic Alias is %d, not 1 to %d", alias, c.limits.TopicAliases)}
	}
	if len(name) == 0 {
		if int(alias) >= len(in.aliases) || in.aliases[alias] == nil {
			return nil, Violation{ProtocolError, "the topic alias has no topic yet"}
		}
		return in.aliases[alias], nil
	}
	for int(alias) >= len(in.aliases) {
		in.aliases = append(in.aliases, nil)
	}
	in.aliases[alias] = bytes.Clone(name)
	return name, nil
}

// shortTopic is up to how many bytes a topic is not worth the bytes of an alias.
const shortTopic = 3

// aliases stand for topics in messages to one client (section 3.3.2.3.4). When
// all are taken, a topic that was not used for a while makes room (second
// chance). They belong to whoever writes to the connection.
type aliases struct {
	known  map[string]uint16
	topics []aliased // of alias 1 and up
	hand   int       // the next that may make room
}

type aliased struct {
	topic string
	used  bool // since the hand was there
}

// An alias in a PUBLISH; its zero value is none.
type alias struct {
	id    uint16
	known bool // the client has seen it with its topic
}

// of returns the alias for topic, if one is to be used; a client may have limit
// of them.
func (a *aliases) of(topic string, limit uint16) alias {
	if limit == 0 || len(topic) <= shortTopic {
		return alias{}
	}
	if id, ok := a.known[topic]; ok {
		a.topics[id-1].used = true
		return alias{id, true}
	}
	if len(a.topics) < int(limit) {
		if a.known == nil {
			a.known = make(map[string]uint16)
		}
		a.topics = append(a.topics, aliased{})
		return a.give(uint16(len(a.topics)), topic)
	}
	id := uint16(a.hand + 1)
	a.hand = (a.hand + 1) % len(a.topics)
	if a.topics[id-1].used {
		a.topics[id-1].used = false
		return alias{}
	}
	return a.give(id, topic)
}

func (a *aliases) give(id uint16, topic string) alias {
	a.forget(id)
	a.topics[id-1] = aliased{topic: topic}
	a.known[topic] = id
	return alias{id: id}
}

// forget takes back an alias whose message was not sent.
func (a *aliases) forget(id uint16) {
	delete(a.known, a.topics[id-1].topic)
	a.topics[id-1] = aliased{}
}
