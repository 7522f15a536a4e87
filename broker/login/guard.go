package login

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// freeGuesses may be wrong at once; then comes firstPause, and twice as
	// much after each further one. That is 7 in the first minute and one in each
	// that follows.
	freeGuesses = 5
	firstPause  = 12 * time.Second
	maxPause    = time.Minute

	// forgive is when nobody remembers wrong guesses.
	forgive = 10 * time.Minute

	maxSources  = 4096
	maxGuessed  = 4096 // names of users, there or not
	maxFamiliar = 4096

	// maxRepeated is how many different wrong passwords of a source are known
	// again, so that devices whose password was changed do not count as
	// guessing when they go on trying the old one.
	maxRepeated = 8
)

// A guard counts wrong guesses, by where they come from and by whose password is
// guessed, and makes the next one wait. A user who has logged in from an address
// is familiar there: his guesses from there are counted for themselves, so that
// neither strangers elsewhere nor the neighbours behind one address lock him out.
type guard struct {
	mu       sync.Mutex
	seed     maphash.Seed
	sources  *recent[netip.Prefix, source]
	users    *recent[uint64, pace]
	familiar *recent[familiarity, pace]
}

type source struct {
	pace
	wrong []mark // the latest, at most maxRepeated
}

// A familiarity names a user by a hash: a name that a stranger chose takes no
// more memory than another.
type familiarity struct {
	from netip.Prefix
	user uint64
}

func newGuard() *guard {
	return &guard{
		seed:     maphash.MakeSeed(),
		sources:  newRecent[netip.Prefix, source](maxSources),
		users:    newRecent[uint64, pace](maxGuessed),
		familiar: newRecent[familiarity, pace](maxFamiliar),
	}
}

// Origin returns what is taken for one source: an address, or the /64 of which
// everybody with IPv6 has at least one. A unix socket, which has no address, is
// a source, too.
func Origin(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // The zero Prefix for the zero Addr.
	return p
}

func (g *guard) user(name string) uint64 { return maphash.String(g.seed, name) }

// wait returns how long a guess at the password of name must wait, without
// counting it.
func (g *guard) wait(from netip.Prefix, name string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, user := time.Now(), g.user(name)
	if p := g.familiar.get(familiarity{from, user}); p != nil {
		return p.wait(now)
	}
	var wait time.Duration
	if s := g.sources.get(from); s != nil {
		wait = s.wait(now)
	}
	if p := g.users.get(user); p != nil {
		wait = max(wait, p.wait(now))
	}
	return wait
}

// failed counts a guess that was wrong.
func (g *guard) failed(from netip.Prefix, name string, m mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, user := time.Now(), g.user(name)
	s := g.sources.make(from)
	if len(s.wrong) == maxRepeated {
		s.wrong = slices.Delete(s.wrong, 0, 1)
	}
	s.wrong = append(s.wrong, m)
	if p := g.familiar.get(familiarity{from, user}); p != nil {
		p.failed(now)
		return
	}
	s.failed(now)
	g.users.make(user).failed(now)
}

// passed makes the user familiar where he is.
func (g *guard) passed(from netip.Prefix, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*g.familiar.make(familiarity{from, g.user(name)}) = pace{}
}

// repeated reports whether this very guess was wrong already.
func (g *guard) repeated(from netip.Prefix, m mark) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sources.get(from)
	return s != nil && slices.Contains(s.wrong, m)
}

// changed forgets what was counted for a user whose password or state is new.
func (g *guard) changed(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	user := g.user(name)
	g.users.delete(user)
	for k := range g.familiar.elements {
		if k.user == user {
			g.familiar.delete(k)
		}
	}
}

// forgotten returns how often a table was too small.
func (g *guard) forgotten() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sources.forgotten + g.users.forgotten + g.familiar.forgotten
}

// A pace is how often somebody may be wrong.
type pace struct {
	failures int
	last     time.Time
	next     time.Time // not before
}

func (p *pace) wait(now time.Time) time.Duration {
	return max(0, p.next.Sub(now))
}

func (p *pace) failed(now time.Time) {
	if now.Sub(p.last) > forgive {
		p.failures = 0
	}
	p.failures++
	p.last = now
	if over := p.failures - freeGuesses; over >= 0 {
		p.next = now.Add(min(firstPause<<min(over, 8), maxPause))
	}
}
