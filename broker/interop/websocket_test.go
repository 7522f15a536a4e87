package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// upgrade asks for a WebSocket over conn; the URL's scheme is ws then, whatever
// is below.
func upgrade(conn net.Conn, path string, h http.Header) (*websocket.Conn, int, error) {
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return conn, nil }, HandshakeTimeout: patience}
	ws, resp, err := d.Dial("ws://"+conn.RemoteAddr().String()+path, h)
	if resp == nil {
		return nil, 0, err
	}
	_ = resp.Body.Close()
	return ws, resp.StatusCode, err
}

func offer(subprotocol string) http.Header {
	return http.Header{"Sec-Websocket-Protocol": {subprotocol}}
}

// web returns a WebSocket over conn that may carry MQTT.
func web(t testing.TB, conn net.Conn) *websocket.Conn {
	t.Helper()
	ws, status, err := upgrade(conn, "/mqtt", offer("mqtt"))
	if err != nil {
		t.Fatalf("upgrade: status %d, %v", status, err)
	}
	if ws.Subprotocol() != "mqtt" { // MQTT-6.0.0-4
		t.Errorf("subprotocol %q, want mqtt", ws.Subprotocol())
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// say sends b as one message.
func say(t testing.TB, ws *websocket.Conn, b []byte) {
	t.Helper()
	if err := ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		t.Fatal(err)
	}
}

// hear reads messages until they make up want.
func hear(t testing.TB, ws *websocket.Conn, want string) {
	t.Helper()
	var got []byte
	for len(got) < len(want) {
		kind, b, err := ws.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			t.Fatalf("after % x: a message of kind %d, %v", got, kind, err)
		}
		got = append(got, b...)
	}
	if string(got) != want {
		t.Fatalf("the broker sent % x, want % x", got, want)
	}
}

const (
	accepted = "\x20\x02\x00\x00" // CONNACK of MQTT 3.1.1
	pinged   = "\xc0\x00"
	ponged   = "\xd0\x00"
)

// eachWeb runs f with a WebSocket below TLS and one that is not.
func (h house) eachWeb(t *testing.T, f func(t *testing.T, ws *websocket.Conn)) {
	t.Helper()
	t.Run("ws", func(t *testing.T) { f(t, web(t, dialAt(t, h.ws, ""))) })
	t.Run("wss", func(t *testing.T) { f(t, web(t, h.trust(t, dialAt(t, h.wss, "")))) })
}

// TestWebSocketFrames cuts packets and messages at different places (MQTT-6.0.0-2).
func TestWebSocketFrames(t *testing.T) {
	t.Parallel()
	open(t).eachWeb(t, func(t *testing.T, ws *websocket.Conn) {
		for _, b := range (login{version: v311, id: "frames"}).packet().bytes() {
			say(t, ws, []byte{b})
		}
		hear(t, ws, accepted)
		say(t, ws, []byte(pinged+pinged+pinged[:1]))
		say(t, ws, nil)
		say(t, ws, []byte(pinged[1:]))
		hear(t, ws, ponged+ponged+ponged)

		var answer string
		ws.SetPongHandler(func(s string) error { answer = s; return nil })
		if err := ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		say(t, ws, []byte(pinged))
		if hear(t, ws, ponged); answer != "are you there" {
			t.Errorf("a ping is answered with %q", answer)
		}

		if err := ws.WriteMessage(websocket.TextMessage, []byte(pinged)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseUnsupportedData) { // MQTT-6.0.0-1
			t.Errorf("after a text message came % x, %v; want close code 1003", b, err)
		}
	})
}

