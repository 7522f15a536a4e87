package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edge/bridge"
)

// A world is what is around a shop: people who come and go, a store, a clock on the
// wall, and a kernel that leaves lines as they are, or does not.
type world struct {
	people  []bridge.Sender
	count   uint64               // of connections
	gone    map[uint64]time.Time // when a connection ended
	padlock []*padlock           // of each line
	holder  []uint64             // connection of the last command of each line

	saved  []memory      // of each line, as the store has it
	before []memory      // the same, but for the last change
	wall   time.Duration // what the clock on the wall is ahead of the time that counts
	sticks bool
}

// A padlock is what the judge knows of a lock.
type padlock struct {
	user  string
	until time.Time
}

// An entry is one line of the story. It is written only if somebody wants to read it.
type entry struct {
	at     time.Time
	format string
	args   []any
}

func (s *shop) tale() string {
	var b strings.Builder
	for _, e := range s.story {
		fmt.Fprintf(&b, "%s "+e.format+"\n", append([]any{e.at.UTC().Format("04:05.000")}, e.args...)...)
	}
	return b.String()
}

// policies says how outputs begin and end. Of a and b, and c if it excludes them, one
// may begin on, as Validate has it.
func (s *shop) policies() {
	on := s.r.IntN(len(s.pins) * 2)
	for i := range s.pins {
		p := &s.pins[i]
		p.Initial = Initial([]string{Off, Last}[s.r.IntN(2)])
		p.OnExit = Exit([]string{Off, Keep}[s.r.IntN(2)])
		if i == on {
			p.Initial, p.OnExit = On, On
		}
	}
	n := len(s.pins)
	s.saved, s.before, s.padlock, s.holder = make([]memory, n), make([]memory, n), make([]*padlock, n), make([]uint64, n)
	s.lines, s.gone, s.sticks = make([]wire, n), make(map[uint64]time.Time), s.r.IntN(2) == 0
	s.people = make([]bridge.Sender, 3)
	for i := range s.people {
		s.people[i] = bridge.Sender{User: string(rune('x' + i))}
		s.connect(i)
	}
}

func (s *shop) connect(i int) {
	s.count++
	s.people[i].Connection = s.count
}

// person has somebody send cmd, who may have left by the time it is looked at.
func (s *shop) person(cmd *command) {
	i := s.r.IntN(len(s.people))
	cmd.from = s.people[i]
	if s.r.IntN(20) == 0 {
		s.depart(i)
	}
	if _, gone := s.gone[cmd.from.Connection]; gone {
		cmd.absent = errors.New("he has left")
	}
	switch s.r.IntN(12) {
	case 0:
		cmd.Lock = s.some()
	case 1:
		cmd.Unlock = true
	}
	if (cmd.Lock > 0 || cmd.Unlock) && s.r.IntN(2) == 0 {
		cmd.Value, cmd.For = "", 0
	}
}

// depart has somebody leave, and come again by another connection.
func (s *shop) depart(i int) {
	id := s.people[i].Connection
	s.tell("%v leaves, %d", s.people[i], id)
	s.gone[id] = s.now
	for _, l := range s.bank.loads {
		if l.Lease.Commander && l.from.Connection == id {
			l.leave(s.now)
		}
	}
	s.connect(i)
}

// accepted takes note of a command that was not refused.
func (s *shop) accepted(i int, cmd command) {
	if k := s.padlock[i]; k != nil && s.now.Before(k.until) && k.user != cmd.from.User {
		s.t.Errorf("%v commands %s, which %s has locked", cmd.from, s.pins[i].ID, k.user)
	}
	switch {
	case cmd.Lock > 0:
		s.padlock[i] = &padlock{cmd.from.User, s.now.Add(cmd.Lock)}
	case cmd.Unlock:
		s.padlock[i] = nil
	}
	s.saved[i].Lock = s.bank.loads[i].lockout
	if l := s.bank.loads[i]; cmd.absent != nil && l.Lease.Commander && cmd.Value != "" {
		l.leave(s.now) // As a group does.
	}
	if cmd.Value != "" {
		s.lines[i].heard, s.holder[i] = s.now, cmd.from.Connection
	}
}

// judgeLock looks at a line that somebody else's command switches.
func (s *shop) judgeLock(i int, t turn) {
	by := t.cmd
	if by == nil {
		by = t.of
	}
	if k := s.padlock[i]; by != nil && k != nil && s.now.Before(k.until) && k.user != by.from.User {
		s.t.Errorf("%v switches %s, which %s has locked", by.from, t.load.ID, k.user)
	}
}

// judgeHolder looks at an output whose commander must be connected.
func (s *shop) judgeHolder(i int, patience time.Duration) {
	at, gone := s.gone[s.holder[i]]
	if w := s.lines[i]; gone && w.on != s.pins[i].rest().on && s.now.Sub(later(at, w.since)) > patience {
		s.t.Errorf("%s is %s %v after its commander has left", s.pins[i].ID, state(w.on), s.now.Sub(at))
	}
}

