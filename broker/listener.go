package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
	"golang.org/x/sys/unix"

	"edge/broker/gate"
)

// A listener accepts connections at one address. It is a listener of mochi's
// whose connections are gates.
type listener struct {
	b       *Broker
	cfg     Listener
	at      endpoint
	proxies []netip.Prefix
	l       net.Listener
	id      string
	certs   atomic.Pointer[certs]
	tls     *tls.Config // nil without TLS
	stop    func()
	held    bool // on this machine only, until there is a user
	conns   int  // how many there are; b.mu guards it

	anonymous atomic.Pointer[bool] // Listener.AllowAnonymous, of the latest configuration
}

var _ listeners.Listener = (*listener)(nil)

// equal reports whether the listener need not be opened anew.
func (l Listener) equal(o Listener) bool {
	return l.URL == o.URL && l.Cert == o.Cert && l.Key == o.Key && l.ClientCA == o.ClientCA && slices.Equal(l.Origins, o.Origins) &&
		l.Proxy == o.Proxy && slices.Equal(l.ProxyFrom, o.ProxyFrom) &&
		l.nagle() == o.nagle() && l.Backlog == o.Backlog && l.Interface == o.Interface &&
		l.Connections == o.Connections
}

// stays reports whether l is the listener that o asks for, as things are now.
func (l *listener) stays(o Listener) bool { return l.cfg.equal(o) && l.held == l.b.held(o) }

// listen opens the address of cfg. It returns nil if it is held, and has no part
// on this machine.
func (b *Broker) listen(cfg Listener) (*listener, error) {
	at, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	l := &listener{b: b, cfg: cfg, at: at, held: b.held(cfg)}
	l.anonymous.Store(cfg.AllowAnonymous)
	if l.held {
		var here bool
		if l.at, here = loopback(cfg, at); !here {
			b.tellHeld(cfg, true, false)
			return nil, nil
		}
	}
	if l.proxies, err = cfg.proxies(); err != nil {
		return nil, err
	}
	use, err := l.readCert()
	if err != nil {
		return nil, err
	}
	use()
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", cfg.URL, lowPort(l.at, err))
	}
	b.tellHeld(cfg, l.held, true)
	l.id = l.Address()
	l.stop = sync.OnceFunc(func() {
		_ = l.l.Close()
		b.server.Listeners.Delete(l.id)
	})
	return l, nil
}

// open opens the socket, with its options.
func (l *listener) open() (err error) {
	if l.at.network == "unix" {
		removeStale(l.at.address)
	}
	lc := net.ListenConfig{Control: l.bindToInterface}
	if l.l, err = lc.Listen(context.Background(), l.at.network, l.at.address); err != nil {
		return err
	}
	if l.at.network == "unix" {
		err = os.Chmod(l.at.address, 0o660)
	} else {
		err = l.setBacklog()
	}
	if err != nil {
		l.l.Close()
	}
	return err
}

// lowPort says what to do where err is for want of a privilege.
func lowPort(at endpoint, err error) error {
	if !at.low() || !errors.Is(err, syscall.EACCES) {
		return err
	}
	return fmt.Errorf("%w; a hub has the right to ports below 1024 when root starts it (or systemd, with AmbientCapabilities=CAP_NET_BIND_SERVICE), and keeps it with `low_ports: true`: restart it", err)
}

// low reports whether a port below 1024 is meant.
func (at endpoint) low() bool {
	_, service, _ := net.SplitHostPort(at.address)
	port, err := strconv.Atoi(service)
	return err == nil && 0 < port && port < 1024
}

// bindToInterface keeps what comes by other interfaces away. Since Linux 5.7
// this needs no privilege.
func (l *listener) bindToInterface(_, _ string, c syscall.RawConn) error {
	name := l.cfg.Interface
	if name == "" {
		return nil
	}
	if _, err := net.InterfaceByName(name); err != nil {
		return fmt.Errorf("there is no interface %q; there are %s", name, interfaces())
	}
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("bind to the interface %s: %w", name, err)
	}
	return nil
}

