package gpio

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"edge/bridge"
)

// goneTopic is where the broker tells of each connection that has ended.
const goneTopic = "$SYS/broker/clients/gone"

// maxRecent is how many departures are remembered.
const maxRecent = 1024

// A presence knows whether those whose commands hold leases are still connected. A
// command and the departure of who sent it come by different subscriptions, in any
// order: what has departed lately is remembered. Where that does not reach back far
// enough, or departures were missed, it says that somebody is gone.
type presence struct {
	wake []chan struct{} // of the groups

	mu     sync.Mutex
	recent map[uint64]struct{} // connections that have ended
	order  []uint64            // of recent, a ring
	oldest int                 // in order
	blind  time.Time           // who has sent a command until then may be gone
	count  uint64              // of the latest departure
	held   map[*load]*holder
}

// A holder is the connection that holds the lease of a load.
type holder struct {
	connection uint64
	gone       bool
}

func newPresence() *presence {
	return &presence{recent: make(map[uint64]struct{}), held: make(map[*load]*holder)}
}

// listen hears of departures until ctx ends.
func (p *presence) listen(ctx context.Context, c bridge.Client) error {
	return c.Subscribe(ctx, goneTopic, func(m bridge.Message) {
		p.hear(time.Now(), m.Payload)
		for _, w := range p.wake {
			signal(w)
		}
	})
}

// hear takes note of one departure, and waits for nobody: what waits here too long
// is dropped.
func (p *presence) hear(now time.Time, payload []byte) {
	var d struct{ Connection, Count uint64 }
	err := json.Unmarshal(payload, &d)
	p.mu.Lock()
	defer p.mu.Unlock()
	missed := err != nil || p.count > 0 && d.Count != p.count+1
	p.count = d.Count
	if missed {
		p.blind = now
	}
	for _, h := range p.held {
		h.gone = h.gone || missed || h.connection == d.Connection
	}
	p.remember(now, d.Connection)
}

func (p *presence) remember(now time.Time, connection uint64) {
	p.recent[connection] = struct{}{}
	if len(p.order) < maxRecent {
		p.order = append(p.order, connection)
		return
	}
	p.blind = now
	delete(p.recent, p.order[p.oldest])
	p.order[p.oldest] = connection
	p.oldest = (p.oldest + 1) % maxRecent
}

// absent says why who has sent cmd cannot hold a lease; nil is that he can.
func (p *presence) absent(cmd command) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missing(cmd)
}

func (p *presence) missing(cmd command) error {
	if cmd.from.Connection == 0 {
		return fmt.Errorf("%s is not connected, and must be while it is on (lease)", cmd.from)
	}
	if _, gone := p.recent[cmd.from.Connection]; gone {
		return fmt.Errorf("%s has left (lease)", cmd.from)
	}
	if !p.blind.IsZero() && !cmd.at.After(p.blind) {
		return fmt.Errorf("it cannot be told whether %s is still connected; send it again (lease)", cmd.from)
	}
	return nil
}

// hold has who has sent cmd hold the lease of l.
func (p *presence) hold(l *load, cmd command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[l] = &holder{cmd.from.Connection, p.missing(cmd) != nil}
}

// left reports whether who has held the lease of l is gone.
func (p *presence) left(l *load) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[l]
	return h != nil && h.gone
}

// order has the bank decide about a command to l, and who has sent it hold its lease.
func (g *group) order(now time.Time, l *load, cmd command) (turns []turn, dropped *command, err error) {
	if !l.Lease.Commander {
		return g.bank.command(now, l, cmd)
	}
	cmd.absent = g.present.absent(cmd)
	turns, dropped, err = g.bank.command(now, l, cmd)
	if err == nil && cmd.Value != "" { // Not by a lock alone.
		g.present.hold(l, cmd)
		g.depart(now) // He may have left since.
	}
	return turns, dropped, err
}

// depart has leases know whose holders are gone.
func (g *group) depart(now time.Time) {
	for _, l := range g.bank.loads {
		if l.Lease.Commander && g.present.left(l) {
			l.leave(now)
		}
	}
}
