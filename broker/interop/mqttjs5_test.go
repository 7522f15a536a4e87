package interop

import (
	"fmt"
	"reflect"
	"testing"
)

// startJS is eachJS for what only MQTT 5 has.
func startJS(t *testing.T) (*server, object) {
	t.Helper()
	t.Parallel()
	s := startWith(t, func(l *listeners) { l.ws = freeAddress(t) })
	return s, object{"protocolVersion": v5, "clientId": "js", "reconnectPeriod": 0}
}

// TestMQTTJSProperties sends all properties that a broker forwards, to mqtt.js
// and back.
func TestMQTTJSProperties(t *testing.T) {
	s, options := startJS(t)
	c, _ := s.connectJS(t, options)
	c.do("subscribe", "a", object{"qos": 2, "properties": object{"subscriptionIdentifier": 77, "userProperties": object{"x": "y"}}})
	want := object{
		"payloadFormatIndicator": true, "contentType": "text/plain", "responseTopic": "answer/here",
		"correlationData": "47\x0011", "userProperties": object{"colour": "green", "size": []any{"1", "2"}},
	}
	c.publish("a", "x", object{"qos": 2, "properties": want})
	got := c.wait("message").Properties
	if id := got["subscriptionIdentifier"]; !reflect.DeepEqual(id, 77.0) {
		t.Errorf("subscription identifier is %v, want 77", id)
	}
	delete(got, "subscriptionIdentifier")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("properties are %v, want %v", got, want)
	}
}

// TestMQTTJSRequest has mqtt.js ask and answer (section 4.10).
func TestMQTTJSRequest(t *testing.T) {
	s, options := startJS(t)
	worker, _ := s.connectJS(t, with(options, object{"clientId": "worker"}))
	worker.do("subscribe", "question", object{"qos": 1})
	asker, _ := s.connectJS(t, options)
	asker.do("subscribe", "answer/js", object{"qos": 1})
	asker.publish("question", "6*7", object{"qos": 1, "properties": object{
		"responseTopic": "answer/js", "correlationData": "4711",
	}})
	q := worker.wait("message")
	worker.do("publish", q.Properties["responseTopic"], "42", object{"qos": 1, "properties": object{
		"correlationData": q.Properties["correlationData"],
	}})
	if a := asker.wait("message"); a.Payload != "42" || a.Properties["correlationData"] != "4711" {
		t.Errorf("answered with %+v, want 42 for 4711", a)
	}
}

func TestMQTTJSNoLocal(t *testing.T) {
	s, options := startJS(t)
	c, _ := s.connectJS(t, options)
	c.do("subscribe", "room", object{"qos": 1, "nl": true})
	c.publish("room", "mine", object{"qos": 1})
	other := s.connect(t, login{version: v5, id: "other"})
	other.publish(message{topic: "room", qos: 1, payload: "theirs"})
	if m := c.wait("message"); m.Payload != "theirs" {
		t.Errorf("received %+v, want theirs", m)
	}
}

// TestMQTTJSAliases publishes ten messages on each of two topics, to itself:
// the second and later ones have an alias instead of the topic if the other side
// has announced some (section 3.3.2.3.4).
func TestMQTTJSAliases(t *testing.T) {
	s, options := startJS(t)
	c, ack := s.connectJS(t, with(options, object{
		"autoAssignTopicAlias": true, "properties": object{"topicAliasMaximum": 5},
	}))
	aliases := ack.Properties["topicAliasMaximum"]
	if aliases == nil {
		t.Skip("the broker announces no topic aliases")
	}
	c.do("subscribe", "alias/+", object{"qos": 1})
	for i := range 20 {
		topic := fmt.Sprint("alias/", i%2)
		c.begin("publish", topic, fmt.Sprint(i), object{"qos": 1})
		if sent := c.wait("sent"); (sent.Topic == "") != (i >= 2) {
			t.Errorf("message %d was sent on %q", i, sent.Topic)
		}
		if m := c.wait("message"); m.Topic != topic || m.Payload != fmt.Sprint(i) {
			t.Errorf("received %+v, want %d on %s", m, i, topic)
		}
	}
}

// TestMQTTJSAliasesOfBroker has the broker replace the topics that it sends to
// mqtt.js.
func TestMQTTJSAliasesOfBroker(t *testing.T) {
	s, options := startJS(t)
	c, ack := s.connectJS(t, with(options, object{"properties": object{"topicAliasMaximum": 5}}))
	if ack.Properties["topicAliasMaximum"] == nil {
		t.Skip("the broker announces no topic aliases")
	}
	c.do("subscribe", "alias/+", object{"qos": 1})
	pub := s.connect(t, login{version: v5, id: "pub"})
	used := 0
	for i := range 20 {
		topic := fmt.Sprint("alias/", i%2)
		pub.publish(message{topic: topic, qos: 1, payload: fmt.Sprint(i)})
		if c.wait("received").Topic == "" {
			used++
		}
		if m := c.wait("message"); m.Topic != topic || m.Payload != fmt.Sprint(i) {
			t.Errorf("received %+v, want %d on %s", m, i, topic)
		}
	}
	if used == 0 && !isMosquitto(t) {
		t.Error("the broker used no alias for twenty messages on two topics")
	}
}

// TestMQTTJSShared has two members of mqtt.js share a subscription: each
// message goes to one of them (section 4.8.2).
func TestMQTTJSShared(t *testing.T) {
	s, options := startJS(t)
	var members []*mqttjs
	for i := range 2 {
		c, ack := s.connectJS(t, with(options, object{"clientId": fmt.Sprint("member ", i)}))
		if ack.Properties["sharedSubscriptionAvailable"] == false {
			t.Skip("the broker announces no shared subscriptions")
		}
		c.do("subscribe", "$share/team/work/#", object{"qos": 1})
		c.do("subscribe", "end", object{"qos": 1})
		members = append(members, c)
	}
	pub := s.connect(t, login{version: v5, id: "pub"})
	const count = 20
	for i := range count {
		pub.publish(message{topic: fmt.Sprint("work/", i), qos: 1, payload: fmt.Sprint(i)})
	}
	pub.publish(message{topic: "end", qos: 1})
	seen := map[string]int{}
	for i, c := range members {
		n := len(seen)
		for m := c.wait("message"); m.Topic != "end"; m = c.wait("message") {
			seen[m.Payload]++
		}
		if len(seen) == n {
			t.Errorf("member %d received nothing", i)
		}
	}
	for payload, n := range seen {
		if n != 1 {
			t.Errorf("%s was received %d times", payload, n)
		}
	}
	if len(seen) != count {
		t.Errorf("%d of %d messages were received", len(seen), count)
	}
}