func TestWebSocketRequests(t *testing.T) {
	t.Parallel()
	h := open(t)
	from := func(origin string) http.Header {
		return http.Header{"Sec-Websocket-Protocol": {"mqtt"}, "Origin": {origin}}
	}
	at := func(host, scheme string) http.Header { // a page of the host that it connects to
		h := from(scheme + "://" + host)
		h.Set("Host", host)
		return h
	}
	for _, tt := range []struct {
		path   string
		header http.Header
		want   int
	}{
		{"/mqtt", offer("mqtt"), http.StatusSwitchingProtocols},
		{"/mqtt", offer("mqttv3.1"), http.StatusSwitchingProtocols},
		{"/mqtt", offer("chat, mqtt"), http.StatusSwitchingProtocols},
		{"/mqtt", from("https://home.example"), http.StatusSwitchingProtocols},
		{"/mqtt", from("http://" + h.ws), http.StatusSwitchingProtocols},
		{"/mqtt", nil, http.StatusBadRequest}, // MQTT-6.0.0-3
		{"/mqtt", offer("chat"), http.StatusBadRequest},
		{"/mqtt", from("https://evil.example"), http.StatusForbidden},
		{"/mqtt", from("http://evil.example"), http.StatusForbidden},
		{"/mqtt", at("evil.example", "http"), http.StatusForbidden}, // DNS rebinding
		{"/mqtt", at("127.0.0.1.evil.example:1", "http"), http.StatusForbidden},
		{"/mqtt", at("evil.example", "https"), http.StatusSwitchingProtocols}, // a proxy has its certificate
		{"/mqtt", at("localhost", "http"), http.StatusSwitchingProtocols},
		{"/mqtt", at("[::1]:8083", "http"), http.StatusSwitchingProtocols},
		{"/mqtt", at(strings.ToUpper(hostname(t))+".local:8083", "http"), http.StatusSwitchingProtocols},
		{"/", offer("mqtt"), http.StatusNotFound},
		{"/mqtt/", offer("mqtt"), http.StatusNotFound},
	} {
		ws, status, _ := upgrade(dialAt(t, h.ws, ""), tt.path, tt.header)
		if status != tt.want {
			t.Errorf("%s with %v: status %d, want %d", tt.path, tt.header, status, tt.want)
		}
		if ws != nil {
			_ = ws.Close()
		}
	}
	plain := dialAt(t, h.ws, "GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := closing(t, plain); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
		t.Errorf("a plain request is answered %q and then closed", got)
	}
}

func hostname(t testing.TB) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// memory returns the resident memory of the broker in bytes.
func (s *server) memory(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid)) // proc_pid_statm(5)
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// grown fails the test if the broker needs much more memory than before.
func (s *server) grown(t testing.TB, before int) {
	t.Helper()
	allowed := 32 << 20
	if race {
		allowed *= 4
	}
	if now := s.memory(t); now > before+allowed {
		t.Errorf("the broker grew from %d to %d MiB", before>>20, now>>20)
	}
}

// TestWebSocketHugeFrame announces a frame of a tebibyte and sends packets in it
// for a while. They are handled as they come, and memory does not grow.
func TestWebSocketHugeFrame(t *testing.T) {
	t.Parallel()
	h := open(t)
	conn := dialAt(t, h.ws, "")
	ws := web(t, conn)
	say(t, ws, login{version: v311, id: "huge"}.packet().bytes())
	hear(t, ws, accepted)
	before := h.memory(t)
	header := "\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" // binary, masked with zeros (RFC 6455, section 5.2)
	if _, err := io.WriteString(conn, header); err != nil {
		t.Fatal(err)
	}
	p := message{topic: "to nobody", payload: strings.Repeat("x", 60_000)}.packet(v311).bytes()
	for range 1000 {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, pinged); err != nil {
		t.Fatal(err)
	}
	hear(t, ws, ponged)
	h.grown(t, before)
}

// TestWebSocketControlFlood sends pings and reads no pong.
func TestWebSocketControlFlood(t *testing.T) {
	t.Parallel()
	h := open(t)
	conn := dialAt(t, h.ws, "")
	shrink(t, conn)
	ws := web(t, conn)
	say(t, ws, login{version: v311, id: "flood"}.packet().bytes())
	hear(t, ws, accepted)
	before := h.memory(t)
	ping := []byte("\x89\xfd\x00\x00\x00\x00" + strings.Repeat("x", 125))
	flood := []byte(strings.Repeat(string(ping), 1000))
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	for range 500 { // 65 MB, unless the broker makes us wait or ends it
		if _, err := conn.Write(flood); err != nil {
			break
		}
	}
	h.grown(t, before)
	h.serves(t)
}
