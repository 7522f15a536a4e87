package interop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// An attack is something that a stranger does to a broker, while somebody else
// uses it.
type attack struct {
	number int // in docs/attacks.md
	name   string
	wants  []string // what may become of an attacker, in the words of arena.fate
	run    func(a *arena)

	// with changes how the broker is started; nil is edge with its defaults, which
	// lets everybody in.
	with func(testing.TB, *listeners)
}

// attacks are all of them, in the order of their numbers. Those of one kind are in
// a file of their own.
func attacks() []attack {
	all := slices.Concat(nobody(), packetAttacks(), turnAttacks(), shapeAttacks(), webAttacks(),
		flowAttacks(), pileAttacks(), whoAttacks(), sideAttacks())
	slices.SortStableFunc(all, func(x, y attack) int { return x.number - y.number })
	return all
}

// tried reports whether this test makes the attack. All are made with 64 bits; with
// the race detector and with 32 bits, one half and the other.
func (x attack) tried() bool {
	switch {
	case race:
		return x.number%2 == 1
	case strconv.IntSize == 32:
		return x.number%2 == 0
	}
	return true
}

// nobody is what the others are to be compared with.
func nobody() []attack {
	return []attack{{number: 0, name: "nobody attacks", run: func(*arena) { elapse(siege) }}}
}

// What an attack may do to a broker, whatever it is.
const (
	budgetMemory = 32 << 20              // bytes that it may make grow
	budgetLap    = 50 * time.Millisecond // p99 of the way of a bystander's message
	budgetGone   = 5 * time.Second       // until an attacker is gone
	budgetLog    = 32 << 10              // bytes that are logged

	// generous is what times are multiplied by before they fail a test: the
	// machine may have much more to do. The table has them as they were.
	generous = 40

	// racing is what everything is multiplied by with the race detector.
	racing = 4

	// siege is how long an attack lasts at least; shorter ones are repeated.
	siege = 500 * time.Millisecond
)

// TestAttacks attacks the program, each time a new one that is held to 128 MiB.
// It is not parallel, so that no other test is in the way of the bystander.
func TestAttacks(t *testing.T) {
	stricter(t, "it has other reasons, and none in MQTT 3.1.1")
	var reports []*report
	for _, x := range attacks() {
		if !x.tried() {
			continue
		}
		t.Run(fmt.Sprint(x.number, " ", x.name), func(t *testing.T) {
			a := x.make(t)
			if a.growth > allowance() {
				t.Logf("the broker grew by %d MiB; once more, since the collector may have come late", a.growth>>20)
				a = x.make(t)
			}
			a.judge()
			t.Log(a.row())
			reports = append(reports, a.report)
		})
	}
	switch {
	case !*update:
	case len(reports) < len(attacks()):
		t.Errorf("%s is written when all attacks have been made; %d of %d were", attacksFile, len(reports), len(attacks()))
	default:
		writeAttacks(t, reports)
	}
}

// make makes the attack on a new broker.
func (x attack) make(t *testing.T) *arena {
	a := &arena{TB: t, report: &report{attack: x, fates: map[string]int{}}}
	a.server = startWith(t, func(l *listeners) {
		if x.with != nil {
			x.with(t, l)
		}
	}, confine(t)...)
	a.besiege()
	return a
}

// allowance is how many bytes a broker may grow by.
func allowance() int {
	if race {
		return racing * budgetMemory
	}
	return budgetMemory
}

// A report is what an attack did.
type report struct {
	attack
	growth int             // bytes of memory
	trips  []time.Duration // of the bystander's messages, in order of length

	mu    sync.Mutex
	fates map[string]int // of attackers
	gone  time.Duration  // that an attacker stayed at most
}

// An arena is where an attack happens. Attackers may be in several routines.
type arena struct {
	testing.TB
	*server
	*report
}

// besiege attacks while a bystander is there.
func (a *arena) besiege() {
	b := a.stand(a)
	before := a.memory(a)
	a.forgetPeak()
	for began := time.Now(); ; {
		a.run(a)
		if time.Since(began) >= siege || a.Failed() {
			break
		}
	}
	a.growth = a.peak(a) - before
	a.trips = b.leave()
}

// judge says what was too much.
func (a *arena) judge() {
	a.Helper()
	select {
	case <-a.ended:
		a.Fatal("the broker has ended")
	default:
		a.serves(a)
	}
	a.judgeFates()
	a.judgeFigures()
}

