package interop

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKill kills the broker at random moments under load, QoS 1 and 2, with one
// subscriber online and one away, and clients that take over from themselves.
// Afterwards everybody comes back and finishes: whatever was sent must have
// arrived, at QoS 2 once, in the order of its publisher and topic. What was
// acknowledged before is not sent again, so it comes from the disk.
//
// EDGE_KILL_ROUNDS says how often, EDGE_KILL_SEED with which random numbers.
func TestKill(t *testing.T) {
	t.Parallel()
	stricter(t, "it has acknowledged messages in memory alone")
	k := newKilling(t, start(t), (*server).kill)
	k.run(t, rounds(t, "EDGE_KILL_ROUNDS", 50))
}

// rounds is how often a test lets the broker die: as often as a variable of the
// environment says, and if it is not set, some times in CI and few elsewhere.
func rounds(t testing.TB, name string, some int) int {
	t.Helper()
	if os.Getenv("CI") == "" {
		some /= 5
	}
	return setting(t, name, some)
}

// setting returns the number in a variable of the environment.
func setting(t testing.TB, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number from 1", name, text)
	}
	return n
}

// A killing is a broker that dies again and again, and its clients.
type killing struct {
	server          *server
	die             func(*server, testing.TB) // ends the broker and leaves what a new one finds
	seed            uint64
	rand            *rand.Rand
	publishers      []*publisher
	online, offline *sink

	round, acked, lost int
}

func newKilling(t testing.TB, s *server, die func(*server, testing.TB)) *killing {
	t.Helper()
	seed := cmp.Or(uint64(setting(t, "EDGE_KILL_SEED", 0)), rand.Uint64()>>1)
	k := &killing{server: s, die: die, seed: seed, rand: rand.New(rand.NewPCG(seed, 0))}
	for i := range 4 {
		l := login{version: []version{v311, v5}[i%2], id: fmt.Sprintf("p%d", i), keep: true}
		k.publishers = append(k.publishers, newPublisher(l, rand.NewPCG(seed, uint64(i+1))))
	}
	sinks := []*sink{}
	for i, name := range []string{"online", "offline"} {
		l := login{version: []version{v5, v311}[i], id: name, keep: true}
		c := s.connect(t, l)
		c.subscribe("kill/#", 2)
		c.disconnect()
		sinks = append(sinks, newSink(l, rand.NewPCG(seed, uint64(i+10))))
	}
	k.online, k.offline = sinks[0], sinks[1]
	return k
}

// run goes through so many rounds, or until one has failed.
func (k *killing) run(t testing.TB, rounds int) {
	t.Helper()
	k.age(t)
	began := time.Now()
	told := began
	for k.round = 0; k.round < rounds && !t.Failed(); k.round++ {
		k.turn(t)
		if now := time.Now(); now.Sub(told) > 10*time.Second {
			told = now
			t.Logf("%d of %d rounds, %d messages acknowledged, %d lost", k.round+1, rounds, k.acked, k.lost)
		}
	}
	t.Logf("seed %d: %d rounds in %v, %d messages sent, %d acknowledged before the end of the broker, %d lost, %d came again at QoS 1",
		k.seed, k.round, time.Since(began).Round(time.Millisecond), k.sent(), k.acked, k.lost, k.online.again+k.offline.again)
}

// age fills the journal with what is not needed any more, so that from now on it
// is cleaned under the load of each round.
func (k *killing) age(t testing.TB) {
	t.Helper()
	c := k.server.connect(t, login{id: "age"})
	for i := range 128 {
		c.publish(message{topic: "age", qos: 1, retain: true, payload: strings.Repeat(string('a'+rune(i%26)), 1<<19)})
	}
	c.disconnect()
}

// turn is one round: load, the end, start, finish, check.
func (k *killing) turn(t testing.TB) {
	before := k.acknowledged()
	k.load(t)
	k.acked += k.acknowledged() - before
	k.server = k.server.again(t)
	k.finish(t)
	k.check(t)
}

// load lets everybody go until the broker dies.
func (k *killing) load(t testing.TB) {
	s := k.server
	waits := []func(){beside(t, func(testing.TB) { _ = k.online.take(s) })}
	for _, p := range k.publishers {
		waits = append(waits, beside(t, func(testing.TB) { _ = p.press(s) }))
	}
	elapse(time.Duration(10+k.rand.IntN(190)) * time.Millisecond)
	k.die(s, t)
	for _, wait := range waits {
		wait()
	}
}

// finish ends all exchanges, and then lets the subscribers have everything.
func (k *killing) finish(t testing.TB) {
	s := k.server
	var waits []func()
	for _, p := range k.publishers {
		waits = append(waits, beside(t, func(t testing.TB) { must(t, p.finish(s)) }))
	}
	for _, wait := range waits {
		wait()
	}
	end := fmt.Sprint("end of round ", k.round)
	last := s.connect(t, login{id: "last"})
	last.publish(message{topic: "kill/end", qos: 1, payload: end})
	last.disconnect()
	for _, k := range []*sink{k.online, k.offline} {
		must(t, k.drain(s, end))
	}
}

// check compares what was sent with what came.
func (k *killing) check(t testing.TB) {
	for _, sink := range []*sink{k.online, k.offline} {
		for _, p := range k.publishers {
			for topic, n := range p.sent {
				k.lost += sink.check(topic, n)
			}
		}
		if n := len(sink.faults); n > 0 {
			t.Errorf("round %d: %d faults, the first of them:\n%s", k.round, n, strings.Join(sink.faults[:min(n, 10)], "\n"))
		}
		sink.faults = nil
		if sink.forgot {
			t.Errorf("round %d: the broker has forgotten the session of %s", k.round, sink.id)
		}
	}
	for _, p := range k.publishers {
		if p.forgot {
			t.Errorf("round %d: the broker has forgotten the session of %s", k.round, p.id)
		}
	}
}

func (k *killing) acknowledged() (n int) {
	for _, p := range k.publishers {
		n += p.acked
	}
	return n
}

func (k *killing) sent() (n int) {
	for _, p := range k.publishers {
		for _, sent := range p.sent {
			n += sent
		}
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
