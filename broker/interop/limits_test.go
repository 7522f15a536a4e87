package interop

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestQueueRejects fills the queue of a session that is away, beside another
// subscriber who is there. The publisher is refused: by 0x97, quota exceeded, in
// MQTT 5, and before by the end of its connection. Both have received what was
// acknowledged and nothing else, and there is room again.
func TestQueueRejects(t *testing.T) {
	t.Parallel()
	s := startLimited(t, "queue_messages: 10")
	for _, v := range []version{v311, v5} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("MQTT %v at QoS %d", v, qos), func(t *testing.T) {
				t.Parallel()
				topic := fmt.Sprintf("full/%v/%d", v, qos)
				subscriber := login{version: v, id: topic, keep: true}
				away := s.connect(t, subscriber)
				away.subscribe(topic, 2)
				away.disconnect()
				witness := s.connect(t, login{version: v, id: "witness " + topic})
				witness.subscribe(topic, 2)

				acknowledged := s.fill(t, v, message{topic: topic, qos: qos})
				if n := len(acknowledged); n != 10 {
					t.Errorf("%d messages were acknowledged for a queue of 10", n)
				}
				away = s.connect(t, subscriber)
				pub := s.connect(t, login{version: v, id: "pub " + topic})
				for _, c := range []*client{witness, away} {
					for _, want := range acknowledged {
						if m := c.receive(); m.payload != want {
							t.Fatalf("received %+v, want %s, which was acknowledged", m, want)
						}
					}
					c.ping() // the broker has seen its acknowledgements
				}
				pub.publish(message{topic: topic, qos: qos, payload: "room"})
				for _, c := range []*client{witness, away} {
					if m := c.receive(); m.payload != "room" {
						t.Errorf("received %+v, which was refused; want room", m)
					}
				}
			})
		}
	}
}

// fill publishes m with the numbers from 0 until one is refused, and returns
// those that were acknowledged.
func (s *server) fill(t testing.TB, v version, m message) (acknowledged []string) {
	t.Helper()
	pub := s.connect(t, login{version: v, id: "filler " + m.topic})
	for i := range 100 {
		m.payload = fmt.Sprint(i)
		if v < v5 {
			pub.post(m)
			if _, err := pub.refusal(); err != nil {
				return acknowledged
			}
			if m.qos == 2 {
				pub.ack(cPUBREL, pub.lastID)
				pub.wantAck(cPUBCOMP, pub.lastID)
			}
		} else if code := pub.publish(m); code != 0 {
			if code != 0x97 {
				t.Errorf("message %d was refused with %#x, want 0x97, quota exceeded", i, code)
			}
			pub.ping() // it is the message that was refused, not the client
			return acknowledged
		}
		acknowledged = append(acknowledged, m.payload)
	}
	t.Fatal("a queue of 10 took 100 messages")
	return nil
}

// TestQueueDropsOldest has the other policy: no publisher is refused, the newest
// messages stay, and the log counts the others.
func TestQueueDropsOldest(t *testing.T) {
	t.Parallel()
	s := startLimited(t, "queue_messages: 10, queue_overflow: drop-oldest")
	subscriber := login{version: v311, id: "away", keep: true}
	away := s.connect(t, subscriber)
	away.subscribe("full", 1)
	away.disconnect()
	pub := s.connect(t, login{version: v5, id: "pub"})
	for i := range 30 {
		if code := pub.publish(message{topic: "full", qos: 1, payload: fmt.Sprint(i)}); code != 0 {
			t.Errorf("message %d was refused with %#x", i, code)
		}
	}
	away = s.connect(t, subscriber)
	for i := 20; i < 30; i++ {
		if m := away.receive(); m.payload != fmt.Sprint(i) || m.dup {
			t.Fatalf("received %+v, want %d", m, i)
		}
	}
	if away.ping(); len(away.inbox) > 0 {
		t.Errorf("received %+v after the last", away.inbox)
	}
	s.logged(t, "messages dropped", `"client":"away"`, `"full_total":`)
}

// logged checks that a line of the log has all of parts.
func (s *server) logged(t testing.TB, parts ...string) {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return
		}
	}
	t.Errorf("no line of the log has all of %q", parts)
}

// TestSlowReader has a subscriber that reads nothing while 20 kB messages come,
// every fourth at QoS 1. When it reads again it receives all of those; at QoS 0
// the oldest are dropped beyond its budget, and the log says so.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	const count, size, budget = 800, 20_000, 200_000 // 12 MB at QoS 0, beyond what sockets buffer
	s := startLimited(t, fmt.Sprint("qos0_bytes: ", budget))
	slow := s.connect(t, login{id: "slow"})
	receiveBuffer(t, slow.conn, 256<<10) // small, but no smaller than what the kernel sends at once
	slow.subscribe("a", 1)
	pub := s.connect(t, login{version: v5, id: "pub"})
	for i := range count {
		payload := fmt.Sprintf("%d %s", i, strings.Repeat("x", size))
		if code := pub.publish(message{topic: "a", qos: sure(i), payload: payload}); code != 0 {
			t.Fatalf("message %d: code %#x", i, code)
		}
	}
	got := map[int]bool{}
	for last := -1; last < count-1; {
		m := slow.receive()
		number, _, _ := strings.Cut(m.payload, " ")
		i, err := strconv.Atoi(number)
		if err != nil || i <= last || m.qos != sure(i) {
			t.Fatalf("received %s at QoS %d after %d", number, m.qos, last)
		}
		got[i], last = true, i
	}
	dropped := 0
	for i := range count {
		switch {
		case got[i]:
		case sure(i) == 1:
			t.Errorf("message %d of QoS 1 was dropped", i)
		case i >= count-budget/(size+100):
			t.Errorf("message %d of QoS 0 was dropped, one of the newest, which the budget has room for", i)
		default:
			dropped++
		}
	}
	if dropped == 0 {
		t.Error("nothing was dropped, so this tests nothing")
	}
	s.logged(t, "messages dropped", `"client":"slow"`, `"slow_total":`)
}

// sure is the QoS of message i of TestSlowReader: 1 for one of four, the last
// among them.
func sure(i int) byte {
	if i%4 == 3 {
		return 1
	}
	return 0
}

// TestUnreadAcknowledgements publishes at QoS 1 and reads no PUBACK: the broker
// stops to read from such a client, and does not collect for it.
func TestUnreadAcknowledgements(t *testing.T) {
	t.Parallel()
	stricter(t, "it collects them")
	s := start(t)
	c := s.connect(t, login{id: "deaf"})
	shrink(t, c.conn)
	before := s.memory(t)
	block := []byte(strings.Repeat(string(message{topic: "a", qos: 1, id: 1}.packet(v311).bytes()), 10_000))
	const most = 128 << 20 // for which the PUBACKs are 64 MB
	for sent := 0; ; {
		_ = c.conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
		n, err := c.conn.Write(block)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
		if sent > most {
			t.Fatalf("the broker has read %d bytes from a client that reads nothing", sent)
		}
	}
	s.grown(t, before)
	s.serves(t)
}
