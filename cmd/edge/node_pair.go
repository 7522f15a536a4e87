package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"edge/broker"
	"edge/broker/login"
)

// The verbs of pairing at the control socket: begin, begin for one more admin, how
// pairing N stands, end it.
const (
	pairVerb      = "pair"
	pairAdminVerb = "pair-admin"
	pairedVerb    = "paired"
	unpairVerb    = "unpair"
)

// A pairingState is how a pairing stands, as `edge pair` is told.
type pairingState struct {
	ID    int       `json:"id"`
	State string    `json:"state"`
	Code  string    `json:"code,omitempty"` // at the beginning only
	Ends  time.Time `json:"ends"`
	Tries int       `json:"tries"` // that are left
	User  string    `json:"user,omitempty"`
}

// The states.
const (
	pairOpen  = "open"
	pairDone  = "paired"
	pairLate  = "its time is over"
	pairTried = "too many wrong codes"
	pairGone  = "ended"
)

// pairings has the one pairing code that is good now, if there is one.
type pairings struct {
	open func(bool) // lets clients in that come with a code

	mu   sync.Mutex
	last int
	now  *pairing
}

// A pairing is one code. Its own lock is taken before that of pairings.
type pairing struct {
	*login.Pairing
	id    int
	admin bool // it makes an admin although there are users
	user  string
	end   *time.Timer
}

// pairingGrace is how long clients with a code may stay when it is worth nothing
// any more: they are to read why.
const pairingGrace = 5 * time.Second

// begin makes a new code; one before is worth nothing any more.
func (p *pairings) begin(admin bool) pairingState {
	code, text := login.NewPairing()
	ends, tries := code.Left()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	p.last++
	p.now = &pairing{Pairing: code, id: p.last, admin: admin}
	p.shut(p.now, time.Until(ends))
	p.open(true)
	return pairingState{ID: p.last, State: pairOpen, Code: text.Reveal(), Ends: ends, Tries: tries}
}

// shut has those leave who came with the code of x, after a while; p.mu is held.
func (p *pairings) shut(x *pairing, after time.Duration) {
	if x.end != nil {
		x.end.Stop()
	}
	x.end = time.AfterFunc(after, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.now == x {
			p.open(false)
		}
	})
}

// drop makes the code worth nothing; p.mu is held.
func (p *pairings) drop() {
	if p.now != nil {
		p.now.end.Stop()
		p.now = nil
		p.open(false)
	}
}

// end is drop for the pairing with a number.
func (p *pairings) end(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil && p.now.id == id {
		p.drop()
	}
}

func (p *pairings) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}

func (p *pairings) current() *pairing {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// state says how the pairing with a number stands.
func (p *pairings) state(id int) pairingState {
	x := p.current()
	if x == nil || x.id != id {
		return pairingState{ID: id, State: pairGone}
	}
	ends, tries := x.Left()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := pairingState{ID: id, State: pairOpen, Ends: ends, Tries: tries, User: x.user}
	switch {
	case x.user != "":
		s.State = pairDone
	case tries == 0:
		s.State = pairTried
	case !time.Now().Before(ends):
		s.State = pairLate
	}
	return s
}

// redeem has add make user, if code is right; admin says that it may be one more
// admin.
func (p *pairings) redeem(code login.Secret, user string, add func(admin bool) error) error {
	x := p.current()
	if x == nil {
		return login.ErrPairingOver
	}
	err := x.Redeem(code, func() error {
		if err := add(x.admin); err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		x.user = user
		return nil
	})
	if _, tries := x.Left(); tries == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.shut(x, pairingGrace)
	}
	return err
}

// pair makes an admin of who has the code.
func (m *administrator) pair(ctx context.Context, r *broker.Request) (any, error) {
	if err := errors.Join(login.CheckName(r.User), login.CheckPassword(r.Password)); err != nil {
		return nil, err
	}
	err := m.pairing.redeem(r.Code, r.User, func(admin bool) error {
		u := login.User{Name: r.User, Roles: []string{"admin"}, Created: time.Now().UTC().Truncate(time.Second)}
		u.Hash = login.HashPassword(r.Password, login.DefaultCost())
		return m.edit(ctx, r, func(users login.Users) (login.Users, error) {
			if len(users) > 0 && !admin {
				return nil, errHasUsers
			}
			return adding(u)(users)
		})
	})
	if err != nil && !errors.Is(err, login.ErrPairingOver) { // There are as many of these as tries.
		m.audit.note(authorOf(r), change{What: r.Command, About: r.User}, err)
	}
	return nil, err
}

var errHasUsers = errors.New("there are users already; edge user add makes more of them, and edge pair --admin lets somebody become an admin, too")

// answer answers who asks at the control socket.
func (m *administrator) answer(ctx context.Context, by author, verb string) reply {
	what, number, _ := strings.Cut(verb, " ")
	id, _ := strconv.Atoi(number) // There is no pairing 0.
	var s pairingState
	switch what {
	case pairVerb, pairAdminVerb:
		if m.logins.Any() && what == pairVerb {
			return reply{Error: errHasUsers.Error()}
		}
		s = m.pairing.begin(what == pairAdminVerb)
		m.audit.note(by, change{What: "pairing begun", Detail: fmt.Sprintf("until %s", s.Ends.UTC().Format(time.RFC3339))}, nil)
	case pairedVerb:
		s = m.pairing.state(id)
	case unpairVerb:
		m.pairing.end(id)
		s = m.pairing.state(id)
	default:
		return m.ask(ctx, by, verb)
	}
	return reply{OK: true, Pairing: &s}
}
