package interop

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// webAttacks are those below MQTT, where the connection is a WebSocket.
func webAttacks() []attack {
	return []attack{{
		number: 38, name: "WebSocket: fragments, huge frames, wrong origin, ping flood",
		wants: []string{"HTTP 400", "HTTP 403", "close 1002", "close 1003", "close 1005", "close 1009", closed, served},
		with:  listenWeb, run: attackWeb,
	}}
}

// listenWeb adds a listener for the pages of one host.
func listenWeb(t testing.TB, l *listeners) {
	l.ws = freeAddress(t)
	l.config = "broker: {allow_anonymous: true, listeners: [{url: 'tcp://" + l.tcp + "'}, {url: 'ws://" + l.ws +
		"/mqtt', origins: ['https://home.example']}]}"
}

// attackWeb has all of these beside one another.
func attackWeb(a *arena) {
	attacks := []func(*arena){badUpgrades, badFrames, fragments, hugeFrame, pingFlood}
	a.crowd(len(attacks), func(a *arena, i int) { attacks[i](a) })
}

// badUpgrades come from a page that may not connect, or do not want MQTT.
func badUpgrades(a *arena) {
	for _, h := range []http.Header{
		{"Sec-Websocket-Protocol": {"mqtt"}, "Origin": {"https://evil.example"}},
		{"Sec-Websocket-Protocol": {"mqtt"}, "Origin": {"null"}},
		{"Sec-Websocket-Protocol": {"mqtt"}, "Origin": {"https://home.example.evil.example"}},
		offer("chat"), nil,
	} {
		began := time.Now()
		conn := dialAt(a, a.ws, "")
		_, status, _ := upgrade(conn, "/mqtt", h)
		a.note(fmt.Sprint("HTTP ", status), time.Since(began))
		_ = conn.Close()
	}
}

// surf returns a WebSocket on which a client has been let in.
func (a *arena) surf() *websocket.Conn {
	a.Helper()
	ws := web(a, dialAt(a, a.ws, ""))
	say(a, ws, login{version: v311, id: rand.Text()}.packet().bytes())
	hear(a, ws, accepted)
	return ws
}

// frame is a frame of a client (RFC 6455, section 5.2) whose mask is zeros.
func frame(head byte, payload string) []byte {
	b := []byte{head, 0xfe, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(len(payload)))
	if len(payload) < 126 {
		b = []byte{head, 0x80 | byte(len(payload))}
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// badFrames breaks the rules of RFC 6455.
func badFrames(a *arena) {
	for _, b := range [][]byte{
		[]byte("\x82\x02\xc0\x00"),                          // without a mask
		frame(0xf2, pinged),                                 // reserved bits
		frame(0x83, pinged),                                 // a reserved opcode
		frame(0x09, "x"),                                    // half a ping
		frame(0x89, strings.Repeat("x", 200)),               // a ping that is too long
		frame(0x80, pinged),                                 // goes on with nothing
		append(frame(0x02, "\xc0"), frame(0x82, "\x00")...), // begins amid another message
		[]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), // a length beyond 63 bits
		frame(0x81, pinged),         // text
		frame(0x88, "\x03"),         // half a code
		frame(0x88, "\x03\xed"),     // a code that is not for the wire
		frame(0x88, "\x03\xe8\xff"), // a reason that is not UTF-8
	} {
		ws := a.surf()
		_, _ = ws.NetConn().Write(append(b, frame(0x82, pinged)...))
		a.watchWeb(ws)
	}
}

// watchWeb is watch for a WebSocket.
func (a *arena) watchWeb(ws *websocket.Conn) {
	a.Helper()
	began := time.Now()
	_ = ws.SetReadDeadline(began.Add(patience))
	_, b, err := ws.ReadMessage()
	var end *websocket.CloseError
	var timeout net.Error
	fate := closed
	switch {
	case err == nil:
		fate = served
		if string(b) != ponged {
			fate = fmt.Sprintf("% x", b)
		}
	case errors.As(err, &end) && end.Code != websocket.CloseAbnormalClosure:
		fate = fmt.Sprint("close ", end.Code)
	case errors.As(err, &timeout) && timeout.Timeout():
		fate = kept
	}
	a.note(fate, time.Since(began))
	_ = ws.Close()
}

// fragments sends a packet in two of 100 000 fragments, the others of which are
// empty.
func fragments(a *arena) {
	ws := a.surf()
	empty := []byte(strings.Repeat(string(frame(0x00, "")), 50_000))
	for _, b := range [][]byte{frame(0x02, pinged[:1]), empty, frame(0x00, pinged[1:]), empty, frame(0x80, "")} {
		if _, err := ws.NetConn().Write(b); err != nil {
			a.Fatal(err)
		}
	}
	a.watchWeb(ws)
}

// hugeFrame announces a frame of a tebibyte, and has packets in it.
func hugeFrame(a *arena) {
	ws := a.surf()
	p := message{topic: "to nobody", payload: strings.Repeat("x", 60_000)}.packet(v311).bytes()
	b := []byte("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for range 200 {
		if _, err := ws.NetConn().Write(append(b, p...)); err != nil {
			a.Fatal(err)
		}
		b = nil
	}
	_, _ = ws.NetConn().Write([]byte(pinged))
	a.watchWeb(ws)
}

// pingFlood sends pings and reads no pong, until the broker has had enough or
// time is over.
func pingFlood(a *arena) {
	ws := a.surf()
	conn := ws.NetConn()
	receiveBuffer(a, conn, 64<<10) // with less, it would take minutes to read all pongs in the end
	flood := []byte(strings.Repeat(string(frame(0x89, strings.Repeat("x", 125))), 1000))
	for began := time.Now(); time.Since(began) < siege; {
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err := conn.Write(flood); err != nil {
			break
		}
	}
	_, _ = conn.Write(frame(0x82, pinged))
	a.watchWeb(ws)
}
