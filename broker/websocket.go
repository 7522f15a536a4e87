package broker

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// subprotocols are what a client may ask for (MQTT 5.0, section 6); the second
// is the one of old MQTT 3.1 clients.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// serveWeb upgrades HTTP requests to connections (MQTT 5.0, section 6).
func (l *listener) serveWeb(establish listeners.EstablishFn) {
	up := websocket.Upgrader{
		HandshakeTimeout: l.b.limits.ConnectTimeout,
		ReadBufferSize:   512,
		WriteBufferSize:  4096,
		WriteBufferPool:  new(sync.Pool),
		Subprotocols:     subprotocols,
	}
	if len(l.cfg.Origins) > 0 {
		up.CheckOrigin = func(r *http.Request) bool {
			origin := r.Header.Get("Origin")
			return origin == "" || slices.Contains(l.cfg.Origins, origin) || sameHost(origin, r.Host)
		}
	}
	srv := &http.Server{
		ReadHeaderTimeout: l.b.limits.ConnectTimeout,
		IdleTimeout:       l.b.limits.ConnectTimeout,
		MaxHeaderBytes:    l.b.limits.PacketBefore,
		ErrorLog:          slog.NewLogLogger(l.b.log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.at.path != "" && l.at.path != "/" && r.URL.Path != l.at.path {
				http.NotFound(w, r)
				return
			}
			ws, err := up.Upgrade(w, r, nil)
			if err != nil {
				return // Upgrade has answered.
			}
			_ = establish(l.id, &webConn{Conn: ws.NetConn(), ws: ws})
		}),
	}
	_ = srv.Serve(webListener{l})
	shutdown(srv.Shutdown)
}

func sameHost(origin, host string) bool {
	return origin == "http://"+host || origin == "https://"+host
}

// webListener gives the HTTP server the connections of l.
type webListener struct{ *listener }

func (w webListener) Accept() (net.Conn, error) { return w.listener.Accept() }
func (w webListener) Close() error              { return w.l.Close() }
func (w webListener) Addr() net.Addr            { return w.l.Addr() }

// A webConn is the stream of bytes in the binary messages of a WebSocket. A
// packet may be spread over several messages, and a message may have several
// packets (MQTT 5.0, section 6).
type webConn struct {
	net.Conn
	ws       *websocket.Conn
	message  io.Reader    // the rest of the current message
	deadline atomic.Int64 // for writes; Unix time in nanoseconds, 0 is none
}

// Read implements net.Conn.
func (w *webConn) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			kind, r, err := w.ws.NextReader()
			if err != nil {
				return 0, closedBy(err)
			}
			if kind != websocket.BinaryMessage {
				return 0, errNotBinary
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if err == io.EOF {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

var errNotBinary = &websocket.CloseError{Code: websocket.CloseUnsupportedData, Text: "MQTT needs binary messages"}

// closedBy makes the end of a WebSocket look like that of any connection.
func closedBy(err error) error {
	if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived) {
		return io.EOF
	}
	return err
}

// Write implements net.Conn: p becomes one message.
func (w *webConn) Write(p []byte) (int, error) {
	var t time.Time
	if ns := w.deadline.Load(); ns != 0 {
		t = time.Unix(0, ns)
	}
	_ = w.ws.SetWriteDeadline(t)
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline implements net.Conn. The websocket package sets the deadline
// of the socket at each write, to one that only the writer may change.
func (w *webConn) SetWriteDeadline(t time.Time) error {
	w.deadline.Store(t.UnixNano())
	return w.Conn.SetWriteDeadline(t)
}

// CloseWrite says goodbye.
func (w *webConn) CloseWrite() error {
	return w.ws.WriteControl(websocket.CloseMessage,
		websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}
