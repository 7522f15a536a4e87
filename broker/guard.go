package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"edge/broker/access"
	"edge/broker/delivery"
	"edge/broker/gate"
	"edge/broker/login"
)

// Logins knows the users. All methods may be called from several goroutines at
// once.
type Logins interface {
	// Any reports whether there are users at all. Without, a name in CONNECT says
	// nothing.
	Any() bool

	// Verify returns nil if password is that of user. It may take its time, as
	// long for users that do not exist. from is the address of who asks.
	Verify(ctx context.Context, from netip.Addr, user string, password []byte) error

	// RolesOf returns the roles of a user, and false if there is none, or none
	// who may come in.
	RolesOf(user string) (roles []string, ok bool)
}

// A guard decides who comes in, and what they may do then. It asks Logins and a
// policy; the gate, mochi's hook and delivery ask it.
type guard struct {
	b       *Broker
	logins  Logins // nil: there are no users
	rules   atomic.Pointer[rules]
	pairing atomic.Bool // clients that show no credentials may come with a pairing code
	denials denials

	mu    sync.Mutex
	views map[identity]*access.View // by the policy
	reads map[string][]string       // of bridges, by owner
}

// An identity is somebody behind a client id: the name of a user or certificate,
// uid:1000 for a process on this machine, bridge/relay for a bridge in this one, or
// nothing for a client that has shown no credentials.
type identity struct{ owner, client string }

// maxViews bounds the identities whose rules are remembered.
const maxViews = 10_000

// adminRole may do everything. Who has it and nothing else is asked no questions.
const adminRole = "admin"

// rules are who may do what.
type rules struct {
	policy *access.Policy
	none   bool // the configuration says nothing: who is let in may do everything
}

func newGuard(b *Broker, cfg *Config) (*guard, error) {
	p, err := compile(cfg)
	if err != nil {
		return nil, err
	}
	g := &guard{b: b, logins: cfg.Logins, reads: make(map[string][]string)}
	g.use(p)
	return g, nil
}

func compile(cfg *Config) (*rules, error) {
	p, err := access.Compile(cfg.Access, cfg.Root, cfg.Where)
	if err != nil {
		return nil, fmt.Errorf("rules of access: %w", err)
	}
	return &rules{p, reflect.DeepEqual(cfg.Access, access.Config{})}, nil
}

// UsersChanged makes what Logins says now count at once.
func (b *Broker) UsersChanged() {
	b.guard.use(b.guard.rules.Load())
	b.reauthorize()
	b.release()
}

// use puts rules in force.
func (g *guard) use(r *rules) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules.Store(r)
	g.views = make(map[identity]*access.View)
}

// roles returns all roles of an identity. ok is false if it may not be here.
func (g *guard) roles(owner string) (roles []string, ok bool) {
	rules := g.rules.Load()
	if name, is := strings.CutPrefix(owner, bridgePrefix); is {
		return rules.policy.RolesOfBridge(name), true
	}
	roles = rules.policy.RolesOf(owner)
	switch uid, local := strings.CutPrefix(owner, uidPrefix); {
	case owner == "":
		if rules.none {
			roles = []string{adminRole}
		}
		return roles, true // Whether it may come here, its socket says.
	case owner == pairingOwner:
		return nil, g.pairing.Load()
	case local && (uid == "0" || uid == strconv.Itoa(os.Geteuid())):
		return append(roles, adminRole), true // They can read and write our files.
	case local:
		return roles, len(roles) > 0
	case g.logins == nil:
		return roles, len(roles) > 0
	}
	more, known := g.logins.RolesOf(owner)
	return append(roles, more...), known || len(roles) > 0
}

// mayRead lets a bridge read what its configuration names.
func (g *guard) mayRead(owner string, filters []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads[owner] = filters
	clear(g.views)
}

// view returns what an identity may do; nil is everything.
func (g *guard) view(owner, client string) *access.View {
	if owner == delivery.Hub {
		return nil
	}
	id := identity{owner, client}
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok := g.views[id]; ok {
		return v
	}
	if len(g.views) >= maxViews {
		clear(g.views)
	}
	var v *access.View
	if p := g.principal(id); !slices.Equal(p.Roles, []string{adminRole}) {
		v = g.rules.Load().policy.For(p)
	}
	g.views[id] = v
	return v
}

// principal returns an identity as the rules know it, with its roles sorted, each
// once; g.mu is held.
func (g *guard) principal(id identity) access.Principal {
	roles, _ := g.roles(id.owner)
	return access.Principal{
		Name: strings.TrimPrefix(id.owner, bridgePrefix), ClientID: id.client,
		Roles: slices.Compact(slices.Sorted(slices.Values(roles))), Reads: g.reads[id.owner],
	}
}

// access is delivery.Options.Access.
func (g *guard) access(owner, client string) delivery.Access {
	v := g.view(owner, client)
	if v == nil {
		return nil
	}
	return &rights{v}
}

// rights are what one identity may do.
type rights struct{ view *access.View }

