package gpio

import (
	"errors"
	"time"
)

// A bank is all loads of one owner. It says what is to be done with which line,
// and when; the owner does it, and tells each load what has become of its line.
type bank struct {
	loads []*load
	locks []*interlock
}

// newBank returns the loads of outputs, in their order, with the interlocks that
// are among them.
func newBank(pins []Pin, interlocks []Interlock) *bank {
	b := new(bank)
	for _, p := range pins {
		if p.Direction == Output && p.SoftPWM == nil {
			b.loads = append(b.loads, &load{Pin: p})
		}
	}
	for _, cfg := range interlocks {
		i := &interlock{dead: cfg.DeadTime}
		for _, id := range cfg.Pins {
			if l := b.find(id); l != nil {
				l.lock = i
				i.members = append(i.members, l)
			}
		}
		if len(i.members) > 0 {
			b.locks = append(b.locks, i)
		}
	}
	return b
}

// find returns the load with an id, nil if there is none.
func (b *bank) find(id string) *load {
	for _, l := range b.loads {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// restore locks loads as they were, by their ids.
func (b *bank) restore(locked map[string]*lockout) {
	for _, l := range b.loads {
		l.lockout = locked[l.ID]
	}
}

// command decides about a command to l. The turns are to be done in order, until
// one fails. dropped is a command that waited and is worth nothing now.
func (b *bank) command(now time.Time, l *load, cmd command) (turns []turn, dropped *command, err error) {
	if err := errors.Join(l.admits(now, cmd.from), mayLock(cmd)); err != nil {
		return nil, nil, err
	}
	if cmd.Value == "" && l.relock(now, cmd) {
		return []turn{{load: l, next: l.to, cause: lockCause(cmd), cmd: &cmd}}, nil, nil
	}
	turns, dropped, err = b.switched(now, l, cmd)
	if err == nil && l.relock(now, cmd) && (l.lock != nil && l.lock.claim != nil) {
		turns = append(turns, turn{load: l, next: l.to, cause: lockCause(cmd)}) // It is locked while it waits.
	}
	return turns, dropped, err
}

func lockCause(cmd command) string {
	if cmd.Unlock {
		return causeUnlock
	}
	return causeLock
}

// switched is command for one that may be given, but for what protects l.
func (b *bank) switched(now time.Time, l *load, cmd command) (turns []turn, dropped *command, err error) {
	next, err := l.next(now, cmd)
	if err != nil {
		return nil, nil, err
	}
	own := turn{load: l, next: next, cause: causeCommand, cmd: &cmd}
	if l.lock == nil {
		l.obey(now, cmd)
		return []turn{own}, nil, nil
	}
	dropped = l.lock.drop()
	if !next.on || l.to.on {
		l.obey(now, cmd)
		return []turn{own}, dropped, nil
	}
	if turns, err = l.lock.rise(now, l, cmd); err != nil {
		return nil, dropped, err
	}
	l.obey(now, cmd)
	if l.lock.claim == nil {
		turns = append(turns, own)
	}
	return turns, dropped, nil
}

// due returns when tick has something to do; zero is never.
func (b *bank) due() (due time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for _, l := range b.loads {
		sooner(l.due())
	}
	for _, i := range b.locks {
		if i.claim != nil {
			sooner(i.claim.at)
		}
	}
	return due
}

// tick returns what is to be done at now by itself. refused are claims that came
// to nothing, with the reasons.
func (b *bank) tick(now time.Time) (turns []turn, refused map[*command]error) {
	for _, l := range b.loads {
		if next, cause, over := l.expired(now); over {
			t := turn{load: l, next: next, cause: cause}
			if cause == causeLease {
				t.why = l.silence()
			}
			turns = append(turns, t)
		}
	}
	for _, i := range b.locks {
		if i.claim == nil || now.Before(i.claim.at) || i.putOff(now) {
			continue
		}
		t, err := i.redeem(now)
		if err == nil {
			turns = append(turns, t)
			continue
		}
		if refused == nil {
			refused = make(map[*command]error)
		}
		refused[t.cmd] = err
	}
	return turns, refused
}