// judgeOthers looks at those that a line excludes, when that goes on.
func (s *shop) judgeOthers(w *wire, p Pin) {
	for i, other := range s.lines {
		if &s.lines[i] == w || !slices.Contains(s.locks[0].Pins, p.ID) || !slices.Contains(s.locks[0].Pins, s.pins[i].ID) {
			continue
		}
		if other.on || s.now.Sub(other.since) < s.locks[0].DeadTime {
			s.t.Errorf("%s goes on while %s is %s for %v", p.ID, s.pins[i].ID, state(other.on), s.now.Sub(other.since))
		}
	}
}

// save has the store know what l is to be, by the clock on the wall. The change before
// may be all that it has when the process crashes.
func (s *shop) save(l *load) {
	i := s.index(l)
	s.before[i] = s.saved[i]
	m := memory{On: l.to.on, At: s.now.Add(s.wall), Boot: "b", Lock: l.lockout}
	if l.to.cause == causeTimer && !l.to.until.IsZero() {
		m.Until = l.to.until.Add(s.wall)
	}
	s.saved[i] = m
}

// crash ends the process at any moment: the store may be a change behind, but for
// locks, which were acknowledged.
func (s *shop) crash() {
	s.tell("crash")
	for i := range s.saved {
		if s.r.IntN(4) == 0 {
			s.before[i].Lock = s.saved[i].Lock
			s.saved[i] = s.before[i]
		}
	}
	s.release()
	s.again()
}

// stop ends the process in order.
func (s *shop) stop() {
	s.tell("stop")
	for _, on := range []bool{false, true} {
		for i, l := range s.bank.loads {
			if (l.OnExit == On) == on && l.OnExit != Keep {
				next, _ := l.exit(s.now)
				l.aim(next)
				s.set(i, next.on, causeExit)
				l.became(s.now, next.on)
			}
		}
	}
	s.release()
	s.again()
}

// release has the kernel do with the lines what it does.
func (s *shop) release() {
	clear(s.asked) // Nobody is left to answer.
	for i := range s.lines {
		if !s.sticks {
			s.set(i, false, "released")
		}
	}
}

// again has the process begin some time later, and the clock say something else.
func (s *shop) again() {
	s.now = s.now.Add(time.Duration(s.r.IntN(5000)) * time.Millisecond)
	if s.r.IntN(4) == 0 {
		jump := time.Duration(s.r.IntN(60)-30) * time.Second
		s.tell("the clock jumps by %v", jump)
		s.wall += jump
		for i, m := range s.saved {
			if m.Lock == nil { // Its end is a time on the wall.
				continue
			}
			k := *m.Lock
			k.Until = k.Until.Add(-jump)
			s.saved[i].Lock = &k
			if s.padlock[i] != nil {
				s.padlock[i].until = k.Until
			}
		}
	}
	s.begin()
}

// begin has a process take the lines, as a group does.
func (s *shop) begin() {
	s.tell("begin")
	s.bank = newBank(s.pins, s.locks)
	begins, locked := make(map[string]pulse), make(map[string]*lockout)
	for i, p := range s.pins {
		b := p.begin(s.saved[i], "b", s.now.Add(s.wall))
		if !b.until.IsZero() {
			b.until = b.until.Add(-s.wall)
		}
		begins[p.ID], locked[p.ID] = b, s.saved[i].Lock
	}
	s.locks[0].calm(begins)
	s.bank.restore(locked)
	first, last, dead := s.bank.order(func(p Pin) pulse { return begins[p.ID] })
	for k, loads := range [][]*load{first, last} {
		if k == 1 && len(loads) > 0 {
			s.now = s.now.Add(dead)
			for _, l := range loads {
				if begins[l.ID].past(s.now) {
					begins[l.ID] = pulse{}
				}
			}
		}
		for _, l := range loads {
			s.set(s.index(l), begins[l.ID].on, causeStart)
		}
	}
	s.count++ // Whose command it was, if any, is not connected any more.
	s.gone[s.count] = s.now
	for i, l := range s.bank.loads {
		l.reset(s.now, begins[l.ID])
		s.holder[i] = s.count
		w := &s.lines[i]
		w.heard, w.starts = s.now, nil
		if w.began = w.on; w.on {
			w.since = s.now
		}
		s.save(l)
	}
}

// set has a line become something that the bank has not decided while it runs.
func (s *shop) set(i int, on bool, cause string) {
	w := &s.lines[i]
	if w.on == on {
		return
	}
	s.tell("  %s %s, %s", s.pins[i].ID, state(on), cause)
	if on {
		s.judgeOthers(w, s.pins[i])
	}
	w.on, w.since = on, s.now
}
