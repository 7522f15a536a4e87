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
	seed := cmp.Or(uint64(setting(t, "EDGE_KILL_SEED", 0)), rand.Uint64()>>1)
	k := newKilling(t, start(t), seed)
	began := time.Now()
	rounds := killRounds(t)
	for k.round = range rounds {
		k.turn(t)
		if t.Failed() {
			break
		}
	}
	t.Logf("seed %d: %d rounds in %v, %d messages sent, %d acknowledged before a kill, %d lost, %d came again at QoS 1",
		seed, k.round+1, time.Since(began).Round(time.Millisecond), k.sent(), k.acked, k.lost, k.online.again+k.offline.again)
}

// killRounds is how often a test kills the broker.
func killRounds(t testing.TB) int {
	t.Helper()
	usual := 10
	if os.Getenv("CI") != "" {
		usual = 50
	}
	return setting(t, "EDGE_KILL_ROUNDS", usual)
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

// A killing is a broker that is killed again and again, and its clients.
type killing struct {
	server          *server
	rand            *rand.Rand
	publishers      []*publisher
	online, offline *sink

	round, acked, lost int
}

func newKilling(t testing.TB, s *server, seed uint64) *killing {
	t.Helper()
	k := &killing{server: s, rand: rand.New(rand.NewPCG(seed, 0))}
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

// turn is one round: load, kill, start, finish, check.
func (k *killing) turn(t testing.TB) {
	before := k.acknowledged()
	k.load(t)
	k.acked += k.acknowledged() - before
	k.server = k.server.again(t)
	k.finish(t)
	k.check(t)
}

// load lets everybody go until the broker is killed.
func (k *killing) load(t testing.TB) {
	s := k.server
	waits := []func(){beside(t, func(testing.TB) { _ = k.online.take(s) })}
	for _, p := range k.publishers {
		waits = append(waits, beside(t, func(testing.TB) { _ = p.press(s) }))
	}
	elapse(time.Duration(10+k.rand.IntN(190)) * time.Millisecond)
	s.kill(t)
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
