package broker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/broker/access"
	"edge/broker/gate"
)

// A ConnectedClient is a client that is connected.
type ConnectedClient struct {
	ID      string    `json:"client"`
	User    string    `json:"user"` // name of the principal; empty for nobody in particular
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
}

// Clients returns who is connected, in the order of the client ids.
func (b *Broker) Clients() []ConnectedClient {
	var all []ConnectedClient
	b.eachClient(func(s *socket, id, owner string) {
		all = append(all, ConnectedClient{id, owner, s.RemoteAddr().String(), time.Unix(s.came, 0).UTC()})
	})
	slices.SortFunc(all, func(a, b ConnectedClient) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), a.Since.Compare(b.Since))
	})
	return all
}

// Kick ends the connection of the client with an id. Its session stays, and it may
// come again: who must not is to be disabled.
func (b *Broker) Kick(id string) error {
	var found []*gate.Conn
	b.eachClient(func(s *socket, client, _ string) {
		if client == id {
			found = append(found, s.gate)
		}
	})
	if len(found) == 0 {
		return fmt.Errorf("no client %q is connected", id)
	}
	for _, c := range found {
		b.log.Info("client thrown out by an admin", "client", id, "remote", c.RemoteAddr())
		c.End(gate.AdminAction)
	}
	return nil
}

// eachClient calls f for each client that has been let in; b.mu is held meanwhile.
func (b *Broker) eachClient(f func(s *socket, id, owner string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.conns {
		if s.gate == nil {
			continue
		}
		if owner, in := s.gate.Owner(); in {
			f(s, s.gate.Connect().ClientID, owner)
		}
	}
}

// An Explanation is whether somebody may do something, and why.
type Explanation struct {
	Allowed bool           `json:"allowed"`
	Roles   []string       `json:"roles"`
	Rule    *access.Reason `json:"rule,omitempty"` // nil: there is none that allows it
}

// Explain says whether a user with a client id may do something. The user with an
// empty name is who shows no credentials; bridge/relay is a bridge of this hub.
func (b *Broker) Explain(user, client string, a access.Action, topic string) Explanation {
	g := b.guard
	g.mu.Lock()
	p := g.principal(identity{user, client})
	g.mu.Unlock()
	d := g.rules.Load().policy.For(p).Ask(a, topic)
	return Explanation{d.Allowed, append([]string{}, p.Roles...), d.Reason}
}

// CheckRoles says which roles nobody has described.
func (b *Broker) CheckRoles(roles []string) error {
	var errs []error
	for _, role := range roles {
		errs = append(errs, b.guard.rules.Load().policy.CheckRole(role))
	}
	return errors.Join(errs...)
}

// Pairing lets clients in that show no credentials, with the right to send a pairing
// code and no other, or shows those the door.
func (b *Broker) Pairing(open bool) {
	b.guard.pairing.Store(open)
	if !open {
		b.expel()
	}
}
