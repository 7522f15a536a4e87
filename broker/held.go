package broker

import (
	"net"
	"slices"
)

// A listener that others than this machine can reach is held until somebody can
// show who he is there: while there are no users, it is on the loopback interface
// alone, or not there at all if its address is none of all.

// held reports whether l must stay on this machine for now.
func (b *Broker) held(l Listener) bool {
	return !l.Local() && l.ClientCA == "" && !l.open() && !b.guard.anyUsers()
}

// HoldsLowPort reports whether a listener is held that will open a port below 1024.
func (b *Broker) HoldsLowPort() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.cfg.Listeners, func(l Listener) bool {
		at, err := l.parse()
		return err == nil && at.low() && b.held(l)
	})
}

// open reports whether l lets everybody in.
func (l Listener) open() bool { return l.AllowAnonymous != nil && *l.AllowAnonymous }

func (g *guard) anyUsers() bool { return g.logins != nil && g.logins.Any() }

// loopback returns at, as far as it is on this machine; false if it is not. The
// clients of a proxy can be anywhere.
func loopback(l Listener, at endpoint) (endpoint, bool) {
	if l.Proxy {
		return at, false
	}
	host, port, _ := net.SplitHostPort(at.address)
	ip := net.ParseIP(host)
	if l.Interface != "" || host != "" && !ip.IsUnspecified() {
		return at, false
	}
	here := "127.0.0.1"
	if ip != nil && ip.To4() == nil {
		here = "::1"
	}
	at.address = net.JoinHostPort(here, port)
	return at, true
}

// release opens what was held, or holds what is open, when the first user comes or
// the last has gone.
func (b *Broker) release() {
	b.mu.Lock()
	cfg, same := b.cfg, b.guard.anyUsers() == b.hadUsers
	b.mu.Unlock()
	if same {
		return
	}
	if err := b.reload(cfg); err != nil {
		b.log.Error("listeners stay as they are although users have changed; edge reload tries again", "err", err)
	}
}

// tellHeld says what a person must know about a listener that was opened, or that
// was not.
func (b *Broker) tellHeld(l Listener, held, opened bool) {
	switch {
	case held && opened:
		b.log.Warn("this address is open to this machine only until there is a user: make one with edge pair or edge user add", "url", l.URL)
	case held:
		b.log.Warn("this address is not open until there is a user: make one with edge pair or edge user add", "url", l.URL)
	case !l.Local() && l.open():
		b.log.Warn("ANYBODY WHO CAN REACH THIS ADDRESS CAN SWITCH EVERYTHING: allow_anonymous is on for it", "url", l.URL)
	case !l.Local() && !l.secure():
		b.log.Warn("passwords and messages go over the network in the clear here; tls:// and wss:// hide them", "url", l.URL)
	}
}

// nobodyMay reports whether a client at the other end of s may come in that shows
// no credentials.
func (b *Broker) nobodyMay(s *socket) bool {
	if own := s.listener.anonymous.Load(); own != nil {
		return *own
	}
	return b.anonymous.Load() && s.here()
}

// here reports whether the client is on this machine. What a proxy says of its
// client counts only if the proxy is on this machine, too.
func (s *socket) here() bool {
	if s.stream.LocalAddr().Network() == "unix" {
		return s.who.client == nil
	}
	return addressIn(s.stream.RemoteAddr()).IsLoopback() && addressOf(s).IsLoopback()
}
