package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edge/internal/sim"
)

// sideAttacks are those that come from beside: by other protocols, wires and brokers.
func sideAttacks() []attack {
	return []attack{
		{
			number: 40, name: "HTTP: slow headers, big bodies, foreign pages, rebound names",
			wants: []string{closed, "HTTP 400", "HTTP 403", "HTTP 404", "HTTP 405", "HTTP 431"}, with: withWeb, run: abuseWeb,
		},
		{number: 41, name: "a serial stick: frames without end, noise, a flood", wants: []string{served}, with: withStick, run: floodStick},
		{number: 42, name: "a hostile broker, to edge pub and edge sub", wants: []string{"exit code 4", "exit code 6"}, run: lieTo},
	}
}

// withWeb has all that speaks HTTP: MQTT over WebSocket, and metrics.
func withWeb(t testing.TB, l *listeners) {
	l.ws = freeAddress(t)
	l.metrics = freeAddress(t)
	l.config = "broker: {allow_anonymous: true}\nmetrics: {listen: '" + l.metrics + "'}\n"
}

// abuseWeb asks for what pages of strangers ask for, and never finishes asking.
func abuseWeb(a *arena) {
	const upgrade = "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n"
	for _, r := range []struct{ address, request string }{
		{a.ws, "GET /mqtt HTTP/1.1\r\nHost: " + a.ws + upgrade + "Origin: https://evil.example\r\n\r\n"},
		{a.ws, "GET /mqtt HTTP/1.1\r\nHost: evil.example" + upgrade + "Origin: http://evil.example\r\n\r\n"}, // its name leads here
		{a.ws, "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"},
		{a.ws, "POST /mqtt HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n" + strings.Repeat("{", 1<<20)},
		{a.ws, "GET /mqtt HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"},
		{a.metrics, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
		{a.metrics, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 1000000000\r\n\r\n" + strings.Repeat("[", 1<<20)},
		{a.metrics, "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{a.metrics, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"},
	} {
		a.request(r.address, r.request)
	}
	a.crowd(100, func(a *arena, i int) {
		address := a.ws
		if i%10 == 0 {
			address = a.metrics // It has 16 connections.
		}
		conn := a.dialAt(address)
		c := &client{t: a, conn: conn, r: bufio.NewReader(conn)}
		a.drip(c, []byte("GET /mqtt HTTP/1.1\r\nHost: localhost\r\n"))
	})
}

// request asks once, and notes what is answered.
func (a *arena) request(address, request string) {
	conn := a.dialAt(address)
	defer conn.Close()
	began := time.Now()
	_ = conn.SetDeadline(began.Add(patience))
	_, _ = io.WriteString(conn, request) // The answer may come before its end.
	status := make([]byte, len("HTTP/1.1 400"))
	if _, err := io.ReadFull(conn, status); err != nil {
		a.note(closed, time.Since(began))
		return
	}
	a.note("HTTP "+string(status[len("HTTP/1.1 "):]), time.Since(began))
}

func (a *arena) dialAt(address string) net.Conn {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = conn.Close() })
	return conn
}

// withStick has a bridge to a serial port.
func withStick(_ testing.TB, l *listeners) {
	l.config = fmt.Sprintf(`node: n
broker: {allow_anonymous: true}
bridges: {air: {serial: {port: %q, baud: 1000000, entities: [{id: co2}]}}}
`, stickAt(l))
}

func stickAt(l *listeners) string { return filepath.Join(l.dir, "usb-Evil_Stick-if00") }

// floodStick says on the wire what no stick says, and what one says far too often.
func floodStick(a *arena) {
	stick, err := sim.NewPTY(stickAt(&a.listeners))
	if err != nil {
		a.Skipf("no pseudo-terminals here: %v", err)
	}
	defer stick.Close()
	watcher := a.connect(a, login{id: "watcher"})
	watcher.subscribe("edge/n/air/status", 0)
	for online := false; !online; {
		online = watcher.take().payload == "online"
	}
	for _, text := range []string{
		strings.Repeat("x", 1<<16), // without an end
		strings.Repeat("\xff\x00{]\n", 1<<13),
		strings.Repeat("{\"co2\":", 1<<10) + strings.Repeat("\n", 1<<12),
		"\n" + strings.Repeat("{\"co2\":1}\n{\"co2\":2}\n", 1<<11),
	} {
		_ = stick.SetDeadline(time.Now().Add(patience))
		for end := time.Now().Add(siege); time.Now().Before(end); {
			if _, err := io.WriteString(stick, text); err != nil {
				a.Fatal(err)
			}
		}
		a.note(served, 0)
	}
	c := a.connect(a, login{id: "reader"})
	c.subscribe("edge/n/air/co2", 0)
	if m := c.take(); m.payload != "1" && m.payload != "2" {
		a.Errorf("the last that the stick says is %q", m.payload)
	}
	c.drop()
	watcher.drop()
}
