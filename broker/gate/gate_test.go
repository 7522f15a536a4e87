package gate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/delivery"
	"edge/broker/journal"
	"edge/broker/journal/journaltest"
)

func limits() *Limits {
	return &Limits{
		ConnectTimeout: 5 * time.Second, PacketBefore: 512, Packet: 1 << 20,
		TopicBytes: 100, TopicLevels: 8, ReceiveMaximum: 10, MaxExpiry: 1000,
		UserProperties: 8, TopicAliases: 16, Idle: 48 * time.Hour, PacketRate: 1024,
		Counters: new(Counters),
	}
}

func engine(j journal.Journal) *delivery.Engine {
	return delivery.New(j, delivery.Options{
		QoS0Bytes: 1 << 20, QueueMessages: 1 << 20, QueueBytes: 1 << 30, UnkeptBytes: 1 << 30, Window: 100, ReceiveMaximum: 10,
		Sessions: 1000, Subscriptions: 100, RetainedBytes: 1 << 20, MaxExpiry: 1000, TopicBytes: 100, TopicLevels: 8,
	}, slog.New(slog.DiscardHandler))
}

// control lets everybody in, and subscribes to everything whatever is asked.
type control struct{ *Conn }

func (c control) Connect() Reason {
	if c.Begin("") != nil {
		return QuotaExceeded
	}
	return Success
}

func (c control) Handle(kind byte, body []byte) error {
	if kind == subscribe {
		c.Subscribe([]journal.Subscription{{Filter: "#", QoS: 2}})
		_, _ = c.Write([]byte{suback << 4, 3, body[0], body[1], 2})
	}
	return nil
}

func (control) Leave() {}

// Request is answered by nobody.
func (control) Request(*delivery.Message, bool) delivery.Verdict { return delivery.Denied }

// readPacket reads one packet from r.
func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	for {
		length, n := varint(head[1:])
		if n > 0 {
			raw := append(head, make([]byte, length)...)
			_, err := io.ReadFull(r, raw[len(head):])
			return raw, err
		}
		head = append(head, 0)
		if _, err := io.ReadFull(r, head[len(head)-1:]); err != nil {
			return nil, err
		}
	}
}

// dial returns the client's end of a connection that is served by a gate.
func dial(t testing.TB, e *delivery.Engine) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	c := New(pipe{server}, e, limits(), slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		_ = c.Serve(control{c})
		close(ended)
	}()
	t.Cleanup(func() {
		client.Close()
		<-ended
	})
	return client
}

// pipe is a net.Pipe with an address that can be printed.
type pipe struct{ net.Conn }

// say writes the packets given in hexadecimal; spaces do not count.
func say(t testing.TB, c net.Conn, packets string) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(packets, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = c.Write(b) }() // A pipe blocks until the gate has read all, which it may refuse.
}

// hear expects the packets given in hexadecimal; "EOF" is the end. Messages and
// other packets have an order of their own each: what a client publishes may
// come back before it is acknowledged.
func hear(t testing.TB, c net.Conn, want ...string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got []string
	for range want {
		raw, err := readPacket(c)
		switch {
		case errors.Is(err, io.EOF):
			got = append(got, "EOF")
		case err != nil:
			got = append(got, err.Error())
		default:
			got = append(got, hex.EncodeToString(raw))
		}
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], " ", "")
	}
	if !slices.Equal(messagesLast(got), messagesLast(want)) {
		t.Errorf("hear %q, want %q", got, want)
	}
}

// messagesLast returns the packets with every PUBLISH behind the others.
func messagesLast(packets []string) []string {
	var others, messages []string
	for _, p := range packets {
		if strings.HasPrefix(p, "3") {
			messages = append(messages, p)
		} else {
			others = append(others, p)
		}
	}
	return append(others, messages...)
}

// said returns packet with a Reason String behind it.
func said(packet, detail string) string {
	return packet + fmt.Sprintf("1f%04x%x", len(detail), detail)
}

const (
	connect4 = "10 0d 0004 4d515454 04 02 0000 0001 63"          // MQTT 3.1.1, clean, client id "c"
	connect5 = "10 10 0004 4d515454 05 02 0000 02 17 00 0001 63" // MQTT 5, without reason strings
	connack4 = "20 02 00 00"
	connack5 = "20 11 00 00 0e 13 ffff 21 000a 27 00100000 22 0010"
)

