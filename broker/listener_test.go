package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// hello is CONNECT of MQTT 3.1.1, clean, with client id "c"; welcome the answer.
const (
	hello   = "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
	welcome = "\x20\x02\x00\x00"
	ping    = "\xc0\x00"
	pong    = "\xd0\x00"
)

// talk writes say and expects want.
func talk(t *testing.T, c io.ReadWriter, say, want string) {
	t.Helper()
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("answer to %q: %q, %v; want %q", say, got, err, want)
	}
}

// ended expects that the broker closes c. Of a WebSocket, the close frame is optional where MQTT has
// said goodbye.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.Copy(io.Discard, c)
	if _, closed := errors.AsType[*websocket.CloseError](err); err != nil && !closed && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the connection is not closed: %v", err)
	}
}

// certificate writes a self-signed certificate for localhost and returns the
// names of its files.
func certificate(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func dialURL(t *testing.T, raw string) net.Conn {
	t.Helper()
	return dialOver(t, raw, dialRaw(t, raw))
}

// dialRaw opens the socket under the scheme of a URL.
func dialRaw(t *testing.T, raw string) net.Conn {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	}
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialOver does what the scheme of a URL asks for over the socket c.
func dialOver(t *testing.T, raw string, c net.Conn) net.Conn {
	t.Helper()
	insecure := &tls.Config{InsecureSkipVerify: true}
	switch scheme, _, _ := strings.Cut(raw, ":"); scheme {
	case "tls":
		c := tls.Client(c, insecure)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c
	case "ws", "wss":
		d := websocket.Dialer{
			NetDial:      func(string, string) (net.Conn, error) { return c, nil },
			Subprotocols: []string{"mqtt"}, TLSClientConfig: insecure,
		}
		ws, _, err := d.Dial(raw, nil) //nolint:bodyclose // There is none after an upgrade.
		if err != nil {
			t.Fatal(err)
		}
		if ws.Subprotocol() != "mqtt" {
			t.Errorf("subprotocol %q, want mqtt", ws.Subprotocol())
		}
		return &webConn{Conn: ws.NetConn(), ws: ws}
	}
	return c
}

func TestListeners(t *testing.T) {
	cert, key := certificate(t, 1)
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	for _, u := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0", "unix://" + filepath.Join(t.TempDir(), "edge.sock"), "ws://127.0.0.1:0/mqtt"} {
		cfg.Listeners = append(cfg.Listeners, Listener{URL: u})
	}
	for _, u := range []string{"tls://127.0.0.1:0", "wss://127.0.0.1:0"} {
		cfg.Listeners = append(cfg.Listeners, Listener{URL: u, Cert: cert, Key: key})
	}
	b := startWith(t, cfg)
	for _, u := range b.URLs() {
		t.Run(u, func(t *testing.T) {
			c := dialURL(t, u)
			talk(t, c, hello, welcome)
			talk(t, c, ping, pong)
			talk(t, c, "\xe0\x00", "")
			ended(t, c)
		})
	}
}

func startWith(t *testing.T, cfg Config) *Broker {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(cfg, "edge", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, b) })
	return b
}

