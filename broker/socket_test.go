package broker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/bridge"
)

// startListeners opens a broker with ls, whose limits change modifies.
func startListeners(t *testing.T, change func(*Limits), ls ...Listener) *Broker {
	t.Helper()
	cfg := DefaultConfig()
	for i := range ls {
		ls[i].AllowAnonymous = new(true)
	}
	cfg.Listeners = ls
	change(&cfg.Limits)
	return startWith(t, cfg)
}

func unchanged(*Limits) {}

// remotes returns the addresses of the clients that b sees. None must be amid a
// handshake.
func (b *Broker) remotes() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.conns {
		all = append(all, s.RemoteAddr().String()+" at "+s.LocalAddr().String())
	}
	return all
}

// leave ends the only connection of b, and waits until b knows.
func leave(t *testing.T, b *Broker, c net.Conn) {
	t.Helper()
	talk(t, c, "\xe0\x00", "")
	ended(t, c)
	c.Close()
	until(t, func() bool { return b.connections() == 0 })
}

// connections counts those of b.
func (b *Broker) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// everyScheme are listeners of each scheme, made by set.
func everyScheme(t *testing.T, set func(*Listener)) []Listener {
	t.Helper()
	cert, key := certificate(t, 1)
	ls := []Listener{
		{URL: "tcp://127.0.0.1:0"},
		{URL: "tls://127.0.0.1:0", Cert: cert, Key: key},
		{URL: "ws://127.0.0.1:0/mqtt"},
		{URL: "wss://127.0.0.1:0/mqtt", Cert: cert, Key: key},
		{URL: "unix://" + filepath.Join(t.TempDir(), "edge.sock")},
	}
	for i := range ls {
		set(&ls[i])
	}
	return ls
}

func TestProxyListener(t *testing.T) {
	said := proxied{tcp("192.0.2.77:50000"), tcp("203.0.113.5:1883")}
	b := startListeners(t, unchanged, everyScheme(t, func(l *Listener) { l.Proxy = true })...)
	for _, u := range b.URLs() {
		t.Run(u, func(t *testing.T) {
			raw := dialRaw(t, u)
			if _, err := raw.Write(proxyBytes(said)); err != nil {
				t.Fatal(err)
			}
			c := dialOver(t, u, raw)
			talk(t, c, hello, welcome)
			if got := b.remotes(); len(got) != 1 || got[0] != "192.0.2.77:50000 at 203.0.113.5:1883" {
				t.Errorf("the broker sees %q", got)
			}
			leave(t, b, c)
		})
		t.Run(u+" without a header", func(t *testing.T) {
			c := dialRaw(t, u)
			if _, err := c.Write([]byte("PROXY UNKNOWN\r\n")); err != nil {
				t.Fatal(err)
			}
			ended(t, c)
			until(t, func() bool { return b.connections() == 0 })
		})
	}
}

// TestProxyInOneSegment has the first packets right behind a header that says
// nothing.
func TestProxyInOneSegment(t *testing.T) {
	b := startListeners(t, unchanged, Listener{URL: "tcp://127.0.0.1:0", Proxy: true})
	c := dialRaw(t, b.URLs()[0])
	talk(t, c, string(unhex(t, haproxyCheck))+hello+ping, welcome+pong)
	want := c.LocalAddr().String() + " at " + c.RemoteAddr().String()
	if got := b.remotes(); len(got) != 1 || got[0] != want {
		t.Errorf("the broker sees %q, want the addresses of the socket, %s", got, want)
	}
}

func TestProxyFrom(t *testing.T) {
	b := startListeners(t, unchanged, Listener{URL: "tcp://127.0.0.1:0", Proxy: true, ProxyFrom: []string{"192.0.2.0/24"}})
	c := dialRaw(t, b.URLs()[0]) // From 127.0.0.1, which is no proxy here.
	talk(t, c, string(unhex(t, haproxy4))+hello, "")
	if got := read(t, c); got != "" {
		t.Errorf("the broker answers %q to one who is no proxy", got)
	}
}

// read returns all that comes until the broker closes c.
func read(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is not closed: %v", err)
	}
	return string(b)
}