func TestConnect(t *testing.T) {
	tests := []struct {
		name, say string
		hear      []string
	}{
		{"3.1", "10 0f 0006 4d5149736470 03 02 0000 0001 63", []string{connack4}},
		{"3.1.1", connect4, []string{connack4}},
		{"5", connect5, []string{connack5}},
		{"3.1 without id", "10 0e 0006 4d5149736470 03 02 0000 0000", []string{"20 02 00 02", "EOF"}},
		{"3.1.1 without id, not clean", "10 0c 0004 4d515454 04 00 0000 0000", []string{"20 02 00 02", "EOF"}},
		{"level 2", "10 0d 0004 4d515454 02 02 0000 0001 63", []string{"20 02 00 01", "EOF"}},
		{"level 6", "10 0e 0004 4d515454 06 02 0000 00 0001 63", []string{said("20 36 00 84 33", "MQTT version 6; here are MQTT 5.0, 3.1.1 and 3.1"), "EOF"}},
		{"other protocol", "10 0d 0004 4d515455 04 02 0000 0001 63", []string{"EOF"}},
		{"HTTP", "47 45 54 20 2f 20 48 54", []string{"EOF"}},
		{"PUBLISH first", "30 03 0001 61", []string{"EOF"}},
		{"reserved flag", "10 0d 0004 4d515454 04 03 0000 0001 63", []string{"EOF"}},
		{"reserved header flags", "11 0d 0004 4d515454 04 02 0000 0001 63", []string{"EOF"}},
		{"bytes behind the end", "10 0e 0004 4d515454 04 02 0000 0001 63 00", []string{"EOF"}},
		{"password without user", "10 10 0004 4d515454 04 42 0000 0001 63 0001 70", []string{"EOF"}},
		{"will QoS without will", "10 0d 0004 4d515454 04 0a 0000 0001 63", []string{"EOF"}},
		{"will QoS 3", "10 13 0004 4d515454 04 1e 0000 0001 63 0001 77 0001 78", []string{"EOF"}},
		{"will with wildcard", "10 13 0004 4d515454 04 06 0000 0001 63 0001 23 0001 78", []string{"EOF"}},
		{"will to a good topic", "10 13 0004 4d515454 04 06 0000 0001 63 0001 77 0001 78", []string{connack4}},
		{"NUL in the id", "10 0d 0004 4d515454 04 02 0000 0001 00", []string{"EOF"}},
		{"property twice", "10 18 0004 4d515454 05 02 0000 0a 11 00000001 11 00000001 0001 63", []string{"20 03 00 82 00", "EOF"}},
		{"property twice, problem information", "10 1a 0004 4d515454 05 02 0000 0c 17 01 11 00000001 11 00000001 0001 63", []string{said("20 2c 00 82 29", "Session Expiry Interval is there twice"), "EOF"}},
		{"property twice, no problem information", "10 1a 0004 4d515454 05 02 0000 0c 17 00 11 00000001 11 00000001 0001 63", []string{"20 03 00 82 00", "EOF"}},
		{"property of PUBLISH", "10 13 0004 4d515454 05 02 0000 05 17 00 23 0001 0001 63", []string{"20 03 00 82 00", "EOF"}},
		{"receive maximum 0", "10 13 0004 4d515454 05 02 0000 05 17 00 21 0000 0001 63", []string{"20 03 00 82 00", "EOF"}},
		{"authentication method", "10 14 0004 4d515454 05 02 0000 06 17 00 15 0001 6d 0001 63", []string{"20 03 00 8c 00", "EOF"}},
		{
			"session expiry cut to the limit", "10 13 0004 4d515454 05 02 0000 05 11 ffffffff 0001 63",
			[]string{"20 16 00 00 13 11 000003e8 13 ffff 21 000a 27 00100000 22 0010"},
		},
		{"too large", "10 ff 7f", []string{"EOF"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, engine(journal.Memory{}))
			say(t, c, tt.say)
			hear(t, c, tt.hear...)
		})
	}
}

