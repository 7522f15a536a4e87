package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestSlowFlush makes each fdatasync 10 ms slower, as it is on a card. What comes
// meanwhile must share the next one, so one publisher still has hundreds of
// messages acknowledged in a second, and eight have thousands; that is logged.
func TestSlowFlush(t *testing.T) {
	t.Parallel()
	slow := traced(t, "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=10000")
	s := startWith(t, func(l *listeners) { l.config = "broker: {allow_anonymous: true, sys_interval: 1s}" }, slow...)
	away := s.connect(t, login{id: "away", keep: true})
	away.subscribe("#", 1)
	away.disconnect()
	for _, publishers := range []int{1, 8} {
		const each = 2000
		before := s.count(t, "journal/flushes")
		began := time.Now()
		var waits []func()
		for i := range publishers {
			p := newPublisher(login{version: v311, id: fmt.Sprint("p", i, "of", publishers)}, rand.NewPCG(0, 0))
			waits = append(waits, beside(t, func(t testing.TB) { must(t, p.march(s, each, 1)) }))
		}
		for _, wait := range waits {
			wait()
		}
		took := time.Since(began)
		acked, flushes := each*publishers, s.count(t, "journal/flushes")-before
		t.Logf("%d publishers with a window of %d, fdatasync 10 ms slower: %.0f acknowledged/s, %d flushes for %d messages",
			publishers, window, float64(acked)/took.Seconds(), flushes, acked)
		if flushes == 0 || flushes > acked/4 {
			t.Errorf("%d flushes for %d messages, want few messages to have one of their own", flushes, acked)
		}
	}
}

// count returns what the broker counts at $SYS/broker/name at least a second from
// now; its sys_interval is one.
func (s *server) count(t testing.TB, name string) int {
	t.Helper()
	n, err := strconv.Atoi(s.told(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// told is count for what is no number.
func (s *server) told(t testing.TB, name string) (value string) {
	t.Helper()
	const prefix = "$SYS/broker/"
	c := s.connect(t, login{id: "counts"})
	defer c.disconnect()
	c.subscribe(prefix+name, 0)
	c.subscribe(prefix+"uptime", 0)
	for updates := 0; updates < 2; {
		switch m := c.take(); {
		case m.topic == prefix+name:
			value = m.payload
		case !m.retain:
			updates++ // Behind the second one is what the first one began.
		}
	}
	return value
}

// stall is how long a flush takes in TestStalledDisk.
const stall = 2 * time.Second

// TestStalledDisk has each fdatasync take two seconds while four publishers wait for
// acknowledgements of what must survive. QoS 0 and what is never kept must not wait
// with them.
func TestStalledDisk(t *testing.T) {
	t.Parallel()
	slow := traced(t, "/dev/null", "-e", "trace=fdatasync", "-e", fmt.Sprint("inject=fdatasync:delay_enter=", stall.Microseconds()))
	s := startWith(t, func(l *listeners) {
		l.config = "broker: {allow_anonymous: true, durability: [{filter: never/#, never: true}]}"
	}, slow...)
	away := s.connect(t, login{id: "away", keep: true})
	away.subscribe("#", 1)
	away.disconnect()
	log := func(when string) {
		for qos := range byte(2) {
			d := s.laps(t, qos)
			t.Logf("%s: QoS %d that is not kept, %d times: median %v, p99 %v, longest %v",
				when, qos, len(d), d[len(d)/2], d[len(d)*99/100], d[len(d)-1])
			if longest := d[len(d)-1]; longest >= stall {
				t.Errorf("%s: QoS %d that is not kept takes %v, as long as a flush", when, qos, longest)
			}
		}
	}
	log("with a disk that is idle")
	var waits []func()
	for i := range 4 {
		p := newPublisher(login{version: v311, id: fmt.Sprint("p", i)}, rand.NewPCG(0, 0))
		waits = append(waits, beside(t, func(t testing.TB) { must(t, p.march(s, 3*window, 1)) }))
	}
	log("with flushes of two seconds")
	for _, wait := range waits {
		wait()
	}
}

// laps publishes to itself for longer than a flush, and returns how long each
// message took, in order.
func (s *server) laps(t testing.TB, qos byte) (durations []time.Duration) {
	t.Helper()
	c := s.connect(t, login{id: "laps"})
	defer c.disconnect()
	c.subscribe("never/laps", qos)
	for began := time.Now(); time.Since(began) < stall*3/2; {
		start := time.Now()
		c.publish(message{topic: "never/laps", qos: qos, payload: "lap"})
		c.receive()
		durations = append(durations, time.Since(start))
	}
	slices.Sort(durations)
	return durations
}