// TestSilence connects and says nothing more, at each stage of a handshake.
func TestSilence(t *testing.T) {
	quick := func(l *Limits) { l.ConnectTimeout = 500 * time.Millisecond }
	plain := startListeners(t, quick, everyScheme(t, func(*Listener) {})...).URLs()
	behind := startListeners(t, quick, everyScheme(t, func(l *Listener) { l.Proxy = true })...).URLs()
	var silent []net.Conn
	for _, u := range slices.Concat(plain, behind) {
		for _, begin := range []string{"", proxySignature, "\x16\x03\x01", "GET /mqtt HTTP/1.1\r\nHost: a\r\n", "\x10\x0d\x00"} {
			c := dialRaw(t, u)
			talk(t, c, begin, "")
			silent = append(silent, c)
		}
	}
	for _, u := range plain { // After TLS and HTTP.
		silent = append(silent, dialURL(t, u))
	}
	c := dialOver(t, strings.Replace(plain[3], "wss:", "tls:", 1), dialRaw(t, plain[3]))
	talk(t, c, "GET /mqtt HTTP/1.1\r\n", "") // After TLS, within HTTP.
	for _, c := range append(silent, c) {
		read(t, c)
	}
}

// TestHandshakesCount fills limits.connections with strangers who never finish
// what comes before MQTT.
func TestHandshakesCount(t *testing.T) {
	ls := append(everyScheme(t, func(*Listener) {}), Listener{URL: "tcp://127.0.0.1:0", Proxy: true})
	b := startListeners(t, func(l *Limits) { l.Connections, l.ConnectTimeout = 1, time.Minute }, ls...)
	urls := b.URLs()
	for _, u := range urls {
		t.Run(u, func(t *testing.T) {
			stranger := dialRaw(t, u)
			until(t, func() bool { return b.connections() == 1 })
			if got := read(t, dialRaw(t, urls[0])); got != "" {
				t.Errorf("a connection too many is answered %q", got)
			}
			stranger.Close()
			until(t, func() bool { return b.connections() == 0 })
		})
	}
}

// until waits for what must become true.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("it does not happen")
		}
	}
}

// TestCloseAmidHandshakes closes a broker while strangers are half way.
func TestCloseAmidHandshakes(t *testing.T) {
	patient := func(l *Limits) { l.ConnectTimeout = time.Minute }
	ls := append(everyScheme(t, func(*Listener) {}), everyScheme(t, func(l *Listener) { l.Proxy = true })...)
	b := startListeners(t, patient, ls...)
	var strangers []net.Conn
	for _, u := range b.URLs() {
		strangers = append(strangers, dialRaw(t, u))
	}
	until(t, func() bool { return b.connections() == len(strangers) })
	shut(t, b)
	for _, c := range strangers {
		read(t, c)
	}
}

