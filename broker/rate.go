package broker

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"edge/broker/login"
)

// Reasons to accept no connection, beside those of socket.go.
var (
	errAddressFull = errors.New("there are as many from this address as limits.connections_per_address allows")
	errAddressRate = errors.New("they come faster from this address than limits.connection_rate allows")
)

// rateBurst is how many seconds' worth of connections may come from one address at
// once: everybody comes back at once after a restart of the hub, and some networks
// have one address.
const rateBurst = 10

// maxVisitors bounds the addresses that are remembered without a connection.
const maxVisitors = 8192

// A visitor is an address, as login.Origin has it, with connections now or lately.
type visitor struct {
	conns int
	next  time.Time // when its next connection would come, had it always kept the rate (the theoretical arrival time of GCRA)
}

// visitors are the addresses that connections come from. They belong to Broker.mu.
type visitors struct {
	most int           // connections of one address at once
	gap  time.Duration // between two of its connections, on average
	all  map[netip.Prefix]*visitor
	idle int // of all, those without connections
}

func newVisitors(l Limits) visitors {
	return visitors{
		most: l.ConnectionsPerAddress, gap: time.Second / time.Duration(max(1, l.ConnectionRate)), all: make(map[netip.Prefix]*visitor),
	}
}

// enter counts a connection from an address, or says why there may not be one.
// Processes on this machine are not counted: proxies and containers make all their
// clients look like one, and what could be gained, who can start processes has
// already.
func (v *visitors) enter(from netip.Prefix, now time.Time) error {
	x := v.all[from]
	if x == nil {
		x = v.add(from, now)
	}
	earliest := x.next.Add(-rateBurst*time.Second + v.gap)
	switch {
	case x.conns >= v.most:
		return errAddressFull
	case now.Before(earliest):
		return errAddressRate
	}
	if x.next.Before(now) {
		x.next = now
	}
	x.next = x.next.Add(v.gap)
	if x.conns == 0 {
		v.idle--
	}
	x.conns++
	return nil
}

// leave counts the end of a connection.
func (v *visitors) leave(from netip.Prefix) {
	x := v.all[from]
	if x.conns--; x.conns == 0 {
		v.idle++
	}
}

// add remembers an address, and forgets one if there are too many.
func (v *visitors) add(from netip.Prefix, now time.Time) *visitor {
	if v.idle >= maxVisitors {
		v.forget(now)
	}
	x := new(visitor)
	v.all[from] = x
	v.idle++
	return x
}

// forget drops all addresses about which there is nothing to remember, or else
// one: a stranger who has that many addresses does not need the rate of one.
func (v *visitors) forget(now time.Time) {
	var some netip.Prefix
	for from, x := range v.all {
		switch {
		case x.conns > 0:
		case x.next.Before(now):
			delete(v.all, from)
			v.idle--
		default:
			some = from
		}
	}
	if v.idle >= maxVisitors {
		delete(v.all, some)
		v.idle--
	}
}

// visit counts the connection of s for the address of its client, once that is
// known. b.mu is held.
func (b *Broker) visit(s *socket) error {
	at := addressOf(s)
	if !at.IsValid() || at.IsLoopback() {
		return nil
	}
	from := login.Origin(at)
	if err := b.visitors.enter(from, time.Now()); err != nil {
		return err
	}
	s.from = from
	return nil
}

// visitByProxy is visit for a connection whose client a proxy has named.
func (b *Broker) visitByProxy(s *socket) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.visit(s)
}

// claim counts the connection of s for a user, and reports false if there are too
// many. A client that comes again takes the place of its old connection.
func (b *Broker) claim(s *socket, owner, client string) bool {
	_, again := b.server.Clients.Get(client)
	b.mu.Lock()
	defer b.mu.Unlock()
	// Those without a name are bounded by their addresses and listeners.
	if owner != "" && b.users[owner] >= b.cfg.Limits.ConnectionsPerUser && !again {
		b.turned.User++
		return false
	}
	b.users[owner]++
	b.strangers--
	s.owner, s.known = owner, true
	return true
}

// unclaim takes back all counts of a connection; b.mu is held.
func (b *Broker) unclaim(s *socket) {
	s.listener.conns--
	if s.from.IsValid() {
		b.visitors.leave(s.from)
	}
	if !s.known {
		b.strangers--
		return
	}
	if b.users[s.owner]--; b.users[s.owner] == 0 {
		delete(b.users, s.owner)
	}
}

// TurnedAway counts connections that were not accepted, by the limit that they
// would have broken.
type TurnedAway struct {
	Connections uint64 // in all
	Listener    uint64
	Address     uint64 // at once
	Rate        uint64 // of an address
	User        uint64
	Memory      uint64
}

func (b *Broker) turnedAway() TurnedAway {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.turned
}

// turnedBy counts a connection that was not accepted because of err, if that was for
// a limit, and says so in the log, at most once in ten seconds.
func (b *Broker) turnedBy(err error, from net.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.turned.by(err)
	if n == nil {
		return
	}
	*n++
	if now := time.Now(); now.Sub(b.toldTurned) >= lossPause {
		b.toldTurned = now
		b.log.Warn("connections are refused", "remote", from.String(), "err", err, "count", *n)
	}
}

// by returns the count that err belongs to, nil if it is none.
func (t *TurnedAway) by(err error) *uint64 {
	for _, c := range []struct {
		reason error
		count  *uint64
	}{
		{errFull, &t.Connections},
		{errCrowded, &t.Listener},
		{errAddressFull, &t.Address},
		{errAddressRate, &t.Rate},
		{errMemory, &t.Memory},
	} {
		if errors.Is(err, c.reason) {
			return c.count
		}
	}
	return nil
}

// turnAway closes a connection that may not be because of err.
func (l *listener) turnAway(c net.Conn, err error) {
	l.b.turnedBy(err, c.RemoteAddr())
	l.b.log.Debug("connection refused", "listener", l.id, "remote", c.RemoteAddr().String(), "err", err)
	l.b.limits.Counters.TurnedAway()
	_ = c.Close()
}
