package login

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	home     = netip.MustParseAddr("192.0.2.1")
	attacker = netip.MustParseAddr("198.51.100.1")
)

// people are a user of each kind; the password of each is his name.
func people() Users {
	sha512, _ := ParseHash("$6$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 86))
	sha512.sum = sha512.compute(NewSecret("imported"))
	us := Users{}.
		With(User{Name: "anna", Hash: HashPassword(NewSecret("anna"), quick)}).
		With(User{Name: "device", Hash: HashGenerated(NewSecret("device"))}).
		With(User{Name: "imported", Hash: sha512})
	for _, u := range us {
		u.Disabled = true
		u.Name = "no-" + u.Name
		us = us.With(u)
	}
	return us
}

func newTestVerifier() *Verifier { return newVerifier(people(), NewMemory(), quick) }

func (v *Verifier) try(t *testing.T, name, password string, from netip.Addr) error {
	t.Helper()
	u, err := v.Check(t.Context(), Attempt{name, NewSecret(password), from})
	if err == nil && u.Name != name || err != nil && u.Name != "" {
		t.Errorf("Check of %s: user %q, %v", name, u.Name, err)
	}
	return err
}

func isLimited(err error) bool {
	_, ok := errors.AsType[*LimitedError](err)
	return ok
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name, password string
		ok             bool
	}{
		{"anna", "anna", true},
		{"device", "device", true},
		{"imported", "imported", true},
		{"anna", "device", false},
		{"device", "anna", false},
		{"imported", "anna", false},
		{"no-anna", "anna", false},
		{"no-device", "device", false},
		{"no-imported", "imported", false},
		{"nobody", "anna", false},
		{"", "", false},
		{"anna", "", false},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			v := newTestVerifier()
			for range 3 { // The second time from memory.
				if err := v.try(t, tt.name, tt.password, home); (err == nil) != tt.ok || !tt.ok && !errors.Is(err, ErrWrong) {
					t.Errorf("%s with %q: %v, want ok %t", tt.name, tt.password, err, tt.ok)
				}
			}
			if n := v.Stats().Hashed; n > 1 {
				t.Errorf("%s with %q: %d slow hashes, want 1 at most", tt.name, tt.password, n)
			}
		})
	}
}

func TestReplaceIsAtOnce(t *testing.T) {
	for _, name := range []string{"anna", "device", "imported"} {
		synctest.Test(t, func(t *testing.T) {
			v := newTestVerifier()
			if err := v.try(t, name, name, home); err != nil {
				t.Fatal(err)
			}
			u, _ := people().Find(name)
			u.Disabled = true
			for state, users := range map[string]Users{"disabled": people().With(u), "removed": people().Without(name)} {
				v.Replace(users)
				if err := v.try(t, name, name, home); !errors.Is(err, ErrWrong) {
					t.Errorf("%s, %s after a login: %v", name, state, err)
				}
			}
			v.Replace(people())
			if err := v.try(t, name, name, home); err != nil {
				t.Errorf("%s, there again: %v", name, err)
			}
		})
	}
}

// An answer must not tell whether there is a user: all failures come at the same
// time, after the same work. The work is told by the memory that it takes.
func TestFailuresAreAlike(t *testing.T) {
	const hash = 4 << 20
	cost := Cost{KiB: hash >> 10, Passes: 1, Lanes: 1}
	anna := HashPassword(NewSecret("anna"), cost)
	users := people().With(User{Name: "anna", Hash: anna}).With(User{Name: "no-anna", Hash: anna, Disabled: true})
	for _, name := range []string{"nobody", "anna", "device", "imported", "no-anna", "no-device", "no-imported"} {
		for _, password := range []string{"wrong", strings.TrimPrefix(name, "no-")} {
			if u, _ := users.Find(name); name == password && !u.Disabled && u.Name != "" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				v := newVerifier(users, NewMemory(), cost)
				start, before := time.Now(), allocated()
				if err := v.try(t, name, password, attacker); !errors.Is(err, ErrWrong) {
					t.Errorf("%s: %v", name, err)
				}
				took, work := time.Since(start), float64(allocated()-before)/hash
				if took != failureStep || math.Abs(work-1) > 0.2 {
					t.Errorf("%s with %q: the answer took %v and %.2f hashes, want %v and 1", name, password, took, work, failureStep)
				}
			})
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestTheLineIsBoundedAndCanBeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		if err := v.turn.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var line sync.WaitGroup
		for range maxWaiting {
			line.Go(func() {
				if _, err := v.Check(ctx, Attempt{"anna", NewSecret("anna"), home}); !errors.Is(err, context.Canceled) {
					t.Errorf("who left: %v", err)
				}
			})
		}
		synctest.Wait()
		if err := v.try(t, "anna", "anna", home); !errors.Is(err, ErrBusy) {
			t.Errorf("behind a line of %d: %v", maxWaiting, err)
		}
		if err := v.try(t, "device", "device", home); err != nil {
			t.Errorf("who needs no slow hash: %v", err)
		}
		cancel()
		line.Wait()
		v.turn.give()
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Errorf("when the line is gone: %v", err)
		}
		if s := v.Stats(); s.Waiting != 0 || s.Busy != maxWaiting+1 || s.Passed != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

// The collector would let the memory of dozens of hashes lie.
func TestHashesLeaveLittleMemory(t *testing.T) {
	turn := newTurn()
	turn.waiting.Store(1) // Never idle.
	h := Hash{scheme: argon2id, cost: DefaultCost()}
	for range 50 {
		turn.need(h)
		if turn.garbage > maxGarbage {
			t.Fatalf("%d bytes are left", turn.garbage)
		}
	}
	turn.waiting.Store(0)
	turn.token <- struct{}{}
	turn.give()
	if turn.garbage != 0 {
		t.Errorf("%d bytes are left when nobody waits", turn.garbage)
	}
}

func TestReplaceWinsOverAHashThatIsBeingComputed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		if err := v.turn.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		answer := make(chan error)
		go func() { answer <- v.try(t, "anna", "anna", home) }()
		synctest.Wait()
		v.Replace(people().Without("anna"))
		v.turn.give()
		if err := <-answer; !errors.Is(err, ErrWrong) {
			t.Errorf("removed while the hash was computed: %v", err)
		}
	})
}

func TestWeakHashesAreImproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		var calls int
		v.Improved = func(name string, old, improved Hash) {
			calls++
			u, _ := people().Find(name)
			if name != "imported" || old.Encode() != u.Hash.Encode() || !improved.matches(NewSecret("imported")) {
				t.Errorf("%s: %v becomes %v", name, old, improved)
			}
			u.Hash = improved
			v.Replace(people().With(u))
		}
		for _, name := range []string{"anna", "device", "imported", "imported"} {
			if err := v.try(t, name, name, home); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := v.Stats().Hashed; calls != 1 || n != 2 {
			t.Errorf("%d improvements, %d slow hashes", calls, n)
		}
	})
}