// TestGoodbyeOfTheStalled has a TLS client that reads nothing: it does not
// delay the end, as package tls alone would by 5 seconds.
func TestGoodbyeOfTheStalled(t *testing.T) {
	cert, key := certificate(t, 1)
	b := startListeners(t, unchanged, Listener{URL: "tls://127.0.0.1:0", Cert: cert, Key: key})
	raw := dialRaw(t, b.URLs()[0]).(*net.TCPConn)
	if err := raw.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	c := dialOver(t, b.URLs()[0], raw)
	talk(t, c, hello+"\x82\x06\x00\x01\x00\x01a\x00", welcome+"\x90\x03\x00\x01\x00")
	for range 20 {
		m := bridge.Message{Topic: "a", Payload: make([]byte, 1<<20)}
		if err := b.Client("flood").Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	shut(t, b)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestSocketOptions(t *testing.T) {
	on, off := true, false
	for _, tt := range []struct {
		l       Listener
		noDelay int
		backlog uint32 // 0 is the kernel's
		device  string
	}{
		{Listener{URL: "tcp://127.0.0.1:0"}, 1, 0, ""},
		{Listener{URL: "tcp://127.0.0.1:0", NoDelay: &on, Backlog: 7}, 1, 7, ""},
		{Listener{URL: "tcp://127.0.0.1:0", NoDelay: &off, Backlog: 128}, 0, 128, ""},
		{Listener{URL: "tcp://[::1]:0", NoDelay: &off, Interface: "lo"}, 0, 0, "lo"},
	} {
		t.Run(fmt.Sprintf("%+v", tt.l), func(t *testing.T) {
			b := startListeners(t, unchanged, tt.l)
			talk(t, dialURL(t, b.URLs()[0]), hello, welcome)
			b.mu.Lock()
			defer b.mu.Unlock()
			withFD(t, b.listeners[0].l.(syscall.Conn), func(fd int) error {
				info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
				if backlog := info.Sacked; tt.backlog > 0 && backlog != tt.backlog { // What TCP_INFO calls it in state LISTEN.
					t.Errorf("backlog %d, want %d", backlog, tt.backlog)
				}
				return err
			})
			for s := range b.conns {
				withFD(t, s, func(fd int) error {
					n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
					if n != tt.noDelay {
						t.Errorf("TCP_NODELAY is %d, want %d", n, tt.noDelay)
					}
					return err
				})
				withFD(t, s, func(fd int) error {
					n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
					if n != 1 {
						t.Errorf("SO_KEEPALIVE is %d: dead peers would stay", n)
					}
					return err
				})
			}
			withFD(t, b.listeners[0].l.(syscall.Conn), func(fd int) error {
				device, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
				if device != tt.device {
					t.Errorf("bound to the interface %q, want %q", device, tt.device)
				}
				return err
			})
		})
	}
}

// withFD calls f with the file descriptor of c.
func withFD(t *testing.T, c syscall.Conn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

func TestNoSuchInterface(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Listeners = []Listener{{URL: "tcp://127.0.0.1:0", Interface: "eth77"}}
	_, err := Open(cfg, "edge", slog.New(slog.DiscardHandler))
	if want := `there is no interface "eth77"; there are lo`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want one with %s", err, want)
	}
}

func TestIPv6(t *testing.T) {
	for u, clients := range map[string][]string{
		"tcp://[::1]:0": {"[::1]"},
		"tcp://[::]:0":  {"[::1]", "127.0.0.1"},
		"tcp://:0":      {"[::1]", "127.0.0.1"},
		"ws://[::1]:0/": {"[::1]"},
	} {
		b := startListeners(t, unchanged, Listener{URL: u})
		got := b.URLs()[0]
		prefix, suffix, _ := strings.Cut(strings.Replace(u, "//:", "//[::]:", 1), "]:0")
		if !strings.HasPrefix(got, prefix+"]:") || !strings.HasSuffix(got, suffix) {
			t.Errorf("%s is printed as %s", u, got)
		}
		for _, host := range clients {
			c := dialURL(t, strings.Replace(got, prefix[strings.Index(prefix, "["):]+"]", host, 1))
			talk(t, c, hello, welcome)
			if r := b.remotes(); len(r) != 1 || !strings.HasPrefix(r[0], host+":") {
				t.Errorf("a client from %s of %s is seen as %q", host, u, r)
			}
			leave(t, b, c)
		}
	}
}

func TestLinkLocal(t *testing.T) {
	address := linkLocal(t)
	b := startListeners(t, unchanged, Listener{URL: "tcp://[" + strings.Replace(address, "%", "%25", 1) + "]:0"})
	u := b.URLs()[0]
	if want := "tcp://[" + strings.Replace(address, "%", "%25", 1) + "]:"; !strings.HasPrefix(u, want) {
		t.Errorf("printed as %s, want %s…", u, want)
	}
	talk(t, dialURL(t, u), hello, welcome)
}

// linkLocal returns an IPv6 address with a zone, if this machine has one.
func linkLocal(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if ip, _, _ := net.ParseCIDR(a.String()); ip.To4() == nil && ip.IsLinkLocalUnicast() && i.Flags&net.FlagUp != 0 {
				return ip.String() + "%" + i.Name
			}
		}
	}
	t.Skip("this machine has no link-local IPv6 address")
	return ""
}
