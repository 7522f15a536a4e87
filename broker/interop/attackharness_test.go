package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A bystander publishes to itself at a fixed pace.
type bystander struct {
	client *client
	began  time.Time
	trips  []time.Duration
	sent   atomic.Int64 // how many in all, when the last is known; before, -1
	stop   chan struct{}
	end    func() // closes stop
	wait   func()
}

const (
	pace = 5 * time.Millisecond

	// settling is how many messages a bystander needs until everything in the
	// broker that they need is there.
	settling = 20
)

// stand lets a bystander in and returns when it is at its pace.
func (a *arena) stand(t testing.TB) *bystander {
	t.Helper()
	b := &bystander{client: a.connect(t, login{id: "bystander"}), stop: make(chan struct{})}
	b.client.subscribe("bystander", 1)
	for range settling {
		b.client.publish(message{topic: "bystander", qos: 1, payload: "settling"})
		b.client.receive()
	}
	b.began = time.Now()
	b.sent.Store(-1)
	speaking := beside(t, func(t testing.TB) { b.speak(b.client.in(t)) })
	listening := beside(t, func(t testing.TB) { b.listen(b.client.in(t)) })
	b.wait = func() { speaking(); listening() }
	b.end = sync.OnceFunc(func() { close(b.stop) })
	t.Cleanup(b.end) // An attack may have ended the test.
	return b
}

// leave ends the pace when all has come that was published, and returns how long
// each message took from when it was due, in order of length.
func (b *bystander) leave() []time.Duration {
	b.end()
	b.wait()
	b.client.disconnect()
	slices.Sort(b.trips)
	return b.trips
}

// speak publishes message n when it is due, whether those before it have come or
// not. One more follows when the bystander is to leave.
func (b *bystander) speak(c *client) {
	for n := 0; ; n++ {
		select {
		case <-b.stop:
			b.sent.Store(int64(n) + 1)
			b.post(c, n)
			return
		case <-time.After(time.Until(b.due(n))):
			b.post(c, n)
		}
	}
}

func (b *bystander) due(n int) time.Time { return b.began.Add(time.Duration(n) * pace) }

func (b *bystander) post(c *client, n int) {
	c.post(message{topic: "bystander", qos: 1, id: uint16(n%60_000 + 1), payload: strconv.Itoa(n)})
}

// listen notes when each message comes, until all are here and acknowledged.
func (b *bystander) listen(c *client) {
	for acked := 0; int64(acked) != b.sent.Load() || int64(len(b.trips)) != b.sent.Load(); {
		switch p := c.packet(); p.kind {
		case cPUBACK:
			if id := binary.BigEndian.Uint16(p.body); id != uint16(acked%60_000+1) {
				c.t.Fatalf("message %d of the bystander is acknowledged as %d", acked, id)
			}
			acked++
		case cPUBLISH:
			m := c.parse(p)
			n := len(b.trips)
			if m.payload != strconv.Itoa(n) {
				c.t.Fatalf("the bystander received %+v, want message %d", m, n)
			}
			b.trips = append(b.trips, time.Since(b.due(n)))
			c.ack(cPUBACK, m.id)
		default:
			c.t.Fatalf("the broker sent %v % x to the bystander", p.kind, p.body)
		}
	}
}

// What the broker is held to.
const (
	softMemory = "128MiB"    // GOMEMLIMIT
	hardMemory = "268435456" // of a cgroup, in bytes
)

// confine returns a wrapper that starts the broker with as much memory as it may
// have. Without a cgroup, GOMEMLIMIT alone tells it so.
func confine(t testing.TB) []string {
	t.Helper()
	wrapper := []string{"env", "GOMEMLIMIT=" + softMemory}
	dir, err := cgroup(t)
	if err != nil {
		t.Logf("the broker is in no cgroup of its own: %v", err)
		return wrapper
	}
	return append([]string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, dir}, wrapper...)
}

// cgroup makes a group for one process, in whichever hierarchy has memory: the one
// of cgroups(7) version 2, or that of version 1.
func cgroup(t testing.TB) (dir string, err error) {
	t.Helper()
	for _, h := range []struct{ root, limit string }{
		{"/sys/fs/cgroup", "memory.max"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
	} {
		_ = put(filepath.Join(h.root, "cgroup.subtree_control"), "+memory") // version 2 alone, and perhaps it is there already
		var made string
		if made, err = os.MkdirTemp(h.root, "edge-attacks-"); err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(made) })
		if err = put(filepath.Join(made, h.limit), hardMemory); err == nil {
			return made, nil
		}
	}
	return "", err
}

// put writes into a file of the kernel, which must be there.
func put(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// forgetPeak makes peak begin anew (proc_pid_clear_refs(5)). Where that is not
// allowed, what the broker needed at its start counts, too.
func (s *server) forgetPeak() {
	_ = put(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), "5")
}

var peakLine = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

// peak returns the most resident memory that the broker has had, in bytes.
func (s *server) peak(t testing.TB) int {
	t.Helper()
	most := highWater(s.cmd.Process.Pid)
	if most == 0 {
		t.Fatal("the kernel does not say how much memory the broker has had")
	}
	return most
}

// highWater returns the most resident memory that a process has had, in bytes; 0 if
// there is no such process.
func highWater(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // proc_pid_status(5)
	found := peakLine.FindSubmatch(b)
	if found == nil {
		return 0
	}
	kilobytes, _ := strconv.Atoi(string(found[1]))
	return kilobytes << 10
}
