package gate

import (
	"bytes"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"edge/broker/journal"
)

// TestSlowPacket sends a packet of 4 KiB at several rates; 1 KiB/s is allowed,
// after five seconds of grace.
func TestSlowPacket(t *testing.T) {
	packet := append(unhex("30 ff 1f 0001 61 00"), bytes.Repeat([]byte{'x'}, 4091)...)
	for _, tt := range []struct {
		rate  int // bytes a second
		after time.Duration
	}{
		{0, 5 * time.Second},
		{100, 5500 * time.Millisecond},
		{500, 0}, // Slow, but done before the grace is used up.
		{1100, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, engine(journal.Memory{}))
			say(t, c, connect5)
			hear(t, c, connack5)
			begin := time.Now()
			said := make(chan struct{})
			defer func() { <-said }()
			defer c.Close()
			go func() {
				defer close(said)
				for i := range len(packet) {
					if _, err := c.Write(packet[i : i+1]); err != nil || tt.rate == 0 {
						return
					}
					time.Sleep(time.Second / time.Duration(tt.rate))
				}
				say(t, c, "c0 00")
			}()
			raw, err := readPacket(c)
			if tt.after == 0 {
				if hex.EncodeToString(raw) != "d000" {
					t.Errorf("%d bytes/s: heard %x, %v, want PINGRESP", tt.rate, raw, err)
				}
				return
			}
			took := time.Since(begin)
			if hex.EncodeToString(raw) != "e00183" || took < tt.after || took > tt.after+time.Second {
				t.Errorf("%d bytes/s: heard %x after %v, want DISCONNECT 0x83 after %v", tt.rate, raw, took, tt.after)
			}
		})
	}
}

// TestQuietAfterSlowPacket shows that a packet that took its time does not cut
// the keep-alive short.
func TestQuietAfterSlowPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, engine(journal.Memory{}))
		say(t, c, "10 10 0004 4d515454 05 02 003c 02 17 00 0001 63")
		hear(t, c, "20 0e 00 00 0b 21 000a 27 00100000 22 0010")
		say(t, c, "c0")
		time.Sleep(4 * time.Second)
		say(t, c, "00")
		hear(t, c, "d0 00")
		time.Sleep(80 * time.Second)
		say(t, c, "c0 00")
		hear(t, c, "d0 00")
	})
}

// TestReasonStrings has clients that say nothing about problem information, and one
// that wants it: what went wrong is told in words, what is wrong with a packet only
// to the latter.
func TestReasonStrings(t *testing.T) {
	const hello, asks = "10 0e 0004 4d515454 05 02 0000 00 0001 63", "10 10 0004 4d515454 05 02 0000 02 17 01 0001 63"
	for _, tt := range []struct{ name, hello, say, want string }{
		{"DISCONNECT", asks, "82 08 0001 00 0002 6123 00", "wildcard"},
		{"PUBACK", hello, "32 0a 0004 24535953 0007 00 78", "broker's"},
		{"PUBREC", hello, "34 0a 0004 24535953 0007 00 78", "broker's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, engine(journal.Memory{}))
			say(t, c, tt.hello)
			hear(t, c, connack5)
			say(t, c, tt.say)
			raw, err := readPacket(c)
			if err != nil || !bytes.Contains(raw, []byte(tt.want)) || bytes.IndexByte(raw, reasonString) < 0 {
				t.Errorf("heard %q, %v, want a reason string with %q", raw, err, tt.want)
			}
		})
	}
}

// TestDirectWrites has a subscriber that does not read: the goroutine that
// publishes fills its socket, leaves the rest to another, and never waits. Then
// the subscriber reads all of it, in order.
func TestDirectWrites(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := engine(journal.Memory{})
	dialTCP := func() net.Conn {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := New(server, e, limits(), slog.New(slog.DiscardHandler))
		if c.socket == nil {
			t.Fatal("a TCP connection is not written directly")
		}
		ended := make(chan struct{})
		go func() { _ = c.Serve(control{c}); close(ended) }()
		t.Cleanup(func() { client.Close(); <-ended })
		return client
	}
	sub, pub := dialTCP(), dialTCP()
	say(t, sub, connect4+"82 06 0001 0001 23 02")
	hear(t, sub, connack4, "90 03 0001 02")
	say(t, pub, "10 0d 0004 4d515454 04 02 0000 0001 64")
	hear(t, pub, connack4)
	const count, size = 400, 60_000 // More than sockets hold.
	payload := make([]byte, size)
	for i := range count {
		payload[0], payload[1] = byte(i>>8), byte(i)
		b := append(appendVarint([]byte{publish<<4 | 2}, size+5), 0, 1, 'a', byte((i+1)>>8), byte(i+1))
		if _, err := pub.Write(append(b, payload...)); err != nil {
			t.Fatal(err)
		}
		ack := make([]byte, 4)
		_ = pub.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(pub, ack); err != nil {
			t.Fatalf("message %d is not acknowledged while the subscriber does not read: %v", i, err)
		}
	}
	_ = sub.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := range count {
		raw, err := readPacket(sub)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		id := raw[7:9]
		body := raw[9:]
		if int(body[0])<<8|int(body[1]) != i || len(body) != size {
			t.Fatalf("message %d is number %d with %d bytes", i, int(body[0])<<8|int(body[1]), len(body))
		}
		if _, err := sub.Write(append([]byte{puback << 4, 2}, id...)); err != nil {
			t.Fatal(err)
		}
	}
}