func shut(t *testing.T, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestWebSocket(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Listeners = []Listener{{URL: "ws://127.0.0.1:0/mqtt", Origins: []string{"https://home.example"}}}
	u := startWith(t, cfg).URLs()[0]
	for _, tt := range []struct {
		url, origin, offer string
		status             int
	}{
		{u, "", "mqtt", http.StatusSwitchingProtocols},
		{u, "", "chat, mqttv3.1", http.StatusSwitchingProtocols},
		{u, "https://home.example", "mqtt", http.StatusSwitchingProtocols},
		{u, strings.TrimSuffix(strings.Replace(u, "ws:", "http:", 1), "/mqtt"), "mqtt", http.StatusSwitchingProtocols},
		{u, "https://evil.example", "mqtt", http.StatusForbidden},
		{u + "/other", "", "mqtt", http.StatusNotFound},
		{u, "", "", http.StatusBadRequest},
		{u, "", "chat", http.StatusBadRequest},
	} {
		h := http.Header{"Sec-Websocket-Protocol": {tt.offer}}
		if tt.origin != "" {
			h.Set("Origin", tt.origin)
		}
		c, resp, err := websocket.DefaultDialer.Dial(tt.url, h)
		if resp == nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s from origin %q, offering %q: status %d, want %d", tt.url, tt.origin, tt.offer, resp.StatusCode, tt.status)
		}
		if err == nil {
			c.Close()
		}
	}
	c := dialURL(t, u)
	for _, b := range []byte(hello) { // A packet spread over many messages.
		talk(t, c, string(b), "")
	}
	talk(t, c, ping+ping, welcome+pong+pong) // Two packets in one.
	// One message may be larger than any packet.
	talk(t, c, strings.Repeat("\x30\x04\x00\x01ax", 400_000)+ping, pong)
	ws := c.(*webConn).ws
	if err := ws.WriteMessage(websocket.TextMessage, []byte(ping)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.NextReader(); !websocket.IsCloseError(err, websocket.CloseUnsupportedData) {
		t.Errorf("a text message ends the connection with %v, want code 1003", err)
	}
}

func TestReload(t *testing.T) {
	cert, key := certificate(t, 1)
	cfg := DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}, {URL: "tls://127.0.0.1:0", Cert: cert, Key: key}}
	b := startWith(t, cfg)
	urls := b.URLs()
	old := dialURL(t, urls[0])
	talk(t, old, hello, welcome)

	sock := "unix://" + filepath.Join(t.TempDir(), "edge.sock")
	cert2, key2 := certificate(t, 2)
	for from, to := range map[string]string{cert2: cert, key2: key} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, to, b)
	}
	cfg.Listeners = []Listener{cfg.Listeners[1], {URL: sock}}
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	got := b.URLs()
	if len(got) != 2 || got[0] != urls[1] || got[1] != sock {
		t.Errorf("URLs after the reload %q, want %q and %q", got, urls[1], sock)
	}
	talk(t, old, ping, pong) // Who is connected stays so.
	c := dialURL(t, urls[1]).(*tls.Conn)
	if n := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); n != 2 {
		t.Errorf("certificate %d after the reload, want 2", n)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(urls[0], "tcp://")); err == nil {
		c.Close()
		t.Error("a listener that is gone from the configuration still accepts")
	}

	bad := cfg
	bad.Listeners = []Listener{{URL: "unix:///nonexistent/folder/edge.sock"}}
	if err := b.Reload(bad); err == nil {
		t.Error("a listener that cannot be opened is no error")
	}
	if got := b.URLs(); len(got) != 2 {
		t.Errorf("URLs after a reload that failed: %q", got)
	}
	bad = cfg
	bad.Limits.Packet++
	if err := b.Reload(bad); err == nil {
		t.Error("a change of limits is no error")
	}
	bad = cfg
	bad.Overlapping = Each
	if err := b.Reload(bad); err == nil {
		t.Error("a change of overlapping is no error")
	}
}

func TestAnonymous(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	c := dialURL(t, b.URLs()[0])
	talk(t, c, hello, "\x20\x02\x00\x05")
	ended(t, c)
	c = dialURL(t, b.URLs()[0])
	talk(t, c, "\x10\x12\x00\x04MQTT\x05\xc2\x00\x00\x00\x00\x01c\x00\x00\x00\x00", "\x20\x03\x00\x86\x00")
	ended(t, c)
	cfg.AllowAnonymous = true
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	talk(t, dialURL(t, b.URLs()[0]), hello, welcome)
}

func TestTooManyConnections(t *testing.T) {
	cfg := DefaultConfig()
	cfg.AllowAnonymous, cfg.Limits.Connections = true, 1
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0"}}
	b := startWith(t, cfg)
	first := dialURL(t, b.URLs()[0])
	talk(t, first, hello, welcome)
	ended(t, dialURL(t, b.URLs()[0]))
	talk(t, first, ping, pong)
}

// TestSocketLeftBehind starts where a broker was killed: its socket is still in
// the file system.
func TestSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "edge.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	b := start(t, "unix://"+path)
	talk(t, dialURL(t, b.URLs()[0]), hello, welcome)
	cfg := DefaultConfig()
	cfg.Listeners = []Listener{{URL: "unix://" + path}}
	if _, err := Open(cfg, "edge", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a second broker takes the socket of one that lives")
	}
}

// failing is a net.Listener whose Accept fails a few times, as it does when
// there are too many open files.
type failing struct {
	net.Listener
	times int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times--; f.times >= 0 {
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	b := start(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{b: b, l: &failing{inner, 3}, at: endpoint{scheme: "tcp"}}
	go l.Serve(nil)
	talk(t, dialURL(t, "tcp://"+inner.Addr().String()), hello, welcome)
	inner.Close()
}

func TestCloseSaysWhy(t *testing.T) {
	b := start(t, "tcp://127.0.0.1:0")
	c := dialURL(t, b.URLs()[0])
	talk(t, c, "\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c", "")
	ack := make([]byte, 19)
	if _, err := io.ReadFull(c, ack); err != nil {
		t.Fatal(err)
	}
	shut(t, b)
	talk(t, c, "", "\xe0\x01\x8b")
	ended(t, c)
	if err := b.Client("late").Publish(context.Background(), message1("a")); err == nil {
		t.Error("a closed broker takes messages")
	}
}
