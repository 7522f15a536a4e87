package gpio

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"edge/bridge"
)

var schedules = flag.Int("schedules", 100_000, "schedules of TestBank")

// A shop is outputs with what protects them, and a record of what the lines did,
// for the judge. Time is a number: clocks jump, but not the one that counts here.
type shop struct {
	t     *testing.T
	seed  uint64
	r     *rand.Rand
	now   time.Time
	pins  []Pin
	locks []Interlock
	bank  *bank
	lines []wire
	asked map[string]bool // commands that wait for an answer
	story []entry
	world
}

// A wire is what one line did.
type wire struct {
	on     bool
	since  time.Time
	began  bool // it is on since the process began, maybe for what was left of its time
	heard  time.Time
	starts []time.Time
}

// TestBank has random commands of people who come and go, failures, crashes and orderly
// ends for random outputs: two of an interlock are never on together, nor within its
// dead time, whatever the store and the clock say; the times of each, leases and locks
// are kept; and each command is answered once.
func TestBank(t *testing.T) {
	n := *schedules
	if testing.Short() {
		n /= 10
	}
	for seed := range uint64(n) {
		s := newShop(t, seed)
		for range 30 {
			s.step()
			if t.Failed() {
				t.Fatalf("seed %d:\n%s", seed, s.tale())
			}
		}
		s.pass(time.Hour)
		if len(s.asked) > 0 {
			t.Fatalf("seed %d: commands without an answer: %v\n%s", seed, s.asked, s.tale())
		}
	}
	t.Logf("%d schedules, all rules held", n)
}

func newShop(t *testing.T, seed uint64) *shop {
	s := &shop{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 6)), now: time.Unix(1e9, 0), asked: make(map[string]bool)}
	for i := range 2 + s.r.IntN(3) {
		p := Pin{ID: string(rune('a' + i)), Direction: Output}
		s.maybe(func() { p.MinOn = s.some() })
		s.maybe(func() { p.MinOff = s.some() })
		s.maybe(func() { p.MaxOn = p.MinOn + s.some() })
		s.maybe(func() { p.PerMinute = 1 + s.r.IntN(3) })
		s.maybe(func() { p.Lease.Time = s.some() })
		s.maybe(func() { p.Lease.Commander = true })
		if i > 1 { // a and b exclude each other
			s.maybe(func() { p.Safe, p.MaxOn = On, 0 })
		}
		s.maybe(func() { p.Retrigger = Retrigger(p.Retrigger.Values()[s.r.IntN(3)]) })
		s.pins = append(s.pins, p)
	}
	s.policies()
	s.locks = []Interlock{{Pins: []string{"a", "b"}, DeadTime: s.some()}}
	if len(s.pins) > 2 && s.pins[2].Safe != On && s.r.IntN(2) == 0 {
		s.locks[0].Pins = append(s.locks[0].Pins, "c")
	}
	s.begin()
	return s
}

func (s *shop) maybe(f func()) {
	if s.r.IntN(3) == 0 {
		f()
	}
}

// some returns a time of the length of those between steps.
func (s *shop) some() time.Duration { return time.Duration(1+s.r.IntN(20)) * time.Second }

func (s *shop) tell(format string, args ...any) {
	s.story = append(s.story, entry{s.now, format, args})
}

func (s *shop) step() {
	switch n := s.r.IntN(20); {
	case n == 0:
		s.crash()
	case n == 1:
		s.stop()
	case n == 2:
		s.depart(s.r.IntN(len(s.people)))
	case n < 11:
		s.command()
	default:
		s.pass(time.Duration(s.r.IntN(15_000)) * time.Millisecond)
	}
}

func (s *shop) command() {
	l := s.bank.loads[s.r.IntN(len(s.bank.loads))]
	cmd := command{entity: l.ID, at: s.now}
	cmd.ID = fmt.Sprint(len(s.story))
	cmd.Value = []string{"ON", "ON", "ON", "OFF", "TOGGLE"}[s.r.IntN(5)]
	s.maybe(func() { cmd.For = s.some() })
	s.person(&cmd)
	s.asked[cmd.ID] = true
	s.tell("%v, %d: %s %s for %v, lock %v, unlock %t", cmd.from, cmd.from.Connection, l.ID, cmd.Value, cmd.For, cmd.Lock, cmd.Unlock)
	turns, dropped, err := s.bank.command(s.now, l, cmd)
	if dropped != nil {
		s.answer(dropped.ID, "replaced")
	}
	if err != nil {
		s.answer(cmd.ID, err.Error())
		return
	}
	s.accepted(s.index(l), cmd)
	for _, t := range turns {
		if !s.turn(t) {
			if c := l.lock.drop(); c != nil {
				s.answer(c.ID, "failed")
			}
			return
		}
	}
}

func (s *shop) index(l *load) int { return slices.Index(s.bank.loads, l) }

func (s *shop) answer(id, what string) {
	if !s.asked[id] {
		s.t.Errorf("command %s is answered twice, or was none: %s", id, what)
	}
	delete(s.asked, id)
	s.tell("  %s: %s", id, what)
}

