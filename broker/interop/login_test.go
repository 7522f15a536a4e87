package interop

import (
	"bufio"
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	users "edge/broker/login"
)

// What a client is told whose login has failed.
const (
	wrongPassword = 0x86
	comeAgain     = 0x9f // connection rate exceeded
)

// startFor starts edge for users, and nobody else.
func startFor(t testing.TB, us users.Users) *server {
	t.Helper()
	stricter(t, "its users are others")
	text, err := us.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, func(l *listeners) {
		l.config = "broker: {allow_anonymous: false}\nmetrics: {listen: '" + freeAddress(t) + "'}\n"
		data := filepath.Join(l.dir, "data")
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(data, "users"), string(text))
	})
}

// chosen returns the hash of a password that a person chose.
func chosen(password string) users.Hash {
	return users.HashPassword(users.NewSecret(password), users.DefaultCost())
}

// dialFrom is dial from another address of this machine: 127.0.0.0/8 is all ours.
func (s *server) dialFrom(t testing.TB, ip net.IP) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: patience}
	conn, err := d.DialContext(context.Background(), "tcp", s.tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, v: v5, conn: conn, r: bufio.NewReader(conn)}
}

// An attempt is a login from somewhere.
type attempt struct {
	from           net.IP
	version        version // 5 if zero
	user, password string
}

// try returns the code of CONNACK, and after what time it came.
func (s *server) try(t testing.TB, a attempt) (code byte, after time.Duration) {
	t.Helper()
	if a.version == 0 {
		a.version = v5
	}
	c := s.dialFrom(t, a.from)
	defer c.drop()
	c.v = a.version
	start := time.Now()
	c.send(login{version: a.version, id: a.user}.as(a.user, a.password))
	code = c.answer(cCONNACK).code
	return code, time.Since(start)
}

// tryAll makes attempts, so many at once, and returns how often each code came.
func (s *server) tryAll(t testing.TB, atOnce int, attempts []attempt) map[byte]int {
	t.Helper()
	var mu sync.Mutex
	codes := make(map[byte]int)
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, a := range attempts {
		g.Go(func() error {
			code, _ := s.try(t, a)
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
			return nil
		})
	}
	_ = g.Wait()
	return codes
}

func loopback(a, b int) net.IP { return net.IPv4(127, 1, byte(a), byte(b)) }