func TestStrict(t *testing.T) {
	tests := []struct {
		name, say string
		reason    string // of DISCONNECT in MQTT 5
	}{
		{"second CONNECT", connect5, "82"},
		{"CONNACK", "20 02 00 00", "82"},
		{"SUBACK", "90 03 0001 00", "82"},
		{"PINGRESP", "d0 00", "82"},
		{"AUTH", "f0 00", "82"},
		{"type 0", "00 00", "82"},
		{"length in five bytes", "30 80 80 80 80 01", "81"},
		{"length not in its shortest form", "30 80 00", "81"},
		{"too large", "30 ff ff ff 7f", "95"},
		{"QoS 3", "36 04 0001 61 00", "81"},
		{"DUP at QoS 0", "38 04 0001 61 00", "81"},
		{"no topic", "30 03 0000 00", "82"},
		{"topic longer than the packet", "30 03 0005 61", "81"},
		{"wildcard in a topic", "30 04 0001 23 00", "81"},
		{"NUL in a topic", "30 04 0001 00 00", "81"},
		{"topic with too many levels", "30 0b 0008 2f2f2f2f2f2f2f2f 00", "90"},
		{"packet id 0", "32 06 0001 61 0000 00", "82"},
		{"no packet id", "32 03 0001 61", "81"},
		{"properties longer than the packet", "30 04 0001 61 05", "81"},
		{"unknown property", "30 06 0001 61 02 7f 00", "81"},
		{"property of CONNECT", "30 09 0001 61 05 11 00000001", "82"},
		{"subscription identifier from a client", "30 06 0001 61 02 0b 01", "82"},
		{"topic alias beyond those offered", "30 07 0001 61 03 23 0011", "94"},
		{"topic alias without a topic", "30 07 0000 03 23 0001 78", "82"},
		{"response topic with wildcard", "30 08 0001 61 04 08 0001 23", "82"},
		{"payload that is not the text it says", "30 07 0001 61 02 01 01 ff", "99"},
		{"payload format 2", "30 06 0001 61 02 01 02", "82"},
		{"PUBACK with id 0", "40 02 0000", "82"},
		{"PUBACK with flags", "41 02 0001", "81"},
		{"PUBREL without flags", "60 02 0001", "81"},
		{"PUBACK cut off", "40 01 00", "81"},
		{"PUBACK with bytes behind", "40 05 0001 00 00 00", "81"},
		{"SUBSCRIBE without filter", "82 03 0001 00", "82"},
		{"SUBSCRIBE with id 0", "82 07 0000 00 0001 61 00", "81"},
		{"SUBSCRIBE without options", "82 06 0001 00 0001 61", "81"}, // Kills mochi, issue 501.
		{"SUBSCRIBE with QoS 3", "82 07 0001 00 0001 61 03", "82"},
		{"SUBSCRIBE with reserved options", "82 07 0001 00 0001 61 40", "81"},
		{"SUBSCRIBE with retain handling 3", "82 07 0001 00 0001 61 30", "82"},
		{"SUBSCRIBE to a#", "82 08 0001 00 0002 6123 00", "81"},
		{"SUBSCRIBE with identifier 0", "82 09 0001 02 0b 00 0001 61 00", "82"},
		{"shared subscription with No Local", "82 10 0001 00 000a 2473686172652f672f61 04", "82"},
		{"UNSUBSCRIBE without filter", "a2 03 0001 00", "82"},
		{"PINGREQ with a body", "c0 01 00", "81"},
		{"DISCONNECT that wants a longer session", "e0 07 00 05 11 00000001", "82"},
		{"DISCONNECT with bytes behind", "e0 03 00 00 00", "81"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engine(journal.Memory{})
			c := dial(t, e)
			say(t, c, connect5)
			hear(t, c, connack5)
			say(t, c, tt.say)
			hear(t, c, "e0 01 "+tt.reason, "EOF")
		})
	}
	t.Run("before MQTT 5 there is no DISCONNECT", func(t *testing.T) {
		c := dial(t, engine(journal.Memory{}))
		say(t, c, connect4)
		hear(t, c, connack4)
		say(t, c, "36 03 0001 61")
		hear(t, c, "EOF")
	})
}

