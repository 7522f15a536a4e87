package interop

import (
	"fmt"
	"strings"
	"testing"
)

// TestLargeForOne publishes a message that is larger than one of two subscribers
// takes: it is dropped for that one only, online and from its queue, and its
// session goes on (section 3.1.2.11.4). Its receive maximum shows that a message
// which was not sent takes no place in the window.
func TestLargeForOne(t *testing.T) {
	t.Parallel()
	stricter(t, "what it does not send stays in the window")
	s := start(t)
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprint("large/", qos)
			subscriber := login{version: v5, id: topic, keep: true, props: properties{
				number[uint32](maximumPacketSize, 200), number[uint16](receiveMaximum, 1),
			}}
			small := s.connect(t, subscriber)
			small.subscribe(topic, qos)
			large := s.connect(t, login{version: v5, id: "any " + topic})
			large.subscribe(topic, qos)
			pub := s.connect(t, login{version: v5, id: "pub " + topic})
			payloads := []string{"one", strings.Repeat("x", 300), strings.Repeat("y", 300), "two", strings.Repeat("z", 300)}
			for _, online := range []bool{true, false} {
				if !online {
					small.disconnect()
				}
				for _, payload := range payloads {
					pub.publish(message{topic: topic, qos: qos, payload: payload})
					if m := large.receive(); m.payload != payload {
						t.Fatalf("received %.20q…, want %.20q…", m.payload, payload)
					}
				}
				if !online {
					small = s.connect(t, subscriber)
				}
				if online || qos > 0 {
					for _, want := range []string{"one", "two"} {
						if m := small.receive(); m.payload != want {
							t.Errorf("received %.20q…, want %q", m.payload, want)
						}
					}
				}
				if small.ping(); len(small.inbox) > 0 {
					t.Errorf("received %+v", small.inbox)
				}
			}
			small.disconnect()
			small = s.connect(t, subscriber)
			if small.ping(); len(small.inbox) > 0 {
				t.Errorf("received %+v, which was dropped or acknowledged before", small.inbox)
			}
		})
	}
}

// TestLargeByOne has two clients with the same maximum packet size, and a
// message that is one byte larger for one of them: its subscription identifier
// is 128, which takes two bytes, and that of the other 127.
func TestLargeByOne(t *testing.T) {
	t.Parallel()
	stricter(t, "it is wrong by a byte")
	s := start(t)
	const limit = 120
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprint("exact/", qos)
			connect := func(id int) *client {
				c := s.connect(t, login{version: v5, id: fmt.Sprint(topic, "/", id), props: properties{number[uint32](maximumPacketSize, limit)}})
				c.subscribe(topic, qos, identifier(id))
				return c
			}
			short, long := connect(127), connect(128)
			pub := s.connect(t, login{version: v5, id: "pub " + topic})
			empty := message{topic: topic, qos: qos, id: 1, props: properties{identifier(127)}}
			fits := limit - len(empty.packet(v5).bytes())
			for _, tt := range []struct{ size, short, long int }{{fits - 1, 1, 1}, {fits, 1, 0}, {fits + 1, 0, 0}} {
				pub.publish(message{topic: topic, qos: qos, payload: strings.Repeat("x", tt.size)})
				pub.publish(message{topic: topic, qos: 1, payload: "end"})
				for c, want := range map[*client]int{short: tt.short, long: tt.long} {
					if got := c.upToEnd(); len(got) != want {
						t.Errorf("%d bytes of payload: received %q, want %d messages", tt.size, got, want)
					}
				}
			}
		})
	}
}
