package broker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// subprotocols are what a client may ask for (MQTT 5.0, section 6); the second
// is the one of old MQTT 3.1 clients.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// serveWeb upgrades HTTP requests to connections (MQTT 5.0, section 6). A
// request has the connect timeout, and a connection one request: who does not
// upgrade goes.
func (l *listener) serveWeb() {
	timeout := l.b.limits.ConnectTimeout
	srv := &http.Server{
		ReadTimeout:    timeout,
		WriteTimeout:   timeout,
		MaxHeaderBytes: l.b.limits.PacketBefore,
		ErrorLog:       slog.NewLogLogger(l.b.log.Handler(), slog.LevelDebug),
		Handler:        l.upgrade(),
	}
	srv.SetKeepAlivesEnabled(false)
	ready := &webListener{l: l.l, conns: make(chan net.Conn), closed: make(chan struct{})}
	go func() {
		defer ready.Close()
		l.each(ready.add)
	}()
	_ = srv.Serve(ready)
	shutdown(srv)
}

// upgrade answers requests.
func (l *listener) upgrade() http.HandlerFunc {
	up := l.upgrader()
	return func(w http.ResponseWriter, r *http.Request) {
		if l.at.path != "" && l.at.path != "/" && r.URL.Path != l.at.path {
			http.NotFound(w, r)
			return
		}
		// A client must offer the subprotocol (MQTT 5.0, section 6). One that does
		// not may speak anything.
		if websocket.IsWebSocketUpgrade(r) && !slices.ContainsFunc(websocket.Subprotocols(r), isMQTT) {
			http.Error(w, `this is an MQTT broker: offer "mqtt" in Sec-WebSocket-Protocol (MQTT 5.0, section 6)`, http.StatusBadRequest)
			return
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered.
		}
		// The goroutine of the request would keep its buffers.
		go l.attach(ws.NetConn(), &webConn{Conn: ws.NetConn(), ws: ws})
	}
}

func isMQTT(subprotocol string) bool { return slices.Contains(subprotocols, subprotocol) }

func (l *listener) upgrader() *websocket.Upgrader {
	return &websocket.Upgrader{
		HandshakeTimeout: l.b.limits.ConnectTimeout,
		ReadBufferSize:   512,
		WriteBufferSize:  4096,
		WriteBufferPool:  new(sync.Pool),
		Subprotocols:     subprotocols,
		CheckOrigin: func(r *http.Request) bool {
			origin := r.Header.Get("Origin")
			return origin == "" || slices.Contains(l.cfg.Origins, origin) || sameHost(origin, r.Host)
		},
	}
}

// sameHost reports whether a page is of the very host that it connects to. Whoever
// has a name can have it resolved to this machine, so that a page of his seems to
// be of the same host (DNS rebinding): without TLS, which knows names, it must be
// an address, or the name that this machine has.
func sameHost(origin, host string) bool {
	return origin == "https://"+host || origin == "http://"+host && isOurs(host)
}

// isOurs reports whether host, perhaps with a port, cannot be a name of somebody else.
func isOurs(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
		return true
	}
	here, err := os.Hostname()
	name := strings.TrimSuffix(strings.ToLower(host), ".local")
	return err == nil && name == strings.ToLower(here)
}

// shutdown ends the HTTP server. Requests may still be answered; connections
// that were upgraded are not the server's any more.
func shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
	}
}

// A webListener gives the HTTP server the connections whose proxy and TLS are
// done with.
type webListener struct {
	l      net.Listener
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (w *webListener) add(c net.Conn) {
	select {
	case w.conns <- c:
	case <-w.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (w *webListener) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *webListener) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.l.Close()
}

// Addr implements net.Listener.
func (w *webListener) Addr() net.Addr { return w.l.Addr() }

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
			if errors.Is(err, websocket.ErrReadLimit) { // a length that is negative
				_ = w.close(websocket.CloseMessageTooBig, "")
			}
			if err != nil {
				return 0, closedBy(err)
			}
			if kind != websocket.BinaryMessage { // MQTT-6.0.0-1
				_ = w.close(websocket.CloseUnsupportedData, errNotBinary.Error())
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

var errNotBinary = errors.New("MQTT needs binary messages")

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
	ns := int64(0)
	if !t.IsZero() {
		ns = t.UnixNano()
	}
	w.deadline.Store(ns)
	return w.Conn.SetWriteDeadline(t)
}

// CloseWrite says goodbye, unless that was said already.
func (w *webConn) CloseWrite() error {
	err := w.close(websocket.CloseNormalClosure, "")
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

// close sends a close frame (RFC 6455, section 7.1.5).
func (w *webConn) close(code int, text string) error {
	return w.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(goodbye))
}