func TestFlows(t *testing.T) {
	tests := []struct {
		name, connect, connack string
		say                    string
		hear                   []string
	}{
		{
			"QoS 1", connect4, connack4, "82 06 0001 0001 23 02  32 06 0001 61 0007 78",
			[]string{"90 03 0001 02", "40 02 0007", "32 06 0001 61 0001 78"},
		},
		{"QoS 1 and 5", connect5, connack5, "32 07 0001 61 0007 00 78", []string{"40 03 0007 10"}},
		{
			"QoS 2, sent twice", connect4, connack4, "34 06 0001 61 0007 78 3c 06 0001 61 0007 78 62 02 0007 62 02 0007",
			[]string{"50 02 0007", "50 02 0007", "70 02 0007", "70 02 0007"},
		},
		{"PUBREL unknown", connect5, connack5, "62 02 0007", []string{"70 02 0007"}},
		{"PUBREC unknown", connect5, connack5, "50 02 0007", []string{"62 02 0007"}},
		{
			"QoS 2, packet id in use without DUP, twice", connect5, connack5,
			"34 07 0001 61 0007 00 78  34 07 0001 61 0007 00 78  34 07 0001 61 0007 00 78",
			[]string{"50 03 0007 10", "50 02 0007", "e0 01 82", "EOF"},
		},
		{
			"QoS 2, packet id in use with DUP", connect5, connack5,
			"34 07 0001 61 0007 00 78  3c 07 0001 61 0007 00 78  3c 07 0001 61 0007 00 78  34 07 0001 61 0007 00 78  c0 00",
			[]string{"50 03 0007 10", "50 02 0007", "50 02 0007", "50 02 0007", "d0 00"},
		},
		{
			"QoS 2, packet id in use for something else", connect4, connack4,
			"34 06 0001 61 0007 78  34 05 0001 61 0007  34 06 0001 61 0007 78  c0 00",
			[]string{"50 02 0007", "50 02 0007", "50 02 0007", "d0 00"},
		},
		{
			"QoS 2, packet id in use once in each flow", connect4, connack4,
			"34 06 0001 61 0007 78  34 06 0001 61 0007 78  62 02 0007  34 06 0001 61 0007 78  34 06 0001 61 0007 78  c0 00",
			[]string{"50 02 0007", "50 02 0007", "70 02 0007", "50 02 0007", "50 02 0007", "d0 00"},
		},
		{"PUBACK unknown", connect5, connack5, "40 02 0007 c0 00", []string{"d0 00"}},
		{
			"properties go through", connect5, connack5,
			"82 07 0001 00 0001 23 00  30 21 0001 61 1c 01 01 03 0001 74 08 0001 72 09 0002 0001 26 0001 6e 0001 76 26 0001 6e 0000 78",
			[]string{"90 03 0001 02", "30 21 0001 61 1c 01 01 03 0001 74 08 0001 72 09 0002 0001 26 0001 6e 0001 76 26 0001 6e 0000 78"},
		},
		{
			"topics of the broker", connect5, connack5, "82 07 0001 00 0001 23 02  32 0a 0004 24535953 0007 00 78 34 0a 0004 24535953 0008 00 78 30 08 0004 24535953 00 78",
			[]string{"90 03 0001 02", "40 03 0007 87", "50 03 0008 87"},
		},
		{
			"order of control packets", connect4, connack4, "c0 00 82 06 0001 0001 23 02 c0 00",
			[]string{"d0 00", "90 03 0001 02", "d0 00"},
		},
		{"DISCONNECT", connect4, connack4, "e0 00", []string{"EOF"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, engine(journal.Memory{}))
			say(t, c, tt.connect)
			hear(t, c, tt.connack)
			say(t, c, tt.say)
			hear(t, c, tt.hear...)
		})
	}
}

// TestByteByByte sends packets in the smallest pieces there are.
func TestByteByByte(t *testing.T) {
	c := dial(t, engine(journal.Memory{}))
	b, _ := hex.DecodeString(strings.ReplaceAll(connect4+"82 06 0001 0001 23 02 32 06 0001 61 0007 78", " ", ""))
	go func() {
		for i := range b {
			_, _ = c.Write(b[i : i+1])
		}
	}()
	hear(t, c, connack4, "90 03 0001 02", "40 02 0007", "32 06 0001 61 0001 78")
}

// TestSizes sends payloads around the sizes at which the gate reads another way.
func TestSizes(t *testing.T) {
	c := dial(t, engine(journal.Memory{}))
	say(t, c, connect4+"82 06 0001 0001 23 02")
	hear(t, c, connack4, "90 03 0001 02")
	for _, n := range []int{0, 1, 120, 127, 128, 505, 512, 16383, 16384, 65530, 65536, 65540, 1 << 17, 1<<20 - 20} {
		payload := bytes.Repeat([]byte{byte(n)}, n)
		b := appendVarint([]byte{publish << 4}, uint32(n+3))
		b = append(append(b, 0, 1, 'a'), payload...)
		go func() { _, _ = c.Write(b) }()
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := readPacket(c)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("payload of %d bytes: got %d bytes, %v", n, len(got), err)
		}
	}
}

