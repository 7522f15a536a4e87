package login

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestGuessesFromOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		start := time.Now()
		for i := 0; time.Since(start) < time.Hour; i++ {
			err := v.try(t, fmt.Sprint("user", i), "x", attacker)
			if !errors.Is(err, ErrWrong) && !isLimited(err) {
				t.Fatal(err)
			}
		}
		if n := v.Stats().Hashed; n < 60 || n > 67 {
			t.Errorf("%d guesses in an hour, want 60 and those of the first minute", n)
		}
		if err := v.try(t, "anna", "anna", attacker); !isLimited(err) {
			t.Errorf("the right password behind an attacker's address: %v", err)
		}
		if err := v.try(t, "device", "device", attacker); err != nil {
			t.Errorf("a generated password behind an attacker's address: %v", err)
		}
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Errorf("the right password from elsewhere: %v", err)
		}
		time.Sleep(maxPause)
		if err := v.try(t, "anna", "anna", attacker); err != nil {
			t.Errorf("the right password after a pause: %v", err)
		}
	})
}

func TestGuessesAtOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Fatal(err)
		}
		from := attacker
		for i := range 100 {
			from = from.Next()
			err := v.try(t, "anna", fmt.Sprint(i), from)
			if !errors.Is(err, ErrWrong) && !isLimited(err) {
				t.Fatal(err)
			}
		}
		if n := v.Stats().Wrong; n > 10 {
			t.Errorf("%d guesses in %v", n, 100*failureStep)
		}
		if err := v.try(t, "anna", "anna", from.Next()); !isLimited(err) {
			t.Errorf("the right password from a new address under attack: %v", err)
		}
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Errorf("the right password from where it was right before: %v", err)
		}
		u, _ := people().Find("anna")
		u.Hash = HashPassword(NewSecret("other"), quick)
		v.Replace(people().With(u))
		if err := v.try(t, "anna", "other", from.Next()); err != nil {
			t.Errorf("a new password: %v", err)
		}
	})
}

// A password that was right once must not open a way around the limits.
func TestMemoryIsNoWayAroundLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Fatal(err)
		}
		for i := range freeGuesses {
			if err := v.try(t, "anna", fmt.Sprint(i), attacker); !errors.Is(err, ErrWrong) {
				t.Fatal(err)
			}
		}
		if err := v.try(t, "anna", "anna", attacker); !isLimited(err) {
			t.Errorf("a guess too many is right: %v", err)
		}
	})
}

// A device that goes on with an old password is not guessing.
func TestRepeatedGuessesDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newTestVerifier()
		for range 100 {
			if err := v.try(t, "anna", "old", home); !errors.Is(err, ErrWrong) {
				t.Fatal(err)
			}
		}
		if n := v.Stats().Hashed; n != 1 {
			t.Errorf("%d slow hashes, want 1", n)
		}
		if err := v.try(t, "anna", "anna", home); err != nil {
			t.Errorf("a neighbour of the device: %v", err)
		}
		u, _ := people().Find("anna")
		u.Hash = HashPassword(NewSecret("old"), quick)
		v.Replace(people().With(u))
		if err := v.try(t, "anna", "old", home); err != nil {
			t.Errorf("when the old password is the new one: %v", err)
		}
	})
}

func TestOrigin(t *testing.T) {
	tests := []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%wlan0", true},
	}
	for _, tt := range tests {
		a, b := Origin(netip.MustParseAddr(tt.a)), Origin(netip.MustParseAddr(tt.b))
		if (a == b) != tt.same || !a.IsValid() {
			t.Errorf("%s is %v, %s is %v, want same %t", tt.a, a, tt.b, b, tt.same)
		}
	}
}

// Whatever strangers do, no source and no user has more than ten wrong guesses
// evaluated in any minute.
func TestTenGuessesAMinute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGuard()
		type guess struct {
			at   time.Duration
			from netip.Prefix
			user string
		}
		var counted []guess
		synctest.Test(t, func(*testing.T) {
			start := time.Now()
			for i := range rapid.IntRange(1, 300).Draw(rt, "guesses") {
				time.Sleep(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 100, 1000, 12_000, 70_000}).Draw(rt, "ms")) * time.Millisecond)
				from := Origin(netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 3).Draw(rt, "from"))}))
				user := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "user")
				if g.wait(from, user) == 0 {
					g.failed(from, user, mark{byte(i), byte(i >> 8)})
					counted = append(counted, guess{time.Since(start), from, user})
				}
			}
		})
		for i, first := range counted {
			sources, users := map[netip.Prefix]int{}, map[string]int{}
			for _, c := range counted[i:] {
				if c.at-first.at < time.Minute {
					sources[c.from]++
					users[c.user]++
				}
			}
			if sources[first.from] > 10 || users[first.user] > 10 {
				rt.Errorf("in the minute after %v: %v, %v", first.at, sources, users)
			}
		}
	})
}

func TestTablesAreBounded(t *testing.T) {
	g := newGuard()
	from := netip.MustParseAddr("10.0.0.0")
	for i := range 3 * maxSources {
		from = from.Next()
		for n := range 2 * maxRepeated {
			g.failed(Origin(from), fmt.Sprint("user", i), mark{byte(n)})
		}
		g.passed(Origin(from), fmt.Sprint("friend", i))
	}
	for _, n := range []int{len(g.sources.elements), len(g.users.elements), len(g.familiar.elements), g.sources.order.Len()} {
		if n != maxSources {
			t.Errorf("a table has %d entries, want %d", n, maxSources)
		}
	}
	if n := len(g.sources.get(Origin(from)).wrong); n != maxRepeated {
		t.Errorf("%d wrong passwords are remembered, want %d", n, maxRepeated)
	}
	if g.forgotten() != 3*2*maxSources {
		t.Errorf("%d forgotten", g.forgotten())
	}
}
