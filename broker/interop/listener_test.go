package interop

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A house is a broker with a listener of each kind.
type house struct {
	*server
	wss                          string // 127.0.0.1:PORT, with the certificate of tls
	proxied, proxiedTLS, proxyWS string // behind a proxy
	six                          string // [::1]:PORT
}

// open starts a broker with a listener of each kind. limits are lines of YAML.
func open(t testing.TB, limits ...string) house {
	t.Helper()
	stricter(t, "the listeners come from a file of edge's")
	var h house
	h.server = startWith(t, func(l *listeners) {
		l.cert, l.key = certificate(t)
		l.tls, l.ws = freeAddress(t), freeAddress(t)
		h.wss, h.proxied, h.proxiedTLS, h.proxyWS = freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
		secure := "\n      cert: " + l.cert + "\n      key: " + l.key
		const origins = "\n      origins: [https://home.example]"
		const proxy = "\n      proxy: true\n      allow_anonymous: true"
		l.config = "log_level: debug\nbroker:\n  allow_anonymous: true\n  limits:\n    " + strings.Join(append(limits, "connect_timeout: 5s"), "\n    ") + "\n  listeners:"
		for _, u := range []string{
			"tcp://" + l.tcp, "tls://" + l.tls + secure, "ws://" + l.ws + "/mqtt" + origins, "wss://" + h.wss + "/mqtt" + secure,
			"tcp://" + h.proxied + proxy, "tls://" + h.proxiedTLS + secure + proxy, "ws://" + h.proxyWS + "/mqtt" + proxy,
		} {
			l.config += "\n    - url: " + u
		}
		if hasIPv6() {
			h.six = strings.Replace(freeAddress(t), "127.0.0.1", "[::1]", 1)
			l.config += "\n    - url: tcp://" + h.six
		}
	})
	return h
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// over returns a client that speaks MQTT over conn.
func over(t testing.TB, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, v: v311, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

// dialAt opens a TCP connection and writes what comes first on it.
func dialAt(t testing.TB, address, first string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, first); err != nil {
		t.Fatal(err)
	}
	return conn
}

// trust makes TLS of conn.
func (h house) trust(t testing.TB, conn net.Conn) net.Conn {
	t.Helper()
	c := tls.Client(conn, &tls.Config{RootCAs: roots(t, h.cert), ServerName: "127.0.0.1"})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// closing returns what the broker sends until it closes conn.
func closing(t testing.TB, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the broker kept a connection for %v", patience)
	}
	return string(b)
}

// TestSilentHandshakes stops before MQTT could begin.
func TestSilentHandshakes(t *testing.T) {
	t.Parallel()
	h := open(t)
	half := "GET /mqtt HTTP/1.1\r\nHost: a\r\n"
	silent := map[string]net.Conn{
		"TLS":               dialAt(t, h.tls, ""),
		"TLS record":        dialAt(t, h.tls, "\x16\x03\x01\x40\x00\x01"),
		"TLS, then CONNECT": h.trust(t, dialAt(t, h.tls, "")),
		"wss":               dialAt(t, h.wss, ""),
		"wss, then HTTP":    h.trust(t, dialAt(t, h.wss, "")),
		"HTTP":              dialAt(t, h.ws, ""),
		"HTTP header":       dialAt(t, h.ws, half),
		"HTTP body":         dialAt(t, h.ws, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"),
		"HTTP again":        dialAt(t, h.ws, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		"WebSocket":         web(t, dialAt(t, h.ws, "")).NetConn(),
		"PROXY":             dialAt(t, h.proxied, proxyHeader[:20]),
		"PROXY, then TLS":   dialAt(t, h.proxiedTLS, proxyHeader),
		"PROXY, then HTTP":  dialAt(t, h.proxyWS, proxyHeader+half),
	}
	for name, conn := range silent {
		t.Run(name, func(t *testing.T) { closing(t, conn) })
	}
	h.serves(t)
}

// TestStrangersHoldNothing opens more connections than there may be, all of them
// silent: those who are in stay, and there is room again when time is up.
func TestStrangersHoldNothing(t *testing.T) {
	t.Parallel()
	const limit = 16
	h := open(t, fmt.Sprint("connections: ", limit))
	resident := h.connect(t, login{id: "resident"})
	resident.subscribe("home", 1)
	var strangers []net.Conn
	for _, address := range []string{h.tls, h.ws, h.wss, h.proxied} {
		for range limit {
			strangers = append(strangers, dialAt(t, address, ""))
		}
	}
	resident.publish(message{topic: "home", qos: 1, payload: "safe"})
	if m := resident.receive(); m.payload != "safe" {
		t.Errorf("received %+v, want what was published", m)
	}
	const refused = `"msg":"connection refused"`
	if n := strings.Count(h.log.await(t, refused, len(strangers)-limit), refused); n > len(strangers)-limit+1 {
		t.Errorf("%d of %d strangers were refused, with room for %d", n, len(strangers), limit-1)
	}
	for _, c := range strangers {
		closing(t, c)
	}
	h.serves(t)
}

// await returns the log when word is in it n times.
func (l *log) await(t testing.TB, word string, n int) string {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; elapse(10 * time.Millisecond) {
		if text := l.String(); strings.Count(text, word) >= n {
			return text
		}
	}
	t.Fatalf("the log does not have %q %d times", word, n)
	return ""
}

// proxyHeader is the PROXY protocol, version 2, for a client at 192.0.2.77:50000
// who has connected to 203.0.113.5:1883.
const proxyHeader = "\r\n\r\n\x00\r\nQUIT\n" + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x4d" + "\xcb\x00\x71\x05" + "\xc3\x50" + "\x07\x5b"

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	h := open(t)
	slow := dialAt(t, h.proxied, proxyHeader[:13]) // delays nobody
	for name, conn := range map[string]net.Conn{
		"tcp": dialAt(t, h.proxied, proxyHeader),
		"tls": h.trust(t, dialAt(t, h.proxiedTLS, proxyHeader)),
	} {
		t.Run(name, func(t *testing.T) {
			c := over(t, conn)
			if a := c.login(login{id: "proxied-" + name}); a.code != 0 {
				t.Fatalf("CONNACK has code %d", a.code)
			}
			c.subscribe("a", 1)
			c.publish(message{topic: "a", qos: 1, payload: "through the proxy"})
			if m := c.receive(); m.payload != "through the proxy" {
				t.Errorf("received %+v", m)
			}
			c.disconnect()
			h.log.await(t, `"client":"proxied-`+name+`","remote":"192.0.2.77:50000"`, 1)
		})
	}
	ws := web(t, dialAt(t, h.proxyWS, proxyHeader))
	say(t, ws, login{version: v311, id: "proxied-ws"}.packet().bytes())
	hear(t, ws, accepted)
	_ = ws.Close()
	h.log.await(t, `"client":"proxied-ws","remote":"192.0.2.77:50000"`, 1)

	connect := string(login{version: v311, id: "x"}.packet().bytes())
	for name, first := range map[string]string{
		"no header": connect,
		"version 1": "PROXY TCP4 192.0.2.77 203.0.113.5 50000 1883\r\n" + connect,
		"UDP":       strings.Replace(proxyHeader, "\x21\x11", "\x21\x12", 1) + connect,
		"too long":  strings.Replace(proxyHeader, "\x00\x0c", "\xff\xff", 1) + connect,
	} {
		if got := closing(t, dialAt(t, h.proxied, first)); got != "" {
			t.Errorf("%s: the broker answers %q", name, got)
		}
	}
	h.log.await(t, "send-proxy-v2", 1)
	if _, err := io.WriteString(slow, proxyHeader[13:]); err != nil {
		t.Fatal(err)
	}
	if a := over(t, slow).login(login{id: "slow"}); a.code != 0 {
		t.Errorf("CONNACK has code %d", a.code)
	}
}

// TestHAProxy has a real proxy between client and broker, which also asks by
// itself whether the broker is there.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/haproxy") // where Debian has it, outside a user's PATH
	}
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	h := open(t)
	front, frontTLS := freeAddress(t), freeAddress(t)
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	const server = "send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy inter 100ms\n"
	text := "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n unique-id-format %{+X}o%ci:%cp\n" +
		"listen mqtt\n bind " + front + "\n server edge " + h.proxied + " " + server +
		"listen mqtts\n bind " + frontTLS + "\n server edge " + h.proxiedTLS + " " + server
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-db", "-f", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for name, dial := range map[string]func() net.Conn{
		"tcp": func() net.Conn { return reach(t, front) },
		"tls": func() net.Conn { return h.trust(t, reach(t, frontTLS)) },
	} {
		conn := dial()
		c := over(t, conn)
		if a := c.login(login{id: "haproxy-" + name}); a.code != 0 {
			t.Fatalf("CONNACK has code %d", a.code)
		}
		c.ping()
		c.disconnect()
		h.log.await(t, `"client":"haproxy-`+name+`","remote":"`+conn.LocalAddr().String()+`"`, 1)
	}
}

// reach connects to a program that is about to listen.
func reach(t testing.TB, address string) net.Conn {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < patience; elapse(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
	}
	t.Fatalf("nobody listens at %s", address)
	return nil
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	if !hasIPv6() {
		t.Skip("this machine has no ::1")
	}
	h := open(t)
	c := over(t, dialAt(t, h.six, ""))
	if a := c.login(login{id: "six"}); a.code != 0 {
		t.Fatalf("CONNACK has code %d", a.code)
	}
	c.subscribe("a", 1)
	execute(t, "", "mosquitto_pub", args(at(t, h.six), words("-t a -m over-six -q 1"))...)
	if m := c.receive(); m.payload != "over-six" {
		t.Errorf("received %+v", m)
	}
	c.disconnect()
	h.log.await(t, `"remote":"[::1]:`, 1)
}