// TestAcknowledgementsWaitForTheJournal shows that no acknowledgement is
// written before its record is safe, and that they keep their order.
func TestAcknowledgementsWaitForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(journaltest.Held)
		e := engine(j)
		c := dial(t, e)
		say(t, c, "10 0d 0004 4d515454 04 00 0000 0001 63") // A session that lasts.
		hear(t, c, connack4)
		ticket := len(j.Records())
		// Durable (retained), not durable, durable, and the end of a QoS 2 flow.
		say(t, c, "33 06 0001 61 0001 78  32 06 0001 62 0002 78  35 06 0001 61 0003 78  62 02 0003")
		silent := make(chan []byte, 1)
		go func() {
			raw, _ := readPacket(c)
			silent <- raw
		}()
		synctest.Wait()
		select {
		case raw := <-silent:
			t.Fatalf("acknowledged before the commit: %x", raw)
		default:
		}
		if n := len(j.Records()); n != ticket+3 {
			t.Errorf("%d records, want 3", n-ticket)
		}
		j.Commit()
		if raw := <-silent; hex.EncodeToString(raw) != "40020001" {
			t.Errorf("first acknowledgement %x", raw)
		}
		hear(t, c, "40 02 0002", "50 02 0003", "70 02 0003")
	})
}

// TestJournalBroken shows that what cannot be kept is not acknowledged.
func TestJournalBroken(t *testing.T) {
	j := new(journaltest.Held)
	j.Flow()
	c := dial(t, engine(j))
	say(t, c, connect5)
	hear(t, c, connack5)
	j.Break()
	say(t, c, "33 07 0001 61 0001 00 78  32 07 0001 61 0002 00 78")
	hear(t, c, "40 03 0001 97", "40 03 0002 10")
	old := dial(t, engine(j))
	say(t, old, connect4)
	hear(t, old, connack4)
	say(t, old, "33 06 0001 61 0001 78") // MQTT 3.1.1 has no other way to say no.
	hear(t, old, "EOF")
}

func TestTimeouts(t *testing.T) {
	tests := []struct {
		name, connect string
		every         time.Duration // PINGREQ that often, for a minute
		closed        time.Duration // after the last packet
	}{
		{"no CONNECT", "", 0, 5 * time.Second},
		{"half a CONNECT", "10 0d 0004", 0, 5 * time.Second},
		{"keep-alive 10 s", "10 0e 0004 4d515454 05 02 000a 00 0001 63", 9 * time.Second, 15 * time.Second},
		{"keep-alive 43691 s", "10 0e 0004 4d515454 05 02 aaab 00 0001 63", 0, 43691 * time.Second * 3 / 2},
		{"keep-alive 0", connect5, 0, 65535 * time.Second * 3 / 2}, // CONNACK says 65535 s.
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dial(t, engine(journal.Memory{}))
				if tt.connect != "" {
					say(t, c, tt.connect)
				}
				if len(tt.connect) > 20 {
					if raw, err := readPacket(c); err != nil || raw[0] != connack<<4 {
						t.Fatalf("%x, %v in place of CONNACK", raw, err)
					}
				}
				for range time.Minute / max(tt.every, 2*time.Minute-tt.every*100) {
					time.Sleep(tt.every)
					say(t, c, "c0 00")
					hear(t, c, "d0 00")
				}
				begin := time.Now()
				_ = c.SetReadDeadline(begin.Add(100 * 24 * time.Hour))
				_, err := readPacket(c)
				if tt.name[0] == 'k' {
					_, err = readPacket(c) // DISCONNECT came first.
				}
				took := time.Since(begin)
				if took < tt.closed-time.Millisecond || took > tt.closed*9/8+time.Second {
					t.Errorf("closed after %v (%v), want %v", took, err, tt.closed)
				}
			})
		})
	}
}