// interfaces names those of this machine.
func interfaces() string {
	all, err := net.Interfaces()
	if err != nil {
		return "none that can be read"
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// setBacklog replaces the one that package net has chosen, the kernel's
// net.core.somaxconn: listen(2) may be called again.
func (l *listener) setBacklog() error {
	if l.cfg.Backlog == 0 {
		return nil
	}
	c, err := l.l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if e := c.Control(func(fd uintptr) { err = unix.Listen(int(fd), l.cfg.Backlog) }); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("set the backlog to %d: %w", l.cfg.Backlog, err)
	}
	return nil
}

// exchange opens added in place of gone. A listener of gone whose place one of
// added takes must be closed first; it is opened again if anything goes wrong.
func (b *Broker) exchange(gone []*listener, added []Listener) ([]*listener, error) {
	var moved []Listener
	for _, l := range gone {
		if slices.ContainsFunc(added, l.blocks) {
			l.stop()
			moved = append(moved, l.cfg)
			b.listeners = slices.DeleteFunc(slices.Clone(b.listeners), func(o *listener) bool { return o == l })
		}
	}
	opened, err := b.open(added)
	if err != nil {
		again, lost := b.open(moved)
		b.listeners = append(b.listeners, again...)
		return nil, errors.Join(err, lost)
	}
	for _, l := range gone {
		l.stop()
	}
	return opened, nil
}

// blocks reports whether o cannot be opened while l is.
func (l *listener) blocks(o Listener) bool {
	at, err := o.parse()
	if err != nil || at.network != l.at.network {
		return false
	}
	if at.network == "unix" {
		return at.address == l.at.address
	}
	_, port, _ := net.SplitHostPort(at.address)
	_, mine, _ := net.SplitHostPort(l.l.Addr().String())
	return port == mine
}

// removeStale removes a socket that nobody listens at any more.
func removeStale(path string) {
	if st, err := os.Stat(path); err != nil || st.Mode()&os.ModeSocket == 0 {
		return
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return
	}
	_ = os.Remove(path)
}

// readCert reads the certificate, if the listener has one, and returns a
// function that puts it into use.
func (l *listener) readCert() (use func(), err error) {
	if l.at.scheme != "tls" && l.at.scheme != "wss" {
		return func() {}, nil
	}
	c, err := l.readTLS()
	if err != nil {
		return nil, fmt.Errorf("certificate of the listener at %s: %w", l.cfg.URL, err)
	}
	if l.tls == nil {
		l.tls = l.tlsConfig()
	}
	return func() { l.certs.Store(c) }, nil
}

// Init implements listeners.Listener; the address is open already.
func (*listener) Init(*slog.Logger) error { return nil }

// ID implements listeners.Listener.
func (l *listener) ID() string { return l.id }

// Protocol implements listeners.Listener.
func (l *listener) Protocol() string { return l.at.scheme }

// Address implements listeners.Listener: the URL with the port that was taken.
func (l *listener) Address() string {
	u := url.URL{Scheme: l.at.scheme, Host: l.l.Addr().String(), Path: l.at.path}
	if host, _, _ := net.SplitHostPort(l.at.address); strings.Contains(host, "%") {
		_, port, _ := net.SplitHostPort(u.Host)
		u.Host = net.JoinHostPort(host, port) // A socket of Multipath TCP forgets the zone.
	}
	if l.at.scheme == "unix" {
		u.Host, u.Path = "", l.at.address
	}
	return u.String()
}

// Close implements listeners.Listener.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.stop()
	closeClients(l.id)
}

// Serve implements listeners.Listener: it accepts until the listener is closed.
// Connections are the gate's, not mochi's, so it does not need to be told how to
// establish them.
func (l *listener) Serve(listeners.EstablishFn) {
	if l.at.scheme == "ws" || l.at.scheme == "wss" {
		l.serveWeb()
		return
	}
	l.each(func(c net.Conn) { l.attach(c, c) })
}

// each accepts connections until the listener is closed. It gives those that are
// ready to speak MQTT, or HTTP, to serve, each in a goroutine of its own.
func (l *listener) each(serve func(net.Conn)) {
	for {
		c, err := l.accept()
		if err != nil {
			return
		}
		s, err := l.b.enter(l, c.(stream))
		if err != nil {
			l.turnAway(c, err)
			continue
		}
		if l.cfg.nagle() && l.at.network == "tcp" {
			_ = c.(*net.TCPConn).SetNoDelay(false) // At worst, packets are sent at once.
		}
		go func() {
			ready, err := l.greet(s)
			if err != nil {
				l.b.turnedBy(err, s.RemoteAddr())
				l.b.log.Debug("connection closed before its first packet", "listener", l.id, "remote", s.stream.RemoteAddr().String(), "err", err)
				l.b.limits.Counters.TurnedAway()
				_ = s.Close()
				return
			}
			go serve(ready) // A handshake leaves a large stack behind; this one begins small.
		}()
	}
}

// accept returns an error only when the listener is closed. Others, such as too
// many open files, pass.
func (l *listener) accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := l.l.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return c, err
		}
		l.b.log.Warn("accept a connection; trying again", "listener", l.id, "err", err, "in", pause)
		select {
		case <-time.After(pause):
		case <-l.b.done:
			return nil, net.ErrClosed
		}
	}
}

// greet does what comes before MQTT and HTTP: the header of a proxy and the TLS
// handshake. Both together have the connect timeout.
func (l *listener) greet(s *socket) (net.Conn, error) {
	if !l.cfg.Proxy && l.tls == nil {
		return s, nil
	}
	_ = s.SetDeadline(time.Now().Add(l.b.limits.ConnectTimeout))
	if l.cfg.Proxy {
		if !trusts(l.proxies, s.RemoteAddr()) {
			return nil, errUntrusted
		}
		var err error
		if s.who, err = readProxy(s.stream); err != nil {
			return nil, err
		}
		if err := l.b.visitByProxy(s); err != nil {
			return nil, err
		}
	}
	c := net.Conn(s)
	if l.tls != nil {
		t := tls.Server(s, l.tls)
		if err := t.Handshake(); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		s.peer = peerOf(t.ConnectionState())
		c = tlsConn{t, s}
	}
	return c, s.SetDeadline(time.Time{})
}

var errUntrusted = errors.New("no proxy has this address; proxy_from names those that may connect")

// attach runs the connection c, which came by the socket under raw, until it
// ends.
func (l *listener) attach(raw, c net.Conn) {
	s := socketOf(raw)
	defer s.Close()
	g := gate.New(c, l.b.engine, &l.b.limits, l.b.log)
	if !l.b.begin(s, g) {
		return
	}
	defer l.b.running.Done()
	_ = g.Serve(&control{b: l.b, conn: g, socket: s, listener: l.id}) // It has logged why.
}