// turn does what is to be done, or fails to.
func (s *shop) turn(t turn) bool {
	if s.r.IntN(10) == 0 && t.load.on != t.next.on {
		s.tell("  %s cannot be set", t.load.ID)
		if t.cmd != nil {
			s.answer(t.cmd.ID, "failed")
		} else {
			t.load.postpone(s.now)
		}
		return false
	}
	t.load.aim(t.next)
	s.judge(t)
	s.save(t.load)
	t.load.became(s.now, t.next.on)
	if t.cmd != nil {
		s.answer(t.cmd.ID, "ok")
	}
	return true
}

// judge looks at a change of a line before it happens.
func (s *shop) judge(t turn) {
	i := s.index(t.load)
	w, p := &s.lines[i], t.load.Pin
	if w.on == t.next.on {
		return
	}
	s.tell("  %s %s, %s", p.ID, state(t.next.on), t.cause)
	s.judgeLock(i, t)
	been := s.now.Sub(w.since)
	if !t.next.on {
		if (t.cause == causeCommand || t.cause == causeTimer && !w.began) && been < p.MinOn {
			s.t.Errorf("%s goes off after %v, min_on is %v", p.ID, been, p.MinOn)
		}
	} else {
		s.judgeRise(w, p, been)
	}
	w.on, w.since, w.began = t.next.on, s.now, false
}

func (s *shop) judgeRise(w *wire, p Pin, been time.Duration) {
	if been < p.MinOff {
		s.t.Errorf("%s goes on after %v, min_off is %v", p.ID, been, p.MinOff)
	}
	s.judgeOthers(w, p)
	w.starts = slices.DeleteFunc(append(w.starts, s.now), func(at time.Time) bool { return s.now.Sub(at) >= time.Minute })
	if p.PerMinute > 0 && len(w.starts) > p.PerMinute {
		s.t.Errorf("%s goes on %d times a minute, %d are allowed", p.ID, len(w.starts), p.PerMinute)
	}
}

// pass lets time pass as the owner does: it is woken when something is due.
func (s *shop) pass(d time.Duration) {
	end := s.now.Add(d)
	for n := 0; ; n++ {
		due := s.bank.due()
		if due.IsZero() || due.After(end) {
			break
		}
		if n > 10_000 {
			s.t.Fatalf("seed %d: it never comes to rest", s.seed)
		}
		if due.After(s.now) {
			s.now = due
		}
		turns, refused := s.bank.tick(s.now)
		for cmd, err := range refused {
			s.answer(cmd.ID, err.Error())
		}
		for _, t := range turns {
			s.turn(t)
		}
		s.stillRight()
	}
	s.now = end
	s.stillRight()
}

// stillRight checks what must end by itself. A line that could not be set is tried
// again a second later.
func (s *shop) stillRight() {
	for i, w := range s.lines {
		p := s.pins[i]
		const slack = 30 * time.Second // of many failures
		if w.on && p.MaxOn > 0 && s.now.Sub(w.since) > p.MaxOn+slack {
			s.t.Errorf("%s is on for %v, max_on is %v", p.ID, s.now.Sub(w.since), p.MaxOn)
		}
		patience := p.Lease.Time + slack
		if p.Safe == On {
			patience += p.MinOff
			if p.PerMinute > 0 {
				patience += time.Minute
			}
		}
		if p.Lease.Commander {
			s.judgeHolder(i, patience)
			continue
		}
		if w.on != p.rest().on && p.Lease.Time > 0 && s.now.Sub(w.heard) > patience {
			s.t.Errorf("%s is %s %v after the last command, its lease is %v", p.ID, state(w.on), s.now.Sub(w.heard), p.Lease.Time)
		}
	}
}

// TestRefusals has the words that a person reads.
func TestRefusals(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name  string
		pin   Pin
		after time.Duration // since it went on
		cmd   bridge.Command
		want  string
	}{
		{"min_on", Pin{MinOn: 10 * time.Second}, 4 * time.Second, bridge.Command{Value: "OFF"}, "it must stay on for another 6s (min_on)"},
		{"min_on over", Pin{MinOn: 10 * time.Second}, 10 * time.Second, bridge.Command{Value: "OFF"}, ""},
		{"toggle", Pin{MinOn: 10 * time.Second}, time.Second, bridge.Command{Value: "TOGGLE"}, "it must stay on for another 9s (min_on)"},
		{"on again", Pin{MinOn: 10 * time.Second}, time.Second, bridge.Command{Value: "ON"}, ""},
		{"short off", Pin{MinOff: time.Minute}, time.Second, bridge.Command{Value: "OFF", For: time.Second}, "1s is shorter than min_off, 1m0s"},
		{"nonsense", Pin{}, time.Second, bridge.Command{Value: "UP"}, `"UP" is not ON, OFF or TOGGLE`},
	} {
		l := &load{Pin: tt.pin}
		l.reset(start, pulse{on: true})
		if _, err := l.next(start.Add(tt.after), command{Command: tt.cmd}); (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