func (a *arena) judgeFates() {
	a.Helper()
	for fate := range a.fates {
		if !slices.Contains(a.wants, fate) {
			a.Errorf("what became of %d attackers: %s; want %q", a.fates[fate], fate, a.wants)
		}
	}
	if len(a.fates) == 0 && len(a.wants) > 0 {
		a.Errorf("nobody has attacked")
	}
}

func (a *arena) judgeFigures() {
	a.Helper()
	factor := 1
	if race {
		factor = racing
	}
	if n := len(a.log.String()); n > budgetLog {
		a.Errorf("%d bytes were logged, want at most %d", n, budgetLog)
	}
	if a.growth > allowance() {
		a.Errorf("the broker grew by %d MiB, want at most %d", a.growth>>20, allowance()>>20)
	}
	if allowed := time.Duration(factor) * generous * budgetLap; a.p99() > allowed {
		a.Errorf("p99 of the bystander is %v, want at most %v", a.p99(), allowed)
	}
	if a.gone >= patience {
		a.Errorf("an attacker was there for %v, want at most %v", a.gone, budgetGone)
	}
}

// p99 is the length of time that one of a hundred laps exceeded.
func (r *report) p99() time.Duration { return r.trips[(len(r.trips)*99+99)/100-1] }

// crowd runs f n times, beside one another, and waits for all of them.
func (a *arena) crowd(n int, f func(a *arena, i int)) {
	var waits []func()
	for i := range n {
		waits = append(waits, beside(a, func(t testing.TB) { f(&arena{t, a.server, a.report}, i) }))
	}
	for _, wait := range waits {
		wait()
	}
}

// attacker is a client that has been let in.
func (a *arena) attacker(v version) *client {
	a.Helper()
	return a.connect(a, login{version: v, id: rand.Text()})
}

// strike lets an attacker in who sends b, and notes what becomes of him.
func (a *arena) strike(v version, b []byte) {
	a.Helper()
	a.blow(a.attacker(v), b)
}

// strikeFirst sends b on a new connection, and notes what becomes of that. v is
// the version in b, if there is one.
func (a *arena) strikeFirst(v version, b []byte) {
	a.Helper()
	c := a.dial(a)
	c.v = v
	a.blow(c, b)
}

// blow sends b and then PINGREQ, which is answered if b is found to be in order.
func (a *arena) blow(c *client, b []byte) (fate string) {
	a.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.conn.Write(append(slices.Clip(b), pinged...)) // the broker may have closed before the end
	return a.watch(c)
}

// watch waits until the broker has ended c or answered its PINGREQ, and notes
// which, and how long that has taken.
func (a *arena) watch(c *client) (fate string) {
	a.Helper()
	began := time.Now()
	fate = c.fate()
	a.note(fate, time.Since(began))
	c.drop()
	return fate
}

// note adds what has become of an attacker, and how long he was there after the
// attack.
func (a *arena) note(fate string, gone time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fates[fate]++
	a.gone = max(a.gone, gone)
}

// The fates that have no reason code.
const (
	closed  = "closed"  // without a word, as MQTT 3.1.1 does, and before a CONNECT
	dropped = "dropped" // the same, of a client of MQTT 5 that was let in
	served  = "served"  // as any other client
	kept    = "kept"    // neither answered nor closed
)

// fate reads until the broker has closed the connection or answered a PINGREQ.
// It is 0x81 if the reason was in a CONNACK or DISCONNECT, and SUBACK 0x8f if
// the client may stay but was refused something.
func (c *client) fate() string {
	said := ""
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		p, err := readPacket(c.r)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return kept
		case err != nil && said == "" && c.v == v5 && c.admitted:
			return dropped
		case err != nil && said == "":
			return closed
		case err != nil:
			return said
		case p.kind == cPINGRESP && said == "":
			return served
		case p.kind == cPINGRESP:
			return said
		case p.kind != cPUBLISH:
			if r := refusalIn(c.v, p); r != "" {
				said = r
			}
		}
	}
}

// refusalIn returns what p refuses, in the words of fate; nothing if it does not.
func refusalIn(v version, p packet) string {
	a, err := parseAnswer(v, p)
	if err != nil {
		return err.Error()
	}
	codes := append(a.codes, a.code)
	if p.kind != cSUBACK && p.kind != cUNSUBACK {
		codes = []byte{a.code}
	}
	code := slices.Max(codes)
	switch {
	case p.kind == cDISCONNECT, p.kind == cCONNACK && code > 0:
		return fmt.Sprintf("0x%02x", code)
	case code >= 0x80:
		return fmt.Sprintf("%v 0x%02x", p.kind, code)
	}
	return ""
}
