package interop

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestShortSubscribe ends a SUBSCRIBE before its options byte: 26 bytes in all,
// which ended the process of mochi-mqtt 2.7.9 (its issue 501).
func TestShortSubscribe(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 10 {
		c := s.dial(t)
		c.write([]byte("\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc" + "\x82\x06\x00\x01\x00\x00\x01a"))
		c.v = v5
		if a := c.answer(cCONNACK); a.code != 0 {
			t.Fatalf("CONNACK has code %#x", a.code)
		}
		c.closed()
	}
	s.serves(t)
}

// TestSlashes subscribes to and publishes on as many levels as fit into a
// packet. A walk that is quadratic in them takes half a minute.
func TestSlashes(t *testing.T) {
	t.Parallel()
	s := start(t)
	bystander := s.connect(t, login{id: "bystander"})
	bystander.subscribe("a", 1)
	for _, v := range versions {
		topic := strings.Repeat("/", 65535)
		for _, p := range []packet{
			{cSUBSCRIBE, 2, append(appendString(append([]byte{0, 1}, make([]byte, v/5)...), topic), 1)},
			{cUNSUBSCRIBE, 2, appendString(append([]byte{0, 1}, make([]byte, v/5)...), topic)},
			message{topic: topic, retain: true, payload: "x"}.packet(v),
		} {
			c := s.connect(t, login{version: v, id: "slashes"})
			begin := time.Now()
			c.send(p)
			_, _ = c.conn.Write([]byte{byte(cPINGREQ) << 4, 0}) // the connection may have ended
			bystander.publish(message{topic: "a", qos: 1})
			bystander.receive()
			_, _ = c.refusal()
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("MQTT %v: %v with 65535 levels took %v", v, p.kind, took)
			}
			c.drop()
		}
	}
}

// TestManyConnects opens and resets thousands of connections before and amid
// their CONNECT, by eight clients at once.
func TestManyConnects(t *testing.T) {
	t.Parallel()
	s := start(t)
	hello := login{id: "never"}.packet().bytes()
	var waits []func()
	for range 8 {
		waits = append(waits, beside(t, func(t testing.TB) {
			for i := range 300 {
				conn, err := net.DialTimeout("tcp", s.tcp, patience)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = conn.Write(hello[:i%len(hello)])
				_ = conn.(*net.TCPConn).SetLinger(i%2 - 1) // every other one by RST
				_ = conn.Close()
			}
		}))
	}
	for _, wait := range waits {
		wait()
	}
	s.serves(t)
}

// TestOutOfDescriptors takes all file descriptors that the broker may have:
// accept fails (EMFILE) until some are free, and then works as before.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("sh is not installed")
	}
	s := startWith(t, func(*listeners) {}, sh, "-c", `ulimit -n 64; exec "$@"`, "sh")
	survivor := s.connect(t, login{id: "survivor"})
	var crowd []net.Conn
	for range 100 {
		conn, err := net.DialTimeout("tcp", s.tcp, patience) // the kernel's backlog takes what the broker cannot
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = conn.Close() })
		crowd = append(crowd, conn)
	}
	survivor.ping()
	for _, conn := range crowd {
		_ = conn.Close()
	}
	s.serves(t)
	survivor.disconnect()
}

// TestManyClients has 500 at once.
func TestManyClients(t *testing.T) {
	t.Parallel()
	s := start(t)
	clients := make([]*client, 500)
	for i := range clients {
		clients[i] = s.connect(t, login{})
		clients[i].subscribe("to all", 1)
	}
	clients[0].publish(message{topic: "to all", qos: 1, payload: "hello"})
	for _, c := range clients {
		if m := c.receive(); m.payload != "hello" {
			t.Fatalf("received %+v, want hello", m)
		}
	}
}

// TestStalledSubscriber has a subscriber that reads nothing while 20 kB messages
// come: neither the publisher nor another subscriber waits for it, and its id
// can be taken over at once.
func TestStalledSubscriber(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, keep := range []bool{false, true} {
		for qos := range byte(2) {
			name := "stalled" + string('0'+rune(qos))
			if keep {
				name += " and kept"
			}
			t.Run(name, func(t *testing.T) {
				stalled := s.connect(t, login{id: name, keep: keep})
				shrink(t, stalled.conn)
				stalled.subscribe(name, qos)
				healthy := s.connect(t, login{id: "healthy"})
				healthy.subscribe(name, 1)
				const count = 800 // 16 MB, beyond what sockets buffer
				read := beside(t, func(t testing.TB) {
					healthy := healthy.in(t)
					for i := range count {
						if m := healthy.receive(); len(m.payload) != 20_000 || m.payload[0] != byte(i) {
							t.Fatalf("received %d bytes, want 20000 of message %d", len(m.payload), i)
						}
					}
				})
				pub := s.connect(t, login{version: v5, id: "pub"})
				for i := range count {
					if code := pub.publish(message{topic: name, qos: 1, payload: string([]byte{byte(i)}) + strings.Repeat("x", 19_999)}); code != 0 {
						t.Fatalf("message %d of 20 kB: code %#x", i, code)
					}
				}
				read()
				next, a := s.resume(t, login{id: name, keep: keep})
				if a.present != keep {
					t.Errorf("session present is %t after takeover, want %t", a.present, keep)
				}
				next.ping()
				pub.disconnect()
			})
		}
	}
}

// shrink makes the buffer for what c receives as small as Linux allows.
func shrink(t testing.TB, conn net.Conn) {
	t.Helper()
	receiveBuffer(t, conn, 2304)
}

// receiveBuffer sets the size of the buffer for what c receives, in bytes.
func receiveBuffer(t testing.TB, conn net.Conn, bytes int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes)
	})
	if err = errors.Join(err, inner); err != nil {
		t.Fatal(err)
	}
}
