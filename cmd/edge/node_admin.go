package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edge/bridge"
	"edge/broker"
	"edge/broker/access"
	"edge/broker/login"
)

// An administrator does what clients ask for by MQTT (docs/admin.md), one request
// after the other.
type administrator struct {
	logins  *logins
	audit   auditLog
	pairing pairings
	ask     func(ctx context.Context, by author, verb string) reply // of the node

	begun  chan struct{} // closed when server is there
	server server
	turn   sync.Mutex // of who asks: a hash takes 19 MiB
}

var _ broker.Admin = (*administrator)(nil)

func newAdministrator(l *logins, audit auditLog, ask func(context.Context, author, string) reply) *administrator {
	return &administrator{logins: l, audit: audit, ask: ask, begun: make(chan struct{})}
}

// begin lets requests through to s, which has clients before the node has it.
func (m *administrator) begin(s server) {
	m.server, m.pairing.open = s, s.Pairing
	close(m.begun)
}

func (m *administrator) close() { m.pairing.close() }

// A command is what can be asked for.
type command struct {
	do      func(*administrator, context.Context, *broker.Request) (any, error)
	changes bool // who asks for it in vain is in the audit, too
}

var adminCommands = map[string]command{
	"user list":    {(*administrator).listUsers, false},
	"user add":     {(*administrator).addUser, true},
	"user passwd":  {(*administrator).givePassword, true},
	"user roles":   {(*administrator).giveRoles, true},
	"user disable": {(*administrator).disable, true},
	"user enable":  {(*administrator).enable, true},
	"user remove":  {(*administrator).removeUser, true},
	"password":     {(*administrator).generate, false},
	"acl explain":  {(*administrator).explain, false},
	"acl denials":  {(*administrator).denials, false},
	"client list":  {(*administrator).clients, false},
	"client kick":  {(*administrator).kick, true},
	"unlock":       {(*administrator).unlock, true},
	"reload":       {(*administrator).reload, false}, // The node says what became of it.
	"pair":         {(*administrator).pair, false},   // Anybody may try in vain, and fill the audit.
}

// Administer implements broker.Admin.
func (m *administrator) Administer(ctx context.Context, r *broker.Request) (any, error) {
	select {
	case <-m.begun:
	case <-ctx.Done():
		return nil, errors.New("the hub is stopping")
	}
	c, ok := adminCommands[r.Command]
	if !ok {
		return nil, fmt.Errorf("there is no such command; there are %s", strings.Join(slices.Sorted(maps.Keys(adminCommands)), ", "))
	}
	m.turn.Lock()
	defer m.turn.Unlock()
	result, err := c.do(m, ctx, r)
	if err != nil && c.changes {
		m.audit.note(authorOf(r), change{What: r.Command, About: r.User + r.Client + r.Topic}, err)
	}
	return result, err
}

// authorOf returns who asks for something by MQTT.
func authorOf(r *broker.Request) author {
	by := author{Who: r.Who, From: r.From}
	if by.Who == "" {
		by.Who = "pairing code"
	}
	return by
}

func (m *administrator) listUsers(context.Context, *broker.Request) (any, error) {
	users := *m.logins.users.Load()
	all := make([]listed, 0, len(users))
	for _, u := range users {
		all = append(all, list(u))
	}
	return all, nil
}

func (m *administrator) addUser(ctx context.Context, r *broker.Request) (any, error) {
	u := login.User{Name: r.User, Roles: login.SortRoles(r.Roles), Created: time.Now().UTC().Truncate(time.Second)}
	if err := errors.Join(login.CheckName(u.Name), login.CheckRoles(u.Roles)); err != nil {
		return nil, err
	}
	if _, err := adding(u)(*m.logins.users.Load()); err != nil { // Before a password is hashed for nothing.
		return nil, err
	}
	shown, hash, err := passwordOf(r)
	if err != nil {
		return nil, err
	}
	u.Hash = hash
	shown.Warning = m.warning(u.Roles)
	return shown, m.edit(ctx, r, adding(u))
}

// warning names roles that nobody has described: they may be to come, or a mistake in
// typing.
func (m *administrator) warning(roles []string) string {
	if err := m.server.CheckRoles(roles); err != nil {
		return err.Error()
	}
	return ""
}

func (m *administrator) givePassword(ctx context.Context, r *broker.Request) (any, error) {
	shown, hash, err := passwordOf(r)
	if err != nil {
		return nil, err
	}
	return shown, m.edit(ctx, r, changing(r.User, func(u *login.User) { u.Hash = hash }))
}