// TestPanic shows that a panic ends its connection only, and that the session
// can be taken by the next.
func TestPanic(t *testing.T) {
	e := engine(journal.Memory{})
	client, server := net.Pipe()
	var log bytes.Buffer
	c := New(pipe{server}, e, limits(), slog.New(slog.NewTextHandler(&log, nil)))
	go func() { _ = c.Serve(broken{control{c}}) }()
	say(t, client, connect4)
	<-c.Done()
	if s := log.String(); !strings.Contains(s, "a bug in a decoder") || !strings.Contains(s, "gate_test.go") {
		t.Errorf("log: %q, want the panic with its stack", s)
	}
	next := dial(t, e)
	say(t, next, connect4)
	hear(t, next, connack4)
}

// broken panics when its client has a session.
type broken struct{ control }

func (b broken) Connect() Reason {
	_ = b.Begin("")
	panic("a bug in a decoder")
}

// TestTooLargeForTheClient drops what the client said that it does not take.
func TestTooLargeForTheClient(t *testing.T) {
	e := engine(journal.Memory{})
	c := dial(t, e)
	say(t, c, "10 13 0004 4d515454 05 02 0000 05 27 00000020 0001 63  82 07 0001 00 0001 23 02")
	hear(t, c, connack5, "90 03 0001 02")
	big := "32 2e 0001 61 0001 00" + strings.Repeat(" 78", 40)
	say(t, c, big+"32 07 0001 61 0002 00 79")
	hear(t, c, "40 02 0001", "40 02 0002", "32 07 0001 61 0002 00 79")
	if d := e.Dropped(); d.Large != 1 {
		t.Errorf("%d counted as too large, want 1", d.Large)
	}
}

func TestVarint(t *testing.T) {
	for _, tt := range []struct {
		v uint32
		b string
	}{{0, "\x00"}, {127, "\x7f"}, {128, "\x80\x01"}, {16383, "\xff\x7f"}, {16384, "\x80\x80\x01"}, {268435455, "\xff\xff\xff\x7f"}} {
		if got := string(appendVarint(nil, tt.v)); got != tt.b || varintLen(tt.v) != len(tt.b) {
			t.Errorf("append %d = %x (%d bytes), want %x", tt.v, got, varintLen(tt.v), tt.b)
		}
		if v, n := varint([]byte(tt.b + "x")); v != tt.v || n != len(tt.b) {
			t.Errorf("varint(%x) = %d, %d, want %d", tt.b, v, n, tt.v)
		}
	}
	for b, want := range map[string]int{"": 0, "\x80": 0, "\x80\x80\x80": 0, "\x80\x00": -1, "\x80\x80\x80\x80": -1} {
		if _, n := varint([]byte(b)); n != want {
			t.Errorf("varint(%x) takes %d bytes, want %d", b, n, want)
		}
	}
}

// TestClientThatDoesNotRead sends more and more that must be answered, and
// reads nothing: at some point the gate reads no more, and memory stays small.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := New(pipe{server}, engine(journal.Memory{}), limits(), slog.New(slog.DiscardHandler))
		go func() { _ = c.Serve(control{c}) }()
		say(t, client, connect4)
		hear(t, client, connack4)
		pubs := bytes.Repeat(unhex("32 06 0001 61 0007 78"), 1000)
		n := 0
		go func() {
			for {
				m, err := client.Write(pubs)
				if n += m; err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		c.mu.Lock()
		waiting := len(c.out)
		c.mu.Unlock()
		if n > 10*maxPending || waiting > 2*maxPending {
			t.Errorf("%d bytes were read, %d bytes of answers wait", n, waiting)
		}
		<-c.Done() // After a minute its patience is over.
		client.Close()
	})
}

// TestServeEndsWithTheLastPacket shows that a process may exit when its
// connections have ended: what they had to say is said.
func TestServeEndsWithTheLastPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := New(pipe{server}, engine(journal.Memory{}), limits(), slog.New(slog.DiscardHandler))
		served := make(chan struct{})
		go func() {
			_ = c.Serve(control{c})
			close(served)
		}()
		say(t, client, connect5)
		hear(t, client, connack5)
		c.End(ShuttingDown)
		heard := make(chan string, 1)
		go func() {
			time.Sleep(closeTimeout / 2) // A peer that takes its time.
			raw, _ := readPacket(client)
			heard <- hex.EncodeToString(raw)
		}()
		<-served
		synctest.Wait()
		select {
		case got := <-heard:
			if got != "e0018b" {
				t.Errorf("heard %q, want DISCONNECT", got)
			}
		default:
			t.Error("the connection has ended before DISCONNECT was read")
		}
		client.Close()
	})
}
