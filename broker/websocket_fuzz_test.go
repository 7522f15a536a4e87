package broker

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// FuzzWebSocket sends packets in frames of any size, with a ping between them, and
// anything after that. What was in the frames is read, whatever follows.
func FuzzWebSocket(f *testing.F) {
	f.Add([]byte("\x10\x0e\x00\x04MQTT\x04\x02\x00<\x00\x02id\xc0\x00"), byte(3), []byte{})
	f.Add([]byte("\xc0\x00"), byte(1), frameOf(0x81, []byte("text")))
	f.Add([]byte{}, byte(0), frameOf(0x88, []byte("\x03\xe8bye")))
	f.Add([]byte("\xc0\x00"), byte(9), []byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packets []byte, size byte, tail []byte) {
		var stream []byte
		for chunk := range slices.Chunk(packets, 1+int(size%125)) {
			stream = append(stream, frameOf(0x82, chunk)...)
			stream = append(stream, frameOf(0x89, []byte("ping"))...)
		}
		got, _ := io.ReadAll(overWebSocket(t, append(stream, tail...)))
		if !bytes.HasPrefix(got, packets) || len(got) > len(stream)+len(tail) {
			t.Errorf("of % x and % x % x is read", stream, tail, got)
		}
	})
}

// frameOf is a short frame of a client (RFC 6455, section 5.2), with a mask that
// changes nothing.
func frameOf(head byte, payload []byte) []byte {
	return append([]byte{head, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// overWebSocket is a WebSocket, upgraded already, on which stream comes.
func overWebSocket(t *testing.T, stream []byte) *webConn {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt",
	} {
		r.Header.Set(name, value)
	}
	l := &listener{b: &Broker{}}
	ws, err := l.upgrader().Upgrade(hijacked{httptest.NewRecorder(), wire{in: bytes.NewReader(stream)}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &webConn{Conn: ws.NetConn(), ws: ws}
}

// A hijacked answer leaves its connection to the handler.
type hijacked struct {
	http.ResponseWriter
	conn wire
}

// Hijack implements http.Hijacker.
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// A wire brings some bytes and swallows all.
type wire struct {
	net.Conn
	in io.Reader
}

func (w wire) Read(p []byte) (int, error)     { return w.in.Read(p) }
func (wire) Write(p []byte) (int, error)      { return len(p), nil }
func (wire) Close() error                     { return nil }
func (wire) SetDeadline(time.Time) error      { return nil }
func (wire) SetReadDeadline(time.Time) error  { return nil }
func (wire) SetWriteDeadline(time.Time) error { return nil }
