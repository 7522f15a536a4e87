package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The bytes are laid out by hand from the tables of MQTT 3.1.1, chapter 3.
var encodings = []struct {
	name string
	got  []byte
	want string
}{
	{"CONNECT", AppendConnect(nil, Session{ClientID: "pub0"}), "\x10\x10\x00\x04MQTT\x04\x02\x0e\x10\x00\x04pub0"},
	{"CONNECT, lasting", AppendConnect(nil, Session{ClientID: "a", Lasting: true}), "\x10\x0d\x00\x04MQTT\x04\x00\x0e\x10\x00\x01a"},
	{"CONNECT of a user", AppendConnect(nil, Session{ClientID: "a", User: "bo", Password: "pw"}), "\x10\x15\x00\x04MQTT\x04\xc2\x0e\x10\x00\x01a\x00\x02bo\x00\x02pw"},
	{"SUBSCRIBE", AppendSubscribe(nil, 1, "a/+", 2), "\x82\x08\x00\x01\x00\x03a/+\x02"},
	{"UNSUBSCRIBE", AppendUnsubscribe(nil, 258, "a/#"), "\xa2\x07\x01\x02\x00\x03a/#"},
	{"PUBLISH QoS 0", AppendPublish(nil, Message{Topic: []byte("a"), Payload: []byte("hi")}), "\x30\x05\x00\x01ahi"},
	{"PUBLISH QoS 1", AppendPublish(nil, Message{Topic: []byte("a"), Payload: []byte("hi"), QoS: 1, ID: 10}), "\x32\x07\x00\x01a\x00\x0ahi"},
	{"PUBLISH QoS 2, retained", AppendPublish(nil, Message{Topic: []byte("a"), QoS: 2, ID: 10, Retain: true}), "\x35\x05\x00\x01a\x00\x0a"},
	{"PUBACK", AppendAck(nil, Puback, 0x1234), "\x40\x02\x12\x34"},
	{"PUBREC", AppendAck(nil, Pubrec, 1), "\x50\x02\x00\x01"},
	{"PUBREL", AppendAck(nil, Pubrel, 1), "\x62\x02\x00\x01"},
	{"PUBCOMP", AppendAck(nil, Pubcomp, 1), "\x70\x02\x00\x01"},
}

func TestAppend(t *testing.T) {
	for _, tt := range encodings {
		if string(tt.got) != tt.want {
			t.Errorf("%s = % x, want % x", tt.name, tt.got, tt.want)
		}
	}
}

func TestPublishBothWays(t *testing.T) {
	for _, want := range []Message{
		{Topic: []byte("a"), Payload: []byte("hi")},
		{Topic: []byte("a/b"), Payload: []byte{}, QoS: 1, ID: 65535, Retain: true},
		{Topic: []byte("a"), Payload: bytes.Repeat([]byte("x"), 127), QoS: 2, ID: 1},
		{Topic: []byte("a"), Payload: bytes.Repeat([]byte("x"), 20_000)},
		{Topic: []byte("a"), Payload: bytes.Repeat([]byte("x"), 3_000_000)},
	} {
		p, rest, err := Next(append(AppendPublish(nil, want), "behind"...))
		if err != nil || string(rest) != "behind" {
			t.Errorf("Next of %d bytes: rest %q, %v", len(want.Payload), rest, err)
			continue
		}
		got, err := p.Message()
		if !bytes.Equal(got.Topic, want.Topic) || !bytes.Equal(got.Payload, want.Payload) ||
			got.ID != want.ID || got.QoS != want.QoS || got.Retain != want.Retain || err != nil {
			t.Errorf("message = %.200v, %v, want %.200v", got, err, want)
		}
	}
}

// TestNextWaits cuts packets at each byte: the beginning of a packet is never
// taken for one, nor for an error.
func TestNextWaits(t *testing.T) {
	for _, tt := range encodings {
		for cut := range tt.want {
			_, rest, err := Next([]byte(tt.want[:cut]))
			if !errors.Is(err, ErrShort) || len(rest) != cut {
				t.Errorf("Next of %d bytes of %s: %d left, %v; want all and ErrShort", cut, tt.name, len(rest), err)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	_, _, err := Next([]byte("\x30\xff\xff\xff\xff\x01"))
	if err == nil || errors.Is(err, ErrShort) {
		t.Errorf("length of five bytes: %v, want it refused", err)
	}
	for name, p := range map[string]Packet{
		"PUBLISH without topic":     {Type: Publish, Body: []byte{0}},
		"topic longer than PUBLISH": {Type: Publish, Body: []byte("\x00\x05a")},
		"PUBLISH without packet id": {Type: Publish, Flags: 2, Body: []byte("\x00\x01a\x00")},
	} {
		if m, err := p.Message(); err == nil {
			t.Errorf("%s: read as %v", name, m)
		}
	}
	if id, err := (Packet{Type: Puback, Body: []byte{1}}).ID(); err == nil || !strings.Contains(err.Error(), "packet id") {
		t.Errorf("ID of a short PUBACK = %d, %v", id, err)
	}
}

func FuzzNext(f *testing.F) {
	for _, tt := range encodings {
		f.Add(tt.got)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := Next(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatalf("Next took nothing of % x", b)
		}
		if m, err := p.Message(); p.Type == Publish && err == nil && m.QoS < 3 {
			again, _, err := Next(AppendPublish(nil, m))
			if err != nil || !bytes.Equal(again.Body, p.Body) {
				t.Errorf("% x read and written again is % x, %v", p.Body, again.Body, err)
			}
		}
	})
}