// MayPublish implements delivery.Access.
func (r *rights) MayPublish(topic string) bool { return r.view.Publish(topic).Allowed }

// MayReceive implements delivery.Access. What a filter matches and the client may
// not have is kept back in silence: it has not asked for that.
func (r *rights) MayReceive(topic string) bool { return r.view.Receive(topic).Allowed }

// maySubscribe reports whether an identity may subscribe to a filter.
func (g *guard) maySubscribe(owner, client, filter string) bool {
	v := g.view(owner, client)
	return v == nil || v.Subscribe(filter).Allowed
}

// mayPublish reports whether an identity may publish to a topic.
func (g *guard) mayPublish(owner, client, topic string) bool {
	v := g.view(owner, client)
	return v == nil || v.Publish(topic).Allowed
}

// uidPrefix begins the names of those who come by a unix socket without
// credentials, bridgePrefix those of bridges within the process. A user cannot
// have such a name.
const (
	uidPrefix    = "uid:"
	bridgePrefix = "bridge/"
)

// pairingOwner is the name of clients that may come with a pairing code, and do
// nothing else. It is nobody's: none of ours begins with $.
const pairingOwner = "$pairing"

// identify finds out who a client is, and whether it may come in.
func (g *guard) identify(ctx context.Context, c *gate.Connect, s *socket) (owner string, r gate.Reason) {
	switch {
	case s.peer != "":
		owner = s.peer // The certificate counts, whatever CONNECT says.
	case c.HasUser:
		if !g.anyUsers() {
			break
		}
		if err := g.verify(ctx, c, s); err != nil {
			g.b.log.Info("login refused", "user", c.Username, "client", c.ClientID, "remote", s.RemoteAddr().String(), "err", err)
			return "", refusalOf(err)
		}
		owner = c.Username
	case s.uid() >= 0:
		owner = uidPrefix + strconv.Itoa(s.uid())
		if _, ok := g.roles(owner); !ok {
			owner = ""
		}
	}
	switch {
	case g.mayBe(owner, s):
		return owner, gate.Success
	case owner == "" && c.HasUser:
		return "", gate.BadCredentials
	case owner == "" && g.pairing.Load() && !c.Lasts():
		return pairingOwner, gate.Success
	}
	return "", gate.NotAuthorized
}

// mayBe reports whether owner may be at the other end of s.
func (g *guard) mayBe(owner string, s *socket) bool {
	if owner == "" {
		return g.b.nobodyMay(s)
	}
	_, ok := g.roles(owner)
	return ok
}

// verify checks the password in a CONNECT.
func (g *guard) verify(ctx context.Context, c *gate.Connect, s *socket) error {
	if !plausible(c.Username) {
		return errName
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return g.logins.Verify(ctx, addressOf(s), c.Username, c.Password)
}

// refusalOf says what a client is told whose login has failed. Many take bad
// credentials for final and ask a person for others: who may come again is told
// so.
func refusalOf(err error) gate.Reason {
	_, limited := errors.AsType[*login.LimitedError](err)
	switch {
	case limited:
		return gate.ConnectionRate
	case errors.Is(err, login.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		return gate.ServerBusy
	}
	return gate.BadCredentials
}

// patience bounds how long a client waits for its password to be checked: many
// may come at once after a restart.
const patience = 30 * time.Second

var errName = errors.New("no user can have this name")

// plausible keeps names away that mean something else here.
func plausible(user string) bool {
	return user != "" && user[0] != '$' && !strings.HasPrefix(user, uidPrefix) && !strings.HasPrefix(user, bridgePrefix)
}

// addressOf returns the address of a client.
func addressOf(s *socket) netip.Addr { return addressIn(s.RemoteAddr()) }

// addressIn returns the IP address in a; that of nobody for unix sockets.
func addressIn(a net.Addr) netip.Addr {
	at, _ := netip.ParseAddrPort(a.String())
	return at.Addr().Unmap()
}

// uid returns the user at the other end of a unix socket, negative for others.
func (s *socket) uid() int {
	if s.stream.LocalAddr().Network() != "unix" {
		return -1
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}

// reauthorize makes new rules count at once: for who is connected, for what waits,
// and for subscriptions that are not allowed any more.
func (b *Broker) reauthorize() {
	b.engine.Reauthorize()
	for _, s := range b.engine.Sessions() {
		for _, sub := range s.Subscriptions() {
			if !b.guard.maySubscribe(s.Owner(), s.ID(), sub.Filter) {
				b.engine.Unsubscribe(s, sub.Filter)
				b.log.Info("subscription ended: it is not allowed any more", "client", s.ID(), "user", s.Owner(), "filter", sub.Filter)
			}
		}
	}
	b.expel()
}

// expel ends the connections of those who may not be here any more.
func (b *Broker) expel() {
	var gone []*gate.Conn
	b.eachClient(func(s *socket, _, owner string) {
		if !b.guard.mayBe(owner, s) {
			gone = append(gone, s.gate)
		}
	})
	for _, c := range gone {
		c.End(gate.NotAuthorized)
	}
}