// TestGuessing has strangers guess a thousand passwords. Few are looked at, and who
// has the right one is told that it was not looked at, or is let in.
func TestGuessing(t *testing.T) {
	t.Parallel()
	const guesses, evaluated = 1000, 30
	home, attacker := loopback(1, 1), loopback(2, 1)
	for _, tt := range []struct {
		name  string
		guess func(i int) attempt
	}{
		{"one user from one address", func(int) attempt { return attempt{from: attacker, user: "anna"} }},
		{"many users from one address", func(i int) attempt { return attempt{from: attacker, user: fmt.Sprint("user", i)} }},
		{"one user from many addresses", func(i int) attempt { return attempt{from: loopback(3, i%250), user: "anna"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startFor(t, users.Users{}.With(users.User{Name: "anna", Hash: chosen("the right one")}))
			if code, _ := s.try(t, attempt{from: home, user: "anna", password: "the right one"}); code != 0 {
				t.Fatalf("anna is told %#x", code)
			}
			attempts := make([]attempt, guesses)
			for i := range attempts {
				attempts[i] = tt.guess(i)
				attempts[i].password = fmt.Sprint("guess ", i)
			}
			codes := s.tryAll(t, 100, attempts)
			if n := codes[wrongPassword]; n > evaluated || n == 0 || n+codes[comeAgain] != guesses {
				t.Errorf("codes %v: want %#x at most %d times, and else %#x", codes, wrongPassword, evaluated, comeAgain)
			}
			if n := s.metric(t, `edge_logins_total{result="wrong"}`); n > evaluated || n == 0 {
				t.Errorf("%d guesses were looked at, want at most %d", n, evaluated)
			}
			last := attempts[guesses-1]
			last.user, last.password = "anna", "the right one"
			if code, _ := s.try(t, last); code != comeAgain {
				t.Errorf("the right password among guesses: %#x, want %#x", code, comeAgain)
			}
			last.version = v311
			if code, _ := s.try(t, last); code != 3 {
				t.Errorf("the right password among guesses, by MQTT 3.1.1: %d, want 3, server unavailable", code)
			}
			if code, _ := s.try(t, attempt{from: home, user: "anna", password: "the right one"}); code != 0 {
				t.Errorf("anna is kept out of where she was before: %#x", code)
			}
		})
	}
}

// metric returns a number that edge has for Prometheus.
func (s *server) metric(t *testing.T, name string) int {
	t.Helper()
	_, address, _ := strings.Cut(s.config, "metrics: {listen: '")
	address, _, _ = strings.Cut(address, "'")
	value, ok := scrape(t, "http://"+address+"/metrics")[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return int(value)
}

// The grid on which failures are answered.
const grid = 250 * time.Millisecond

// TestAnswersTellNothing compares the answers to wrong passwords of users of all
// kinds, and of none.
func TestAnswersTellNothing(t *testing.T) {
	t.Parallel()
	each := 40
	if race || bits.UintSize == 32 { // A hash takes many times as long.
		each = 10
	}
	generated, slow := users.HashGenerated(users.GenerateSecret()), chosen("a password")
	salt, sum := hashOf(t, "imported")
	imported, err := users.ParseHash("$7$101$" + salt + "$" + sum)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]users.User{
		"chosen": {Hash: slow}, "generated": {Hash: generated}, "imported": {Hash: imported}, "disabled": {Hash: slow, Disabled: true},
	}
	var us users.Users
	attempts := make([]attempt, 0, each*(len(kinds)+1))
	for i := range each {
		for kind, u := range kinds {
			u.Name = fmt.Sprint(kind, "-", i)
			us = us.With(u)
		}
		for _, kind := range []string{"chosen", "generated", "imported", "disabled", "nobody"} {
			n := len(attempts)
			attempts = append(attempts, attempt{from: loopback(n/250, n%250), user: fmt.Sprint(kind, "-", i), password: "not the one"})
		}
	}
	s := startFor(t, us)
	rand.Shuffle(len(attempts), func(i, k int) { attempts[i], attempts[k] = attempts[k], attempts[i] })
	medians := s.medians(t, attempts)
	least, most := time.Hour, time.Duration(0)
	for _, m := range medians {
		least, most = min(least, m), max(most, m)
	}
	t.Logf("medians of %d each: %v", each, medians)
	// Where hashing takes long, how many wait at a time says more than one step of the
	// grid. An answer without hashing would be far off even so.
	if most-least > max(grid, most/2) {
		t.Errorf("the medians are not on one step of %v: %v", grid, medians)
	}
}

// medians makes attempts, which must fail, and returns the median time of their
// answers by the kind of user.
func (s *server) medians(t testing.TB, attempts []attempt) map[string]time.Duration {
	t.Helper()
	times := make(map[string][]time.Duration)
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(2)
	for _, a := range attempts {
		g.Go(func() error {
			code, after := s.try(t, a)
			mu.Lock()
			defer mu.Unlock()
			if code != wrongPassword || after < grid*9/10 {
				t.Errorf("%s is told %#x after %v, want %#x, not before %v", a.user, code, after, wrongPassword, grid)
			}
			kind, _, _ := strings.Cut(a.user, "-")
			times[kind] = append(times[kind], after)
			return nil
		})
	}
	_ = g.Wait()
	medians := make(map[string]time.Duration)
	for kind, all := range times {
		slices.Sort(all)
		medians[kind] = all[len(all)/2].Round(time.Millisecond)
	}
	return medians
}

// TestDevicesReturn has a thousand devices with generated passwords come back at once
// after a restart.
func TestDevicesReturn(t *testing.T) {
	t.Parallel()
	const devices = 1000
	secrets := make([]users.Secret, devices)
	us := make(users.Users, devices)
	for i := range us {
		secrets[i] = users.GenerateSecret()
		us[i] = users.User{Name: fmt.Sprintf("device-%03d", i), Hash: users.HashGenerated(secrets[i])}
	}
	s := startFor(t, us)
	enter := func(s *server) time.Duration {
		attempts := make([]attempt, devices)
		for i := range attempts {
			attempts[i] = attempt{from: loopback(9, 1), user: us[i].Name, password: secrets[i].Reveal()}
		}
		start := time.Now()
		if codes := s.tryAll(t, devices, attempts); codes[0] != devices {
			t.Errorf("codes %v, want %d times 0", codes, devices)
		}
		return time.Since(start)
	}
	enter(s)
	s.kill(t)
	took := enter(s.again(t))
	t.Logf("%d devices were back after %v", devices, took)
	if took > 10*time.Second*slack {
		t.Errorf("%d devices were back after %v, want 10s", devices, took)
	}
}

// slack is how much slower a machine may be that does much else.
const slack = 3