func (m *administrator) giveRoles(ctx context.Context, r *broker.Request) (any, error) {
	roles := login.SortRoles(r.Roles)
	if err := login.CheckRoles(roles); err != nil {
		return nil, err
	}
	if r.Roles == nil {
		return nil, errors.New(`name the roles; "roles":[] takes all of them away`)
	}
	shown := shownUser{Warning: m.warning(roles)}
	return shown, m.edit(ctx, r, changing(r.User, func(u *login.User) { u.Roles = roles }))
}

func (m *administrator) disable(ctx context.Context, r *broker.Request) (any, error) {
	return nil, m.edit(ctx, r, changing(r.User, func(u *login.User) { u.Disabled = true }))
}

func (m *administrator) enable(ctx context.Context, r *broker.Request) (any, error) {
	return nil, m.edit(ctx, r, changing(r.User, func(u *login.User) { u.Disabled = false }))
}

func (m *administrator) removeUser(ctx context.Context, r *broker.Request) (any, error) {
	return nil, m.edit(ctx, r, removing(r.User))
}

// edit changes the users file, and has the node take it.
func (m *administrator) edit(ctx context.Context, r *broker.Request, change func(login.Users) (login.Users, error)) error {
	if err := editUsers(ctx, m.logins.file, change); err != nil {
		return err
	}
	if took := m.ask(ctx, authorOf(r), usersVerb); !took.OK {
		return fmt.Errorf("the users are changed, but the hub has not taken it: %s", took.Error)
	}
	return nil
}

// A shownUser is what an answer has of a user who was changed.
type shownUser struct {
	Password string `json:"password,omitempty"` // that nobody knows yet
	Warning  string `json:"warning,omitempty"`
}

// passwordOf returns the hash of the password that r asks for, and what is to be
// shown of it: nothing, unless it is made here.
func passwordOf(r *broker.Request) (shown shownUser, h login.Hash, err error) {
	switch given := r.Password.Reveal() != ""; {
	case given == r.Generate:
		return shown, h, errors.New(`give a password, or say "generate":true`)
	case r.Generate:
		secret := login.GenerateSecret()
		return shownUser{Password: secret.Reveal()}, login.HashGenerated(secret), nil
	}
	if err := login.CheckPassword(r.Password); err != nil {
		return shown, h, err
	}
	return shown, login.HashPassword(r.Password, login.DefaultCost()), nil
}

func (*administrator) generate(context.Context, *broker.Request) (any, error) {
	return shownUser{Password: login.GenerateSecret().Reveal()}, nil
}

func (m *administrator) explain(_ context.Context, r *broker.Request) (any, error) {
	action, err := access.ParseAction(r.Action)
	if err != nil {
		return nil, err
	}
	if r.Topic == "" {
		return nil, errors.New("name the topic or the filter that it is about")
	}
	return m.server.Explain(r.User, r.Client, action, r.Topic), nil
}

func (m *administrator) denials(context.Context, *broker.Request) (any, error) {
	return append([]broker.Denial{}, m.server.Denials()...), nil
}

// maxShown bounds an answer: more clients than this are counted, and not shown.
const maxShown = 1000

// connected is what the command `client list` answers.
type connected struct {
	Count   int                      `json:"count"`
	Clients []broker.ConnectedClient `json:"clients"`
}

func (m *administrator) clients(context.Context, *broker.Request) (any, error) {
	all := m.server.Clients()
	return connected{len(all), append([]broker.ConnectedClient{}, all[:min(len(all), maxShown)]...)}, nil
}

func (m *administrator) kick(_ context.Context, r *broker.Request) (any, error) {
	if err := m.server.Kick(r.Client); err != nil {
		return nil, err
	}
	m.audit.note(authorOf(r), change{What: "client kicked", About: r.Client}, nil)
	return nil, nil
}

// unlock breaks the lock of an output, whoever has made it.
func (m *administrator) unlock(ctx context.Context, r *broker.Request) (any, error) {
	set := r.Topic + "/set"
	if _, _, ok := bridge.SplitSet(set); !ok {
		return nil, fmt.Errorf("topic %q: want that of an output, such as edge/workshop/porch/light", r.Topic)
	}
	cmd := bridge.Message{Topic: set, Payload: []byte(`{"unlock":true}`), QoS: 1}
	if err := m.server.Client("admin").Publish(ctx, cmd); err != nil {
		return nil, err
	}
	m.audit.note(authorOf(r), change{What: "output unlocked", About: r.Topic}, nil)
	return nil, nil
}

func (m *administrator) reload(ctx context.Context, r *broker.Request) (any, error) {
	took := m.ask(ctx, authorOf(r), reloadVerb)
	if !took.OK {
		return nil, fmt.Errorf("nothing changed: %s", took.Error)
	}
	return append([]string{}, took.Changed...), nil
}
