package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"

	"edge/broker/gate"
)

// A listener accepts connections at one address. It is a listener of mochi's
// whose connections are gates.
type listener struct {
	b    *Broker
	cfg  Listener
	at   endpoint
	l    net.Listener
	id   string
	cert atomic.Pointer[tls.Certificate]
	stop func()
}

var _ listeners.Listener = (*listener)(nil)

// equal reports whether the listener need not be opened anew.
func (l Listener) equal(o Listener) bool {
	return l.URL == o.URL && l.Cert == o.Cert && l.Key == o.Key && slices.Equal(l.Origins, o.Origins)
}

// listen opens the address of cfg.
func (b *Broker) listen(cfg Listener) (*listener, error) {
	at, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	l := &listener{b: b, cfg: cfg, at: at}
	use, err := l.readCert()
	if err != nil {
		return nil, err
	}
	use()
	if at.network == "unix" {
		removeStale(at.address)
	}
	if l.l, err = net.Listen(at.network, at.address); err != nil {
		return nil, fmt.Errorf("listen at %s: %w", cfg.URL, err)
	}
	if at.network == "unix" {
		if err := os.Chmod(at.address, 0o660); err != nil {
			l.l.Close()
			return nil, fmt.Errorf("listen at %s: %w", cfg.URL, err)
		}
	}
	l.id = l.Address()
	l.stop = sync.OnceFunc(func() {
		_ = l.l.Close()
		b.server.Listeners.Delete(l.id)
	})
	return l, nil
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
	cert, err := tls.LoadX509KeyPair(l.cfg.Cert, l.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the listener at %s: %w", l.cfg.URL, err)
	}
	return func() { l.cert.Store(&cert) }, nil
}

// tlsConfig allows TLS 1.2 and 1.3 with the ciphers that Go considers secure.
func (l *listener) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.cert.Load(), nil },
	}
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
func (l *listener) Serve(establish listeners.EstablishFn) {
	switch l.at.scheme {
	case "ws", "wss":
		l.serveWeb(establish)
	default:
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = establish(l.id, c) }()
		}
	}
}

// Accept implements net.Listener: it returns an error only when the listener is
// closed. Others, such as too many open files, pass.
func (l *listener) Accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		c, err := l.l.Accept()
		switch {
		case err == nil && (l.at.scheme == "tls" || l.at.scheme == "wss"):
			return tls.Server(c, l.tlsConfig()), nil
		case err == nil, errors.Is(err, net.ErrClosed):
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

// establish runs the connection c of the listener with the given id until it ends.
func (b *Broker) establish(id string, c net.Conn) error {
	g := gate.New(c, b.engine, &b.limits, b.log)
	if !b.enter(g) {
		b.limits.Counters.TurnedAway()
		return c.Close()
	}
	defer b.exit(g)
	g.Serve(&control{b: b, conn: g, listener: id})
	return nil
}

// shutdown bounds the end of the HTTP server of a WebSocket listener, which has
// no connections of its own left: they were taken over.
func shutdown(stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = stop(ctx)
}
